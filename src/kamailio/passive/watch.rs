//! A request that a selection has sent to a destination, from the choice to the end of its transaction.
//!
//! tm tells what becomes of it, and that changes the standing of the destination: no lock is taken, and no route runs.

use core::cell::Cell;
use core::ffi::{c_int, c_uint, c_void};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::ejected;
use crate::dispatch::passive::branch::{End, of_end, of_reply};
use crate::dispatch::passive::standing::News;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::ping_params::Passive;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::{log_err, log_warn};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::message::{Message, MessageNumber, Target};
use crate::kamailio::server::sys;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::next_hop::fingerprint;
use crate::shm::dest::watched::{Branches, Watched};
use crate::shm::table::ejections::Trial;

thread_local! {
    /// The last request that this process watches, before its message has a transaction.
    static EARLY: Cell<Option<(MessageNumber, NonNull<Watched>)>> = const { Cell::new(None) };
}

/// True once the module has given everything back. tm ends its transactions after that.
static ENDED: AtomicBool = AtomicBool::new(false);

/// Finds tm, which the watching needs; `None` after a log line without it. For `mod_init`.
pub fn prepare() -> Option<()> {
    // SAFETY: called from mod_init, when modules that were loaded before this one are initialised.
    let found = !unsafe { sys::glue_tm_find() }.is_null();
    // SAFETY: tm was found.
    let ready = found && unsafe { sys::glue_watch_ready() } >= 0;
    if !ready {
        log_err!("ds_passive needs the module tm, loaded before this one");
    }
    ready.then_some(())
}

/// Says that nothing more is noted. For the end of the server.
pub fn end() {
    ENDED.store(true, Relaxed);
}

/// Watches the request that a selection has just sent to a destination.
#[inline]
pub fn sent(module: &Module, msg: &Message, target: Target, dest: &Dest, trial: Option<Trial<'_>>) {
    if module.settings.passive.is_some() && target != Target::Nothing {
        watch(module, msg, target, (dest, trial), Branches::from);
    }
}

/// Watches the branches that a request forks to, in order. With a trial, the last one is that.
pub fn forked(
    module: &Module,
    msg: &Message,
    target: Target,
    dests: &[&Dest],
    mut trial: Option<Trial<'_>>,
) {
    let start = place(msg).0.unwrap_or(0);
    let end = (start..).zip(dests).count();
    let end = start.saturating_add(u32::try_from(end).unwrap_or(u32::MAX));
    for (dest, at) in dests.iter().zip(start..) {
        // The d-URI of the message is that of the first branch alone.
        let target = if at == start { target } else { Target::Nothing };
        let trial = if at + 1 == end { trial.take() } else { None };
        let branches = |_| Branches::only(at, end);
        watch(module, msg, target, (dest, trial), branches);
    }
}

/// Returns the branches that the message's transaction has, if it has one, and what watches the last of them.
fn place(msg: &Message) -> (Option<u32>, Option<NonNull<Watched>>) {
    let mut watched: *mut c_void = ptr::null_mut();
    // SAFETY: tm was found in mod_init; it fills the pointer with what `watch` gave it, or with null.
    let count = unsafe { sys::glue_watch_place(&raw mut watched) };
    if let Ok(count) = u32::try_from(count) {
        return (Some(count), NonNull::new(watched.cast::<Watched>()));
    }
    let early = EARLY.get().filter(|(number, _)| *number == msg.number());
    (None, early.map(|(_, watched)| watched))
}

#[inline(never)]
fn watch(
    module: &Module,
    msg: &Message,
    target: Target,
    (dest, trial): (&Dest, Option<Trial<'_>>),
    branches: impl FnOnce(u32) -> Branches,
) {
    let (count, last) = place(msg);
    let branches = branches(count.unwrap_or(0));
    let try_it = |watched: &Watched| {
        if let Some(trial) = trial {
            watched.try_it();
            trial.leave();
        }
    };
    let target = match target {
        Target::DstUri => fingerprint(dest.uri()),
        Target::Domain | Target::Nothing => 0,
    };
    let record = module.store.hold(dest);
    if let Some(last) = last {
        // SAFETY: tm has it with the current transaction, or keeps it for the message that this process works on; it
        // gives it back after both.
        let last = unsafe { last.as_ref() };
        if last.waits_at(branches.first) {
            last.turn_to(&ShmArena, record, target, branches, now_ms());
            return try_it(last);
        }
        last.end_at(branches.first);
    }
    let Ok(made) = Watched::create(&ShmArena, record, target, branches, now_ms()) else {
        return log_warn!(
            "no shared memory to watch a request to {}",
            Escaped(dest.uri())
        );
    };
    // SAFETY: made above.
    try_it(unsafe { made.as_ref() });
    // SAFETY: a live message; what is watched stays until tm gives it back to `dsr_watched_ends`.
    if unsafe { sys::glue_watch(msg.raw(), made.as_ptr().cast()) } < 0 {
        // SAFETY: made above, and tm did not take it.
        return unsafe { Watched::free(made, &ShmArena) };
    }
    if count.is_none() {
        EARLY.set(Some((msg.number(), made)));
    }
}

/// Hears from tm that it has made a transaction of the message at work, and has taken over what watches it.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_watched_taken(
    _transaction: *mut sys::cell,
    _event: c_int,
    _params: *mut sys::tmcb_params,
) {
    guard(|| EARLY.set(None));
}

