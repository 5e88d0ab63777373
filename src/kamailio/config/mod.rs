//! What the operator set.
//!
//! | module | contents |
//! | --- | --- |
//! | [`params`] | The module parameters. |
//! | [`dns_params`] | The parameters of names. |
//! | [`ping_params`] | The parameters of pings. |
//! | [`cfg`] | Values of the cfg framework, and other values that change at run time. |
//! | [`listeners`] | Who is told of events. |
//! | [`instance`] | The module's instance, inherited by each process. |

pub mod cfg;
pub mod dns_params;
pub mod instance;
pub mod listeners;
pub mod params;
pub mod ping_params;
