//! Kept states in the table that the list is in.

use super::db_write::{self, FlagsChange, WriteBack, Written};
use super::keep_file::to_keep;
use crate::dispatch::state::transition::State;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::list_params::DbTable;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::log::{log_info, log_warn};
use crate::shm::table::sets::Table;

/// Writes the flags of the destinations whose rows say otherwise, and old flags that are `owed`. May wait.
///
/// # Errors
/// The reason why not all were written.
pub fn keep(module: &Module, table: &DbTable, owed: &mut Vec<WriteBack>) -> Result<(), String> {
    let replaced = State::KEPT.union(module.settings.compat.draining_numbers());
    let full = |error: NoMemory| error.to_string();
    let mut records = Vec::new();
    let mut changes = Vec::new();
    {
        let pinned = module.pin();
        let sets = pinned.table().into_iter().flat_map(Table::sets);
        for dest in sets.flat_map(|(_, view)| view.dests()) {
            let record = dest.record();
            let listed = record.listed();
            let flags = to_keep(record, listed);
            if flags != listed {
                heap::reserve(&mut records, 1).map_err(full)?;
                heap::reserve(&mut changes, 1).map_err(full)?;
                let uri = heap::copy(dest.uri()).map_err(full)?;
                records.push(module.store.hold(dest));
                changes.push(FlagsChange {
                    set: dest.set,
                    uri,
                    replaced: replaced.bits(),
                    flags: flags.bits() & State::KEPT.bits(),
                    written: Written::Not,
                });
            }
        }
    }
    if changes.is_empty() && owed.is_empty() {
        return Ok(());
    }
    let done = db_write::change_flags(table, &mut changes, owed);
    let written = |change: &&FlagsChange| matches!(change.written, Written::Flags(_));
    let written = changes.iter().filter(written).count();
    if written > 0 {
        log_info!("flags of {written} destinations written to the table");
    }
    for (record, change) in records.iter().zip(&changes) {
        // A change that cannot be written counts as written, so that it is not tried for ever.
        let asked = State(change.flags | (record.listed().bits() & !State::KEPT.bits()));
        let (set, uri) = (change.set, Escaped(&change.uri));
        let listed = match change.written {
            Written::Not => continue,
            Written::Flags(flags) => State::from_list_flags(flags, module.settings.compat),
            Written::NoRow => {
                log_warn!("set {set}, {uri}: no such row: its state is not kept");
                asked
            }
            Written::Refused(found) => {
                log_warn!(
                    "set {set}, {uri}: its row holds {found} after a write of other flags: \
                     its state is not kept"
                );
                asked
            }
        };
        module.store.set_written(record, listed);
    }
    done
}
