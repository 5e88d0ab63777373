//! What the module shows of its work to people and to other programs.
//!
//! | module | contents |
//! | --- | --- |
//! | [`counting`] | Counters, which all of the seam counts in. |
//! | [`http`] | Requests and replies of HTTP, through the xhttp module. |
//! | [`metrics`] | `ds_metrics`: figures for Prometheus. |
//! | [`names`] | The names of sets: the parameter `set_name`. |
//! | [`page`] | `ds_page`: the page that shows sets and destinations. |
//! | [`why`] | Why a destination is in its state, in words. |

pub mod counting;
pub mod http;
pub mod metrics;
pub mod names;
pub mod page;
pub mod why;
