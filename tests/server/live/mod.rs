//! Changes of the list while calls come in.

mod edit;
mod memory;
mod modify;
mod reload;
mod script;
