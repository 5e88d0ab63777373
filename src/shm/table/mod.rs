//! All sets: the published table, and what replaces it.
//!
//! | module | contents |
//! | --- | --- |
//! | [`sets`] | The table: set id to view. |
//! | [`store`] | The root: pins of readers, and tries over lists that are replaced. |
//! | [`lock`] | The writer lock: its holder, and the wait for it. |
//! | [`writer`] | What its holder does: publish, retire, give back. |
//! | [`new_table`] | A whole table, built from a list. |
//! | [`edit`] | Adding, removing and modifying one destination. |
//! | [`readdress`] | New addresses for many destinations of a set. |
//! | [`change`] | State changes by URI, set or duid. |
//! | [`ejections`] | Ejection by traffic, and its end. |
//! | [`retained`] | Retained counters of destinations that are not listed any more. |

pub mod change;
pub mod edit;
pub mod ejections;
pub mod lock;
pub mod new_table;
pub mod readdress;
pub mod retained;
pub mod sets;
pub mod store;
pub mod writer;
