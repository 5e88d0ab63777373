//! The differences between releases of the server and of the module.

mod later_names;
mod mi;
mod old_names;
mod pairing;
