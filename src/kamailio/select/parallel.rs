//! Algorithm 12: forks a request to the usable destinations of a set, all at once (doc/reference/functions.md).

use core::cell::Cell;

use super::request::{Failure, Request, conclude, send};
use super::trace::{self, Hash};
use crate::dispatch::select::algorithm::{Choice, Start, choose};
use crate::dispatch::select::candidates::Candidates;
use crate::kamailio::admission::ask;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::counting::{counts, group};
use crate::kamailio::passive::watch;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::message::{Message, Target};
use crate::shm::set::view::View;

/// The return code when some destination got no branch.
const INCOMPLETE: ScriptRet = ScriptRet::new(2);

/// Sends the message to the first usable destination of the set, and adds a branch for each other usable one; without a
/// target all are branches. The default destination gets a branch only if no other destination is usable.
pub fn select(module: &Module, msg: &mut Message, request: &Request) -> ScriptRet {
    let complete = Cell::new(true);
    let process = Module::process();
    let sent = module.store.try_set(process, request.set, |view| {
        let Choice { at: first, .. } = choose(view, Start::First)?;
        let end = view.candidate_count();
        let usable = |from| view.next_usable(from, end);
        let Some(asked) = ask::asked(module, msg) else {
            let forked = fork(module, msg, request, view, first, usable);
            return Some(forked.map(|all| complete.set(all)));
        };
        let admits = |at: &usize| ask::admits_rate(module, view, *at, Some(&asked));
        let next = |from| core::iter::successors(usable(from), |&at| usable(at + 1)).find(admits);
        let first = Some(first).filter(admits).or_else(|| next(first + 1))?;
        let forked = fork(module, msg, request, view, first, next);
        Some(forked.map(|all| complete.set(all)))
    });
    match conclude(request.set, &sent) {
        ScriptRet::OK if !complete.get() => INCOMPLETE,
        result => result,
    }
}

/// Sends the message to this destination, and adds a branch for each usable one behind it. Returns false when the
/// server takes no more branches.
fn fork(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    first: usize,
    next: impl Fn(usize) -> Option<usize>,
) -> Result<bool, Failure> {
    let target = request.target;
    // Branches leave no records to go on with.
    let results = &module.settings.results;
    if results.any {
        let none = core::iter::empty();
        results
            .write(request.set, none, false)
            .ok_or(Failure::NoMemory)?;
    }
    let dest = view.dest(first).ok_or(Failure::NoneUsable)?;
    if trace::is_on(module) {
        trace::chosen(request, view, first, Hash::None);
    }
    if target == Target::Nothing {
        if !msg.add_branch(target, dest.uri(), dest.socket()) {
            return Ok(false);
        }
    } else if !send(msg, target, dest.uri(), dest.socket()) {
        return Err(Failure::Refused);
    }
    counts::selected(view, first);
    let limit = request.limit().unwrap_or(usize::MAX);
    let watched = trace::is_watched(module);
    // Nobody asks for them without a gate.
    let mut forked = Vec::new();
    if watched {
        forked.push(dest);
    }
    let mut from = first + 1;
    for _ in 1..limit {
        let Some(at) = next(from) else {
            break;
        };
        let dest = view.dest(at).ok_or(Failure::NoneUsable)?;
        if !msg.add_branch(target, dest.uri(), dest.socket()) {
            return Ok(false);
        }
        group::SELECTIONS.count();
        if watched {
            counts::selected(view, at);
            forked.push(dest);
        }
        from = at + 1;
    }
    if !watched {
        return Ok(true);
    }
    if let Some(dest) = request
        .trial(module, msg, view)
        .and_then(|at| view.dest(at))
    {
        if msg.add_branch(target, dest.uri(), dest.socket()) {
            forked.push(dest);
        }
    }
    if target != Target::Nothing {
        let count = u32::try_from(forked.len()).unwrap_or(u32::MAX);
        watch::forked(module, msg, count, forked.into_iter());
    }
    Ok(true)
}
