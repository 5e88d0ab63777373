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

/// The same of a selection that is traced, or counted for its destination or as a call. `hash` is what it had to choose
/// by, if it had one.
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

/// The same of a selection that may be counted for its destination or as a call.
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
