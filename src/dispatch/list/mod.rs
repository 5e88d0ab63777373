//! From the text of a list to destinations.
//!
//! | module | contents |
//! | --- | --- |
//! | [`file`] | The list file: lines, sets, flags, priorities, and problems with their position. |
//! | [`row`] | Rows of a database table, turned into the same entries. |
//! | [`attrs`] | The attributes of a destination. |
//! | [`attr_text`] | The text of attributes, one attribute at a time. |
//! | [`reading`] | What the text of a destination decides, for the server and for the offline checker. |
//! | [`destination`] | A destination as a list describes it, with its address and protocol. |
//! | [`db_url`] | The database URL, and how it may be shown without its password. |
//! | [`order`] | The order in which sets are listed. |
//! | [`state_file`] | The text of the file that keeps states over restarts. |
//! | [`words`] | Words of commands and scripts: numbers, and what a command is to show. |

pub mod attr_text;
pub mod attrs;
pub mod db_url;
pub mod destination;
pub mod file;
pub mod order;
pub mod reading;
pub mod row;
pub mod state_file;
pub mod words;
