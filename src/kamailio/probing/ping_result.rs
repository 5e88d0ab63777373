//! The end of a ping, and what it means for the destination: its state, its figures, the events.

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::spared;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::probe::{Ping, ReplyCodes, apply_ping};
use crate::dispatch::state::transition::Outcome;
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::observe::counting::group;
use crate::kamailio::passive::ejected;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::log_dbg;
use crate::kamailio::server::message::Reason;
use crate::kamailio::server::sys;
use crate::kamailio::server::text;
use crate::kamailio::server::time::now_us;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::next_hop::fingerprint;
use crate::shm::dest::probing::{Ended, Health};
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::refcount::Counted;

/// The status that stands for no reply at all, for scripts and `ds_ping_reply_codes`.
const REQUEST_TIMEOUT: i32 = 408;

/// True once the ping that this process is sending has left the server. tm tells of it inside the call that sends it,
/// and again of each copy that it sends later, in a process that sends no pings.
pub static LEFT: AtomicBool = AtomicBool::new(false);

/// Takes news of a ping from tm: that it has left the server, or its end, a final reply or none.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_ping_done(
    _transaction: *mut sys::cell,
    event: c_int,
    params: *mut sys::tmcb_params,
) {
    guard(|| {
        if u32::try_from(event).is_ok_and(|event| event & sys::TMCB_REQUEST_SENT != 0) {
            return LEFT.store(true, Relaxed);
        }
        if let Some(module) = Module::get() {
            conclude(module, params);
        }
    });
}

fn conclude(module: &'static Module, params: *mut sys::tmcb_params) {
    let mut record: *mut c_void = core::ptr::null_mut();
    let mut reason = text::EMPTY;
    let mut reply = core::ptr::null_mut();
    // SAFETY: tm's own parameters, valid while it calls back (tm/t_hooks.h).
    let status =
        unsafe { sys::glue_tm_result(params, &raw mut record, &raw mut reason, &raw mut reply) };
    let Some(record) = NonNull::new(record.cast::<Counted<DestRecord>>()) else {
        return;
    };
    // SAFETY: given away when the ping was sent; tm calls back once, as it was no INVITE
    // (tm/t_reply.c, t_should_relay_response).
    let record = unsafe { module.store.take_back(record) };
    // SAFETY: a part of the reply, which stays while tm calls back.
    let phrase = unsafe { text::bytes(&reason) };
    let ended = match u16::try_from(status) {
        Ok(status @ 1..) => Ended::Reply(status),
        _ => Ended::Silence,
    };
    let is_asked =
        ended == Ended::Reply(ejected::SERVICE_UNAVAILABLE) && module.settings.passive.is_some();
    // SAFETY: a reply with a status is a message, which stays while tm calls back.
    let asked_s = is_asked.then(|| unsafe { sys::glue_retry_after(reply) });
    let asked_s = asked_s.and_then(|asked_s| u32::try_from(asked_s).ok());
    settle(module, &record, ended, (phrase, asked_s));
}

