//! Kept states in a file of their own: written after changes, read after the first load.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::plain_file::{self, FOR_US, path_of};
use crate::dispatch::cluster::state::clock::Stamp;
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::cluster::state::registers::MOST_ORPHANS;
use crate::dispatch::cluster::state::rules::{Rules, Sound};
use crate::dispatch::list::state_file::{self, Kept, KeptState, KeptSwitch};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, Outcome, State};
use crate::dispatch::text::Whole;
use crate::kamailio::cluster::lists::look_at;
use crate::kamailio::cluster::states;
use crate::kamailio::config::instance::Module;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::observe::changes::author::STATE_FILE;
use crate::kamailio::probing::ping::{pings_on, set_pings};
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::log::{log_err, log_info};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::time::{now_ms, wall_us};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::register::RegisterCell;
use crate::shm::memory::refcount::Hold;
use crate::shm::set::view::View;
use crate::shm::table::sets::Table;
use crate::shm::table::store::ReloadState;

/// Bytes of heap that a kept state takes at most besides its URI, while the file is read or written.
const KEPT_HEAP: usize = 400;

/// Bytes of heap that a register takes at most while the file is written.
const REGISTER_HEAP: usize = 100;

/// Returns a destination's state as it is kept.
pub fn to_keep(record: &DestRecord, listed: State) -> State {
    let by_command = record.cause().0.is_command();
    record.state().kept_as(listed, by_command)
}

/// Tries out whether the file can be written.
///
/// # Errors
/// It cannot.
pub fn try_out(path: &[u8]) -> io::Result<()> {
    plain_file::try_out(path_of(path), &state_file::write(&Kept::default()))
}

/// The file, as the process that writes it knows it.
#[derive(Default)]
pub struct KeptFile {
    /// The text that was written last.
    written: Vec<u8>,
    /// True while there may be a file that has lines which nobody has read: it is put aside before the first write.
    is_unread: bool,
    /// Lines of destinations that no list has had since the start.
    left_out: Vec<KeptState>,
    /// Registers of destinations that no list has had since the start.
    registers: BTreeMap<Key, Register>,
}

impl KeptFile {
    /// Returns the registers that were read.
    pub fn registers(&self) -> Vec<(Key, Register)> {
        let registers = self.registers.iter();
        registers.map(|(key, one)| (*key, *one)).collect()
    }

    /// Writes the file, if its text has changed.
    ///
    /// # Errors
    /// The reason why it was not written.
    pub fn keep(&mut self, module: &Module, path: &[u8]) -> Result<(), String> {
        self.restore_listed(module)?;
        let text = state_file::write(&Kept {
            pings: kept_pings(module),
            states: all_kept(module, &self.left_out)?,
            registers: self.all_registers(module)?,
        });
        if self.written != text {
            let failed = |error| format!("{}: {error}", Whole(path));
            self.put_aside(path).map_err(failed)?;
            plain_file::replace(path_of(path), &text, FOR_US).map_err(failed)?;
            self.written = text;
        }
        Ok(())
    }

