//! Event routes: when they run, with which message, and that they cannot harm it.

mod routes;
mod safe;
