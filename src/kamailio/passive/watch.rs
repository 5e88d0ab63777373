//! A request that a selection has sent to a destination, from the choice to the end of its transaction.
//!
//! tm tells what becomes of it. What it says goes to the standing of the destination: no lock is taken, and no route is
//! run.

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

thread_local! {
    /// The last request that this process watches, before its message has a transaction.
    static EARLY: Cell<Option<(MessageNumber, NonNull<Watched>)>> = const { Cell::new(None) };
}

/// True once the module has given everything back. tm ends its transactions after that.
static ENDED: AtomicBool = AtomicBool::new(false);

/// Finds tm, which the watching needs; `None` after a log line without it. For `mod_init`.
pub fn prepare() -> Option<()> {
    // SAFETY: called from mod_init, when modules that were loaded before this one are initialised.
    if unsafe { sys::glue_tm_find() }.is_null() {
        log_err!("ds_passive needs the module tm, loaded before this one");
        return None;
    }
    Some(())
}

/// Says that nothing more is noted. For the end of the server.
pub fn end() {
    ENDED.store(true, Relaxed);
}

/// Watches the request that a selection has just sent to a destination.
#[inline]
pub fn sent(module: &Module, msg: &Message, target: Target, dest: &Dest) {
    if module.settings.passive.is_some() && target != Target::Nothing {
        watch(module, msg, target, dest, Branches::from);
    }
}

/// Watches the branches that a request forks to, in order.
pub fn forked<'d>(
    module: &Module,
    msg: &Message,
    count: u32,
    dests: impl Iterator<Item = &'d Dest>,
) {
    if module.settings.passive.is_none() {
        return;
    }
    let (start, _) = place(msg);
    for (dest, at) in dests.zip(0..) {
        let branches = |_| Branches::only(start + at, start + count);
        // The d-URI of the message is that of the first branch alone.
        watch(module, msg, Target::Nothing, dest, branches);
    }
}

/// Returns the branches that the message's transaction has, and what watches the last of them.
fn place(msg: &Message) -> (u32, Option<NonNull<Watched>>) {
    let mut watched: *mut c_void = ptr::null_mut();
    // SAFETY: tm was found in mod_init; it fills the pointer with what `watch` gave it, or with null.
    let count = unsafe { sys::glue_watch_place(&raw mut watched) };
    let count = u32::try_from(count).unwrap_or(0);
    let early = || EARLY.get().filter(|(number, _)| *number == msg.number());
    let last = NonNull::new(watched.cast::<Watched>());
    (count, last.or_else(|| early().map(|(_, watched)| watched)))
}

#[inline(never)]
fn watch(
    module: &Module,
    msg: &Message,
    target: Target,
    dest: &Dest,
    branches: impl FnOnce(u32) -> Branches,
) {
    let (count, last) = place(msg);
    let branches = branches(count);
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
            return last.turn_to(&ShmArena, record, target, branches, now_ms());
        }
        last.end_at(branches.first);
    }
    let made = Watched::create(&ShmArena, record, target, branches, now_ms());
    let Ok(watched) = made else {
        return log_warn!(
            "no shared memory to watch a request to {}",
            Escaped(dest.uri())
        );
    };
    // SAFETY: a live message; what is watched stays until tm gives it back to `dsr_watched_ends`.
    if unsafe { sys::glue_watch(msg.raw(), watched.as_ptr().cast()) } < 0 {
        // SAFETY: made above, and tm did not take it.
        return unsafe { Watched::free(watched, &ShmArena) };
    }
    EARLY.set(Some((msg.number(), watched)));
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
            sys::TMCB_REQUEST_OUT => left(transaction, params, watched),
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
fn left(transaction: *mut sys::cell, params: &mut sys::tmcb_params, watched: &Watched) {
    let mut branch = sys::glue_branch::default();
    // SAFETY: tm's own transaction and parameters.
    unsafe { sys::glue_branch_sent(transaction, &raw mut *params, &raw mut branch) };
    let Ok(number) = u32::try_from(branch.number) else {
        return;
    };
    if params.req.is_null() {
        return;
    }
    // SAFETY: the request that tm has just sent, which stays while it calls back.
    let uri = fingerprint(unsafe { Message::at(params.req) }.dst_uri());
    watched.note_sent(number, uri, u32::try_from(branch.count).unwrap_or(0));
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
    let number = c_int::try_from(number).unwrap_or(-1);
    let mut branch = sys::glue_branch::default();
    // SAFETY: tm's own transaction.
    unsafe { sys::glue_branch_state(transaction, number, &raw mut branch) };
    if branch.number < 0 || !was_sent && branch.unsent == 0 {
        return;
    }
    let end = End {
        unsent: branch.unsent != 0,
        timed_out: branch.timed_out != 0,
        heard: watched.has_heard(),
        age_ms: watched.age_ms(now_ms()),
    };
    match of_end(end) {
        Some(news) => tell(module, passive, watched, news, ejected::REQUEST_TIMEOUT),
        None if is_failure && branch.status >= 300 => _ = watched.decide(),
        None => {}
    }
}

/// Tells the destination what a request says of it, once.
fn tell(module: &Module, passive: &Passive, watched: &Watched, news: News, status: u16) {
    if let Some(record) = watched.record().filter(|_| watched.decide()) {
        ejected::note(module, passive, record, news, status);
    }
}
