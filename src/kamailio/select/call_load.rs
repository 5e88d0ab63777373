//! Call load: algorithm 10, `ds_load_update`, `ds_load_unset`, and the expiry of calls (doc/reference/functions.md).

use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use super::deliver::deliver;
use super::request::{Failure, Request, conclude};
use super::trace::{self, Hash};
use crate::dispatch::cluster::state::ends::{CallEnd, Fate};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::observe::line_budget::admit;
use crate::dispatch::select::algorithm::Choice;
use crate::dispatch::select::failover::Order;
use crate::dispatch::text::Escaped;
use crate::kamailio::admission::ask::{self, Least};
use crate::kamailio::cluster::bus;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::CountCalls;
use crate::kamailio::observe::counting::counts::{self, Place};
use crate::kamailio::observe::counting::group;
use crate::kamailio::passive::watch;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::lock::ServerLock;
use crate::kamailio::server::log::{log_dbg, log_err, log_warn};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::time::{now_ms, now_s};
use crate::shm::calls::call_table::Calls;
use crate::shm::calls::fingerprint::CallName;
use crate::shm::calls::placed::{Counted, Counting, How, Placed};
use crate::shm::memory::arena::OutOfMemory;
use crate::shm::set::view::View;
use crate::shm::table::ejections::Trial;

/// The calls of this server.
pub type ServerCalls = Calls<ServerLock>;

/// The place of a call in this server.
pub type ServerPlaced<'p> = Placed<'p, ShmArena, ServerLock>;

/// How often this process has looked for calls whose time is over.
static ROUND: AtomicUsize = AtomicUsize::new(0);

/// Returns true if algorithm 10 is to count this request, which must be an INVITE. Other requests take the first
/// destination, and so do all requests when call load is off.
pub fn counts(module: &Module, msg: &Message) -> bool {
    if module.calls.is_none() {
        log_warn!("algorithm 10 needs ds_hash_size: the first destination is used");
    }
    module.calls.is_some() && msg.is_invite()
}

/// Returns the name of the call that a message belongs to.
fn name_of(calls: &ServerCalls, msg: &Message, call_id: &[u8]) -> CallName {
    let to = msg.tag_in_to();
    // These come from the caller, and a missing tag in To does not stand for a caller without one.
    let of_caller = msg.is_cancel() || msg.is_invite() && to.is_empty();
    let to = Some(to).filter(|_| !of_caller);
    calls.key().call(call_id, msg.tag_in_from(), to)
}

/// Returns the name of the call that a message belongs to; `None` after a log line if it has no Call-ID.
fn call_of(calls: &ServerCalls, msg: &Message) -> Option<CallName> {
    Some(name_of(calls, msg, msg.call_id()?))
}

/// Returns the place where a call is to be counted.
fn counting<'p>(
    module: &'p Module,
    set: SetId,
    view: &'p View,
    call: CallName,
) -> Counting<'p, ShmArena, ServerLock> {
    Counting {
        store: &module.store,
        process: Module::process(),
        set,
        view,
        call,
        now_s: now_s(),
    }
}

/// Counts the call for the destination with the fewest calls, unless it is counted already, and sends the message to
/// the destination that has the call.
pub fn select(module: &Module, msg: &mut Message, request: &Request) -> ScriptRet {
    if msg.call_id().is_none() {
        return ScriptRet::FAILED;
    }
    let set = request.set;
    let sent = module.store.try_set(Module::process(), set, |view| {
        if trace::is_watched(module) {
            return select_watched(module, msg, request, view);
        }
        let reserve = View::reserve_least;
        match place_where(module, msg, (set, view), Counted::Stays, reserve) {
            Ok(placed) => Some(deliver_placed(
                module,
                msg,
                request,
                view,
                placed?,
                Order::Calls,
            )),
            Err(OutOfMemory) => Some(Err(Failure::NoMemory)),
        }
    });
    let result = conclude(set, &sent);
    if result == ScriptRet::FAILED {
        warn_without_duid(module, set);
    }
    result
}

