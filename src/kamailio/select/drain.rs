//! Requests inside a dialog while a destination of their set drains.

use crate::dispatch::list::destination::SetId;
use crate::dispatch::select::algorithm::{Choice, Start, choose};
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::log::log_err;
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::time::now_s;
use crate::shm::set::view::View;

/// Selects by hash when the destination that the hash falls on is not usable: it may be draining.
///
/// A request inside a dialog goes to the draining destination that its hash falls on, unless its call was placed
/// elsewhere when it began: this function notes such calls.
#[inline(never)]
pub fn choose_elsewhere(
    module: &Module,
    msg: &Message,
    set: SetId,
    view: &View,
    hash: u32,
) -> Option<Choice> {
    let placed = |start| choose(view, start);
    let in_dialog = Start::InDialog(hash);
    let is_beside = || {
        placed(in_dialog).is_some_and(|there| view.is_draining(there.at))
            && placed(Start::Hash(hash)).is_some()
    };
    if includes_draining(module, msg, set, view, is_beside) {
        placed(in_dialog)
    } else {
        placed(Start::Hash(hash))
    }
}

/// Returns true if a request goes to a draining destination, should it fall on one. `is_beside` tells whether the
/// request falls on one, and another one takes it as well.
#[inline(always)]
pub fn includes_draining(
    module: &Module,
    msg: &Message,
    set: SetId,
    view: &View,
    is_beside: impl FnOnce() -> bool,
) -> bool {
    view.any_draining() && is_in_progress(module, msg, set, is_beside)
}

/// Returns true if a request belongs to a call that was placed where it falls on while nothing drains. Notes a call that
/// begins beside a draining destination.
#[cold]
fn is_in_progress(
    module: &Module,
    msg: &Message,
    set: SetId,
    is_beside: impl FnOnce() -> bool,
) -> bool {
    if msg.is_in_dialog() {
        let diverted = msg
            .find_call_id()
            .is_some_and(|call_id| module.sticky.knows(set, call_id, now_s()));
        return !diverted;
    }
    if msg.begins_dialog() {
        let beside = is_beside();
        if let Some(call_id) = msg.find_call_id().filter(|_| beside) {
            let noted = module.sticky.note(&ShmArena, set, call_id, now_s());
            if let Err(error) = noted {
                log_err!("a call beside a draining destination of set {set} not noted: {error}");
            }
        }
    }
    false
}
