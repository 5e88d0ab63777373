//! Commands that hash a text, and show where it goes.
//!
//! | module | contents |
//! | --- | --- |
//! | [`hashed`] | `dispatcher.hash`. |
//! | [`route`] | `dispatcher.route`. |

pub mod hashed;
pub mod route;
