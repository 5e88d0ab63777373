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
    let start = if view.any_draining() {
        start(module, msg, set, view, hash)
    } else {
        Start::Hash(hash)
    };
    choose(view, start)
}

/// Returns where such a selection starts in a set that has a draining destination.
#[cold]
fn start(module: &Module, msg: &Message, set: SetId, view: &View, hash: u32) -> Start {
    let in_dialog = Start::InDialog(hash);
    if msg.is_in_dialog() {
        let diverted = msg
            .find_call_id()
            .is_some_and(|call_id| module.sticky.knows(set, call_id, now_s()));
        return if diverted {
            Start::Hash(hash)
        } else {
            in_dialog
        };
    }
    if msg.begins_dialog() {
        let placed = |start| choose(view, start);
        let beside = placed(in_dialog).is_some_and(|there| view.is_draining(there.at))
            && placed(Start::Hash(hash)).is_some();
        if let Some(call_id) = msg.find_call_id().filter(|_| beside) {
            let noted = module.sticky.note(&ShmArena, set, call_id, now_s());
            if let Err(error) = noted {
                log_err!("a call beside a draining destination of set {set} not noted: {error}");
            }
        }
    }
    Start::Hash(hash)
}
