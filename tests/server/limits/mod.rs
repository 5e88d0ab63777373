//! What outsiders and full machines can make of the module: log lines, memory, files, queues.

mod events;
mod log_lines;
mod memory;
mod shared_memory;
mod state_file;
