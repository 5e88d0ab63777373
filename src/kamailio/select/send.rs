//! Sending a message to the destination that was chosen for it, or to the first one that takes it.

use core::iter;

use super::call_load::{self, ServerPlaced};
use super::deliver::deliver;
use super::request::{Failure, Request, send};
use super::trace::{self, Hash};
use crate::dispatch::admission::others::MOST_TRIES;
use crate::dispatch::admission::refusal::Refusal;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::select::algorithm::Choice;
use crate::kamailio::admission::ask::{Rounds, admit, admits_rate, asked, asked_by_all, refused};
use crate::kamailio::admission::slow_start::Ramps;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::CountCalls;
use crate::kamailio::observe::counting::counts;
use crate::kamailio::passive::watch;
use crate::kamailio::server::message::{Message, Target};
use crate::kamailio::server::time::now_us;
use crate::shm::calls::call_table::Calls;
use crate::shm::calls::placed::{Counted, How};
use crate::shm::memory::arena::OutOfMemory;
use crate::shm::set::gates::Asked;
use crate::shm::set::view::View;
use crate::shm::table::ejections::Trial;

/// Sends the message to the chosen destination, and writes the results that are wanted.
#[inline(always)]
pub fn send_to(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    choice: Choice,
) -> Result<(), Failure> {
    if module.settings.results.any {
        return deliver(module, msg, request, view, choice);
    }
    let dest = view.dest(choice.at).ok_or(Failure::NoneUsable)?;
    let target = request.target;
    let sent = target == Target::Nothing || send(msg, target, dest.uri(), dest.socket());
    sent.then_some(()).ok_or(Failure::Refused)
}

/// Sends as [`send_to`] does, traces the selection, and counts it for its destination and as a call, where that is wanted.
/// `hash` is what led to the choice. The destination has no limit and no slow start.
#[inline(always)]
pub fn send_watched(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    choice: Choice,
    hash: Hash,
) -> Result<(), Failure> {
    if !trace::is_followed(module) {
        return send_to(module, msg, request, view, choice);
    }
    let trial = admitted_trial(module, msg, request, view);
    let at = trial.as_ref().map_or(choice.at, Trial::at);
    let choice = Choice { at, ..choice };
    send_chosen(module, msg, request, view, (choice, hash), trial)
}

/// Returns the destination that the message is to try, if that is within its calls a second. For requests whose calls are
/// not counted before they are sent.
#[inline(always)]
fn admitted_trial<'v>(
    module: &Module,
    msg: &Message,
    request: &Request,
    view: &'v View,
) -> Option<Trial<'v>> {
    let trial = request.trial(module, msg, view)?;
    admits_trial(module, msg, view, trial.at()).then_some(trial)
}

#[cold]
#[inline(never)]
fn admits_trial(module: &Module, msg: &Message, view: &View, at: usize) -> bool {
    admits_rate(module, view, at, asked(module, msg).as_ref())
}

/// Sends as [`send_watched`] does, to this choice, which may be a trial.
#[inline(always)]
fn send_chosen(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    (choice, hash): (Choice, Hash),
    trial: Option<Trial<'_>>,
) -> Result<(), Failure> {
    if trace::is_on(module) {
        trace::chosen(request, view, choice.at, hash);
    }
    let at = choice.at;
    send_to(module, msg, request, view, choice)?;
    if request.leads() {
        counts::selected(view, at);
        if let Some(dest) = view.dest(at) {
            watch::sent(module, msg, request.target, dest, trial);
        }
        if module.settings.count_calls == CountCalls::Count {
            call_load::count_sent(module, msg, (request.set, view), at);
        }
    }
    Ok(())
}

/// The choices behind the first one.
pub type Others<'v> = Box<dyn Iterator<Item = Choice> + 'v>;

/// Sends the message to the first of some choices that takes it; `None` if all refuse. Then nothing is counted. `hash` is
/// what led to the choices, and `key` the number of a selection by hash. `others` makes the choices behind the first one,
/// which most requests do not need.
///
/// A call that is counted in the set goes where it is counted. There it only asks for its calls a second.
#[inline(never)]
pub fn send_asking<'v>(
    module: &'v Module,
    msg: &mut Message,
    request: &Request,
    view: &'v View,
    (first, hash, key): (Choice, Hash, Option<u64>),
    others: &dyn Fn() -> Others<'v>,
    percent: Option<u32>,
) -> Option<Result<(), Failure>> {
    if !msg.begins_call() {
        return Some(send_on(module, msg, request, view, (first, hash)));
    }
    let ramps = Ramps {
        module,
        view,
        algorithm: request.algorithm,
        key,
    };
    // A message that goes elsewhere asks no limits here: failover asks then.
    let asked = request.leads().then(|| asked_by_all(module)).flatten();
    if let Some(asked) = asked.filter(|asked| asked.counts) {
        let chosen = (first, hash);
        return send_counted(msg, request, ramps, chosen, others, (asked, percent));
    }
    let trial = admitted_trial(module, msg, request, view);
    let choice = match &trial {
        Some(trial) => Choice {
            at: trial.at(),
            ..first
        },
        None => {
            let passed = ramps.refuses(first.at).then_some(first);
            if passed.is_none() && admits_rate(module, view, first.at, asked.as_ref()) {
                first
            } else {
                find_behind(ramps, passed, others, asked.as_ref())?
            }
        }
    };
    let chosen = (choice, hash);
    Some(send_chosen(module, msg, request, view, chosen, trial))
}

