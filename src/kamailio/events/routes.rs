//! Event routes: who listens, and how one event is told.

use core::ffi::c_int;
use std::cell::RefCell;
use std::rc::Rc;

use once_cell::sync::OnceCell;

use super::environment::{RouteType, Stage};
use super::faked_msg::OwnMessage;
use super::tm::Tm;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::event::{Cause, EventMode};
use crate::dispatch::state::transition::Flip;
use crate::kamailio::server::log::{log_err, log_warn};
use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{self, Escaped, ScriptText};

/// Who is told of events; found once, in `mod_init`.
pub struct Listeners {
    /// Which changes become events.
    pub mode: EventMode,
    /// Whose meaning.
    pub compat: Compat,
    who: Who,
    /// tm, whose state a route of ours must not disturb. Asked for when first needed: it may be
    /// initialised after this module.
    tm: OnceCell<Option<Tm>>,
}

enum Who {
    Nobody,
    /// The event routes of the config, where it has them.
    Routes {
        up: Option<c_int>,
        down: Option<c_int>,
    },
    /// A function of the KEMI script, called with the event's name.
    Function(&'static [u8]),
}

/// An event, with what `$dsv` says of it.
#[derive(Debug)]
pub struct Event {
    /// Up or down.
    pub flip: Flip,
    /// The destination's set.
    pub set: SetId,
    /// Its URI.
    pub uri: ScriptText,
    /// State before, as `dispatcher.list` shows it.
    pub old: ScriptText,
    /// State now.
    pub new: ScriptText,
    /// Name of what changed it.
    pub cause: ScriptText,
    /// Reply code, or a code of [`Reason`](crate::kamailio::server::message::Reason).
    pub code: i32,
    /// Its text.
    pub reason: ScriptText,
    /// A reply said so, not a script, an operator or a timer.
    pub from_reply: bool,
}

thread_local! {
    /// The event whose route runs in this process.
    static CURRENT: RefCell<Option<Rc<Event>>> = const { RefCell::new(None) };
}

/// The event whose route runs now; `None` outside event routes.
pub fn current() -> Option<Rc<Event>> {
    CURRENT.with(|current| current.try_borrow().ok()?.clone())
}

/// Makes an event the current one until this is dropped.
struct Telling;

impl Telling {
    fn of(event: &Rc<Event>) -> Self {
        CURRENT.set(Some(Rc::clone(event)));
        Telling
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

fn route(flip: Flip) -> Option<c_int> {
    let name = flip.event_name().as_ptr().cast_mut();
    // SAFETY: a text that ends with NUL, which is only read.
    let at = unsafe { sys::glue_event_route(name) };
    (at >= 0).then_some(at)
}

impl Listeners {
    /// Finds who listens. `callback` is the parameter `event_callback`, empty where it is not set.
    pub fn find(mode: EventMode, compat: Compat, callback: &'static [u8]) -> Self {
        let who = match (callback, route(Flip::Up), route(Flip::Down)) {
            (b"", None, None) => Who::Nobody,
            (b"", up, down) => Who::Routes { up, down },
            (function, ..) => Who::Function(function),
        };
        Listeners {
            mode,
            compat,
            who,
            tm: OnceCell::new(),
        }
    }

    /// Whether anybody wants to know of an event.
    pub const fn want(&self, flip: Flip) -> bool {
        match (&self.who, flip) {
            (Who::Nobody, _) => false,
            (Who::Routes { up, .. }, Flip::Up) => up.is_some(),
            (Who::Routes { down, .. }, Flip::Down) => down.is_some(),
            (Who::Function(_), _) => true,
        }
    }

    /// Whether anybody wants to know of events of this cause.
    pub const fn hear(&self, cause: Cause) -> bool {
        !matches!(self.who, Who::Nobody) && self.mode.hears(cause)
    }

    /// Tells of an event, and returns when the route has ended. Nothing of the store may be pinned
    /// or locked: the route may do all that a route may.
    ///
    /// With compat 6.1 the route always gets a message of its own; before that, the one that the
    /// script works on which marked the destination.
    pub fn tell(&self, event: &Rc<Event>, marked_in: Option<&mut Message>) {
        let _telling = Telling::of(event);
        if let Some(msg) = marked_in.filter(|_| self.compat != Compat::V6_1) {
            let _route = RouteType::request();
            self.run(event, msg);
            return;
        }
        let Some(mut own) = OwnMessage::to(&event.uri.bytes()) else {
            log_err!(
                "no {} event: no message to {} can be made",
                event.flip.event_name().to_string_lossy(),
                Escaped(&event.uri.bytes())
            );
            return;
        };
        let msg = own.message();
        let stage = Stage::clear(msg, self.tm.get_or_init(Tm::find).as_ref());
        self.run(event, msg);
        drop(stage);
    }

    fn run(&self, event: &Event, msg: &mut Message) {
        match &self.who {
            Who::Nobody => {}
            Who::Routes { up, down } => {
                let route = match event.flip {
                    Flip::Up => *up,
                    Flip::Down => *down,
                };
                if let Some(route) = route {
                    // SAFETY: a route of this config, a live message.
                    unsafe { sys::glue_run_event_route(route, msg.raw()) };
                }
            }
            Who::Function(function) => {
                // KEMI engines read both texts as C texts; the server's own end with NUL.
                let mut called = text::as_str(function);
                let mut name = text::as_str(event.flip.event_name().to_bytes());
                let (called, name) = (&raw mut called, &raw mut name);
                // SAFETY: texts that outlive the call, a live message.
                let done = unsafe { sys::glue_run_event_function(called, name, msg.raw()) };
                match done {
                    -1 => log_warn!("event_callback is set, but no KEMI engine runs the script"),
                    -2 => log_err!("event_callback: function {} failed", Escaped(function)),
                    _ => {}
                }
            }
        }
    }
}
