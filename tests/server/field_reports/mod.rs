//! Faults that users of the C module have reported or its authors have repaired, as far as no other
//! test has it. `doc/dev/reports/field-reports.md` says which test covers which report.

mod lists;
mod matching;
mod probing;
mod selection;
mod sockets;
