//! Kept states in a file of their own: written after changes, read after the first load.

use std::collections::HashMap;
use std::io;

use super::plain_file::{self, path_of};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::state_file::{self, KeptState};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, Outcome, State};
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::list_params::Keep;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::log::{log_err, log_info};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::text::Whole;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::refcount::Hold;
use crate::shm::set::view::View;
use crate::shm::table::sets::Table;

/// The bits that are kept.
pub const KEPT: State = State::ADMINISTRATIVE.union(State::INACTIVE);

/// Bytes of heap that a kept state takes at most besides its URI, while the file is read or written.
const KEPT_HEAP: usize = 400;

/// Returns a destination's state as it is kept.
pub fn to_keep(record: &DestRecord, listed: State) -> State {
    let by_command = record.cause().0 == Cause::Rpc;
    record.state().kept_as(listed, by_command)
}

/// Tries out whether the file can be written.
///
/// # Errors
/// It cannot.
pub fn try_out(path: &[u8]) -> io::Result<()> {
    plain_file::try_out(path_of(path), &state_file::write(&[]))
}

/// Writes the file, if its text is no longer `written`.
///
/// # Errors
/// The reason why it was not written.
pub fn keep(module: &Module, path: &[u8], written: &mut Vec<u8>) -> Result<(), String> {
    let kept = all_kept(module).map_err(|error| error.to_string())?;
    let text = state_file::write(&kept);
    if *written != text {
        plain_file::replace(path_of(path), &text)
            .map_err(|error| format!("{}: {error}", Whole(path)))?;
        *written = text;
    }
    Ok(())
}

/// Returns the destinations whose states are kept beside the list, by set and as they are listed.
///
/// # Errors
/// [`NoMemory`].
fn all_kept(module: &Module) -> Result<Vec<KeptState>, NoMemory> {
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
                uri: heap::copy(dest.uri())?,
                number: number(Some(view), dest),
            };
            heap::reserve(&mut all, 1)?;
            all.push((dest.line, kept));
        }
    }
    let texts: usize = all.iter().map(|(_, kept)| kept.uri.len()).sum();
    heap::need(all.len() * KEPT_HEAP + 3 * texts)?;
    all.sort_by_key(|(line, kept)| (kept.set, *line));
    Ok(all.into_iter().map(|(_, kept)| kept).collect())
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

/// Gives the destinations the states that the file keeps, after the first load. A list whose flags
/// for a destination have changed since wins.
pub fn restore(module: &Module, feed: &mut Feed<'_>) {
    let Keep::File(path) = &module.settings.keep else {
        return;
    };
    // The log says why it is not used.
    if plain_file::require_safe(path_of(path)).is_err() {
        return;
    }
    let text = match plain_file::read(path_of(path)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            log_err!("cannot read kept states from {}: {error}", Whole(path));
            return;
        }
    };
    let lines = text.split(|&byte| byte == b'\n').count();
    let dests = module.pin().table().map_or(0, Table::dest_count);
    if let Err(error) = heap::need((lines + dests) * KEPT_HEAP + text.len()) {
        log_err!("cannot read kept states from {}: {error}", Whole(path));
        return;
    }
    let (kept, bad) = state_file::read(&text);
    for line in bad {
        log_err!(
            "{}: line {line}: expected set, flags, flags and URI: ignored",
            Whole(path)
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
            let state = |number| State::from_kept(number, module.settings.compat);
            if let Some(wanted) = wanted.filter(|wanted| state(wanted.listed) == dest.listed) {
                found.push((module.store.hold(dest), state(wanted.flags)));
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
