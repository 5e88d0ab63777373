//! What the server's processes share, and why each piece is sound across `fork`.
//!
//! The rules, for everything in this layer:
//!
//! - Memory comes from an [`arena::Arena`] that all processes map at one address, so pointers into
//!   it mean the same everywhere. Nothing of one process (heap, statics, functions) is stored.
//! - What is published is frozen, or atomic, or touched only under the writer lock.
//! - Readers pin ([`epoch`]); what they can reach is not freed while they do.
//! - Running out of memory is an ordinary error that changes nothing.
//!
//! No symbol of the server is used here: arena and lock are type parameters, so that all of it runs
//! under `cargo test` and Miri on the heap.

pub mod addr;
pub mod arena;
pub mod batch;
pub mod build;
pub mod calls;
mod chains;
pub mod change;
pub mod counted;
pub mod dest;
pub mod diverted;
pub mod edit;
pub mod epoch;
pub mod health;
pub mod hop;
pub mod least;
pub mod mailbox;
pub mod orphans;
pub mod overload;
pub mod page;
mod piece;
pub mod ranks;
pub mod record;
pub mod set_record;
pub mod shift;
pub mod store;
pub mod table;
pub mod tree;
pub mod uris;
pub mod usable;
pub mod view;
mod view_build;
mod view_edit;
mod view_load;

#[cfg(test)]
mod tests;
