//! The one change feed: all that changes a destination's state says so here, and whoever listens
//! is told: the log, the event routes.
//!
//! Changes are noted while a table is pinned or locked, which is cheap, and nothing at all where
//! nobody listens; they are delivered after that, when routes may run. An event that is raised
//! while a route runs waits until that route has ended, so that routes never nest.

use core::fmt;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::routes::{Event, Listeners};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::State;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::log::{log_dbg, log_warn};
use crate::kamailio::server::message::{Message, Reason};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{Escaped, ScriptText};
use crate::shm::dest::destination::Dest;
use crate::shm::event_queue::{Letter, Refused};

/// Events that routes may raise during one delivery: enough for all use, and an end for routes
/// that keep raising each other.
const MOST_RAISED: usize = 1_000;

/// A change of a destination's state.
#[derive(Clone, Copy, Debug)]
pub struct Change<'c> {
    /// The destination's set.
    pub set: SetId,
    /// Its URI, as listed.
    pub uri: &'c [u8],
    /// Its state before; active for one that has just been listed.
    pub old: State,
    /// Its state now.
    pub new: State,
    /// What changed it.
    pub cause: Cause,
    /// What `$dsv` says about it.
    pub reason: Reason<'c>,
}

impl<'c> Change<'c> {
    /// A change that no message had to do with.
    pub fn of(dest: &'c Dest, old: State, new: State, cause: Cause) -> Self {
        Change {
            set: dest.set,
            uri: dest.uri(),
            old,
            new,
            cause,
            reason: Reason::NO_MESSAGE,
        }
    }
}

/// Shows a state as `dispatcher.list` does.
struct Letters(State, Compat);

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [health, pinged] = self.0.letters(self.1).map(char::from);
        write!(f, "{health}{pinged}")
    }
}

/// Events that were raised and not yet told.
pub struct Feed<'m> {
    module: &'m Module,
    events: Vec<Noted>,
}

/// A change that is an event.
struct Noted {
    letter: Letter,
    code: i32,
    reason: Vec<u8>,
    from_reply: bool,
}

impl Noted {
    /// The event for a route and its `$dsv`.
    fn event(&self, compat: Compat) -> Event {
        let letter = &self.letter;
        Event {
            flip: letter.flip,
            set: letter.set,
            uri: ScriptText::new(&letter.uri),
            old: ScriptText::new(&letter.old.letters(compat)),
            new: ScriptText::new(&letter.new.letters(compat)),
            cause: ScriptText::new(letter.cause.name().as_bytes()),
            code: self.code,
            reason: ScriptText::new(&self.reason),
            from_reply: self.from_reply,
        }
    }
}

impl<'m> Feed<'m> {
    /// An empty feed.
    pub const fn new(module: &'m Module) -> Self {
        Feed {
            module,
            events: Vec::new(),
        }
    }

