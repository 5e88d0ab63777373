//! The list on its way in, operators' states on their way out.
//!
//! | module | contents |
//! | --- | --- |
//! | [`source`] | The list file or the table, read. |
//! | [`db`] | The server's database interface. |
//! | [`db_write`] | States written back to the table. |
//! | [`entry`] | A list entry, checked and resolved. |
//! | [`reload`] | Reading, resolving and publishing a list. |
//! | [`reload_delta`] | The parameter `reload_delta`: how often a reload is allowed. |
//! | [`keep_file`] | Kept states in a file. |
//! | [`plain_file`] | Plain files, read and replaced. |
//! | [`keep_table`] | Kept states in the table of the list. |
//! | [`unique_id`] | The numbers of destinations, and their unique ids. |
//! | [`state_keeper`] | The process that keeps states over restarts. |

pub mod db;
pub mod db_write;
pub mod entry;
pub mod keep_file;
pub mod keep_table;
pub mod plain_file;
pub mod reload;
pub mod reload_delta;
pub mod source;
pub mod state_keeper;
pub mod unique_id;
