//! From the choice of a selection to its records and to the message.

use super::request::{Failure, Request, send};
use crate::dispatch::select::algorithm::Choice;
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::select::cursor::{FailoverCursor, Step};
use crate::dispatch::select::failover::Order;
use crate::dispatch::select::ranks;
use crate::dispatch::select::rendezvous;
use crate::kamailio::config::instance::Module;
use crate::kamailio::list::unique_id;
use crate::kamailio::server::message::{Message, Target};
use crate::shm::dest::destination::Dest;
use crate::shm::set::view::View;

/// A failover order by ranks or costs that is longer than this is sorted at once: made one by one, each step is a search.
const FEW: usize = 16;

/// Writes the records of a choice, and sends the message to the chosen destination.
pub fn deliver(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    choice: Choice,
) -> Result<(), Failure> {
    let dest = view.dest(choice.at).ok_or(Failure::NoneUsable)?;
    // The message changes last: a script that gets an error finds it as it was.
    let written = if module.settings.on_demand() {
        write_on_demand(module, request, view, choice, dest)
    } else {
        write_list(module, request, view, choice)
    };
    let written = written.ok_or(Failure::NoMemory)?;
    if request.target == Target::Nothing || send(msg, request.target, dest.uri(), dest.socket()) {
        return Ok(());
    }
    let results = &module.settings.results;
    match request.behind {
        None => (0..written).for_each(|_| results.drop_current(msg)),
        // Only the first destination of all is sent to.
        Some(tail) => {
            (0..written).for_each(|_| results.drop_first(msg));
            tail.forget();
        }
    }
    Err(Failure::Refused)
}

/// Writes a record for each destination of the failover order; returns how many there are, or `None` without memory.
fn write_list(module: &Module, request: &Request, view: &View, choice: Choice) -> Option<i32> {
    let counted = choice.order == Order::Calls;
    let listed = |at| Some((at, view.dest(at)?));
    let takes = |dest: &Dest| dest.duid().is_some() && dest.has_room();
    let limit = match module.settings.failover {
        true => request.limit().unwrap_or(usize::MAX),
        false => 0,
    };
    if limit > FEW && matches!(choice.order, Order::Ranks(_) | Order::Key(_)) {
        return write_sorted(module, request, view, choice, limit);
    }
    let order = choice.order(view);
    if counted {
        let order = order.filter(|&at| at == choice.at || view.dest(at).is_some_and(takes));
        let dests = order.filter_map(listed).take(limit);
        return write_dests(module, request, dests, true);
    }
    let dests = order.filter_map(listed).take(limit);
    write_dests(module, request, dests, false)
}

/// Writes the records of a long failover order by ranks or costs.
#[inline(never)]
fn write_sorted(
    module: &Module,
    request: &Request,
    view: &View,
    choice: Choice,
    limit: usize,
) -> Option<i32> {
    let sorted = match choice.order {
        Order::Ranks(turn) => ranks::sorted(view, turn),
        Order::Key(key) => rendezvous::sorted(view, key),
        _ => Vec::new(),
    };
    let order = choice.before(sorted.into_iter());
    let dests = order
        .filter_map(|at| Some((at, view.dest(at)?)))
        .take(limit);
    write_dests(module, request, dests, false)
}

fn write_dests<'d>(
    module: &Module,
    request: &Request,
    dests: impl Iterator<Item = (usize, &'d Dest)>,
    counted: bool,
) -> Option<i32> {
    let results = &module.settings.results;
    match request.behind {
        None => results.write(request.set, dests, counted),
        Some(tail) => results.append(request.set, dests, counted, tail),
    }
}

/// Writes the record of the chosen destination alone, with what finds the next one. What is chosen behind other sets is
/// noted for later. Returns how many records were written, or `None` without memory.
fn write_on_demand(
    module: &Module,
    request: &Request,
    view: &View,
    choice: Choice,
    dest: &Dest,
) -> Option<i32> {
    let step = Step {
        set: request.set,
        order: choice.order,
        at: choice.at,
        number: unique_id::number(module, dest),
    };
    let limit = request.limit();
    let most = view.len().min(limit.unwrap_or(usize::MAX));
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    let results = &module.settings.results;
    let cursor = FailoverCursor::begin(limit.unwrap_or(0), step);
    match request.behind {
        None => results.write_one(dest, &cursor, most),
        Some(tail) if tail.count() > 0 => {
            tail.follow(step, most);
            Some(0)
        }
        Some(tail) => results.write_first(dest, cursor, most, tail),
    }
}
