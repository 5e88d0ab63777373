//! `ds_select_*`, `ds_next_*`, `ds_set_*` and `ds_mark_dst`: from a message to a destination.

use super::call_load;
use super::drain;
use super::on_demand::{self, Chosen};
use super::parallel;
use super::plain;
use super::records::{Current, Tail};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::select::algorithm::{
    Algorithm, Choice, Start, choose, choose_open, first, ring,
};
use crate::dispatch::select::failover::Rule;
use crate::dispatch::select::hash::hash;
use crate::dispatch::select::ranked;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Mark, apply_mark};
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::{log_dbg, log_err, log_warn};
use crate::kamailio::server::message::{Message, Target};
use crate::kamailio::server::rand;
use crate::kamailio::server::text::Escaped;
use crate::kamailio::server::time::{now_ms, now_us};
use crate::shm::dest::destination::Dest;
use crate::shm::set::view::View;
use crate::shm::table::store::Found;

/// A limit on the number of results that is none.
pub const UNLIMITED: i32 = 0;

/// What a script asks for.
#[derive(Clone, Copy)]
pub struct Request<'t> {
    /// The set to choose from.
    pub set: SetId,
    /// The algorithm's number.
    pub algorithm: i32,
    /// Most results to write, the chosen one included; 0 or less is no limit.
    pub limit: i32,
    /// What of the message changes.
    pub target: Target,
    /// The results that these go behind; in front of all where there are none.
    pub behind: Option<&'t Tail>,
}

/// Chooses a destination of a set and sends the message there.
///
/// Source: `features.md` 3.7, 3.8 and 3.15.
#[inline(always)]
pub fn select(msg: &mut Message, request: Request) -> ScriptRet {
    let Request {
        set,
        algorithm,
        limit,
        target,
        behind,
    } = request;
    select_by(msg, set, algorithm, limit, target, behind)
}

/// The same. A request in pieces goes through registers, and from here on by a jump.
#[inline(never)]
fn select_by(
    msg: &mut Message,
    set: SetId,
    algorithm: i32,
    limit: i32,
    target: Target,
    behind: Option<&Tail>,
) -> ScriptRet {
    if target == Target::DstUri && Module::get().is_some_and(|module| module.is_plain(msg)) {
        plain::select(msg, set, algorithm, limit, target, behind)
    } else {
        select_in_full(msg, set, algorithm, limit, target, behind)
    }
}

/// Chooses from this start, in the newest view at last, and sends the message there.
#[inline(never)]
pub(crate) fn select_from(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    start: Start,
) -> ScriptRet {
    let process = Module::process();
    let sent = module.store.try_set(process, request.set, |view| {
        pick(module, msg, request, view, start)
    });
    conclude(request.set, &sent)
}

/// The same for any request.
#[inline(never)]
pub(crate) fn select_in_full(
    msg: &mut Message,
    set: SetId,
    algorithm: i32,
    limit: i32,
    target: Target,
    behind: Option<&Tail>,
) -> ScriptRet {
    let request = &Request {
        set,
        algorithm,
        limit,
        target,
        behind,
    };
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    if !module.settings.force_dst && request.target == Target::DstUri && msg.has_dst_uri() {
        return failed(request.set, &Failure::AlreadySet);
    }
    let algorithm = Algorithm::from_number(request.algorithm);
    match algorithm {
        Algorithm::CallLoad => {
            // A call is counted where it goes, and it goes to the first of all results.
            let leads = request.behind.is_none_or(|tail| tail.count() == 0);
            if let Some(calls) = call_load::calls_of(module, msg).filter(|_| leads) {
                return call_load::select(module, calls, msg, request);
            }
        }
        Algorithm::Parallel => return parallel::select(module, msg, request),
        Algorithm::Overload => return select_open(module, msg, request),
        _ => {}
    }
    match start(module, msg, algorithm) {
        Some(start) => select_from(module, msg, request, start),
        None => ScriptRet::FAILED,
    }
}

/// Algorithm 64: in turn, with overload control.
#[inline(never)]
fn select_open(module: &Module, msg: &mut Message, request: &Request) -> ScriptRet {
    let now_us = now_us();
    let (process, use_default) = (Module::process(), module.settings.use_default);
    let sent = module.store.try_set(process, request.set, |view| {
        let choice = choose_open(view, use_default, now_us)?;
        Some(go(module, msg, request, view, choice, false))
    });
    conclude(request.set, &sent)
}

