//! Kept states in the table that the list is in.

use super::db_write::{self, FlagsChange, Written};
use super::keep_file::{KEPT, to_keep};
use crate::dispatch::state::transition::State;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::list_params::DbTable;
use crate::kamailio::server::log::{log_info, log_warn};
use crate::kamailio::server::text::Short;
use crate::shm::table::sets::Table;

/// Writes the flags of the destinations whose rows say otherwise. May wait.
///
/// # Errors
/// The reason why not all were written.
pub fn keep(module: &Module, table: &DbTable) -> Result<(), String> {
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
                records.push(module.store.hold(dest));
                changes.push(FlagsChange {
                    set: dest.set,
                    uri: dest.uri().to_vec(),
                    kept: KEPT.bits(),
                    flags: flags.bits() & KEPT.bits(),
                    written: Written::Not,
                });
            }
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let done = db_write::change_flags(table, &mut changes);
    let written = |change: &&FlagsChange| matches!(change.written, Written::Flags(_));
    let written = changes.iter().filter(written).count();
    if written > 0 {
        log_info!("flags of {written} destinations written to the table");
    }
    for (record, change) in records.iter().zip(&changes) {
        match change.written {
            Written::Flags(flags) => {
                let listed = State::from_list_flags(flags, module.settings.compat);
                module.store.set_written(record, listed);
            }
            Written::NoRow => {
                log_warn!(
                    "set {}, {}: no such row: its state is not kept",
                    change.set,
                    Short(&change.uri)
                );
                // It counts as written, so that it is not tried for ever.
                let listed = State(change.flags | (record.listed().bits() & !KEPT.bits()));
                module.store.set_written(record, listed);
            }
            Written::Not => {}
        }
    }
    done
}
