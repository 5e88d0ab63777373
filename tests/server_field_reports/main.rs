//! What users of the C module have reported, and what its authors have repaired, as far as no other
//! test has it. `doc/dev/reports/field-reports.md` says which test covers which report.
#![cfg(test)]
#![cfg(feature = "server-tests")]

use harness as server;

mod lists;
mod matching;
mod probing;
mod selection;
mod sockets;
