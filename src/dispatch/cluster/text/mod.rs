//! Messages as texts.
//!
//! | module | contents |
//! | --- | --- |
//! | [`hmac`] | The key that members share, and the code of a message under it. |
//! | [`message`] | What a message says. |
//! | [`read`] | Reading, and why a text is refused. |
//! | [`write`] | Writing. |

pub mod hmac;
pub mod message;
pub mod read;
pub mod write;
