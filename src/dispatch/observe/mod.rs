//! What the module shows of its work to people and to other programs: the texts, without the server.
//!
//! | module | contents |
//! | --- | --- |
//! | [`exposition`] | The text format of Prometheus. |
//! | [`families`] | The families of metrics. |
//! | [`filter`] | What a page of metrics shows. |
//! | [`http_text`] | Small texts of HTTP: the query of a URL, and what a client takes. |

pub mod exposition;
pub mod families;
pub mod filter;
pub mod http_text;