/// Does in a view what [`select`] does, where there is more to do than to count the call and to send.
#[cold]
#[inline(never)]
fn select_watched(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
) -> Option<Result<(), Failure>> {
    let place_in = (request.set, view);
    let mut least = Least::of(module, msg);
    let mut trial = None;
    let mut reserve = |_: &View| {
        trial = request.trial(module, msg, view);
        let takes = |at: &usize| reserve_trial(module, view, *at, least.as_ref());
        let tried = trial.as_ref().map(Trial::at).filter(takes);
        tried.or_else(|| ask::reserve_least(module, view, least.as_mut()))
    };
    let placed = match place(module, msg, place_in, Counted::Stays, &mut reserve) {
        Ok(None) => {
            let least = least?;
            let others = least.others(view)?;
            let mut reserve = |_: &View| least.reserve(module, view, &others);
            place(module, msg, place_in, Counted::Stays, &mut reserve)
        }
        placed => placed,
    };
    match placed {
        Ok(placed) => {
            let placed = placed?;
            if trace::is_on(module) {
                trace::chosen(request, view, placed.at(), Hash::None);
            }
            let chosen = (Order::Calls, trial);
            Some(send_placed(module, msg, request, view, placed, chosen))
        }
        Err(OutOfMemory) => Some(Err(Failure::NoMemory)),
    }
}

/// Counts the call for the destination that it is to try, if that takes it.
fn reserve_trial(module: &Module, view: &View, at: usize, least: Option<&Least>) -> bool {
    view.dest(at).is_some_and(|dest| dest.duid().is_some())
        && match least {
            Some(least) => ask::admit(module, view, at, least.asked()).is_ok(),
            None => view.reserve(at),
        }
}

/// Finds the destination that has the call of a request, or counts it at the one that `reserve` reserves. All callers
/// that ask destinations share its code.
///
/// # Errors
/// [`OutOfMemory`]: nothing is counted.
pub fn place<'p>(
    module: &'p Module,
    msg: &Message,
    place_in: (SetId, &'p View),
    counted: Counted,
    reserve: &mut dyn FnMut(&View) -> Option<usize>,
) -> Result<Option<ServerPlaced<'p>>, OutOfMemory> {
    place_where(module, msg, place_in, counted, reserve)
}

#[inline(always)]
fn place_where<'p>(
    module: &'p Module,
    msg: &Message,
    (set, view): (SetId, &'p View),
    counted: Counted,
    reserve: impl FnMut(&View) -> Option<usize>,
) -> Result<Option<ServerPlaced<'p>>, OutOfMemory> {
    let (Some(calls), Some(call_id)) = (&module.calls, msg.find_call_id()) else {
        return Ok(None);
    };
    let counting = counting(module, set, view, name_of(calls, msg, call_id));
    if calls.is_full_anew(counting.now_s) {
        warn_full(calls);
    }
    calls.place_where(counting, call_id, counted, reserve)
}

/// Returns the position of the destination that has the call of a request which begins none (`ds_count_calls` 2).
pub fn place_of(module: &Module, msg: &Message, set: SetId, view: &View) -> Option<usize> {
    let calls = module.calls.as_ref();
    let calls = calls.filter(|_| module.settings.count_calls == CountCalls::Limit)?;
    let call = name_of(calls, msg, msg.find_call_id()?);
    calls.find(&counting(module, set, view, call))
}

/// Sends the message to the destination of its call, from which failover goes on in this order. The count is kept if
/// that succeeds.
#[inline(always)]
fn deliver_placed(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    placed: ServerPlaced<'_>,
    order: Order,
) -> Result<(), Failure> {
    let at = placed.at();
    if placed.how() == How::Uncounted && order == Order::Calls {
        // It has no count that failover could move.
        let alone = Request {
            limit: 1,
            ..*request
        };
        let order = Order::Around;
        return deliver(module, msg, &alone, view, Choice { at, order });
    }
    deliver(module, msg, request, view, Choice { at, order })?;
    view.record().note_call();
    placed.keep();
    Ok(())
}