/// Hears from tm what becomes of a watched request.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_watched(
    transaction: *mut sys::cell,
    event: c_int,
    params: *mut sys::tmcb_params,
) {
    guard(|| {
        if ENDED.load(Relaxed) {
            return;
        }
        let Some(module) = Module::get() else { return };
        let Some(passive) = &module.settings.passive else {
            return;
        };
        // SAFETY: tm's own parameters, valid while it calls back (tm/t_hooks.h).
        let Some(params) = (unsafe { params.as_mut() }) else {
            return;
        };
        // SAFETY: null, or the place of what was given to tm.
        let watched = unsafe { params.param.as_ref() }.map_or(ptr::null_mut(), |watched| *watched);
        // SAFETY: made by `watch`, and given back by `dsr_watched_ends`, which tm calls last.
        let Some(watched) = (unsafe { watched.cast::<Watched>().as_ref() }) else {
            return;
        };
        match c_uint::try_from(event).unwrap_or(0) {
            sys::TMCB_REQUEST_OUT => left(module, passive, transaction, params, watched),
            sys::TMCB_RESPONSE_IN => replied(module, passive, transaction, params, watched),
            sys::TMCB_ON_FAILURE => failed(module, passive, transaction, watched, true),
            sys::TMCB_DESTROY => failed(module, passive, transaction, watched, false),
            _ => {}
        }
    });
}

/// Gives back what was watched. tm calls it with the end of the transaction, or of the message that never had one.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_watched_ends(watched: *mut c_void) {
    guard(|| {
        let Some(watched) = NonNull::new(watched.cast::<Watched>()) else {
            return;
        };
        if EARLY.get().is_some_and(|(_, early)| early == watched) {
            EARLY.set(None);
        }
        // SAFETY: made by `watch`, and tm gives it back once (tm/h_table.c, tm/t_hooks.c).
        unsafe { Watched::free(watched, &ShmArena) };
    });
}

/// Notes the branch that was sent.
fn left(
    module: &Module,
    passive: &Passive,
    transaction: *mut sys::cell,
    params: &mut sys::tmcb_params,
    watched: &Watched,
) {
    let mut branch = sys::glue_branch::default();
    // SAFETY: tm's own transaction and parameters.
    unsafe { sys::glue_branch_sent(transaction, &raw mut *params, &raw mut branch) };
    let Ok(number) = u32::try_from(branch.number) else {
        return;
    };
    if params.req.is_null() {
        return;
    }
    // Where an earlier branch could not be sent at all, this one is of the script.
    let (first, was_sent) = watched.last_branch();
    let before = first..if was_sent { first } else { number };
    let is_unsent = |number| state(transaction, number).unsent != 0;
    if watched.is_own(number) && before.into_iter().any(is_unsent) {
        tell(
            module,
            passive,
            watched,
            News::Failure,
            ejected::REQUEST_TIMEOUT,
        );
    }
    // SAFETY: the request that tm has just sent, which stays while it calls back.
    let uri = fingerprint(unsafe { Message::at(params.req) }.dst_uri());
    let count = u32::try_from(branch.count).unwrap_or(0);
    watched.note_sent(number, uri, count, now_ms());
}

/// Returns a branch as it stands.
fn state(transaction: *mut sys::cell, number: u32) -> sys::glue_branch {
    let number = c_int::try_from(number).unwrap_or(-1);
    let mut branch = sys::glue_branch::default();
    // SAFETY: tm's own transaction, while it calls back.
    unsafe { sys::glue_branch_state(transaction, number, &raw mut branch) };
    branch
}

/// Takes what a reply says.
fn replied(
    module: &Module,
    passive: &Passive,
    transaction: *mut sys::cell,
    params: &mut sys::tmcb_params,
    watched: &Watched,
) {
    if watched.is_decided() || params.rpl.is_null() {
        return;
    }
    let mut branch = sys::glue_branch::default();
    // SAFETY: tm's own transaction and parameters; for this event the reply is a message (tm/t_lookup.c).
    unsafe { sys::glue_branch_replied(transaction, &raw mut *params, &raw mut branch) };
    let heard = u32::try_from(branch.number).is_ok_and(|number| watched.hears(number));
    let Some(status) = u16::try_from(branch.status).ok().filter(|_| heard) else {
        return;
    };
    let reply = params.rpl;
    // SAFETY: as above: the reply is a message.
    let retry_after = || u32::try_from(unsafe { sys::glue_retry_after(reply) }).ok();
    if let Some(news) = of_reply(status, &passive.codes, retry_after) {
        tell(module, passive, watched, news, status);
    }
}

/// Takes what it says that a branch has failed, or that its transaction goes: after a failure it says nothing more.
fn failed(
    module: &Module,
    passive: &Passive,
    transaction: *mut sys::cell,
    watched: &Watched,
    is_failure: bool,
) {
    if watched.is_decided() || transaction.is_null() {
        return;
    }
    let (number, was_sent) = watched.last_branch();
    let branch = state(transaction, number);
    if branch.number < 0 || !was_sent && branch.unsent == 0 {
        return;
    }
    let end = End {
        unsent: branch.unsent != 0,
        timed_out: branch.timed_out != 0,
        heard: watched.has_heard(),
        age_ms: now_ms().saturating_sub(watched.sent_ms()),
    };
    match of_end(end) {
        Some(news) => tell(module, passive, watched, news, ejected::REQUEST_TIMEOUT),
        None if is_failure && branch.status >= 300 => {
            watched.decide();
            watched.end_trial();
        }
        None => {}
    }
}

/// Tells the destination what a request says of it, once.
fn tell(module: &Module, passive: &Passive, watched: &Watched, news: News, status: u16) {
    if let Some(record) = watched.record().filter(|_| watched.decide()) {
        ejected::note(module, passive, record, (news, status), watched.sent_ms());
    }
}
