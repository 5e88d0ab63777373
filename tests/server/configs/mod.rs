//! Configs as operators write them for the C module: each passes `kamailio -c` and a scenario of calls
//! with the C module and with ours, with the same result but for documented differences.

mod carrier;
mod edge;
mod freeswitch;
mod ims;
mod kemi;
mod old_time;
mod registrar;
mod sample;
mod sidecar;
mod stage;
mod transports;