/// Sends a request that begins no call to where its call is counted, or else to the chosen destination.
#[inline(never)]
fn send_on(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    (choice, hash): (Choice, Hash),
) -> Result<(), Failure> {
    let leads = request.leads();
    let counted = leads.then(|| call_load::place_of(module, msg, request.set, view));
    let Some(at) = counted.flatten() else {
        return send_watched(module, msg, request, view, choice, hash);
    };
    let chosen = (Choice { at, ..choice }, hash);
    send_chosen(module, msg, request, view, chosen, None)
}

/// Returns the first choice that takes a call within its calls a second, of those behind a choice that has refused. `passed`
/// is the latter, if it is in its slow start.
#[cold]
#[inline(never)]
fn find_behind<'v>(
    ramps: Ramps<'v>,
    passed: Option<Choice>,
    others: &dyn Fn() -> Others<'v>,
    asked: Option<&Asked>,
) -> Option<Choice> {
    let mut others = ramps.pass_over(passed, others()).take(MOST_TRIES - 1);
    others.find(|choice| admits_rate(ramps.module, ramps.view, choice.at, asked))
}

/// Counts the call of the message for the first of some choices that takes it, and sends the message there.
#[inline(never)]
fn send_counted<'v>(
    msg: &mut Message,
    request: &Request,
    ramps: Ramps<'v>,
    (first, hash): (Choice, Hash),
    others: &dyn Fn() -> Others<'v>,
    (mut asked, percent): (Asked, Option<u32>),
) -> Option<Result<(), Failure>> {
    let Ramps { module, view, .. } = ramps;
    asked.bound = percent.map(|percent| view.bound(percent));
    let passed = ramps.refuses(first.at).then_some(first);
    let mut others = ramps.pass_over(passed, iter::once_with(others).flatten());
    let first = if passed.is_some() {
        others.next()?
    } else {
        first
    };
    // A limit holds only where calls can be counted.
    let counts_limited = module.calls.as_ref().is_some_and(Calls::takes_limited);
    let is_limited = |at| view.dest(at).is_some_and(|dest| dest.maxload != 0);
    let is_countable = |at| counts_limited || !is_limited(at);
    let trial = |asked: &Asked| {
        let admits = |at| is_countable(at) && admit(module, view, at, asked).is_ok();
        let trial = request.trial(module, msg, view);
        trial.filter(|trial| admits(trial.at()))
    };
    let others = others.take(MOST_TRIES - 1);
    let others = others.filter(|choice| is_countable(choice.at));
    let mut rounds = Rounds::new(Some(first).filter(|first| is_countable(first.at)), others);
    let mut counted = Counted::Stays;
    let mut chosen = first.order;
    let mut tried = None;
    let placed = loop {
        let mut reserve = |view: &View| {
            tried = trial(&asked);
            if let Some(tried) = &tried {
                return Some(tried.at());
            }
            let choice = rounds.ask(module, view, &asked)?;
            chosen = choice.order;
            Some(choice.at)
        };
        let place = (request.set, view);
        let Ok(placed) = call_load::place(module, msg, place, counted, &mut reserve) else {
            return Some(Err(Failure::NoMemory));
        };
        match placed {
            Some(placed) if counted == Counted::Stays && placed.how() == How::Known => {
                if view.admit_rate(placed.at(), now_us) {
                    break placed;
                }
                refused(module, Refusal::Rate);
                counted = Counted::Moves;
            }
            Some(placed) => break placed,
            None if rounds.go_on(view, &mut asked) => {}
            None => return None,
        }
    };
    if trace::is_on(module) {
        trace::chosen(request, view, placed.at(), hash);
    }
    let chosen = (chosen, tried);
    Some(call_load::send_placed(
        module, msg, request, view, placed, chosen,
    ))
}

/// Asks the destination of a record for a request that failover sends on. Returns the place of its call, if that is
/// counted, to be kept when the message is sent; `None` if it refuses, or if calls are counted and it has left the set. With
/// `by_load` the call is one of algorithm 10.
pub fn admit_next<'p>(
    module: &'p Module,
    msg: &Message,
    set: SetId,
    found: Option<(&'p View, usize)>,
    by_load: bool,
) -> Option<Option<ServerPlaced<'p>>> {
    let asked = asked(module, msg);
    let calls = module.calls.as_ref();
    if let Some(calls) = calls.filter(|_| by_load) {
        let (view, at) = found?;
        let placed = call_load::move_to(module, calls, msg, (set, view), at)?;
        return admits_rate(module, view, at, asked.as_ref()).then_some(Some(placed));
    }
    let Some(asked) = asked else {
        return Some(None);
    };
    if !asked.counts {
        // A destination that has left the list has no limit.
        let Some((view, at)) = found else {
            return Some(None);
        };
        return admit(module, view, at, &asked).ok().map(|()| None);
    }
    let (view, at) = found?;
    let mut reserve = |view: &View| admit(module, view, at, &asked).ok().map(|()| at);
    match call_load::place(module, msg, (set, view), Counted::Moves, &mut reserve) {
        Ok(placed) => placed.map(Some),
        // The call stays counted where it was, as any that cannot be counted.
        Err(OutOfMemory) => Some(None),
    }
}
