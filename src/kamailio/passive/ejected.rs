//! Ejections by traffic: the rules they go by, their end, and who is told of them.
//!
//! tm's callbacks eject and run no routes. The tick tells of what has changed, within a second.

use core::sync::atomic::Ordering::SeqCst;

use crate::dispatch::passive::standing::{MOST_FAILS, News, Phase, Rules, Standing};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Outcome, State};
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::ping_params::Passive;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::server::message::{Message, Reason};
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::set::view::View;
use crate::shm::table::ejections::{Limits, Trial};

/// The status that stands for no reply at all.
pub const REQUEST_TIMEOUT: u16 = 408;

/// The status of a reply that may ask for time.
pub const SERVICE_UNAVAILABLE: u16 = 503;

/// The attribute of a destination that has a number of failures of its own.
const FAILS: &[u8] = b"fails";

/// Takes what a branch that was sent to a destination at `sent_ms` has said, with its last status.
pub fn note(
    module: &Module,
    passive: &Passive,
    record: &DestRecord,
    (news, status): (News, u16),
    sent_ms: u64,
) {
    let limits = Limits {
        rules: rules(module, passive, record, news),
        percent: passive.percent,
    };
    let (store, process) = (&module.store, Module::process());
    let times = (sent_ms, now_ms());
    if store.note_traffic(process, record, (news, status), &limits, times) {
        module.shared.ejected.store(1, SeqCst);
    }
}

/// Takes the `Retry-After` of a 503 to a ping that was sent at `sent_ms`. Pings fail no calls, so without a time that
/// is looked at it says nothing.
pub fn note_ping(module: &Module, record: &DestRecord, asked_s: u32, sent_ms: u64) {
    let passive = module.settings.passive.as_ref();
    let obeys = |passive: &&Passive| asked_s > 0 && cfg::passive(passive).retry_after_s > 0;
    if let Some(passive) = passive.filter(obeys) {
        let news = (News::RetryAfter(asked_s), SERVICE_UNAVAILABLE);
        note(module, passive, record, news, sent_ms);
    }
}

/// Returns the rules of this moment for a destination, whose list is looked at only if it has failed.
fn rules(module: &Module, passive: &Passive, record: &DestRecord, news: News) -> Rules {
    let values = cfg::passive(passive);
    let own = (news != News::Good)
        .then(|| own_fails(module, record))
        .flatten();
    Rules {
        fails: own.unwrap_or(values.failures),
        eject_ms: u64::from(values.eject_s) * 1_000,
        most_ms: u64::from(passive.most_s.max(values.eject_s)) * 1_000,
        retry_after_ms: u64::from(values.retry_after_s) * 1_000,
    }
}

/// Returns the number in the destination's attribute `fails`, as the lists have it now.
fn own_fails(module: &Module, record: &DestRecord) -> Option<u32> {
    let pinned = module.pin();
    let view = pinned.view(record.set())?;
    let dest = view.dest(view.position_of(record)?)?;
    core::str::from_utf8(dest.attribute(FAILS)?)
        .ok()?
        .trim()
        .parse::<u32>()
        .ok()
        .map(|fails| fails.min(MOST_FAILS))
}

/// Returns the destination that this request is to try, if one of the set waits for that. A request of a dialog tries
/// none.
#[inline]
pub fn trial<'v>(module: &Module, msg: &Message, view: &'v View) -> Option<Trial<'v>> {
    if module.settings.passive.is_none() || msg.is_in_dialog() {
        return None;
    }
    view.take_trial(now_ms())
}

/// Ends ejections whose time is over, and tells of those that have begun or ended. Once a second, in one process.
pub fn watch(module: &Module) {
    if module.settings.passive.is_none() || module.shared.ejected.swap(0, SeqCst) == 0 {
        return;
    }
    let (store, process) = (&module.store, Module::process());
    let mut feeds = Vec::new();
    let any = store.watch_ejections(process, now_ms(), |dest| {
        feeds.extend(feed_of(module, dest));
    });
    if any {
        module.shared.ejected.store(1, SeqCst);
    }
    feeds.into_iter().for_each(|feed| feed.deliver(None));
}

/// Returns a feed with what is to be told of a destination.
fn feed_of<'m>(module: &'m Module, dest: &Dest) -> Option<Feed<'m>> {
    let traffic = dest.record().traffic()?;
    let standing = traffic.standing();
    let status = traffic.last_failure();
    let out = standing.phase != Phase::In;
    let reason = Reason {
        code: if out { status.into() } else { 200 },
        text: b"",
        from_reply: out && status != REQUEST_TIMEOUT,
    };
    let status = if out { status } else { 0 };
    let mut feed = Feed::because(module, Cause::Traffic, reason).after(status);
    let state = dest.record().state();
    let ejected = state.union(State::INACTIVE);
    let (old, new) = if out {
        (state, ejected)
    } else {
        (ejected, state)
    };
    let outcome = Outcome {
        state: new,
        failures: 0,
        flip: None,
        in_row: if out { standing.row } else { 0 },
    };
    feed.note_counted(dest, old, outcome);
    Some(feed)
}

/// Says why a destination gets no requests, if its traffic is the reason.
pub fn why(record: &DestRecord) -> Option<String> {
    let traffic = record.traffic()?;
    let Standing {
        phase, row, at_ms, ..
    } = traffic.standing();
    let last = match traffic.last_failure() {
        REQUEST_TIMEOUT => "no reply".to_owned(),
        status => status.to_string(),
    };
    let left_s = at_ms.saturating_sub(now_ms()).div_ceil(1_000);
    Some(match phase {
        Phase::In => return None,
        Phase::Out => format!(
            "ejected by its traffic for {left_s} s more: {row} failures in a row, the last one: {last}"
        ),
        Phase::Asked => format!("ejected by its traffic for {left_s} s more: Retry-After of a 503"),
        Phase::Probation => "ejected by its traffic: the next request tries it".to_owned(),
        Phase::Trial => "ejected by its traffic: a request tries it".to_owned(),
    })
}
