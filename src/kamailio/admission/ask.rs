//! Asking destinations whether they take a request.

use core::iter::Peekable;
use core::sync::atomic::Ordering::Relaxed;

use super::slow_start;
use crate::dispatch::admission::others::MOST_TRIES;
use crate::dispatch::admission::ramp::PassedOver;
use crate::dispatch::admission::refusal::Refusal;
use crate::dispatch::select::algorithm::Choice;
use crate::dispatch::select::failover::Order;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::CountCalls;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::time::now_us;
use crate::shm::calls::call_table::unload;
use crate::shm::dest::record::DestRecord;
use crate::shm::set::gates::Asked;
use crate::shm::set::view::View;

/// The most times that the bound of the load is taken for a request.
const BOUNDS: usize = 16;

/// Returns what a request asks of destinations; `None` if no gate is asked about it. No bound is taken yet.
pub fn asked(module: &Module, msg: &Message) -> Option<Asked> {
    asked_by_all(module).filter(|_| msg.begins_call())
}

/// Returns what each request that begins a call asks of destinations, without the bound of the load; `None` if there is
/// no gate.
pub fn asked_by_all(module: &Module) -> Option<Asked> {
    module.settings.has_gates().then(|| Asked {
        now_us,
        counts: module.settings.count_calls == CountCalls::Limit,
        bound: None,
    })
}

/// Returns true if the destination at a position may refuse a request for another reason than its state. Those with no
/// limit and no slow start take each request.
#[inline]
pub fn may_refuse(module: &Module, view: &View, algorithm: i32, at: usize) -> bool {
    module.settings.count_calls == CountCalls::Limit
        || view.dest(at).is_some_and(|dest| {
            dest.rate().is_some() || slow_start::is_slow(module, algorithm, dest)
        })
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

/// The choices that a request asks, in rounds. Between two rounds the caller holds no lock: the order behind the first
/// choice is sorted there, and the calls of the set are summed.
///
/// The bound of the load is one of a moment: where others place calls meanwhile, all may have their part of fewer calls
/// than there are now. Those that only the bound has kept from the call are asked again while there are more calls than
/// before. At last the bound yields: it spreads calls, and refuses none that somebody has room for.
pub struct Rounds<I: Iterator<Item = Choice>> {
    first: Option<Choice>,
    others: Peekable<I>,
    are_others_due: bool,
    due_again: Vec<Choice>,
    bounded: Vec<Choice>,
    bounds_left: usize,
}

impl<I: Iterator<Item = Choice>> Rounds<I> {
    /// The first round is of the first choice alone.
    pub fn new(first: Option<Choice>, others: I) -> Self {
        Rounds {
            first,
            others: others.peekable(),
            are_others_due: false,
            due_again: Vec::new(),
            bounded: Vec::new(),
            bounds_left: BOUNDS,
        }
    }

    /// Asks the choices of this round one after the other, and returns the first one that admits the request.
    pub fn ask(&mut self, module: &Module, view: &View, asked: &Asked) -> Option<Choice> {
        let due_again = core::mem::take(&mut self.due_again);
        let others = self.others.by_ref();
        let others = others.take(if self.are_others_due { MOST_TRIES } else { 0 });
        let mut due = self.first.take().into_iter().chain(due_again).chain(others);
        due.find(|choice| {
            let refusal = admit(module, view, choice.at, asked).err();
            if refusal == Some(Refusal::Bound) {
                self.bounded.push(*choice);
            }
            refusal.is_none()
        })
    }

    /// Prepares the next round. Returns false if no round is left.
    pub fn go_on(&mut self, view: &View, asked: &mut Asked) -> bool {
        let were_due = core::mem::replace(&mut self.are_others_due, true);
        if !were_due && self.others.peek().is_some() {
            return true;
        }
        let Some(before) = asked.bound.filter(|_| !self.bounded.is_empty()) else {
            return false;
        };
        let anew = view.bound(before.percent);
        self.bounds_left = self.bounds_left.saturating_sub(1);
        let is_more = anew.calls > before.calls && self.bounds_left > 0;
        asked.bound = is_more.then_some(anew);
        self.due_again = core::mem::take(&mut self.bounded);
        true
    }
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

/// A request that algorithm 10 counts, and the destination with the fewest calls, if that has passed the call on.
pub struct Least {
    asked: Asked,
    passed: Option<Passed>,
}

/// A destination that has room and takes no call now.
#[derive(Clone, Copy)]
struct Passed {
    at: usize,
    /// It is in its slow start. Otherwise it has got as many calls a second as it may.
    is_slow: bool,
}

impl Least {
    /// Asks nothing yet; `None` if no gate is asked about the request.
    pub fn of(module: &Module, msg: &Message) -> Option<Self> {
        let asked = asked(module, msg)?;
        let asked = Asked {
            counts: true,
            ..asked
        };
        Some(Least {
            asked,
            passed: None,
        })
    }

    /// Returns what is asked of destinations.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Returns the destinations that follow the one that has passed the call on, in the order of their calls; `None` if
    /// none has. They are put in order here, where the call's slot is not locked.
    pub fn others(&self, view: &View) -> Option<Vec<usize>> {
        let passed = self.passed?;
        let mut others = view.by_calls();
        others.truncate(MOST_TRIES);
        others.retain(|&at| passed.is_slow || at != passed.at);
        Some(others)
    }

    /// Counts the call for the first of these that admits it, and returns its position. A destination in its slow start
    /// may pass it on, and takes it if nobody else does.
    pub fn reserve(&self, module: &Module, view: &View, others: &[usize]) -> Option<usize> {
        let first = self.passed?.at;
        let order = Order::Calls;
        let choices = others.iter().map(|&at| Choice { at, order });
        let passes = |at| at == first || slow_start::passes_call(module, view, at);
        let mut choices = PassedOver::new(choices, passes);
        let admits = |choice: &Choice| admit(module, view, choice.at, &self.asked).is_ok();
        choices.find(admits).map(|choice| choice.at)
    }
}

/// Counts the call for the destination with the fewest calls, and returns its position (algorithm 10); `None` if there is
/// none with room, or if that one passes the call on.
pub fn reserve_least(module: &Module, view: &View, least: Option<&mut Least>) -> Option<usize> {
    let at = view.reserve_least()?;
    let Some(least) = least else {
        return Some(at);
    };
    let is_slow = slow_start::passes_call(module, view, at);
    if !is_slow && admits_rate(module, view, at, Some(&least.asked)) {
        return Some(at);
    }
    least.passed = Some(Passed { at, is_slow });
    let dest = view.dest(at)?;
    unload_from(module, dest.record());
    None
}
