//! Call load: algorithm 10, `ds_load_update`, `ds_load_unset`, and the expiry of calls (doc/reference/functions.md).

use super::deliver::deliver;
use super::request::{Failure, Request, conclude};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::select::algorithm::Choice;
use crate::dispatch::select::failover::Order;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::lock::ServerLock;
use crate::kamailio::server::log::{log_dbg, log_err, log_warn};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::text::Escaped;
use crate::kamailio::server::time::now_s;
use crate::shm::calls::call_table::{Calls, Counting, Placed};
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::OutOfMemory;
use crate::shm::set::view::View;

/// The calls of this server.
pub type ServerCalls = Calls<ServerLock>;

/// Returns the table of calls if algorithm 10 is to count this request, which must be an INVITE. Other requests take
/// the first destination, and so do all requests when call load is off.
pub fn calls_of(module: &'static Module, msg: &Message) -> Option<&'static ServerCalls> {
    if module.calls.is_none() {
        log_warn!("algorithm 10 needs ds_hash_size: the first destination is used");
    }
    module.calls.as_ref().filter(|_| msg.is_invite())
}

/// Returns the place where a call is to be counted.
fn place<'p>(
    module: &'p Module,
    set: SetId,
    view: &'p View,
    call_id: &'p [u8],
) -> Counting<'p, ShmArena, ServerLock> {
    Counting {
        store: &module.store,
        process: Module::process(),
        set,
        view,
        call_id,
        now: now_s(),
    }
}

/// Counts the call for the destination with the fewest calls, unless it is counted already, and sends the message to
/// the destination that has the call.
pub fn select(
    module: &Module,
    calls: &ServerCalls,
    msg: &mut Message,
    request: &Request,
) -> ScriptRet {
    if msg.call_id().is_none() {
        return ScriptRet::FAILED;
    }
    let set = request.set;
    let sent = module.store.try_set(Module::process(), set, |view| {
        let call_id = msg.find_call_id()?;
        let at = match calls.place(&place(module, set, view, call_id)) {
            Ok(Placed::New(at) | Placed::Known(at)) => at,
            Ok(Placed::Full) => return None,
            Err(OutOfMemory) => return Some(Err(Failure::NoMemory)),
        };
        let choice = Choice {
            at,
            order: Order::Calls,
        };
        let sent = deliver(module, msg, request, view, choice);
        if let (Err(_), Some(call_id)) = (&sent, msg.find_call_id()) {
            calls.end_in(&module.store, Module::process(), Some(set), call_id);
        }
        Some(sent)
    });
    let result = conclude(set, &sent);
    if result == ScriptRet::FAILED {
        warn_without_duid(module, set);
    }
    result
}

/// Logs which destination call load cannot use.
fn warn_without_duid(module: &Module, set: SetId) {
    let uri = {
        let pinned = module.pin();
        let view = pinned.view(set);
        let without = view.and_then(|view| view.dests().find(|dest| dest.duid().is_none()));
        without.map(|dest| dest.uri().to_vec())
    };
    if let Some(uri) = uri {
        log_err!(
            "set {set}, {}: algorithm 10 needs the attribute duid",
            Escaped(&uri)
        );
    }
}

/// Returns true if the call is counted in the set; logs if it is not.
pub fn is_counted(calls: &ServerCalls, msg: &Message, set: SetId) -> bool {
    let Some(call_id) = msg.call_id() else {
        return false;
    };
    let counted = calls.is_counted(set, call_id);
    if !counted {
        log_err!("call {} is not counted in set {set}", Escaped(call_id));
    }
    counted
}

/// Moves the call to the destination at a position of its set, if that destination takes it.
pub fn moves_to(
    module: &Module,
    calls: &ServerCalls,
    msg: &Message,
    (set, view): (SetId, &View),
    at: usize,
) -> bool {
    let fits = |dest: &Dest| dest.duid().is_some() && dest.has_room();
    let Some(call_id) = msg.call_id().filter(|_| view.dest(at).is_some_and(fits)) else {
        return false;
    };
    calls.move_to(&place(module, set, view, call_id), at) == Ok(true)
}

/// Runs `ds_load_update()`: a BYE or CANCEL ends the call, and a 2xx to its INVITE confirms it. Returns false only if
/// the message cannot be parsed.
pub fn update(msg: &Message) -> bool {
    let Some((module, calls)) = table() else {
        return true;
    };
    if msg.is_end_of_call() {
        let Some(call_id) = msg.call_id() else {
            return false;
        };
        calls.end_in(&module.store, Module::process(), None, call_id);
        return true;
    }
    match msg.is_answer() {
        Some(true) => msg
            .call_id()
            .map(|call_id| calls.confirm(call_id))
            .is_some(),
        Some(false) => true,
        None => false,
    }
}

/// Runs `ds_load_unset()`: ends the call, and returns true if it was counted. An INVITE that no selection of this
/// transaction has sent on changes nothing, and returns true, too: it may be a re-INVITE of a call that goes on.
pub fn unset(msg: &Message) -> bool {
    let Some((module, calls)) = table() else {
        return false;
    };
    if msg.is_invite() && !module.settings.results.has_selected() {
        return true;
    }
    let Some(call_id) = msg.call_id() else {
        return false;
    };
    calls.end_in(&module.store, Module::process(), None, call_id) > 0
}

fn table() -> Option<(&'static Module, &'static ServerCalls)> {
    let module = Module::get()?;
    Some((module, module.calls.as_ref()?))
}

/// Ends the calls whose time is over in the part of the table that is due this second. All parts are due within
/// `ds_hash_check_interval`.
pub fn expire(module: &Module) {
    let (Some(calls), Some(load)) = (&module.calls, module.settings.call_load) else {
        return;
    };
    let parts = load.check_s.max(1);
    let due = usize::try_from(now_s() % parts).unwrap_or(0);
    let parts = usize::try_from(parts).unwrap_or(1);
    let ended = calls.expire(&module.store, Module::process(), now_s(), due, parts);
    if ended > 0 {
        log_dbg!("{ended} calls have expired");
    }
}
