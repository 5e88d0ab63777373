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
use crate::shm::dest::destination::Dest;
use crate::shm::set::gates::Asked;
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
            let forked = fork(module, msg, request, view, (first, usable, None));
            return Some(forked.map(|all| complete.set(all)));
        };
        let admits = |at: &usize| ask::admits_rate(module, view, *at, Some(&asked));
        let next = |from| core::iter::successors(usable(from), |&at| usable(at + 1)).find(admits);
        let first = Some(first).filter(admits).or_else(|| next(first + 1))?;
        let forked = fork(module, msg, request, view, (first, next, Some(&asked)));
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
    (first, next, asked): (usize, impl Fn(usize) -> Option<usize>, Option<&Asked>),
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
    let is_passive = watched && module.settings.passive.is_some() && target != Target::Nothing;
    let mut forked = Vec::from_iter(is_passive.then_some(dest));
    let mut left = limit - 1;
    let mut takes_more = true;
    let mut from = first + 1;
    while left > 0 {
        let Some(at) = next(from) else {
            break;
        };
        let dest = view.dest(at).ok_or(Failure::NoneUsable)?;
        if !msg.add_branch(target, dest.uri(), dest.socket()) {
            takes_more = false;
            break;
        }
        group::SELECTIONS.count();
        if watched {
            counts::selected(view, at);
            if is_passive {
                forked.push(dest);
            }
        }
        from = at + 1;
        left -= 1;
    }
    if is_passive {
        let takes_trial = takes_more && left > 0;
        watch_forked(module, msg, request, view, forked, (asked, takes_trial));
    }
    Ok(takes_more)
}

/// Watches the branches that a request was forked to, and adds one for the destination that waits for a trial, if there
/// may be one more.
#[cold]
#[inline(never)]
fn watch_forked<'v>(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &'v View,
    mut forked: Vec<&'v Dest>,
    (asked, takes_trial): (Option<&Asked>, bool),
) {
    let target = request.target;
    let trial = takes_trial.then(|| request.trial(module, msg, view));
    let trial = trial.flatten().filter(|trial| {
        let admitted = ask::admits_rate(module, view, trial.at(), asked);
        let dest = view.dest(trial.at()).filter(|_| admitted);
        let added = dest.filter(|dest| msg.add_branch(target, dest.uri(), dest.socket()));
        forked.extend(added);
        added.is_some()
    });
    watch::forked(module, msg, target, &forked, trial);
}
