//! The listeners that are told of events.

use core::ffi::{CStr, c_int};

use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::event::{Cause, EventMode};
use crate::dispatch::state::transition::Flip;
use crate::kamailio::server::sys;

/// The listeners, and the events that each is told of; found once, in `mod_init`.
pub struct Listeners {
    /// The changes that become events.
    pub mode: EventMode,
    /// The version whose meaning of states applies.
    pub compat: Compat,
    /// The receiver of events.
    pub who: Who,
}

/// A route of the config, or a function of a script.
pub enum Who {
    /// Neither.
    Nobody,
    /// The event routes of the config, by their numbers.
    Routes {
        /// For events up.
        up: Option<c_int>,
        /// For events down.
        down: Option<c_int>,
        /// For nodes of the cluster that come.
        node_up: Option<c_int>,
        /// For nodes of the cluster that go.
        node_down: Option<c_int>,
    },
    /// A function of the KEMI script, which is called with the event's name.
    Function(&'static [u8]),
}

/// The subject of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A destination.
    Destination,
    /// A node of the cluster.
    Node,
}

/// Returns the name of the event route.
pub const fn route_name(subject: Subject, flip: Flip) -> &'static CStr {
    match (subject, flip) {
        (Subject::Destination, Flip::Up) => c"dispatcher:dst-up",
        (Subject::Destination, Flip::Down) => c"dispatcher:dst-down",
        (Subject::Node, Flip::Up) => c"dispatcher:node-up",
        (Subject::Node, Flip::Down) => c"dispatcher:node-down",
    }
}

/// Returns the number of the event route; `None` if the config has none.
fn route(subject: Subject, flip: Flip) -> Option<c_int> {
    let name = route_name(subject, flip).as_ptr().cast_mut();
    // SAFETY: a text that ends with NUL, which the server only reads (core/route.c, route_lookup).
    let at = unsafe { sys::glue_event_route(name) };
    (at >= 0).then_some(at)
}

impl Listeners {
    /// Finds who listens. `callback` is the parameter `event_callback`, empty if it is not set.
    pub fn find(mode: EventMode, compat: Compat, callback: &'static [u8]) -> Self {
        let flips = [Flip::Up, Flip::Down];
        let [up, down] = flips.map(|flip| route(Subject::Destination, flip));
        let [node_up, node_down] = flips.map(|flip| route(Subject::Node, flip));
        let who = match (callback, [up, down, node_up, node_down]) {
            (b"", [None, None, None, None]) => Who::Nobody,
            (b"", _) => Who::Routes {
                up,
                down,
                node_up,
                node_down,
            },
            (function, _) => Who::Function(function),
        };
        Listeners { mode, compat, who }
    }

    /// Returns true if anybody wants to know of such an event.
    pub const fn want(&self, flip: Flip) -> bool {
        match (&self.who, flip) {
            (Who::Nobody, _) => false,
            (Who::Routes { up, .. }, Flip::Up) => up.is_some(),
            (Who::Routes { down, .. }, Flip::Down) => down.is_some(),
            (Who::Function(_), _) => true,
        }
    }

    /// Returns true if anybody wants to know of each destination that is down after a load.
    pub const fn hear_after_load(&self) -> bool {
        self.mode.tells_after_load() && self.want(Flip::Down)
    }

    /// Returns true if anybody wants to know of events of this cause.
    pub const fn hear(&self, cause: Cause) -> bool {
        !matches!(self.who, Who::Nobody) && self.mode.hears(cause)
    }
}