/// Chooses in a view, and sends the message there; `None` when nothing is usable.
#[inline(always)]
fn pick(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    start: Start,
) -> Option<Result<(), Failure>> {
    let use_default = module.settings.use_default;
    if let Start::Hash(hash) = start
        && view.any_draining()
    {
        let start = drain::start(module, msg, request.set, view, hash);
        let choice = choose(view, start, use_default)?;
        return Some(go(module, msg, request, view, choice, false));
    }
    if module.settings.results.any {
        return pick_and_write(module, msg, request, view, start);
    }
    let dest = view.dest(first(view, start, use_default)?)?;
    let target = request.target;
    let sent = target == Target::Nothing || send(msg, target, dest.uri(), dest.socket());
    Some(sent.then_some(()).ok_or(Failure::Refused))
}

/// The same where results are written.
#[inline(never)]
fn pick_and_write(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    start: Start,
) -> Option<Result<(), Failure>> {
    if start == Start::Latency {
        return pick_by_rank(module, msg, request, view);
    }
    let choice = choose(view, start, module.settings.use_default)?;
    Some(go(module, msg, request, view, choice, false))
}

/// The same for algorithm 13, whose failover order is its own.
fn pick_by_rank(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
) -> Option<Result<(), Failure>> {
    let ring = ring(view.dest_count(), module.settings.use_default);
    let (first, turn) = ranked::by_rank(view, ring)?;
    if module.settings.on_demand() {
        let rule = Rule::Ranks(turn);
        let chosen = Chosen { at: first, rule };
        return Some(on_demand::deliver(module, msg, request, view, chosen));
    }
    let limit = limit(module, request);
    let order = ranked::order_by_rank(view, ring, (first, turn), limit);
    let (chosen, order) = ((first, false), order.into_iter());
    Some(deliver(module, msg, request, view, chosen, order))
}

/// The return code of a selection, after the message when it failed.
#[inline]
pub fn conclude(set: SetId, sent: &Found<Result<(), Failure>>) -> ScriptRet {
    if let Found::Done(Ok(())) = sent {
        return ScriptRet::OK;
    }
    let why = match sent {
        Found::Done(Err(failure)) => failure,
        Found::NoSet => &Failure::NoSet,
        _ => &Failure::NoneUsable,
    };
    failed(set, why)
}

/// Why a message goes nowhere.
pub enum Failure {
    /// The message has a destination, and is to keep it.
    AlreadySet,
    /// There is no such set.
    NoSet,
    /// The set has no usable destination.
    NoneUsable,
    /// The server does not take the destination.
    Refused,
    /// The server has no memory for the results.
    NoMemory,
}

/// Says why nothing was selected. Nothing is pinned any more.
#[cold]
pub(crate) fn failed(set: SetId, failure: &Failure) -> ScriptRet {
    match failure {
        Failure::AlreadySet => log_err!("destination already set (and force_dst is 0)"),
        Failure::NoSet => log_err!("destination set [{set}] not found"),
        Failure::NoneUsable => log_dbg!("no destination of set {set} is usable"),
        Failure::Refused => log_err!("cannot send to the chosen destination of set {set}"),
        Failure::NoMemory => log_err!("no memory for the results of set {set}"),
    }
    ScriptRet::FAILED
}

/// Where the choice starts for this message; `None` after the message when it cannot be known.
#[inline]
fn start(module: &Module, msg: &mut Message, algorithm: Algorithm) -> Option<Start> {
    if let Some(hash) = hash_of(module, msg, algorithm) {
        return hash.map(Start::Hash);
    }
    Some(match algorithm {
        Algorithm::RoundRobin => Start::RoundRobin,
        Algorithm::Random => Start::Random(rand::word()),
        Algorithm::Weight => Start::Weight,
        Algorithm::RelativeWeight => Start::RelativeWeight,
        Algorithm::Latency => Start::Latency,
        Algorithm::Priority => Start::Priority,
        Algorithm::Service => Start::Service,
        Algorithm::Unknown(number) => start_of_unknown(number),
        // The hash was in the message, but for credentials.
        Algorithm::HashAuthUser => Start::RoundRobin,
        // The others have gone their own ways.
        _ => Start::First,
    })
}