    /// Returns the registers of the destinations that are listed, and of those that no list has had since the start.
    ///
    /// # Errors
    /// [`NoMemory`].
    fn all_registers(&mut self, module: &Module) -> Result<Vec<(Key, Register)>, NoMemory> {
        if !module.settings.shares_states() {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        {
            let pinned = module.pin();
            let sets = pinned.table().into_iter().flat_map(Table::sets);
            for dest in sets.flat_map(|(_, view)| view.dests()) {
                let register = dest.record().register().and_then(RegisterCell::get);
                if let Some((key, register)) = register {
                    heap::reserve(&mut all, 1)?;
                    all.push((key, up_to_date(module, dest, register)));
                    self.registers.remove(&key);
                }
            }
        }
        state_file::keep_newest(&mut self.registers, MOST_ORPHANS);
        heap::reserve(&mut all, self.registers.len())?;
        heap::need((all.len() + self.registers.len()) * REGISTER_HEAP)?;
        all.extend(self.registers.iter().map(|(key, one)| (*key, *one)));
        all.sort_unstable();
        Ok(all)
    }

    /// Leaves a file that was not read in full to the operator.
    fn put_aside(&mut self, path: &[u8]) -> io::Result<()> {
        if !self.is_unread {
            return Ok(());
        }
        let aside = plain_file::put_aside(path_of(path))?;
        self.is_unread = false;
        if let Some(aside) = aside {
            log_err!(
                "{} was not read in full: it is now {}",
                Whole(path),
                Whole(aside.as_os_str().as_bytes())
            );
        }
        Ok(())
    }

    /// Gives destinations that a load has brought the states of their lines.
    ///
    /// # Errors
    /// [`NoMemory`].
    fn restore_listed(&mut self, module: &Module) -> Result<(), NoMemory> {
        if self.left_out.is_empty() {
            return Ok(());
        }
        heap::need(self.left_out.len() * KEPT_HEAP)?;
        let mut feed = Feed::new(module, Cause::Reload);
        self.restore_all(module, &mut feed);
        feed.post();
        Ok(())
    }

    /// Gives the destinations that are listed the states of their lines, and takes out these lines. A list whose flags
    /// for a destination have changed since wins, as does what an operator has set meanwhile.
    fn restore_all(&mut self, module: &Module, feed: &mut Feed<'_>) {
        let state = |number| State::from_kept(number, module.settings.compat);
        let mut found = Vec::new();
        {
            let pinned = module.pin();
            self.left_out.retain(|kept| {
                let Some(dest) = pinned.view(kept.set).and_then(|view| dest_of(view, kept)) else {
                    return true;
                };
                let by_operator = dest.record().cause().0.is_command();
                if state(kept.listed) == dest.listed && !by_operator {
                    found.push((dest.line, module.store.hold(dest), state(kept.flags)));
                }
                false
            });
        }
        found.sort_by_key(|(line, ..)| *line);
        feed.set_author(STATE_FILE);
        for (_, record, flags) in &found {
            restore_one(module, record, *flags, feed);
        }
        if !found.is_empty() {
            log_info!("{} states of destinations restored", found.len());
        }
    }
}

/// Returns a register as the process of the cluster will write it, if somebody has set the destination and that process
/// has not seen it yet. It may never do so: the server may end before, and then the older register would undo the act.
fn up_to_date(module: &Module, dest: &Dest, register: Register) -> Register {
    let seen = look_at(module, dest.record());
    let lists_set_states = module.settings.reload_state == ReloadState::FromList;
    let untold = seen.untold(State(register.bits), lists_set_states);
    let (Some(flags), Some(node)) = (untold, states::own_node(module)) else {
        return register;
    };
    if !Sound::applies(&register, seen.base) {
        return register;
    }
    let ago_ms = now_ms().saturating_sub(seen.cause.1);
    let at = Stamp::at((wall_us() / 1_000).saturating_sub(ago_ms));
    Register {
        stamp: at.max(Stamp(register.stamp.0.saturating_add(1))),
        node,
        bits: flags.bits(),
        base: seen.base,
    }
}

/// Returns the destinations whose states are kept beside the list, by set and as they are listed; then those that are
/// left out of the list.
///
/// # Errors
/// [`NoMemory`].
fn all_kept(module: &Module, left_out: &[KeptState]) -> Result<Vec<KeptState>, NoMemory> {
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
                number: number(view, dest),
            };
            heap::reserve(&mut all, 1)?;
            all.push((dest.line, kept));
        }
    }
    let lines = all.iter().map(|(_, kept)| kept).chain(left_out);
    let texts: usize = lines.map(|kept| kept.uri.len()).sum();
    heap::need((all.len() + left_out.len()) * KEPT_HEAP + 4 * texts)?;
    all.sort_by_key(|(line, kept)| (kept.set, *line));
    let listed = all.into_iter().map(|(_, kept)| kept);
    Ok(listed.chain(left_out.iter().cloned()).collect())
}

/// Returns the switch of the pings, if a command has set it to something else than the config asks for.
fn kept_pings(module: &Module) -> Option<KeptSwitch> {
    let (initial, on) = (module.settings.ping_active_init, pings_on(module));
    (initial != on).then_some(KeptSwitch { initial, on })
}

/// Switches pings as a command has before the restart. A config that asks for something else than then wins.
fn restore_pings(module: &Module, kept: Option<KeptSwitch>) {
    let initial = module.settings.ping_active_init;
    if let Some(kept) = kept.filter(|kept| kept.initial == initial) {
        set_pings(module, kept.on);
        log_info!(
            "pings are {} as before the restart",
            if kept.on { "on" } else { "off" }
        );
    }
}

