//! Event routes: what one event is, and how it is told.

use std::cell::RefCell;
use std::rc::Rc;

use super::environment::{SavedEnvironment, SavedRouteType};
use super::faked_msg::FakedMessage;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::transition::Flip;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::listeners::{Listeners, Subject, Who, route_name};
use crate::kamailio::server::log::{log_err, log_warn};
use crate::kamailio::server::message::{Message, MessageNumber};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{self, ScriptText};
use crate::shm::cluster::news::NodeEvent;

/// An event, with what `$dsv` says of it.
#[derive(Debug)]
pub struct Event {
    /// Up or down.
    pub flip: Flip,
    /// The destination's set; `None` for an event of a node of the cluster, which has no more than flip, URI and node.
    pub set: Option<SetId>,
    /// Its URI, or that of the node.
    pub uri: ScriptText,
    /// Its state before, as `dispatcher.list` shows it.
    pub old: ScriptText,
    /// Its state now.
    pub new: ScriptText,
    /// The name of the [`Cause`](crate::dispatch::state::event::Cause) of the change.
    pub cause: ScriptText,
    /// The name of the node of the cluster that decided, or that came or went; empty if there is none.
    pub node: ScriptText,
    /// The status of a reply, or a code of [`Reason`](crate::kamailio::server::message::Reason).
    pub code: i32,
    /// The text beside it.
    pub reason: ScriptText,
    /// True if a reply said so, and not a script, an operator or a timer.
    pub from_reply: bool,
}

impl Event {
    /// Makes the event of a node that came or went.
    pub fn of_node(event: &NodeEvent) -> Self {
        let empty = || ScriptText::new(b"");
        Event {
            flip: event.flip,
            set: None,
            uri: ScriptText::new(event.uri.as_bytes()),
            old: empty(),
            new: empty(),
            cause: empty(),
            node: ScriptText::new(event.name.as_bytes()),
            code: 0,
            reason: empty(),
            from_reply: false,
        }
    }

    fn subject(&self) -> Subject {
        match self.set {
            Some(_) => Subject::Destination,
            None => Subject::Node,
        }
    }
}

thread_local! {
    /// The event whose route runs in this process.
    static CURRENT: RefCell<Option<Rc<Event>>> = const { RefCell::new(None) };
}

/// Returns the event whose route runs now; `None` outside event routes.
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

/// Tells of an event on the message of the script that caused it, and returns when the route has ended.
///
/// Nothing of the store may be pinned or locked: the route may do all that a route may.
pub fn tell_on(listeners: &Listeners, event: &Rc<Event>, msg: &mut Message) {
    let _telling = Telling::of(event);
    let _route = SavedRouteType::request();
    run(listeners, event, msg);
}

/// Tells of an event on a faked message, and returns when the route has ended. `interrupted` is the number of
/// the message that a script is working on meanwhile.
///
/// Nothing of the store may be pinned or locked: the route may do all that a route may.
pub fn tell(listeners: &Listeners, event: &Rc<Event>, interrupted: Option<MessageNumber>) {
    let _telling = Telling::of(event);
    let Some(mut faked) = FakedMessage::to(&event.uri.bytes()) else {
        log_err!(
            "no {} event: no message to {} can be made",
            route_name(event.subject(), event.flip).to_string_lossy(),
            Escaped(&event.uri.bytes())
        );
        return;
    };
    let msg = faked.message();
    let _environment = SavedEnvironment::save(msg, interrupted);
    run(listeners, event, msg);
}

fn run(listeners: &Listeners, event: &Event, msg: &mut Message) {
    match &listeners.who {
        Who::Nobody => {}
        Who::Routes {
            up,
            down,
            node_up,
            node_down,
        } => {
            let route = match (event.subject(), event.flip) {
                (Subject::Destination, Flip::Up) => *up,
                (Subject::Destination, Flip::Down) => *down,
                (Subject::Node, Flip::Up) => *node_up,
                (Subject::Node, Flip::Down) => *node_down,
            };
            if let Some(route) = route {
                // SAFETY: a route of this config, found by its name, and a live message.
                unsafe { sys::glue_run_event_route(route, msg.raw()) };
            }
        }
        Who::Function(function) => call(function, event, msg),
    }
}

/// Calls a function of the KEMI script.
fn call(function: &[u8], event: &Event, msg: &mut Message) {
    // KEMI engines read both as C strings. A parameter's text ends with NUL, too.
    let mut called = text::as_str(function);
    let mut name = text::as_terminated_str(route_name(event.subject(), event.flip));
    let (called, name) = (&raw mut called, &raw mut name);
    // SAFETY: texts that outlive the call, and a live message.
    match unsafe { sys::glue_run_event_function(called, name, msg.raw()) } {
        -1 => log_warn!("event_callback is set, but no KEMI engine runs the script"),
        -2 => log_err!("event_callback: function {} failed", Escaped(function)),
        _ => {}
    }
}
