//! The list on its way in, operators' states on their way out.
//!
//! | module | contents |
//! | --- | --- |
//! | [`source`] | The list file or the table, read. |
//! | [`db`] | The server's database interface. |
//! | [`db_write`] | States written back to the table. |
//! | [`entry`] | A list entry, checked and resolved. |
//! | [`pace`] | How often a process walks over all lists to follow their changes. |
//! | [`reload`] | Reading, resolving and publishing a list. |
//! | [`reload_delta`] | The parameter `reload_delta`: how often a reload is allowed. |
//! | [`unique_id`] | The numbers of destinations, and their unique ids. |
//! | [`state_keeper`] | States kept over restarts. |

pub mod db;
pub mod db_write;
pub mod entry;
pub mod pace;
pub mod reload;
pub mod reload_delta;
pub mod source;
pub mod state_keeper;
pub mod unique_id;
