//! Shows the module's work to people and to other programs.
//!
//! | module | contents |
//! | --- | --- |
//! | [`counting`] | Counters, which all of the seam counts in. |
//! | [`http`] | Requests and replies of HTTP, through the xhttp module. |
//! | [`metrics`] | `ds_metrics`: figures for Prometheus. |
//! | [`page`] | `ds_page`: the page that shows sets and destinations. |
//! | [`why`] | Why a destination is in its state, in words. |
//! | [`changes`] | Changes of states, as they happen. |

pub mod changes;
pub mod counting;
pub mod http;
pub mod metrics;
pub mod page;
pub mod why;
