//! The author of a change of states, with its cause; and the one place that each change passes.

use std::borrow::Cow;

use super::line::Line;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::State;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::message::Reason;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::probing::Ended;
use crate::shm::observe::changes::history::Change;

/// The author of states that a state file restores.
pub const STATE_FILE: &str = "state_file";

/// The author of changes of states, with their cause.
pub struct Author {
    /// The cause, as events have it.
    pub cause: Cause,
    /// The code, as events have it.
    pub code: i32,
    /// True if the code is that of a reply.
    pub from_reply: bool,
    /// The status of a call that changes the state; 0 without one.
    pub status: u16,
    /// The end of the ping that changes the state, if one does.
    pub ended: Option<Ended>,
    /// The function, the command, or the person.
    pub who: Cow<'static, str>,
}

impl Author {
    /// Makes the author of changes by this cause, until somebody is named.
    pub fn of(cause: Cause, reason: &Reason<'_>) -> Self {
        let who = match cause {
            Cause::Start | Cause::Reload => "reload",
            Cause::Rpc => "set_state",
            Cause::Script => "ds_mark_dst",
            Cause::Ping => "pings",
            Cause::Traffic => "traffic",
            Cause::Cluster => "cluster",
        };
        Author {
            cause,
            code: reason.code,
            from_reply: reason.from_reply,
            status: 0,
            ended: None,
            who: who.into(),
        }
    }

    /// Keeps a change in the history, and returns its line for the log, if it is to have one. `in_row` is how many
    /// results in a row have led to it; 0 if nothing was counted. May be called while a table is pinned or locked.
    pub fn note(
        &self,
        module: &Module,
        (set, uri): (SetId, &[u8]),
        (old, new): (State, State),
        in_row: u32,
    ) -> Option<Line> {
        // The states of the first list are no changes.
        if self.cause == Cause::Start && self.who != STATE_FILE {
            return None;
        }
        let change = Change {
            at_ms: now_ms(),
            set,
            uri: uri.into(),
            old,
            new,
            cause: self.cause,
            code: self.code,
            status: self.status,
            ended: self.ended,
            in_row,
            who: self.who.as_bytes().into(),
        };
        if let Some(history) = &module.history {
            history.keep(&change);
        }
        Line::of(module, &change)
    }
}
