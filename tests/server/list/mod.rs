//! The list: the file as it is read, its reload, and the list as it is shown.

mod file;
mod paging;
mod reload;