/// Returns the destinations of a set with the same URI, in the order of the set.
fn alike<'v>(view: &'v View, uri: &'v [u8]) -> impl Iterator<Item = &'v Dest> {
    let found = view.find_uri(uri).filter_map(|at| view.dest(at));
    found.filter(move |dest| dest.uri() == uri)
}

/// Returns the number of a destination among those of its set with the same URI, from 1, in the
/// order of the list.
fn number(view: &View, dest: &Dest) -> usize {
    let before = alike(view, dest.uri()).filter(|other| other.line < dest.line);
    before.count() + 1
}

/// Returns the destination that a line is about.
fn dest_of<'v>(view: &'v View, kept: &'v KeptState) -> Option<&'v Dest> {
    let mut alike: Vec<_> = alike(view, &kept.uri).collect();
    alike.sort_by_key(|dest| dest.line);
    alike.get(kept.number.checked_sub(1)?).copied()
}

/// Gives the destinations the states that the file keeps, after the first load, and returns what the process that
/// writes the file has to know.
pub fn restore(module: &Module, path: &[u8], feed: &mut Feed<'_>) -> KeptFile {
    let mut file = KeptFile::default();
    if plain_file::require_safe(path_of(path)).is_err() {
        // The log says why when the file is tried out.
        file.is_unread = true;
        return file;
    }
    match read(path) {
        Ok((kept, is_whole)) => {
            restore_pings(module, kept.pings);
            file.left_out = kept.states;
            file.registers = kept.registers.into_iter().collect();
            file.is_unread = !is_whole;
            file.restore_all(module, feed);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            log_err!("cannot read kept states from {}: {error}", Whole(path));
            file.is_unread = true;
        }
    }
    file
}

/// Returns the file as it stands, for the last write of a server whose other processes are dead; `None` if it was not read
/// in full, so that only an operator may replace it.
#[must_use]
pub fn as_it_stands(module: &Module, path: &[u8]) -> Option<KeptFile> {
    plain_file::require_safe(path_of(path)).ok()?;
    let mut file = KeptFile::default();
    match read(path) {
        Ok((kept, true)) => {
            // The lines of listed destinations are older than their states.
            let pinned = module.pin();
            let is_listed = |kept: &KeptState| {
                pinned
                    .view(kept.set)
                    .is_some_and(|view| dest_of(view, kept).is_some())
            };
            file.left_out = kept.states;
            file.left_out.retain(|kept| !is_listed(kept));
            file.registers = kept.registers.into_iter().collect();
            Some(file)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(file),
        _ => None,
    }
}

/// Reads the file's lines, and says if these are all; those that cannot be read are logged.
///
/// # Errors
/// The file cannot be read.
fn read(path: &[u8]) -> io::Result<(Kept, bool)> {
    let text = plain_file::read(path_of(path))?;
    let lines = text.split(|&byte| byte == b'\n').count();
    heap::need(lines * KEPT_HEAP + 2 * text.len()).map_err(io::Error::other)?;
    let (kept, bad) = state_file::read(&text);
    for line in &bad {
        log_err!(
            "{}: line {line}: expected set, flags, flags and URI: ignored",
            Whole(path)
        );
    }
    Ok((kept, bad.is_empty()))
}

fn restore_one(
    module: &Module,
    record: &Hold<'_, ShmArena, DestRecord>,
    flags: State,
    feed: &mut Feed<'_>,
) {
    let compat = module.settings.compat;
    let change = |old: State, failures| {
        let state = old
            .without(State::KEPT)
            .union(State(flags.bits() & State::KEPT.bits()));
        Outcome {
            state,
            failures,
            flip: Flip::between(old, state, compat),
            in_row: 0,
        }
    };
    // In a cluster this is no act of an operator, which would be told to the other servers.
    let cause = if module.settings.shares_states() {
        Cause::Cluster
    } else {
        Cause::Rpc
    };
    let on_change = |dest: &Dest, (old, _), outcome: Outcome| {
        dest.record().set_cause(cause, now_ms());
        feed.note(dest.set, dest.uri(), old, outcome.state);
    };
    module
        .store
        .change_one(Module::process(), record, change, on_change);
}
