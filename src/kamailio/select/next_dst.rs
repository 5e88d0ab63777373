//! `ds_next_*` and `ds_set_*`: the destinations that a selection has left.

use super::call_load::{self, ServerCalls, ServerPlaced};
use super::records::Current;
use super::request::{Failure, outcome, send};
use super::send::admit_next;
use super::trace;
use crate::dispatch::select::cursor::{FailoverCursor, Step};
use crate::dispatch::select::failover::{Order, following};
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::list::unique_id;
use crate::kamailio::observe::counting::counts::{self, Place};
use crate::kamailio::observe::counting::group;
use crate::kamailio::passive::watch;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::{log_dbg, log_err, log_warn};
use crate::kamailio::server::message::{Message, Target};
use crate::shm::dest::destination::Dest;
use crate::shm::set::view::View;
use crate::shm::table::store::Tried;

/// The number of times that a search is tried while states change under it.
const RETRIES: usize = 64;

/// Goes on to the next destination that the selection left; the record of the failed one is taken away.
pub fn next(msg: &mut Message, target: Target) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    let settings = &module.settings;
    if !settings.failover {
        log_warn!("failover support disabled (parameter flags has not bit 2)");
        return ScriptRet::FAILED;
    }
    if trace::is_watched(module) {
        return go_on_watched(module, msg, target);
    }
    go_on(module, msg, target)
}

/// Goes on, counts the destinations that the request has left and reached, and watches the request.
#[inline(never)]
fn go_on_watched(module: &Module, msg: &mut Message, target: Target) -> ScriptRet {
    let left = place(module, msg);
    let result = go_on(module, msg, target);
    if result == ScriptRet::OK {
        if let Some((left, reached)) = left.zip(place(module, msg)) {
            counts::moved_on(module, msg, &left, &reached);
            call_load::follow(module, msg, &left, &reached);
            watch_sent(module, msg, target, &reached);
        }
    }
    result
}

/// Returns the destination of the first record.
fn place(module: &Module, msg: &Message) -> Option<Place> {
    let Current {
        uri,
        set,
        socket,
        duid,
    } = module.settings.results.current(msg)?;
    Some(Place {
        set: set?,
        uri: uri.to_vec(),
        socket,
        duid: duid.map(<[u8]>::to_vec),
    })
}

/// Watches the request that was sent to the destination of the first record.
fn watch_sent(module: &Module, msg: &Message, target: Target, place: &Place) {
    let pinned = module.pin();
    let view = pinned.view(place.set);
    if let Some(dest) = view.and_then(|view| view.dest(place.find(view)?)) {
        watch::sent(module, msg, target, dest, None);
    }
}

/// Goes on; where destinations have gates, to the next one that takes the request. Counts that the request was sent on.
#[inline(never)]
fn go_on(module: &Module, msg: &mut Message, target: Target) -> ScriptRet {
    let mut result = None;
    if module.settings.on_demand() {
        result = next_on_demand(module, msg, target);
    }
    if result.is_none() && (module.calls.is_some() || trace::is_gated(module)) {
        result = next_admitted(module, msg, target);
    }
    let result = result.unwrap_or_else(|| {
        module.settings.results.drop_current(msg);
        send_to_current(module, msg, target)
    });
    if result == ScriptRet::OK {
        group::FAILOVERS.count();
        group::SELECTIONS.count();
    }
    result
}

/// Sends the message to the destination of the first record, which stays.
pub fn set(msg: &mut Message, target: Target) -> ScriptRet {
    match Module::get() {
        Some(module) => {
            let sent = send_to_current(module, msg, target);
            let is_watched = module.settings.passive.is_some() && sent == ScriptRet::OK;
            if let Some(place) = is_watched.then(|| place(module, msg)).flatten() {
                watch_sent(module, msg, target, &place);
            }
            sent
        }
        None => ScriptRet::FAILED,
    }
}

fn send_to_current(module: &Module, msg: &mut Message, target: Target) -> ScriptRet {
    let Some(current) = module.settings.results.current(msg) else {
        log_dbg!("no destination left");
        return ScriptRet::FAILED;
    };
    if trace::is_on(module) {
        trace::next(current.uri);
    }
    if send(msg, target, current.uri, current.socket) {
        return ScriptRet::OK;
    }
    log_err!("cannot send to {}", Escaped(current.uri));
    ScriptRet::FAILED
}

/// Goes on to the next destination that takes the request, and moves the count of its call there; `None` if no destination
/// is asked, and algorithm 10 has not counted the call. Behind the last of a set in which it has, that count ends. If the
/// call is not counted there, nothing changes.
#[inline(never)]
fn next_admitted(module: &Module, msg: &mut Message, target: Target) -> Option<ScriptRet> {
    let results = &module.settings.results;
    let left = results.current(msg);
    let by_load = left.as_ref().is_some_and(|left| left.duid.is_some());
    if !by_load && !trace::is_gated(module) {
        return None;
    }
    let left = left.and_then(|left| left.set);
    let calls = module.calls.as_ref().filter(|_| by_load);
    if let Some(calls) = calls {
        if !left.is_some_and(|set| call_load::is_counted(calls, msg, set)) {
            return Some(ScriptRet::FAILED);
        }
    }
    loop {
        results.drop_current(msg);
        let pinned = module.pin();
        let admitted = match place(module, msg) {
            Some(place) => {
                let found = pinned.view(place.set);
                let found = found.and_then(|view| Some((view, place.find(view)?)));
                admit_next(module, msg, place.set, found, place.is_counted())
            }
            // There is none, or a script has changed its record.
            None => Some(None),
        };
        let Some(placed) = admitted else { continue };
        let reached = results.current(msg).and_then(|current| current.set);
        let sent = send_to_current(module, msg, target);
        if sent == ScriptRet::OK {
            if let Some(placed) = placed {
                call_load::moved(msg, placed);
            }
            if let Some((calls, left)) = calls.zip(left).filter(|_| left != reached) {
                call_load::leave(module, calls, msg, left);
            }
        }
        return Some(sent);
    }
}