/// The hash that this algorithm starts at, and in it `None` after the message when it cannot be
/// known. `None` where it starts otherwise.
#[inline(always)]
pub(crate) fn hash_of(
    module: &Module,
    msg: &mut Message,
    algorithm: Algorithm,
) -> Option<Option<u32>> {
    let user_only = module.settings.hash_user_only;
    Some(match algorithm {
        Algorithm::HashCallId => msg.hash_call_id(),
        Algorithm::HashFrom => msg.hash_from(user_only),
        Algorithm::HashTo => msg.hash_to(user_only),
        Algorithm::HashRequestUri => msg.hash_request_uri(user_only),
        Algorithm::HashPvar => hash_pvar(module, msg),
        // Without credentials it starts at the cursor.
        Algorithm::HashAuthUser => Some(msg.hash_auth_user()?),
        _ => return None,
    })
}

#[cold]
fn start_of_unknown(algorithm: i32) -> Start {
    log_warn!("algorithm {algorithm} is not implemented: the first destination is used");
    Start::First
}

/// Hash over the text of `hash_pvar`.
#[inline(never)]
fn hash_pvar(module: &Module, msg: &mut Message) -> Option<u32> {
    let Some(format) = &module.settings.hash_pvar else {
        log_err!("algorithm 7 needs the parameter hash_pvar");
        return None;
    };
    let text = format
        .print(msg)
        .map(<[u8]>::trim_ascii)
        .unwrap_or_default();
    if text.is_empty() {
        log_err!("nothing to hash: hash_pvar is empty for this message");
        return None;
    }
    Some(hash(text, None))
}

/// Most results to write.
fn limit(module: &Module, request: &Request) -> usize {
    if !module.settings.failover {
        return 0;
    }
    let limit = usize::try_from(request.limit).ok();
    limit.filter(|&limit| limit > 0).unwrap_or(usize::MAX)
}

/// Writes the results and sends the message to the chosen destination. With `counted` the call is
/// counted there, and the failover list leaves out destinations that take no more calls.
pub fn go(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    choice: Choice,
    counted: bool,
) -> Result<(), Failure> {
    if module.settings.on_demand() {
        let chosen = Chosen {
            at: choice.first,
            rule: if counted { Rule::Calls } else { choice.rule() },
        };
        return on_demand::deliver(module, msg, request, view, chosen);
    }
    let (chosen, order) = ((choice.first, counted), choice.order(view));
    if !counted {
        return deliver(module, msg, request, view, chosen, order);
    }
    let takes = |dest: &Dest| dest.duid().is_some() && dest.has_room();
    let order = order.filter(|&at| at == choice.first || view.dest(at).is_some_and(takes));
    deliver(module, msg, request, view, chosen, order)
}

/// Writes these destinations, and sends the message to the chosen one.
fn deliver(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    (first, counted): (usize, bool),
    order: impl Iterator<Item = usize> + Clone,
) -> Result<(), Failure> {
    let dests = order
        .filter_map(|at| view.dest(at))
        .take(limit(module, request));
    let results = &module.settings.results;
    // The message changes last: a script that gets an error finds it as it was.
    let written = match request.behind {
        None => results.write(request.set, dests, counted),
        Some(tail) => results.append(request.set, dests, counted, tail),
    };
    let written = written.ok_or(Failure::NoMemory)?;
    let first = view.dest(first).ok_or(Failure::NoneUsable)?;
    if request.target == Target::Nothing || send(msg, request.target, first.uri(), first.socket()) {
        return Ok(());
    }
    match request.behind {
        None => (0..written).for_each(|_| results.drop_current(msg)),
        // Only the first results of a tail are sent to.
        Some(tail) => results.take_back(tail),
    }
    Err(Failure::Refused)
}

/// Sends the message to a destination, from its local socket if it has one; false when the server
/// refuses.
#[inline(always)]
pub fn send(msg: &Message, target: Target, uri: &[u8], socket: usize) -> bool {
    if socket != 0 {
        msg.send_from(socket);
    }
    msg.send_to(target, uri)
}