/// Sends as [`deliver_placed`] does, counts the selection for its destination, and watches the request.
pub fn send_placed(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    placed: ServerPlaced<'_>,
    (order, trial): (Order, Option<Trial<'_>>),
) -> Result<(), Failure> {
    let at = placed.at();
    deliver_placed(module, msg, request, view, placed, order)?;
    counts::selected(view, at);
    if let Some(dest) = view.dest(at) {
        let trial = trial.filter(|trial| trial.at() == at);
        watch::sent(module, msg, request.target, dest, trial);
    }
    Ok(())
}

/// Logs that calls are given up, because the table is full.
#[cold]
fn warn_full(calls: &ServerCalls) {
    log_warn!(
        "{} calls are counted, the most is {} (ds_hash_max_calls): the oldest unanswered calls of destinations without \
         maxload are not counted any more",
        calls.up(),
        calls.most()
    );
}

/// Logs which destination call load cannot use.
fn warn_without_duid(module: &Module, set: SetId) {
    let uri = {
        let pinned = module.pin();
        let without = pinned.view(set).and_then(View::without_duid);
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
    let counted = calls.is_counted(set, &name_of(calls, msg, call_id));
    if !counted {
        log_err!("call {} is not counted in set {set}", Escaped(call_id));
    }
    counted
}

/// Reserves the destination at a position of the call's set, if that destination takes the call. The call moves when
/// the message is sent there.
pub fn move_to<'p>(
    module: &'p Module,
    calls: &'p ServerCalls,
    msg: &Message,
    (set, view): (SetId, &'p View),
    at: usize,
) -> Option<ServerPlaced<'p>> {
    let dest = view.dest(at)?;
    if dest.duid().is_none() || !dest.has_room() {
        return None;
    }
    let call = name_of(calls, msg, msg.find_call_id()?);
    calls.move_to(counting(module, set, view, call), at)
}

/// Keeps what [`move_to`] has reserved, because the message was sent. A request of a dialog moves nothing: the dialog
/// goes on where it is.
pub fn moved(msg: &Message, placed: ServerPlaced<'_>) {
    if !msg.has_to_tag() {
        placed.keep();
    }
}

/// Ends what is counted in a set for a message that was sent to another set, which does not count it.
pub fn leave(module: &Module, calls: &ServerCalls, msg: &Message, set: SetId) {
    if msg.has_to_tag() {
        return;
    }
    if let Some(call) = call_of(calls, msg) {
        calls.end_unconfirmed(&module.store, Module::process(), &call, Some(set));
    }
}

/// Counts the call of a request that an algorithm which counts no calls has sent to the destination at a position
/// (`ds_count_calls`). A request of a dialog changes nothing. At a destination without a unique id calls are not counted.
#[inline(never)]
pub fn count_sent(module: &Module, msg: &Message, (set, view): (SetId, &View), at: usize) {
    let Some(calls) = &module.calls else { return };
    if !msg.is_invite() || msg.has_to_tag() {
        return;
    }
    let Some(call_id) = msg.find_call_id() else {
        return;
    };
    let call = name_of(calls, msg, call_id);
    if view.dest(at).is_none_or(|dest| dest.duid().is_none()) {
        calls.end_unconfirmed(&module.store, Module::process(), &call, Some(set));
        return;
    }
    let counting = counting(module, set, view, call);
    if calls.is_full_anew(counting.now_s) {
        warn_full(calls);
    }
    calls.count_at(counting, call_id, at);
}

/// Counts the call of a request that failover has sent on (`ds_count_calls`), unless the record says that algorithm 10
/// has counted it.
pub fn follow(module: &Module, msg: &Message, left: &Place, reached: &Place) {
    let count_calls = module.settings.count_calls;
    let calls = module.calls.as_ref();
    let Some(calls) = calls.filter(|_| count_calls != CountCalls::Off) else {
        return;
    };
    if left.set != reached.set && !left.is_counted() {
        leave(module, calls, msg, left.set);
    }
    // Where calls are limited, the call was counted before the request was sent.
    if reached.is_counted() || count_calls == CountCalls::Limit {
        return;
    }
    let pinned = module.pin();
    let view = pinned.view(reached.set);
    match view.and_then(|view| Some((view, reached.find(view)?))) {
        Some((view, at)) => count_sent(module, msg, (reached.set, view), at),
        None => leave(module, calls, msg, reached.set),
    }
}

/// Runs `ds_load_update()`: a BYE ends the call, a CANCEL ends it unless it is answered, and a 2xx to its INVITE
/// confirms it. Returns false only if the message cannot be parsed.
pub fn update(msg: &Message) -> bool {
    let Some((module, calls)) = table() else {
        return true;
    };
    let fate = if msg.is_bye() {
        Fate::Over
    } else if msg.is_cancel() {
        Fate::Cancelled
    } else {
        match msg.is_answer() {
            Some(true) => Fate::Answered,
            Some(false) => return true,
            None => return false,
        }
    };
    let Some(call) = call_of(calls, msg) else {
        return false;
    };
    // A CANCEL with a tag in To cancels a re-INVITE.
    let of_dialog = fate == Fate::Cancelled && msg.has_to_tag();
    if !of_dialog
        && !calls.meet(&module.store, Module::process(), &call, fate)
        && module.settings.tells_ends()
    {
        tell_others(module, msg, fate);
    }
    true
}

/// The most ends of calls not known here that the others are told of in a second.
const MOST_ENDS: u64 = 2_000;

/// Has the process of the cluster tell the other servers what has become of a call that is not counted here.
#[cold]
fn tell_others(module: &Module, msg: &Message, fate: Fate) {
    let now_ms = now_ms();
    let budget = &module.shared.ends_budget;
    let more = |word| admit(word, now_ms, MOST_ENDS);
    let may = budget.fetch_update(Relaxed, Relaxed, more).is_ok();
    if !may || !end_of(msg, fate).is_some_and(bus::post_end) {
        group::CLUSTER_ENDS_DROPPED.count();
    }
}

fn end_of(msg: &Message, fate: Fate) -> Option<CallEnd> {
    let to: &[u8] = match fate {
        Fate::Cancelled => &[],
        Fate::Over | Fate::Answered => msg.tag_in_to(),
    };
    let call_id = msg.find_call_id().unwrap_or_default();
    CallEnd::of(fate, call_id, msg.tag_in_from(), to)
}

/// Runs `ds_load_unset()`: ends the call, and returns true if it was counted. An INVITE, a CANCEL or a reply to one says
/// nothing of a call that is answered, so that stays. An INVITE that no selection has sent on and one of a dialog change
/// nothing, and return true: the call goes on.
pub fn unset(msg: &Message) -> bool {
    let Some((module, calls)) = table() else {
        return false;
    };
    let results = &module.settings.results;
    let is_invite = msg.is_invite();
    let in_dialog = (is_invite || msg.is_cancel()) && msg.has_to_tag();
    if in_dialog || is_invite && !results.has_selected() {
        return is_invite;
    }
    let Some(call) = call_of(calls, msg) else {
        return false;
    };
    if !msg.is_of_invite() {
        return calls.end(&module.store, Module::process(), &call) > 0;
    }
    let counted = calls.end_unconfirmed(&module.store, Module::process(), &call, None);
    let current = results.current(msg).filter(|_| is_invite);
    counted || current.is_some_and(|current| current.duid.is_none())
}

/// Runs `ds_load_unset(callid)`: ends all calls with this Call-ID, and returns true if there was one.
pub fn unset_call_id(call_id: &[u8]) -> bool {
    let Some((module, calls)) = table() else {
        return false;
    };
    calls.release(&module.store, Module::process(), call_id) > 0
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
    let parts = usize::try_from(load.check_s.max(1)).unwrap_or(1);
    let due = ROUND.fetch_add(1, Relaxed) % parts;
    let ended = calls.expire(&module.store, Module::process(), now_s(), due, parts);
    if ended > 0 {
        let expired = &module.shared.outcomes.calls_expired;
        expired.fetch_add(ended as u64, Relaxed);
        log_dbg!("{ended} calls have expired");
    }
}