/// Goes on to the destination after the current one; `None` when the current record has no failover cursor: it belongs
/// to a list, or is the last one of its order.
fn next_on_demand(module: &Module, msg: &mut Message, target: Target) -> Option<ScriptRet> {
    let mut cursor = FailoverCursor::parse(module.settings.results.cursor(msg)?)?;
    let counted = calls(module, &cursor).map(|calls| (calls, cursor.here().set));
    if let Some((calls, set)) = counted {
        if !call_load::is_counted(calls, msg, set) {
            return Some(ScriptRet::FAILED);
        }
    }
    loop {
        let set = cursor.here().set;
        if cursor.has_more() {
            let step = |view: &View| step(module, msg, target, view, &mut cursor);
            let sent = module.store.try_set(Module::process(), set, step);
            if let Tried::Done(_) = sent {
                let result = outcome(set, &sent);
                if let Some((calls, left)) = counted.filter(|&(_, left)| left != set) {
                    if result == ScriptRet::OK {
                        call_load::leave(module, calls, msg, left);
                    }
                }
                return Some(result);
            }
        }
        if !cursor.next_set() {
            return None;
        }
    }
}

/// Returns the table of calls if the current set's destinations count them.
fn calls<'m>(module: &'m Module, cursor: &FailoverCursor) -> Option<&'m ServerCalls> {
    let counted = cursor.here().order == Order::Calls;
    module.calls.as_ref().filter(|_| counted)
}

/// Tries the next destination of a set; `None` when it has none left.
fn step(
    module: &Module,
    msg: &mut Message,
    target: Target,
    view: &View,
    cursor: &mut FailoverCursor,
) -> Option<Result<(), Failure>> {
    let by_load = calls(module, cursor).is_some();
    let (at, placed) = if by_load || trace::is_gated(module) {
        find_admitted(module, msg, view, cursor, by_load)?
    } else {
        let (at, ()) = find(msg, view, cursor, |_| Some(()))?;
        (at, None)
    };
    let dest = view.dest(at)?;
    cursor.step(at, unique_id::number(module, dest));
    if module.settings.results.replace(msg, dest, cursor).is_none() {
        return Some(Err(Failure::NoMemory));
    }
    if trace::is_on(module) {
        trace::next(dest.uri());
    }
    if !send(msg, target, dest.uri(), dest.socket()) {
        return Some(Err(Failure::Refused));
    }
    if let Some(placed) = placed {
        call_load::moved(msg, placed);
    }
    Some(Ok(()))
}

/// Returns the position of the next destination that takes the request, and the place of its call there if that is
/// counted. With `by_load` the call is one of algorithm 10.
#[inline(never)]
fn find_admitted<'p>(
    module: &'p Module,
    msg: &Message,
    view: &'p View,
    cursor: &FailoverCursor,
    by_load: bool,
) -> Option<(usize, Option<ServerPlaced<'p>>)> {
    let set = cursor.here().set;
    let takes = |at: usize| admit_next(module, msg, set, Some((view, at)), by_load);
    find(msg, view, cursor, takes)
}

/// Returns the position of the next destination in the failover order that takes the message, and what `takes` says of
/// it.
fn find<T>(
    msg: &Message,
    view: &View,
    cursor: &FailoverCursor,
    takes: impl Fn(usize) -> Option<T>,
) -> Option<(usize, T)> {
    let takes = |at: usize| Some((at, takes(at)?));
    let Step { order, at, .. } = cursor.here();
    let here = position(view, &cursor.here());
    let tried = |at: usize| {
        let number = view.dest(at).map(|dest| dest.record().drawn_number());
        number.is_some_and(|number| cursor.has_tried(number))
    };
    // The set's own choice may drain: it was made for a call in progress.
    let fits = |at: usize| view.is_usable(at) || view.serves_calls(at) && msg.is_in_dialog();
    let own = here.filter(|&at| cursor.is_fresh() && !tried(at) && fits(at));
    if let Some(found) = own.and_then(takes) {
        return Some(found);
    }
    for _ in 0..RETRIES {
        let changes = view.record().changes();
        let mut order = following(view, order, here.unwrap_or(at));
        let found = order.find_map(|at| if tried(at) { None } else { takes(at) });
        // One may have come up behind the search just before another went down ahead of it.
        if found.is_some() || view.record().changes() == changes {
            return found;
        }
    }
    None
}

/// Returns the position of the destination that a failover order has come to; `None` when it left the set.
fn position(view: &View, step: &Step) -> Option<usize> {
    let is = |dest: &Dest| step.number != 0 && dest.record().drawn_number() == step.number;
    if view.dest(step.at).is_some_and(is) {
        return Some(step.at);
    }
    // The set was changed since.
    view.dests().position(is)
}
