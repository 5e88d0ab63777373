//! Configs as operators write them for the C module: each passes `kamailio -c` and a scenario of calls
//! with the C module and with ours, with the same result but for documented differences.
#![cfg(test)]
#![cfg(feature = "server-tests")]

use harness as server;

mod carrier;
mod edge;
mod freeswitch;
mod ims;
mod kemi;
mod old_time;
mod registrar;
mod sidecar;
mod stage;
mod transports;