/// Goes on to the next destination that the selection left: the failed one is taken away.
pub fn next(msg: &mut Message, target: Target) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    if !module.settings.failover {
        log_warn!("failover support disabled (parameter flags has not bit 2)");
        return ScriptRet::FAILED;
    }
    if let Some(result) = on_demand::next(module, msg, target) {
        return result;
    }
    let results = &module.settings.results;
    if let Some(calls) = &module.calls {
        let current = results.current(msg);
        if current.is_some_and(|current| current.duid.is_some()) {
            return call_load::next(module, calls, msg, target);
        }
    }
    results.drop_current(msg);
    send_to_current(module, msg, target)
}

/// Sends the message to the destination that a selection put first, and leaves it there.
pub fn set(msg: &mut Message, target: Target) -> ScriptRet {
    match Module::get() {
        Some(module) => send_to_current(module, msg, target),
        None => ScriptRet::FAILED,
    }
}

/// Sends the message to the destination that is first in the results.
pub fn send_to_current(module: &Module, msg: &mut Message, target: Target) -> ScriptRet {
    let Some(current) = module.settings.results.current(msg) else {
        log_dbg!("no destination left");
        return ScriptRet::FAILED;
    };
    if send(msg, target, current.uri, current.socket) {
        return ScriptRet::OK;
    }
    log_err!("cannot send to {}", Escaped(current.uri));
    ScriptRet::FAILED
}

/// Marks the current destination. `state` is the script's text; none is "inactive".
///
/// Source: `features.md` 3.5 and 3.11.
pub fn mark(msg: &mut Message, state: Option<&[u8]>) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    let settings = &module.settings;
    let Some(mark) = mark_of(module, state.unwrap_or_default()) else {
        return ScriptRet::FAILED;
    };
    if !settings.failover {
        log_warn!("failover support disabled (parameter flags has not bit 2)");
        return ScriptRet::FAILED;
    }
    let current = settings.results.current(msg);
    let Some((Current { uri, socket, .. }, set)) =
        current.and_then(|current| current.set.map(|set| (current, set)))
    else {
        log_err!("nothing was selected that could be marked");
        return ScriptRet::FAILED;
    };
    let marked = apply(module, msg, mark, (set, uri), |dest| {
        dest.socket() == socket
    });
    tell(marked, msg)
}

/// Marks the destinations of a set with this URI, whatever was selected. No text is "active".
///
/// Source: `features.md` 2.2.
pub fn mark_addr(msg: &mut Message, state: &[u8], set: SetId, uri: &[u8]) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    let state = if state.is_empty() { b"a" } else { state };
    match mark_of(module, state) {
        Some(mark) => tell(apply(module, msg, mark, (set, uri), |_| true), msg),
        None => ScriptRet::FAILED,
    }
}

/// The mark that a script's text means; `None` after the message when it means none.
fn mark_of(module: &Module, state: &[u8]) -> Option<Mark> {
    let mark = Mark::parse(state, module.settings.compat);
    if mark.is_none() {
        log_warn!("cannot mark: \"{}\" is no state", Escaped(state));
    }
    mark
}

/// Marks those destinations of a set that have the URI and are wanted; `None` after a log line if there
/// is none.
fn apply<'m>(
    module: &'m Module,
    msg: &Message,
    mark: Mark,
    (set, uri): (SetId, &[u8]),
    wanted: impl Fn(&Dest) -> bool,
) -> Option<Feed<'m>> {
    let rules = cfg::mark_rules(module);
    let mut feed = Feed::because(module, Cause::Script, msg.reason());
    let marked = module.store.change(
        Module::process(),
        set,
        Some(uri),
        wanted,
        |state, failures| apply_mark(state, failures, mark, &rules),
        |dest, old, outcome| {
            if old != outcome.state {
                dest.record().set_cause(Cause::Script, now_ms());
            }
            feed.note(set, dest.uri(), old, outcome.state);
        },
    );
    if marked.is_none_or(|count| count == 0) {
        log_dbg!("{} is not in set {set}", Escaped(uri));
        return None;
    }
    Some(feed)
}

/// Tells of what was marked, by routes that may change the message and the results.
fn tell(marked: Option<Feed>, msg: &mut Message) -> ScriptRet {
    let Some(feed) = marked else {
        return ScriptRet::FAILED;
    };
    feed.deliver(Some(msg));
    ScriptRet::OK
}
