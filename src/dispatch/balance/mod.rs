//! Choices that no other server disagrees with: rendezvous hashing (algorithms 100 to 107).
//!
//! [`identity`] and [`cost`] are a definition that never changes: a change would move the calls of every operator. It is
//! written down in doc/dev/rendezvous.md, and `tests.rs` holds values of it that were computed without this code.
//!
//! | module | contents |
//! | --- | --- |
//! | [`identity`] | The number of a destination, the same on every server. |
//! | [`cost`] | The key of a request, and what each destination costs it. |

pub mod cost;
pub mod identity;

#[cfg(test)]
mod tests;
