//! One destination in shared memory.
//!
//! | module | contents |
//! | --- | --- |
//! | [`destination`] | A line of the list, frozen. |
//! | [`page`] | Slabs of destinations with their texts and addresses. |
//! | [`record`] | The state, failure counter and load of a destination. |
//! | [`rate`] | Calls a second: the times of the last admissions. |
//! | [`register`] | What the cluster has last decided on a destination. |
//! | [`record_slab`] | Slabs of records. |
//! | [`ping_word`] | Words about a destination between the processes that ping it and the process of the cluster. |
//! | [`probing`] | What pings found out about a destination. |
//! | [`traffic`] | The standing of a destination by the requests sent to it, and what was counted of them. |
//! | [`watched`] | A request that is on its way to a destination. |
//! | [`next_hop`] | The resolved address that pings are sent to. |
//! | [`overload`] | What a destination reports about its load (algorithm 64). |
//! | [`address`] | The index from addresses to destinations. |

pub mod address;
pub mod destination;
pub mod next_hop;
pub mod overload;
pub mod page;
pub mod ping_word;
pub mod probing;
pub mod rate;
pub mod record;
pub mod record_slab;
pub mod register;
pub mod traffic;
pub mod watched;
