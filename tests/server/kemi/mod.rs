//! The functions for scripts in Lua, Python and JavaScript.

mod engines;
mod functions;
