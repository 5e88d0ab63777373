//! The memory that a change of the lists needs of the process that makes it.

use super::instance::Module;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::shm::table::sets::Table;

/// Bytes of heap that each address of a list takes at most while the list is built.
pub const ADDRESS_HEAP: usize = 150;

/// Bytes of heap that a running destination takes at most while the list is edited.
const EDITED_HEAP: usize = 150;

/// Bytes of heap that all the rest of a load or an edit takes at most, and the addresses of a few lines.
pub const SPARE_HEAP: usize = 500_000;

/// Makes sure that an edit of the running list finds its memory: it goes through all sets and addresses.
///
/// # Errors
/// [`NoMemory`].
pub fn room_for_edit(module: &Module) -> Result<(), NoMemory> {
    let size =
        |table: &Table| table.dest_count() * EDITED_HEAP + table.address_count() * ADDRESS_HEAP;
    heap::need(module.pin().table().map_or(0, size) + SPARE_HEAP)
}