    const fn listeners(&self) -> &'m Listeners {
        &self.module.settings.listeners
    }

    /// Whether anything is to be noted for this cause; for callers that save work by asking.
    pub const fn hears(&self, cause: Cause) -> bool {
        self.listeners().hear(cause)
    }

    /// Notes a change. Cheap; may be called while a table is pinned or locked.
    pub fn note(&mut self, change: Change<'_>) {
        let Change { set, uri, .. } = change;
        let compat = self.listeners().compat;
        if change.old != change.new {
            log_dbg!(
                "set {set}, {}: {} to {} ({}, {})",
                Escaped(uri),
                Letters(change.old, compat),
                Letters(change.new, compat),
                change.cause.name(),
                change.reason.code
            );
        }
        let differing = State(change.old.bits() ^ change.new.bits());
        if change.cause == Cause::Rpc || differing.intersects(State::ADMINISTRATIVE) {
            self.module.switches.count_state_change();
        }
        if !self.hears(change.cause) {
            return;
        }
        let mode = self.listeners().mode;
        let flip = mode.event(change.cause, change.old, change.new, compat);
        let Some(flip) = flip.filter(|&flip| self.listeners().want(flip)) else {
            return;
        };
        self.events.push(Noted {
            letter: Letter {
                set,
                uri: uri.to_vec(),
                old: change.old,
                new: change.new,
                flip,
                cause: change.cause,
            },
            code: change.reason.code,
            reason: change.reason.text.to_vec(),
            from_reply: change.reason.from_reply,
        });
    }

    /// Lets the timer process tell of what was noted, within a second: for RPC commands and for the
    /// start, which may not run routes.
    pub fn post(self) {
        let Some(mailbox) = &self.module.mailbox else {
            return;
        };
        let count = self.events.len();
        for (at, noted) in self.events.iter().enumerate() {
            let why = match mailbox.post(&noted.letter) {
                Ok(()) => continue,
                Err(Refused::Memory(error)) => error.to_string(),
                Err(Refused::TooMany) => "too many wait".into(),
            };
            log_warn!("{} events are dropped: {why}", count - at);
            return;
        }
    }

    /// Tells of what was noted. Nothing of the store may be pinned or locked.
    ///
    /// `marked_in` is the message of the script that caused it, if one did. Called from inside an
    /// event route, it only queues: the delivery that runs the route tells of it.
    pub fn deliver(self, mut marked_in: Option<&mut Message>) {
        if self.events.is_empty() {
            return;
        }
        let listeners = self.listeners();
        let address = marked_in.as_deref().map(Message::raw);
        let waiting = self.events.iter().map(|noted| Waiting {
            event: Rc::new(noted.event(listeners.compat)),
            marked_in: address,
        });
        let Some(delivery) = Delivery::start(waiting) else {
            return;
        };
        while let Some(Waiting {
            event,
            marked_in: at,
        }) = delivery.next()
        {
            // A script inside an event route may have marked on that route's own message, which is
            // gone by now.
            let msg = marked_in.as_deref_mut();
            listeners.tell(&event, msg.filter(|msg| at == Some(msg.raw())));
        }
    }
}

/// Tells of what was posted since the last time. Called where routes may run.
pub fn tell_of_posted(module: &Module) {
    let Some(mailbox) = &module.mailbox else {
        return;
    };
    let noted = mailbox.take().into_iter().map(|letter| Noted {
        letter,
        code: Reason::NO_MESSAGE.code,
        reason: Reason::NO_MESSAGE.text.to_vec(),
        from_reply: false,
    });
    let events = noted.collect();
    Feed { module, events }.deliver(None);
}

/// An event that waits for its turn.
struct Waiting {
    event: Rc<Event>,
    /// The address of the message of the script that raised it.
    marked_in: Option<*mut sys::sip_msg>,
}

/// What one process delivers.
struct Queue {
    /// A delivery runs.
    running: bool,
    /// How many more events routes may raise during it.
    room: usize,
    waiting: VecDeque<Waiting>,
}

thread_local! {
    static QUEUE: RefCell<Queue> = const {
        RefCell::new(Queue { running: false, room: 0, waiting: VecDeque::new() })
    };
}

/// The delivery that this process is at.
struct Delivery;

impl Delivery {
    /// Starts one; `None` where one runs already, which then takes these events over.
    fn start(events: impl Iterator<Item = Waiting>) -> Option<Self> {
        QUEUE.with_borrow_mut(|queue| {
            if queue.running {
                queue.raise(events);
                return None;
            }
            queue.running = true;
            queue.room = MOST_RAISED;
            queue.waiting.extend(events);
            Some(Delivery)
        })
    }

    fn next(&self) -> Option<Waiting> {
        QUEUE.with_borrow_mut(|queue| queue.waiting.pop_front())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        QUEUE.with_borrow_mut(|queue| {
            queue.running = false;
            queue.waiting.clear();
        });
    }
}

impl Queue {
    /// Takes events that a route raised, as far as there is room.
    fn raise(&mut self, events: impl Iterator<Item = Waiting>) {
        for event in events {
            if self.room == 0 {
                return;
            }
            self.room -= 1;
            if self.room == 0 {
                log_warn!(
                    "event routes raised {MOST_RAISED} events while they ran: the rest is dropped"
                );
            }
            self.waiting.push_back(event);
        }
    }
}
