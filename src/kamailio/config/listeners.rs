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
    },
    /// A function of the KEMI script, which is called with the event's name.
    Function(&'static [u8]),
}

/// Returns the name of the event route.
pub const fn route_name(flip: Flip) -> &'static CStr {
    match flip {
        Flip::Up => c"dispatcher:dst-up",
        Flip::Down => c"dispatcher:dst-down",
    }
}

/// Returns the number of the event route; `None` if the config has none.
fn route(flip: Flip) -> Option<c_int> {
    let name = route_name(flip).as_ptr().cast_mut();
    // SAFETY: a text that ends with NUL, which the server only reads (core/route.c, route_lookup).
    let at = unsafe { sys::glue_event_route(name) };
    (at >= 0).then_some(at)
}

impl Listeners {
    /// Finds who listens. `callback` is the parameter `event_callback`, empty if it is not set.
    pub fn find(mode: EventMode, compat: Compat, callback: &'static [u8]) -> Self {
        let who = match (callback, route(Flip::Up), route(Flip::Down)) {
            (b"", None, None) => Who::Nobody,
            (b"", up, down) => Who::Routes { up, down },
            (function, ..) => Who::Function(function),
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
