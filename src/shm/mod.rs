//! The data that the server's processes share, and why each piece is sound across `fork`.
//!
//! Rules for everything in this layer:
//!
//! - Memory comes from a [`memory::arena::Arena`] that all processes map at one address, so pointers into
//!   it mean the same everywhere. Nothing of one process (heap, statics, functions) is stored.
//! - A published value is frozen, or atomic, or touched only under the writer lock.
//! - Readers pin ([`memory::epoch`]). Memory that they can reach is not freed while they do.
//! - Running out of shared memory is an ordinary error that changes nothing.
//!
//! No symbol of the server is used here: arena and lock are type parameters, so that all of it runs
//! under `cargo test` and Miri on the heap.
//!
//! | module | contents |
//! | --- | --- |
//! | [`memory`] | Allocation, epochs, reference counts. |
//! | [`dest`] | A destination: its line of the list, its record, its probing results, its addresses. |
//! | [`set`] | A set: its view, and the structures that make a selection cheap. |
//! | [`table`] | The published table of all sets, and what replaces or changes it. |
//! | [`balance`] | What algorithms 100 to 107 know of the destinations of a set. |
//! | [`calls`] | Counted calls (algorithm 10), and calls of destinations that drain. |
//! | [`observe`] | What operators see of the past: counters, and the history of changes. |
//! | [`cluster`] | What the process that speaks with other servers shares with the rest. |
//! | [`queue`] | What processes leave for another one. |
//! | [`event_queue`] | Events that wait in such a queue. |

// Pieces are aligned to 8 bytes, as their 64-bit atomics need. The server's allocators align to the size of a pointer.
#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "the module needs a 64-bit machine: shared memory is aligned to the size of a pointer"
);

pub mod balance;
pub mod calls;
pub mod cluster;
pub mod dest;
pub mod event_queue;
pub mod memory;
pub mod observe;
pub mod queue;
pub mod set;
pub mod table;

#[cfg(test)]
mod tests;
