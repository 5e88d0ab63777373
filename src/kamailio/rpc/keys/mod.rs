//! What a text is hashed to, and where it goes.
//!
//! | module | contents |
//! | --- | --- |
//! | [`hashed`] | `dispatcher.hash`. |
//! | [`route`] | `dispatcher.route`. |

pub mod hashed;
pub mod route;
