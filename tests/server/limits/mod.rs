//! What outsiders and full machines can make of the module: log lines, memory, files, queues.

mod log_lines;
mod state_file;
