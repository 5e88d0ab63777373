//! The page that shows sets and destinations: `ds_page`.
//!
//! `page.html`, `page.css` and `page.js` are put together when the module is built.
//!
//! | module | contents |
//! | --- | --- |
//! | [`answer`] | Answers to the requests of the page. |
//! | [`take`] | What is shown of the running lists. |

pub mod answer;
pub mod take;
