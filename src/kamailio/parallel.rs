//! Algorithm 12: forks a request to the usable destinations of a set, all at once.
//!
//! Source: `features.md` 2.5; field reports W18.

use core::cell::Cell;

use super::guard::ScriptRet;
use super::module::Module;
use super::msg::{Message, Target};
use super::selection::{Failure, Request, conclude, send};
use crate::dispatch::select::{Start, choose, ring};
use crate::shm::view::View;

/// Some destination got no branch.
const INCOMPLETE: ScriptRet = ScriptRet::new(2);

/// Sends the message to the first usable destination of the set, and adds a branch for each other
/// one; with no target all are branches. What is out gets none, nor does the one of last resort
/// while another one is usable.
pub fn select(module: &Module, msg: Message, request: &Request) -> ScriptRet {
    let complete = Cell::new(true);
    let sent = module
        .store
        .try_set(Module::process(), request.set, |view| {
            let use_default = module.settings.use_default;
            let choice = choose(view, Start::First, use_default)?;
            let ring = ring(view.dest_count(), use_default);
            let limit = usize::try_from(request.limit).ok();
            let dests = choice
                .order(view)
                .filter(|&at| at == choice.first || at < ring)
                .take(limit.filter(|&limit| limit > 0).unwrap_or(usize::MAX));
            Some(fork(module, msg, request, view, dests).map(|all| complete.set(all)))
        });
    match conclude(request.set, &sent) {
        ScriptRet::OK if !complete.get() => INCOMPLETE,
        result => result,
    }
}

/// Sends the message to the first of these, and adds a branch for each other one; false when the
/// server takes no more branches.
fn fork(
    module: &Module,
    msg: Message,
    request: &Request,
    view: &View,
    dests: impl Iterator<Item = usize>,
) -> Result<bool, Failure> {
    let mut dests = dests.filter_map(|at| view.dest(at));
    // They are branches, not a list to go on with.
    let results = &module.settings.results;
    let none = core::iter::empty();
    results
        .write(request.set, none, false)
        .ok_or(Failure::NoMemory)?;
    if request.target != Target::Nothing {
        let first = dests.next().ok_or(Failure::NoneUsable)?;
        if !send(msg, request.target, first.uri(), first.socket()) {
            return Err(Failure::Refused);
        }
    }
    Ok(dests.all(|dest| msg.add_branch(request.target, dest.uri(), dest.socket())))
}