/// Ends the ping of a destination, and draws the conclusions. A reply comes with its reason and the seconds of its
/// `Retry-After`.
pub fn settle(
    module: &'static Module,
    record: &DestRecord,
    ended: Ended,
    (phrase, asked_s): (&[u8], Option<u32>),
) {
    let Some(health) = record.health() else {
        return;
    };
    // The ping was given up before if it is no longer on its way.
    let Some(sent_us) = health.sent_us() else {
        return;
    };
    let pinged = pinged_dest(module, record);
    if matches!(&pinged, Some((uri, _)) if *uri != health.target()) {
        // A list has given the destination another URI: the answer of the old one says nothing about it.
        log_dbg!("the ping of a URI that its destination no longer has ended");
        return health.end();
    }
    let now_us = now_us();
    let (status, round_trip_us) = match ended {
        Ended::Reply(status) => (status.into(), now_us.saturating_sub(sent_us).max(1)),
        Ended::Silence => (REQUEST_TIMEOUT, 0),
        Ended::NotSent(_) => (0, 0),
    };
    let round_trip_us = u32::try_from(round_trip_us).unwrap_or(u32::MAX);
    let own_codes = pinged.and_then(|(_, codes)| codes);
    let codes = own_codes.unwrap_or_else(cfg::reply_codes);
    let good = status > 0 && codes.accepts(status, module.settings.compat);
    // tm ends what did not leave the server as it ends what nobody answers.
    let shown = match (ended, health.unsent()) {
        (Ended::Silence, Some(why)) => Ended::NotSent(why),
        _ => ended,
    };
    group::PINGS.count();
    group::PINGS_FAILED.add((!good).into());
    health.note(shown, good, now_us / 1_000, round_trip_us);
    measure(module, record, health, ended, round_trip_us);
    // Not before: the next ping may end in another process.
    health.end();
    let ping = if good { Ping::Good } else { Ping::Bad };
    let mut feed = Feed::because(module, Cause::Ping, reason_of(ended, phrase)).of_ping(shown);
    change_state(module, record, ping, now_us / 1_000, &mut feed);
    spared::found(module, record);
    if let Some(asked_s) = asked_s {
        ejected::note_ping(module, record, asked_s, sent_us / 1_000);
    }
    feed.deliver(None);
}

/// Changes the state of a destination as the result of a ping asks for.
fn change_state(
    module: &Module,
    record: &DestRecord,
    ping: Ping,
    now_ms: u64,
    feed: &mut Feed<'_>,
) {
    let rules = cfg::mark_rules(module);
    let change = |old, failures| {
        let failures = match ping {
            Ping::Bad => spared::failures_before(record, failures, rules.probing_threshold),
            Ping::Good => failures,
        };
        apply_ping(old, failures, ping, &rules).unwrap_or(Outcome {
            state: old,
            failures,
            flip: None,
            in_row: 0,
        })
    };
    let on_change = |dest: &Dest, (old, _), outcome: Outcome| {
        if old != outcome.state {
            dest.record().set_cause(Cause::Ping, now_ms);
        }
        feed.note_counted(dest, old, outcome);
    };
    let (store, process) = (&module.store, Module::process());
    store.change_one(process, record, change, on_change);
}

/// Returns the fingerprint of the destination's URI and its own reply codes, as the lists have them now.
fn pinged_dest(module: &Module, record: &DestRecord) -> Option<(u64, Option<ReplyCodes>)> {
    let pinned = module.pin();
    let view = pinned.view(record.set())?;
    let dest = view.dest(view.position_of(record)?)?;
    let codes = dest.attrs().ping_reply_codes;
    let codes = codes.map(ReplyCodes::parse);
    Some((fingerprint(dest.uri()), codes))
}

/// Returns what `$dsv` says of the end of a ping.
fn reason_of(ended: Ended, phrase: &[u8]) -> Reason<'_> {
    match ended {
        Ended::Reply(status) => Reason {
            code: status.into(),
            text: phrase,
            from_reply: true,
        },
        Ended::Silence => Reason {
            code: REQUEST_TIMEOUT,
            text: b"",
            from_reply: false,
        },
        Ended::NotSent(_) => Reason::NOT_SENT,
    }
}

/// Adds a ping to the latency of a destination, if latencies are measured.
fn measure(
    module: &Module,
    record: &DestRecord,
    health: &Health,
    ended: Ended,
    round_trip_us: u32,
) {
    let Some(alpha) = module.settings.latency else {
        return;
    };
    let before = health.latency();
    let after = match ended {
        Ended::Reply(_) => before.sample(round_trip_us / 1_000, alpha),
        Ended::Silence => before.timeout(),
        Ended::NotSent(_) => return,
    };
    let change = || health.set_latency(&after);
    module
        .store
        .change_latency(Module::process(), record, change);
}
