//! `dispatcher.reload` and `dispatcher.check`: the whole list, on this server, or by `dispatcher.cluster reload` on all.
//!
//! When another server asks, lists are loaded in a process of their own: a database may be slow, and the process of the
//! cluster must not be late with its hellos.

use core::cell::Cell;
use core::ffi::{c_uint, c_void};
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::time::Duration;
use std::thread;

use super::rpc_reply::{Full, RpcCall, RpcNode};
use crate::dispatch::cluster::node::action::{Answer, Told};
use crate::dispatch::state::event::Cause;
use crate::kamailio::cluster::bus;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::patience;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::list::reload::{self, Checked, Loaded, WhenEmpty};
use crate::kamailio::list::reload_delta;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::log_warn;
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::time::now_ms;
use crate::shm::cluster::inbox::{Command, Received};
use crate::shm::cluster::memory::ClusterMemory;
use crate::shm::table::lock::Patience;
use crate::shm::table::new_table::Changes;
use crate::shm::table::sets::Table;

/// Refuses a change of the lists if `reload_delta` has not passed since the last one.
///
/// # Errors
/// The text of the fault.
pub fn check_reload_delta(module: &Module) -> Result<(), String> {
    if reload_delta::lets_change(module) {
        Ok(())
    } else {
        Err("Ongoing reload".into())
    }
}

/// Loads the list anew, and answers with what changed.
///
/// # Errors
/// The text of the fault.
pub fn reload_command(call: &RpcCall, module: &Module) -> Result<(), String> {
    let loaded = reload(module, call.text().as_deref(), patience::of_command())?;
    // The text comes last: of several values a JSON reply keeps only that one.
    let counted = call
        .add_struct()
        .and_then(|node| count(&node, loaded.changes, loaded.rejected));
    if let Err(Full) = counted {
        log_warn!("no room for the counts in the reply of a reload");
    }
    call.say("Ok. Dispatcher successfully reloaded.");
    Ok(())
}

/// Loads the lists anew for an operator's command. With the word `empty` a list without destinations is taken as well.
///
/// # Errors
/// The text of the fault.
pub fn reload(module: &Module, word: Option<&[u8]>, patience: Patience) -> Result<Loaded, String> {
    check_reload_delta(module)?;
    let when_empty = match word {
        Some(b"empty") => WhenEmpty::Take,
        _ => WhenEmpty::Refuse,
    };
    let mut feed = Feed::new(module, Cause::Reload);
    let loaded = reload::load(module, when_empty, &mut feed, patience);
    let loaded = loaded.map_err(|error| format!("Reload Failed: {error}"))?;
    feed.note_all_down();
    feed.post();
    Ok(loaded)
}

/// Adds the counts of a load.
fn count(node: &RpcNode<'_>, changes: Changes, rejected: usize) -> Result<(), Full> {
    node.add(c"ADDED", changes.added)?;
    node.add(c"CHANGED", changes.changed)?;
    node.add(c"REMOVED", changes.removed)?;
    node.add(c"KEPT", changes.kept)?;
    node.add(c"REJECTED", rejected)
}

/// Says what a reload would do, without doing it.
///
/// # Errors
/// The text of the fault.
pub fn check_command(call: &RpcCall, module: &Module) -> Result<(), String> {
    let checked = reload::check(module).map_err(|error| format!("Check Failed: {error}"))?;
    Ok(report(call, &checked)?)
}

fn report(call: &RpcCall, checked: &Checked) -> Result<(), Full> {
    let top = call.add_struct()?;
    let refused = checked.refused.as_ref().map(ToString::to_string);
    let result = if refused.is_some() { "refused" } else { "ok" };
    top.add(c"RESULT", result)?;
    top.add(c"REFUSED", refused.as_ref())?;
    count(&top, checked.changes, checked.rejected)?;
    let texts = [
        (c"REASONS", &checked.reasons),
        (c"REMARKS", &checked.remarks),
    ];
    texts.into_iter().try_for_each(|(name, texts)| {
        let array = top.add_array(name)?;
        texts
            .iter()
            .try_for_each(|text| array.push(text.as_bytes()))
    })
}

/// Microseconds between two looks at whether another server asks for a reload.
pub const TICK_US: i32 = 100_000;

