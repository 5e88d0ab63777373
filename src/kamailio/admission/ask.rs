//! Asking destinations whether they take a request.

use core::sync::atomic::Ordering::Relaxed;

use crate::dispatch::admission::others::MOST_TRIES;
use crate::dispatch::admission::refusal::Refusal;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::CountCalls;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::time::now_us;
use crate::shm::set::gates::Asked;
use crate::shm::set::view::View;

/// Returns true for a request that the gates are asked about: an INVITE that begins a call.
pub fn begins_call(msg: &Message) -> bool {
    msg.is_invite() && !msg.has_to_tag()
}

/// Returns what a request asks of destinations; `None` if no gate is asked about it.
pub fn asked(module: &Module, msg: &Message) -> Option<Asked> {
    (module.settings.has_gates() && begins_call(msg)).then(|| Asked {
        now_us: now_us(),
        counts: counts(module),
        bound: None,
    })
}

/// Returns true if the calls of all algorithms are counted and limited.
fn counts(module: &Module) -> bool {
    module.settings.count_calls == CountCalls::Limit
}

/// Asks the gates of the destination at a position; false if one refuses, which is counted.
pub fn admits(module: &Module, view: &View, at: usize, asked: &Asked) -> bool {
    let admitted = view.admit(at, asked);
    admitted.map_err(|refusal| refused(module, refusal)).is_ok()
}

/// Counts a refusal.
#[cold]
pub fn refused(module: &Module, refusal: Refusal) {
    let counts = Refusal::ALL
        .into_iter()
        .zip(&module.shared.outcomes.refused);
    let own = counts.filter(|(counted, _)| *counted == refusal);
    own.for_each(|(_, count)| _ = count.fetch_add(1, Relaxed));
}

/// Asks the destination at a position for its calls a second, if that is asked; false if it refuses, which is counted.
pub fn admits_rate(module: &Module, view: &View, at: usize, asked: Option<&Asked>) -> bool {
    let admitted = asked.is_none_or(|asked| view.admit_rate(at, asked.now_us));
    if !admitted {
        refused(module, Refusal::Rate);
    }
    admitted
}

/// Counts the call for the destination with the fewest calls that admits it, and returns its position (algorithm 10).
pub fn reserve_least(module: &Module, view: &View, asked: Option<&Asked>) -> Option<usize> {
    let at = view.reserve_least()?;
    if admits_rate(module, view, at, asked) {
        return Some(at);
    }
    let asked = Asked {
        counts: true,
        ..*asked?
    };
    view.unreserve(at);
    let mut others = view.by_calls();
    others.truncate(MOST_TRIES);
    let admits = |&other: &usize| other != at && admits(module, view, other, &asked);
    others.into_iter().find(admits)
}
