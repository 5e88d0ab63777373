//! Asking destinations whether they take a request.

use core::sync::atomic::Ordering::Relaxed;

use crate::dispatch::admission::others::MOST_TRIES;
use crate::dispatch::admission::refusal::Refusal;
use crate::dispatch::select::algorithm::Choice;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::CountCalls;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::time::now_us;
use crate::shm::calls::call_table::unload;
use crate::shm::dest::record::DestRecord;
use crate::shm::set::gates::Asked;
use crate::shm::set::view::View;

/// How often the bound of the load is taken anew for a request.
const BOUNDS: usize = 16;

/// Returns true for a request that the gates are asked about: an INVITE that begins a call.
pub fn begins_call(msg: &Message) -> bool {
    msg.is_invite() && !msg.has_to_tag()
}

/// Returns what a request asks of destinations; `None` if no gate is asked about it.
pub fn asked(module: &Module, msg: &Message) -> Option<Asked> {
    (module.settings.has_gates() && begins_call(msg)).then(|| Asked {
        now_us,
        counts: counts(module),
        bound: None,
    })
}

/// Returns true if the calls of all algorithms are counted and limited.
fn counts(module: &Module) -> bool {
    module.settings.count_calls == CountCalls::Limit
}

/// Asks the gates of the destination at a position.
///
/// # Errors
/// The first gate that refuses, which is counted.
pub fn admit(module: &Module, view: &View, at: usize, asked: &Asked) -> Result<(), Refusal> {
    let admitted = view.admit(at, asked, |record| unload_from(module, record));
    admitted.inspect_err(|&refusal| refused(module, refusal))
}

/// Takes back a call that was counted for a destination.
fn unload_from(module: &Module, record: &DestRecord) {
    unload(&module.store, Module::process(), record);
}

/// Asks the choices one after the other, and returns the first one that admits the request.
///
/// The bound of the load is one of a moment: where others place calls meanwhile, all may have their part of fewer calls
/// than there are now. Those that only the bound has kept from the call are asked again while there are more calls than
/// before. At last the bound yields: it spreads calls, and refuses none that somebody has room for.
pub fn first_to_admit(
    module: &Module,
    view: &View,
    asked: &mut Asked,
    mut order: impl Iterator<Item = Choice>,
) -> Option<Choice> {
    let mut bounded = Vec::new();
    let found = order.find(|choice| {
        let refusal = admit(module, view, choice.at, asked).err();
        bounded.extend(
            refusal
                .filter(|&why| why == Refusal::Bound)
                .map(|_| *choice),
        );
        refusal.is_none()
    });
    if found.is_some() || bounded.is_empty() {
        return found;
    }
    for left in (0..BOUNDS).rev() {
        let before = asked.bound?;
        let anew = view.bound(before.percent);
        asked.bound = Some(anew).filter(|anew| left > 0 && anew.calls > before.calls);
        let admits = |choice: &&Choice| admit(module, view, choice.at, asked).is_ok();
        if let Some(found) = bounded.iter().find(admits) {
            return Some(*found);
        }
    }
    None
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
    view.dest(at)
        .inspect(|dest| unload_from(module, dest.record()));
    let mut others = view.by_calls();
    others.truncate(MOST_TRIES);
    let admits = |&other: &usize| other != at && admit(module, view, other, &asked).is_ok();
    others.into_iter().find(admits)
}
