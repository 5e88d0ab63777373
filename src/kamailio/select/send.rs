//! Sending a message to the destination that was chosen for it, or to the first one that takes it.

use super::call_load::{self, ServerPlaced};
use super::deliver::deliver;
use super::request::{Failure, Request, send};
use super::trace;
use crate::dispatch::admission::others::MOST_TRIES;
use crate::dispatch::admission::refusal::Refusal;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::select::algorithm::Choice;
use crate::kamailio::admission::ask::{admits, admits_rate, asked, refused};
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::CountCalls;
use crate::kamailio::observe::counting::counts;
use crate::kamailio::passive::watch;
use crate::kamailio::server::message::{Message, Target};
use crate::shm::calls::placed::{Counted, How};
use crate::shm::memory::arena::OutOfMemory;
use crate::shm::set::view::View;

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

/// Sends as [`send_counted`] does, and traces the selection where traces are on. `hash` is the hash that led to the choice,
/// if there was one.
#[inline(always)]
pub fn send_watched(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    choice: Choice,
    hash: Option<u32>,
) -> Result<(), Failure> {
    if trace::is_on(module) {
        trace::chosen(request, view, choice.at, hash);
    }
    send_counted(module, msg, request, view, choice)
}

/// Sends as [`send_to`] does, and counts the selection for its destination and as a call where that is wanted.
#[inline(always)]
pub fn send_counted(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    choice: Choice,
) -> Result<(), Failure> {
    let choice = match request.trial(module, msg, view) {
        Some(at) => Choice { at, ..choice },
        None => choice,
    };
    let at = choice.at;
    send_to(module, msg, request, view, choice)?;
    if request.leads() {
        counts::selected(view, at);
        if let Some(dest) = view.dest(at) {
            watch::sent(module, msg, request.target, dest);
        }
        if module.settings.count_calls == CountCalls::Count {
            call_load::count_sent(module, msg, (request.set, view), at);
        }
    }
    Ok(())
}

/// Sends the message to the first of some choices that admits it; `None` if all refuse. Then nothing is counted.
///
/// A call that is counted in the set goes where it is counted. There it only asks for its calls a second.
#[inline(never)]
pub fn send_admitted(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    first: Choice,
    others: impl Iterator<Item = Choice>,
    percent: Option<u32>,
) -> Option<Result<(), Failure>> {
    if !request.leads() {
        // The message goes elsewhere: this is for failover, which asks then.
        return Some(send_counted(module, msg, request, view, first));
    }
    let Some(mut asked) = asked(module, msg) else {
        let at = call_load::place_of(module, msg, request.set, view).unwrap_or(first.at);
        return Some(send_counted(
            module,
            msg,
            request,
            view,
            Choice { at, ..first },
        ));
    };
    let mut order = core::iter::once(first).chain(others).take(MOST_TRIES);
    if !asked.counts {
        let choice = order.find(|choice| admits(module, view, choice.at, &asked))?;
        return Some(send_watched(
            module,
            msg,
            request,
            view,
            choice,
            None::<u32>,
        ));
    }
    if let Some(at) = request.trial(module, msg, view) {
        return Some(call_load::send_trial(
            module,
            msg,
            request,
            view,
            at,
            first.order,
        ));
    }
    asked.bound = percent.map(|percent| view.bound(percent));
    let mut chosen = first.order;
    let mut reserve = |view: &View| {
        let choice = order.find(|choice| admits(module, view, choice.at, &asked))?;
        chosen = choice.order;
        Some(choice.at)
    };
    let place = |counted, reserve: &mut dyn FnMut(&View) -> Option<usize>| {
        call_load::place(module, msg, (request.set, view), counted, reserve)
    };
    let placed = place(Counted::Stays, &mut reserve).transpose()?;
    let placed = match placed {
        Ok(placed) if placed.how() == How::Known && !view.admit_rate(placed.at(), asked.now_us) => {
            refused(module, Refusal::Rate);
            place(Counted::Moves, &mut reserve).transpose()?
        }
        placed => placed,
    };
    Some(match placed {
        Ok(placed) => call_load::send_placed(module, msg, request, view, placed, chosen),
        Err(OutOfMemory) => Err(Failure::NoMemory),
    })
}

/// Asks the destination at a position for a request that failover sends on. Returns the place of its call, if that is
/// counted, to be kept when the message is sent; `None` if it refuses. With `by_load` the call is one of algorithm 10.
pub fn admit_next<'p>(
    module: &'p Module,
    msg: &Message,
    (set, view): (SetId, &'p View),
    at: usize,
    by_load: bool,
) -> Option<Option<ServerPlaced<'p>>> {
    let asked = asked(module, msg);
    let calls = module.calls.as_ref();
    if let Some(calls) = calls.filter(|_| by_load) {
        let placed = call_load::move_to(module, calls, msg, (set, view), at)?;
        return admits_rate(module, view, at, asked.as_ref()).then_some(Some(placed));
    }
    let Some(asked) = asked else {
        return Some(None);
    };
    if !asked.counts {
        return admits(module, view, at, &asked).then_some(None);
    }
    let mut reserve = |view: &View| admits(module, view, at, &asked).then_some(at);
    let placed = call_load::place(module, msg, (set, view), Counted::Moves, &mut reserve);
    placed.ok().flatten().map(Some)
}
