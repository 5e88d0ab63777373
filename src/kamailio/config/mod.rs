//! The settings of the operator.
//!
//! | module | contents |
//! | --- | --- |
//! | [`params`] | The module parameters. |
//! | [`list_params`] | The parameters of the list and of the keeping of states. |
//! | [`cluster_params`] | The parameters of several servers as one. |
//! | [`dns_params`] | The parameters of names. |
//! | [`ping_params`] | The parameters of pings and of passive health. |
//! | [`names`] | The names of sets: the parameter `set_name`. |
//! | [`listeners`] | Who is told of events. |
//! | [`results_params`] | The parameters of what a selection writes. |
//! | [`metrics_params`] | The parameters of metrics. |
//! | `value` | The value of one parameter. |
//! | [`cfg`] | Values of the cfg framework, which change at run time. |
//! | [`shared`] | Words in shared memory that all processes read and write. |
//! | [`patience`] | How long a process waits for its turn to change the lists. |
//! | [`room`] | The memory that a change of the lists needs. |
//! | [`instance`] | The module's instance, inherited by each process. |

pub mod cfg;
pub mod cluster_params;
pub mod dns_params;
pub mod instance;
pub mod list_params;
pub mod listeners;
pub mod metrics_params;
pub mod names;
pub mod params;
pub mod patience;
pub mod ping_params;
pub mod results_params;
pub mod room;
pub mod shared;
mod value;
