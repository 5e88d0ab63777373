//! The domain of the dispatcher: what a list means, who is chosen, how states change.
//!
//! Words are the operator's: a *destination* is one SIP URI with its settings, a *set* is a
//! numbered group of destinations, a *duid* is a destination's unique id.

pub mod attrs;
pub mod compat;
pub mod db_url;
pub mod dest;
pub mod event;
pub mod hash;
pub mod latency;
pub mod list;
pub mod order;
pub mod probe;
pub mod ranked;
pub mod resume;
pub mod routes;
pub mod row;
pub mod schedule;
pub mod select;
pub mod share;
pub mod state;
pub mod state_file;
pub mod trail;
pub mod weight;
