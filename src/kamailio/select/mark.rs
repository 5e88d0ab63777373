//! `ds_mark_dst` and `ds_mark_addr`.

use super::records::Current;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Mark, apply_mark};
use crate::dispatch::text::Escaped;
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::observe::counting::counts;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::{log_dbg, log_err, log_warn};
use crate::kamailio::server::message::Message;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;

/// Marks the current destination. `state` is the script's text; without one the destination becomes inactive.
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
    let is_current = |dest: &Dest| dest.socket() == socket;
    let marked = apply(module, msg, "ds_mark_dst", mark, (set, uri), is_current);
    tell(marked, msg)
}

/// Marks the destinations of a set that have this URI, whatever was selected; without a text they become active.
pub fn mark_addr(msg: &mut Message, state: &[u8], set: SetId, uri: &[u8]) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    let state = if state.is_empty() { b"a" } else { state };
    let Some(mark) = mark_of(module, state) else {
        return ScriptRet::FAILED;
    };
    let marked = apply(module, msg, "ds_mark_addr", mark, (set, uri), |_| true);
    tell(marked, msg)
}

/// Returns the mark that a script's text means; logs a text that means none.
fn mark_of(module: &Module, state: &[u8]) -> Option<Mark> {
    let mark = Mark::parse(state, module.settings.compat);
    if mark.is_none() {
        log_warn!("cannot mark: \"{}\" is no state", Escaped(state));
    }
    mark
}

/// Marks the destinations of a set that have the URI and are wanted; logs if there is none.
fn apply<'m>(
    module: &'m Module,
    msg: &Message,
    function: &'static str,
    mark: Mark,
    (set, uri): (SetId, &[u8]),
    wanted: impl Fn(&Dest) -> bool,
) -> Option<Feed<'m>> {
    let rules = cfg::mark_rules(module);
    let feed = Feed::because(module, Cause::Script, msg.reason());
    let mut feed = feed.by(function).after(counts::status(msg));
    let moment = counts::marks(module, msg);
    let marked = module.store.change(
        Module::process(),
        set,
        Some(uri),
        wanted,
        |state, failures| apply_mark(state, failures, mark, &rules),
        |dest, (old, _), outcome| {
            if old != outcome.state {
                dest.record().set_cause(Cause::Script, now_ms());
            }
            counts::marked(dest, moment);
            feed.note_counted(dest, old, outcome);
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
