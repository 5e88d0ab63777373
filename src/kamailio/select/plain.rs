//! Selections that write nothing but the d-URI, which is all that most do: without what only others
//! need.

use super::records::Tail;
use super::select_dst::{Failure, Request, UNLIMITED};
use super::select_dst::{failed, hash_of, select_from, select_in_full, send};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::select::algorithm::{Algorithm, Start, first, home};
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::message::{Message, Target};
use crate::kamailio::server::rand;

impl Module {
    /// True when a selection for this message writes nothing but the d-URI.
    pub(crate) fn is_plain(&self, msg: &Message) -> bool {
        !self.settings.results.any && (self.settings.force_dst || !msg.has_dst_uri())
    }
}

/// Chooses a destination of a set and sends the message there, where that is plain.
#[inline(never)]
pub(crate) fn select(
    msg: &mut Message,
    set: SetId,
    algorithm: i32,
    limit: i32,
    target: Target,
    behind: Option<&Tail>,
) -> ScriptRet {
    match try_plainly(msg, set, algorithm) {
        Some(result) => result,
        None => select_in_full(msg, set, algorithm, limit, target, behind),
    }
}

/// `None`, and nothing is done, where the algorithm has a way of its own.
///
/// Each way to start has code of its own: what its choice does not need is not there.
#[inline(always)]
fn try_plainly(msg: &mut Message, set: SetId, algorithm: i32) -> Option<ScriptRet> {
    let module = Module::get()?;
    let algorithm = Algorithm::from_number(algorithm);
    Some(match algorithm {
        Algorithm::RoundRobin => send_plainly(module, msg, set, Start::RoundRobin),
        Algorithm::First => send_plainly(module, msg, set, Start::First),
        Algorithm::Weight => send_plainly(module, msg, set, Start::Weight),
        Algorithm::RelativeWeight => send_plainly(module, msg, set, Start::RelativeWeight),
        Algorithm::Latency => send_plainly(module, msg, set, Start::Latency),
        Algorithm::Priority => send_plainly(module, msg, set, Start::Priority),
        Algorithm::Random => send_plainly(module, msg, set, Start::Random(rand::word())),
        Algorithm::HashAuthUser => match msg.hash_auth_user() {
            Some(hash) => send_plainly(module, msg, set, Start::Hash(hash)),
            None => send_plainly(module, msg, set, Start::RoundRobin),
        },
        _ => match hash_of(module, msg, algorithm)? {
            Some(hash) => send_plainly(module, msg, set, Start::Hash(hash)),
            // What starts nowhere has said why.
            None => ScriptRet::FAILED,
        },
    })
}

/// Chooses from this start in the running view, and sets the d-URI.
#[inline(always)]
fn send_plainly(module: &Module, msg: &mut Message, set: SetId, start: Start) -> ScriptRet {
    match try_once(module, msg, set, start) {
        Some(true) => ScriptRet::OK,
        Some(false) => failed(set, &Failure::Refused),
        None => select_again(module, msg, set, start),
    }
}

/// One try: false when the server refused the destination. `None`, and nothing has changed but
/// perhaps a cursor, where there is none, or more to it.
#[inline(always)]
fn try_once(module: &Module, msg: &mut Message, set: SetId, start: Start) -> Option<bool> {
    let pinned = module.store.pin_slot(Module::process())?;
    let view = pinned.view(set)?;
    let use_default = module.settings.use_default;
    let at_home = match start {
        Start::Hash(number) | Start::Random(number) => {
            view.usable_dest(home(view, number, use_default)?)
        }
        _ => None,
    };
    let dest = match at_home {
        Some(dest) => dest,
        None => {
            // Only who does not find its own destination may go to a draining one.
            if matches!(start, Start::Hash(_)) && view.any_draining() {
                return None;
            }
            view.dest(first(view, start, use_default)?)?
        }
    };
    Some(send(msg, Target::DstUri, dest.uri(), dest.socket()))
}

/// The same as often as it takes, from the same start: it was not cheap to know, and to ask for it
/// again might count or warn again.
#[cold]
#[inline(never)]
fn select_again(module: &Module, msg: &mut Message, set: SetId, start: Start) -> ScriptRet {
    let request = &Request {
        set,
        // It is known by its start.
        algorithm: i32::MIN,
        limit: UNLIMITED,
        target: Target::DstUri,
        behind: None,
    };
    select_from(module, msg, request, start)
}
