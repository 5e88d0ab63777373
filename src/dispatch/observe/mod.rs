//! What the module shows of its work to people and to other programs: the texts, without the server.
//!
//! | module | contents |
//! | --- | --- |
//! | [`exposition`] | The text format of Prometheus. |
//! | [`families`] | The families of metrics. |
//! | [`filter`] | What a page of metrics shows. |
//! | [`find`] | What the page asks for. |
//! | [`http_text`] | Small texts of HTTP: the query of a URL, and what a client takes. |
//! | [`page`] | What the page gets. |
//! | [`shown`] | The five states that people are shown. |
//! | [`news`] | Which changes of states are news to whoever is on call, and their words. |
//! | [`line_budget`] | How many lines of the log a second may have. |

pub mod exposition;
pub mod families;
pub mod filter;
pub mod find;
pub mod http_text;
pub mod line_budget;
pub mod news;
pub mod page;
pub mod shown;
