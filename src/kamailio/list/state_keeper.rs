//! The process that keeps the states that operators have set over a restart: in a file, or in the
//! table that the list is in.
//!
//! A change of a state only raises a counter. This process looks at the counter, and writes.

use core::cell::RefCell;
use core::ffi::{c_uint, c_void};
use core::sync::atomic::Ordering::SeqCst;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::db_write::{self, FlagsChange, Written};
use super::pace::Pace;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::state_file::{self, KeptState};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, Outcome, State};
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::list_params::{DbTable, Keep, ListSource};
use crate::kamailio::events::feed::Feed;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::{log_err, log_info, log_warn};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::text::{Escaped, Short};
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::refcount::Hold;
use crate::shm::set::view::View;
use crate::shm::table::slots::Table;

/// Microseconds between two ticks.
pub const TICK_US: i32 = 200_000;

/// Microseconds until a failed write is tried again.
const RETRY_US: u64 = 2_000_000;

/// The bits that are kept.
const KEPT: State = State::ADMINISTRATIVE.union(State::INACTIVE);

/// The memory of the process between two ticks.
#[derive(Default)]
struct Keeper {
    /// Follows the count of changes and the version of the lists.
    pace: Pace<(u32, u64)>,
    /// Text of the file.
    text: Option<Vec<u8>>,
    /// The last write failed, and the log says so.
    failing: bool,
}

thread_local! {
    static KEEPER: RefCell<Keeper> = RefCell::default();
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
            module.store.version(),
        );
        let Some(walk) = self.pace.begin(version) else {
            return;
        };
        let kept = match (&module.settings.keep, &module.settings.source) {
            (Keep::File(path), _) => self.keep_in_file(module, path),
            (Keep::Table, ListSource::Table(table)) => keep_in_table(module, table),
            _ => Ok(()),
        };
        match kept {
            Ok(()) => {
                self.pace.end(walk);
                if core::mem::take(&mut self.failing) {
                    log_info!("states of destinations are kept again");
                }
            }
            Err(why) => {
                self.pace.retry_in(RETRY_US);
                if !core::mem::replace(&mut self.failing, true) {
                    log_err!("states of destinations are not kept, trying again: {why}");
                }
            }
        }
    }

    fn keep_in_file(&mut self, module: &Module, path: &[u8]) -> Result<(), String> {
        let text = state_file::write(&all_kept(module));
        if self.text.as_ref() == Some(&text) {
            return Ok(());
        }
        replace_file(path, &text).map_err(|error| format!("{}: {error}", Escaped(path)))?;
        self.text = Some(text);
        Ok(())
    }
}

/// Returns a destination's state as it is kept.
fn to_keep(record: &DestRecord, listed: State) -> State {
    let by_command = record.cause().0 == Cause::Rpc;
    record.state().kept_as(listed, by_command)
}

/// Returns the destinations whose states are kept beside the list, by set and as they are listed.
fn all_kept(module: &Module) -> Vec<KeptState> {
    let pinned = module.pin();
    let mut all = Vec::new();
    let sets = pinned.table().into_iter().flat_map(Table::sets);
    for (view, dest) in sets.flat_map(|(_, view)| view.dests().map(move |dest| (view, dest))) {
        let listed = dest.record().listed();
        let flags = to_keep(dest.record(), listed);
        if flags != listed {
            let kept = KeptState {
                set: dest.set,
                listed: listed.bits(),
                flags: flags.bits(),
                uri: dest.uri().to_vec(),
                number: number(Some(view), dest),
            };
            all.push((dest.line, kept));
        }
    }
    all.sort_by_key(|(line, kept)| (kept.set, *line));
    all.into_iter().map(|(_, kept)| kept).collect()
}

/// Returns the number of a destination among those of its set with the same URI, from 1, in the
/// order of the list.
fn number(view: Option<&View>, dest: &Dest) -> usize {
    let alike = view.into_iter().flat_map(|view| {
        let found = view.find_uri(dest.uri());
        found.filter_map(|at| view.dest(at))
    });
    let before = alike.filter(|other| other.uri() == dest.uri() && other.line < dest.line);
    before.count() + 1
}

/// Writes a file in one step: at any moment it holds the old text or the new one.
fn replace_file(path: &[u8], text: &[u8]) -> io::Result<()> {
    let path = Path::new(OsStr::from_bytes(path));
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Gives the destinations the states that the file keeps, after the first load. A list whose flags
/// for a destination have changed since wins.
pub fn restore(module: &Module, feed: &mut Feed<'_>) {
    let Keep::File(path) = &module.settings.keep else {
        return;
    };
    let text = match fs::read(Path::new(OsStr::from_bytes(path))) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            log_err!("cannot read kept states from {}: {error}", Escaped(path));
            return;
        }
    };
    let (kept, bad) = state_file::read(&text);
    for line in bad {
        log_err!(
            "{}: line {line}: expected set, flags, flags and URI: ignored",
            Escaped(path)
        );
    }
    let kept: HashMap<(SetId, &[u8], usize), &KeptState> = kept
        .iter()
        .map(|one| ((one.set, one.uri.as_slice(), one.number), one))
        .collect();
    if kept.is_empty() {
        return;
    }
    let mut found = Vec::new();
    {
        let pinned = module.pin();
        for dest in pinned
            .table()
            .map(Table::dests_as_they_came)
            .unwrap_or_default()
        {
            let number = number(pinned.view(dest.set), dest);
            let wanted = kept.get(&(dest.set, dest.uri(), number));
            if let Some(wanted) = wanted.filter(|wanted| wanted.listed == dest.listed.bits()) {
                found.push((module.store.hold(dest), State(wanted.flags)));
            }
        }
    }
    for (record, flags) in &found {
        restore_one(module, record, *flags, feed);
    }
    log_info!("{} states of destinations restored", found.len());
}

fn restore_one(
    module: &Module,
    record: &Hold<'_, ShmArena, DestRecord>,
    flags: State,
    feed: &mut Feed<'_>,
) {
    let compat = module.settings.compat;
    let change = |old: State, failures| {
        let state = old.without(KEPT).union(State(flags.bits() & KEPT.bits()));
        Outcome {
            state,
            failures,
            flip: Flip::between(old, state, compat),
        }
    };
    let on_change = |dest: &Dest, old, outcome: Outcome| {
        dest.record().set_cause(Cause::Rpc, now_ms());
        feed.note(dest.set, dest.uri(), old, outcome.state);
    };
    module
        .store
        .change_one(Module::process(), record, change, on_change);
}

/// Writes the flags of the destinations whose rows say otherwise.
fn keep_in_table(module: &Module, table: &DbTable) -> Result<(), String> {
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
