//! The process that keeps the states that operators have set over a restart: in a file, or in the
//! table that the list is in.
//!
//! A change of a state only raises a counter. This process looks at the counter, and writes.

use core::cell::RefCell;
use core::ffi::{c_uint, c_void};
use core::sync::atomic::Ordering::SeqCst;
use std::io::ErrorKind;

use super::db_write::WriteBack;
use super::keep_file::{self, KeptFile};
use super::keep_table;
use crate::dispatch::text::Whole;
use crate::kamailio::cluster::states;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::list_params::{Keep, ListSource};
use crate::kamailio::events::feed::Feed;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::{log_err, log_info};
use crate::kamailio::server::time::Pace;

/// Microseconds between two ticks.
pub const TICK_US: i32 = 200_000;

/// Microseconds until a failed write is tried again.
const RETRY_US: u64 = 2_000_000;

/// The memory of the process between two ticks.
#[derive(Default)]
struct Keeper {
    /// Follows the counts of changes and the version of the lists.
    pace: Pace<(u32, u32, u64)>,
    /// The file, as the process that forked this one has found it.
    file: KeptFile,
    /// True if the destinations have got the states of the file.
    has_restored: bool,
    /// Flags that rows of the table still have to get back.
    owed: Vec<WriteBack>,
}

thread_local! {
    static KEEPER: RefCell<Keeper> = RefCell::default();
}

/// Finds out at the start whether the state file can be written; `None` after a log line if it never can.
pub fn try_out(module: &Module) -> Option<()> {
    let Keep::File(path) = &module.settings.keep else {
        return Some(());
    };
    let Err(error) = keep_file::try_out(path) else {
        return Some(());
    };
    let why = format!("{}: {error}", Whole(path));
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => {
            log_err!("state_file can never be written: {why}");
            None
        }
        _ => {
            not_kept(module, &why);
            Some(())
        }
    }
}

/// Gives the destinations the states that a file keeps, after the first load. This process becomes the parent of those
/// that write the file, and that share states with other servers.
pub fn restore(module: &Module, feed: &mut Feed<'_>) {
    let mut registers = Vec::new();
    if let Keep::File(path) = &module.settings.keep {
        KEEPER.with_borrow_mut(|keeper| {
            keeper.file = keep_file::restore(module, path, feed);
            keeper.has_restored = true;
            registers = keeper.file.registers();
        });
    }
    if module.settings.shares_states() {
        states::begin(module, registers, feed);
    }
}

/// Writes the file once more when the server ends: its writer is dead, and may not have seen the last changes.
pub fn keep_last(module: &Module) {
    let Keep::File(path) = &module.settings.keep else {
        return;
    };
    // Before that, the states are those of the list.
    if !KEEPER.with_borrow(|keeper| keeper.has_restored) {
        return;
    }
    if let Some(mut file) = keep_file::as_it_stands(module, path) {
        if let Err(why) = file.keep(module, path) {
            not_kept(module, &why);
        }
    }
}

/// Returns true unless states that operators set are to survive a restart, but cannot be written now.
pub fn is_keeping(module: &Module) -> bool {
    module.shared.states_not_kept.load(SeqCst) == 0
}

/// Says, once until it works again, that states are not kept.
fn not_kept(module: &Module, why: &str) {
    if module.shared.states_not_kept.swap(1, SeqCst) == 0 {
        log_err!("states of destinations are not kept, trying again: {why}");
    }
}

/// Keeps the states that have changed.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_states_tick(_ticks: c_uint, _param: *mut c_void) {
    guard(|| {
        if let Some(module) = Module::get() {
            KEEPER.with_borrow_mut(|keeper| keeper.tick(module));
        }
    });
}

impl Keeper {
    fn tick(&mut self, module: &Module) {
        let version = (
            module.shared.state_changes.load(SeqCst),
            module.shared.cluster_changes.load(SeqCst),
            module.store.version(),
        );
        let Some(walk) = self.pace.begin(version) else {
            return;
        };
        let kept = match (&module.settings.keep, &module.settings.source) {
            (Keep::File(path), _) => self.file.keep(module, path),
            (Keep::Table, ListSource::Table(table)) => {
                keep_table::keep(module, table, &mut self.owed)
            }
            _ => Ok(()),
        };
        match kept {
            Ok(()) => {
                self.pace.end(walk);
                if module.shared.states_not_kept.swap(0, SeqCst) != 0 {
                    log_info!("states of destinations are kept again");
                }
            }
            Err(why) => {
                self.pace.retry_in(RETRY_US);
                not_kept(module, &why);
            }
        }
    }
}
