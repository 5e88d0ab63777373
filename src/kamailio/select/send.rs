//! Sending a message to the destination that was chosen for it.

use super::call_load;
use super::deliver::deliver;
use super::request::{Failure, Request, send};
use super::trace;
use crate::dispatch::select::algorithm::Choice;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::counting::counts;
use crate::kamailio::server::message::{Message, Target};
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
    let at = choice.at;
    send_to(module, msg, request, view, choice)?;
    if request.leads() {
        counts::selected(view, at);
        if module.settings.count_calls {
            call_load::count_sent(module, msg, (request.set, view), at);
        }
    }
    Ok(())
}
