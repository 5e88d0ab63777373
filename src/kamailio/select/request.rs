//! The arguments of a selection, and its return code.

use super::records::Tail;
use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::changes::line;
use crate::kamailio::observe::counting::{counts, group};
use crate::kamailio::passive::ejected;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::{log_dbg, log_err};
use crate::kamailio::server::message::{Message, Target};
use crate::shm::set::view::View;
use crate::shm::table::ejections::Trial;
use crate::shm::table::store::Tried;

/// The value of [`Request::limit`] that means no limit.
pub const UNLIMITED: i32 = 0;

/// The arguments of a selection.
#[derive(Clone, Copy)]
pub struct Request<'t> {
    /// The set to select from.
    pub set: SetId,
    /// The algorithm's number.
    pub algorithm: i32,
    /// The most records to write, that of the selected destination included; 0 or less is no limit.
    pub limit: i32,
    /// The part of the message that changes.
    pub target: Target,
    /// The records that the new ones follow; without them, the new ones go in front of all others.
    pub behind: Option<&'t Tail>,
}

impl Request<'_> {
    /// Returns true if the message goes to what is chosen now: not behind the choice of another set.
    #[inline(always)]
    pub fn leads(&self) -> bool {
        self.behind.is_none_or(Tail::leads)
    }

    /// Returns the destination that the message is to try instead of what is chosen, if one of the set waits for that.
    #[inline]
    pub fn trial<'v>(&self, module: &Module, msg: &Message, view: &'v View) -> Option<Trial<'v>> {
        let is_sent = self.leads() && self.target != Target::Nothing;
        is_sent.then(|| ejected::trial(module, msg, view)).flatten()
    }

    /// Returns the limit; `None` without one.
    pub fn limit(&self) -> Option<usize> {
        let limit = usize::try_from(self.limit).ok();
        limit.filter(|&limit| limit > 0)
    }
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
    /// The server has no memory for the records.
    NoMemory,
}

/// Returns the return code of a selection, which it counts, and logs why it failed.
#[inline]
pub fn conclude(set: SetId, sent: &Tried<Result<(), Failure>>) -> ScriptRet {
    if let Tried::Done(Ok(())) = sent {
        group::SELECTIONS.count();
    }
    outcome(set, sent)
}

/// Returns the return code of what was tried with a set, and logs why it failed.
#[inline]
pub fn outcome(set: SetId, sent: &Tried<Result<(), Failure>>) -> ScriptRet {
    if let Tried::Done(Ok(())) = sent {
        return ScriptRet::OK;
    }
    let why = match sent {
        Tried::Done(Err(failure)) => failure,
        Tried::NoSet => &Failure::NoSet,
        _ => &Failure::NoneUsable,
    };
    failed(set, why)
}

/// Logs why nothing was selected. The table is not pinned any more then.
#[cold]
pub fn failed(set: SetId, failure: &Failure) -> ScriptRet {
    counts::failed(set);
    match failure {
        Failure::AlreadySet => log_err!("destination already set (and force_dst is 0)"),
        Failure::NoSet => log_err!("destination set [{set}] not found"),
        Failure::NoneUsable => log_dbg!("no destination of set {set} is usable: {}", left_of(set)),
        Failure::Refused => log_err!("cannot send to the chosen destination of set {set}"),
        Failure::NoMemory => log_err!("no memory for the results of set {set}"),
    }
    ScriptRet::FAILED
}

/// Says how many destinations of a set are usable by their states: an algorithm may find others full, or without weight.
fn left_of(set: SetId) -> String {
    let left = Module::get().and_then(|module| line::left(module, set));
    left.map_or_else(String::new, |left| left.to_string())
}

/// Sends the message to a destination, from its local socket if it has one; false when the server refuses.
#[inline(always)]
pub fn send(msg: &Message, target: Target, uri: &[u8], socket: usize) -> bool {
    if socket != 0 {
        msg.send_from(socket);
    }
    msg.send_to(target, uri)
}