/// Milliseconds after which an operator who was never told the end no longer keeps others from asking.
const FORGOTTEN_MS: u64 = 60_000;

/// Milliseconds that answers are waited for once the own lists are loaded; less in a process that serves requests.
const WAIT_MS: u64 = 5_000;

/// How often it is looked whether an answer has come.
const LOOK_EVERY: Duration = Duration::from_millis(10);

thread_local! {
    /// The last request that this process has done.
    static DONE: Cell<u64> = const { Cell::new(0) };
}

/// Loads the lists if another server has asked for it.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_reload_tick(_ticks: c_uint, _param: *mut c_void) {
    guard(|| {
        let Some(module) = Module::get() else { return };
        // All that have asked by now get lists that are read from now on.
        let request = module.shared.reload_asked.load(Acquire);
        if request == DONE.replace(request) {
            return;
        }
        let outcome = load(module, patience::of_route());
        if !bus::post(&Received::Reloaded { request, outcome }) {
            log_warn!("cluster: no room to tell what came of a reload");
        }
    });
}

/// Loads the lists of this server. Returns how many destinations they have.
fn load(module: &Module, patience: Patience) -> Result<u64, String> {
    reload(module, None, patience)?;
    let pinned = module.pin();
    Ok(pinned.table().map_or(0, Table::dest_count) as u64)
}

/// Has all servers load their lists, this one first. Returns for each, by its name, what came of it; those that are still
/// [`Answer::Asked`] have not told that in time.
///
/// # Errors
/// The text of the fault: nobody was asked.
pub fn everywhere(
    module: &Module,
    memory: &ClusterMemory<ShmArena>,
) -> Result<Vec<(String, Answer)>, String> {
    let turn = Turn::begin(module).ok_or("Another Reload Of All Servers Has Not Ended")?;
    if !bus::post(&Received::Command(Command::Reload(turn.ticket))) {
        return Err("Too Many Messages Wait".into());
    }
    let own = load(module, patience::of_command());
    let begun_ms = now_ms();
    let wait_ms = WAIT_MS.min(patience::of_command().wait_ms);
    let mut answers = Answers::default();
    loop {
        // The time comes first: answers that were told by then are taken.
        let is_over = now_ms() >= begun_ms + wait_ms;
        let told = memory.answers.take().into_iter();
        told.filter(|told| told.ticket == turn.ticket)
            .for_each(|told| answers.take(told));
        if answers.are_all || is_over {
            break;
        }
        thread::sleep(LOOK_EVERY);
    }
    let name = own_name(module);
    let others = answers.of_each.into_iter().filter(|(of, _)| *of != name);
    let mut all = vec![(name.clone(), Answer::Ended(own))];
    all.extend(others);
    Ok(all)
}

fn own_name(module: &Module) -> String {
    let settings = module.settings.cluster.as_ref();
    settings.map_or_else(String::new, |settings| settings.cluster.node.clone())
}

/// The answers that have been told so far.
#[derive(Default)]
struct Answers {
    /// By name, in the order in which they were first told.
    of_each: Vec<(String, Answer)>,
    are_all: bool,
}

impl Answers {
    fn take(&mut self, told: Told) {
        self.are_all = told.left == 0;
        match self.of_each.iter_mut().find(|(name, _)| *name == told.name) {
            Some((_, answer)) => *answer = told.answer,
            None => self.of_each.push((told.name, told.answer)),
        }
    }
}

/// The right to ask all servers: nobody else may until it is given back.
struct Turn<'m> {
    module: &'m Module,
    ticket: u64,
}

impl<'m> Turn<'m> {
    fn begin(module: &'m Module) -> Option<Self> {
        let now = now_ms();
        let until = &module.shared.reload_until_ms;
        let ticket = now + FORGOTTEN_MS;
        let free = |last: u64| (last <= now).then_some(ticket);
        until.fetch_update(Acquire, Relaxed, free).ok()?;
        Some(Turn { module, ticket })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let until = &self.module.shared.reload_until_ms;
        // If it took too long, another one may have begun.
        _ = until.compare_exchange(self.ticket, 0, Relaxed, Relaxed);
    }
}
