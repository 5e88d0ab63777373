//! The change feed: every function that changes states says so here, and whoever listens is told.
//!
//! Changes are noted while a table is pinned or locked, which is cheap, and costs nothing where nobody
//! listens. They are delivered afterwards, when routes may run. An event that is caused while a route runs
//! waits until that route has ended, so routes never nest.

use core::fmt;
use core::sync::atomic::Ordering::SeqCst;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::routes::{self, Event};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::event::{Cause, is_down};
use crate::dispatch::state::transition::{Flip, Outcome, State};
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::listeners::Listeners;
use crate::kamailio::observe::changes::author::Author;
use crate::kamailio::observe::changes::line::Line;
use crate::kamailio::observe::counting::group;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::log::{log_dbg, log_warn};
use crate::kamailio::server::message::{Message, Reason};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::ScriptText;
use crate::kamailio::server::time::now_us;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::probing::Ended;
use crate::shm::event_queue::QueuedEvent;
use crate::shm::queue::Refused;
use crate::shm::table::sets::Table;

/// Events that routes may cause during one delivery, so that routes that keep causing events come to an end.
const MOST_RAISED: usize = 1_000;

/// Bytes of heap that an event takes at most besides its texts while it is noted or told.
const EVENT_HEAP: usize = 600;

/// Microseconds of one tick after which no more events that were posted are told. The next tick goes on.
const TICK_US: u64 = 500_000;

/// Shows a state as `dispatcher.list` does.
struct Letters(State, Compat);

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [health, pinged] = self.0.letters(self.1).map(char::from);
        write!(f, "{health}{pinged}")
    }
}

/// The events of one cause that were noted and not yet told.
pub struct Feed<'m> {
    module: &'m Module,
    author: Author,
    reason: Vec<u8>,
    /// The name of the node of the cluster that decided; empty if that was none.
    node: Vec<u8>,
    events: Vec<QueuedEvent>,
    /// Lines of the log that are written before the events are told.
    lines: Vec<Line>,
    /// Events that found no memory.
    lost: usize,
}

impl<'m> Feed<'m> {
    /// Makes an empty feed for changes that no message had to do with.
    pub fn new(module: &'m Module, cause: Cause) -> Self {
        Feed::because(module, cause, Reason::NO_MESSAGE)
    }

    /// Makes an empty feed for changes with this reason.
    pub fn because(module: &'m Module, cause: Cause, reason: Reason<'_>) -> Self {
        Feed {
            module,
            author: Author::of(cause, &reason),
            reason: reason.text.to_vec(),
            node: Vec::new(),
            events: Vec::new(),
            lines: Vec::new(),
            lost: 0,
        }
    }

    /// Says who makes the changes that are noted from now on: a function, a command, a person.
    pub fn by(mut self, who: impl Into<Cow<'static, str>>) -> Self {
        self.set_author(who);
        self
    }

    /// As [`Feed::by`].
    pub fn set_author(&mut self, who: impl Into<Cow<'static, str>>) {
        self.author.who = who.into();
    }

    /// Says which node of the cluster has decided the changes that are noted from now on.
    pub fn set_node(&mut self, node: &str) {
        self.set_author(format!("{node} (cluster)"));
        self.node = node.into();
    }

    /// Says which status of a call makes the changes; 0 for none.
    pub fn after(mut self, status: u16) -> Self {
        self.author.status = status;
        self
    }

    /// Says how the ping ended that makes the changes.
    pub fn of_ping(mut self, ended: Ended) -> Self {
        self.author.ended = Some(ended);
        self
    }

    /// Returns what causes the changes.
    pub fn cause(&self) -> Cause {
        self.author.cause
    }

    fn listeners(&self) -> &'m Listeners {
        &self.module.settings.listeners
    }

    /// Notes the change of a destination's state. One that has just been listed was active before. May be
    /// called while a table is pinned or locked.
    pub fn note(&mut self, set: SetId, uri: &[u8], old: State, new: State) {
        self.note_change((set, uri), (old, new), 0);
    }

    /// As [`Feed::note`], of a change that counted results may have led to.
    pub fn note_counted(&mut self, dest: &Dest, old: State, outcome: Outcome) {
        let place = (dest.set, dest.uri());
        self.note_change(place, (old, outcome.state), outcome.in_row);
    }

    fn note_change(&mut self, (set, uri): (SetId, &[u8]), (old, new): (State, State), in_row: u32) {
        let (listeners, cause) = (self.listeners(), self.cause());
        let compat = listeners.compat;
        if old != new {
            group::STATE_CHANGES.count();
            let line = self
                .author
                .note(self.module, (set, uri), (old, new), in_row);
            self.lines.extend(line);
            log_dbg!(
                "set {set}, {}: {} to {} ({}, {})",
                Escaped(uri),
                Letters(old, compat),
                Letters(new, compat),
                cause.name(),
                self.author.code
            );
        }
        let differing = State(old.bits() ^ new.bits());
        let shared = self.module.shared;
        match cause {
            Cause::Cluster => _ = shared.cluster_changes.fetch_add(1, SeqCst),
            Cause::Rpc => _ = shared.state_changes.fetch_add(1, SeqCst),
            _ if differing.intersects(State::ADMINISTRATIVE) => {
                shared.state_changes.fetch_add(1, SeqCst);
            }
            _ => {}
        }
        if !listeners.hear(cause) {
            return;
        }
        let flip = listeners.mode.event(cause, old, new, compat);
        if let Some(flip) = flip.filter(|&flip| listeners.want(flip)) {
            let room = heap::reserve(&mut self.events, 1);
            let texts = room.and_then(|()| Ok((heap::copy(uri)?, heap::copy(&self.node)?)));
            let Ok((uri, node)) = texts else {
                self.lost += 1;
                return;
            };
            self.events.push(QueuedEvent {
                set,
                uri,
                old,
                new,
                flip,
                cause,
                node,
            });
        }
    }

    /// Notes each destination that is down after a load, changed or not, if the mode asks for that. Those that were
    /// noted before stay as they are.
    pub fn note_all_down(&mut self) {
        let (module, cause) = (self.module, self.cause());
        if !self.listeners().hear_after_load() {
            return;
        }
        let pinned = module.pin();
        let Some(table) = pinned.table() else {
            return;
        };
        if self.room_for(table).is_err() {
            let noted = self.events.iter().filter(|event| event.flip == Flip::Down);
            self.lost += down(table).count().saturating_sub(noted.count());
            return;
        }
        let mut noted: HashMap<(SetId, Vec<u8>), Vec<QueuedEvent>> = HashMap::new();
        for event in core::mem::take(&mut self.events) {
            if event.flip == Flip::Down && is_down(event.new) {
                let key = (event.set, event.uri.clone());
                noted.entry(key).or_default().push(event);
            } else {
                self.events.push(event);
            }
        }
        for dest in table.dests_as_they_came() {
            let state = dest.record().state();
            if !is_down(state) {
                continue;
            }
            let key = (dest.set, dest.uri().to_vec());
            let event = noted.get_mut(&key).and_then(Vec::pop);
            let (set, uri) = key;
            self.events.push(event.unwrap_or(QueuedEvent {
                set,
                uri,
                old: if cause == Cause::Start {
                    State::ACTIVE
                } else {
                    state
                },
                new: state,
                flip: Flip::Down,
                cause,
                node: Vec::new(),
            }));
        }
        // Those that have come up since.
        self.events.extend(noted.into_values().flatten());
    }

    /// Makes sure that events for all that are down find their memory.
    fn room_for(&self, table: &Table) -> Result<(), NoMemory> {
        let noted = self.events.iter().map(|event| event.uri.len());
        let each = noted.chain(down(table).map(|dest| dest.uri().len()));
        let events: usize = each.map(|uri| EVENT_HEAP + 2 * uri).sum();
        heap::need(events + table.dest_count() * size_of::<&Dest>() * 4)
    }

    /// Has the timer process tell of what was noted, within a second: for RPC commands and for the start,
    /// which may not run routes.
    pub fn post(self) {
        self.write_lines();
        let Some(event_queue) = &self.module.event_queue else {
            return;
        };
        let mut posted = self.events.iter().map(|event| event_queue.post(event));
        let refused = posted.find_map(Result::err);
        let dropped = posted.len() + usize::from(refused.is_some()) + self.lost;
        if dropped > 0 {
            group::EVENTS_DROPPED.add(dropped);
        }
        if dropped > 0 && event_queue.count_dropped(dropped) {
            match refused {
                Some(Refused::Memory(error)) => log_warn!("events are dropped: {error}"),
                Some(Refused::TooMany) => log_warn!("events are dropped: too many wait"),
                None => log_warn!("events are dropped: out of memory"),
            }
        }
    }

    /// Tells of what was noted. Nothing of the store may be pinned or locked.
    ///
    /// `script` is the message of the script that is interrupted, if one is. Events of its marks run on that
    /// message with compat before 6.1, all others on faked messages. Called from inside an event route, this
    /// only queues: the delivery that runs the route tells of it.
    pub fn deliver(self, mut script: Option<&mut Message>) {
        self.write_lines();
        if self.lost > 0 {
            group::EVENTS_DROPPED.add(self.lost);
            log_warn!("{} events are dropped: out of memory", self.lost);
        }
        if self.events.is_empty() {
            return;
        }
        let texts = |event: &QueuedEvent| EVENT_HEAP + event.uri.len() + self.reason.len();
        if heap::need(self.events.iter().map(texts).sum()).is_err() {
            group::EVENTS_DROPPED.add(self.events.len());
            log_warn!("{} events are dropped: out of memory", self.events.len());
            return;
        }
        let listeners = self.listeners();
        let on_script = self.cause() == Cause::Script && listeners.compat != Compat::V6_1;
        let on = script.as_deref().filter(|_| on_script).map(Message::raw);
        let Some(delivery) = Delivery::start(self.events.iter().map(|event| Waiting {
            event: Rc::new(self.event(event)),
            on,
        })) else {
            return;
        };
        while let Some(Waiting { event, on }) = delivery.next() {
            // A script inside an event route may have marked on that route's own message, which is gone.
            match script.as_deref_mut() {
                Some(msg) if on == Some(msg.raw()) => routes::tell_on(listeners, &event, msg),
                script => routes::tell(listeners, &event, script.map(|msg| msg.number())),
            }
        }
    }

    fn write_lines(&self) {
        for line in &self.lines {
            line.write(self.module);
        }
    }

    /// Makes an event for a route and its `$dsv`.
    fn event(&self, event: &QueuedEvent) -> Event {
        let compat = self.listeners().compat;
        Event {
            flip: event.flip,
            set: Some(event.set),
            uri: ScriptText::new(&event.uri),
            old: ScriptText::new(&event.old.letters(compat)),
            new: ScriptText::new(&event.new.letters(compat)),
            cause: ScriptText::new(event.cause.name().as_bytes()),
            node: ScriptText::new(&event.node),
            code: self.author.code,
            reason: ScriptText::new(&self.reason),
            from_reply: self.author.from_reply,
        }
    }
}

/// Returns the destinations that are down.
fn down(table: &Table) -> impl Iterator<Item = &Dest> {
    let dests = table.sets().flat_map(|(_, view)| view.dests());
    dests.filter(|dest| is_down(dest.record().state()))
}

thread_local! {
    /// The events that this process took from the queue and has not yet told of.
    static TAKEN: RefCell<VecDeque<QueuedEvent>> = const { RefCell::new(VecDeque::new()) };
}

thread_local! {
    /// How many events that routes caused were dropped and not yet counted in the log: one line is for all of [`TAKEN`].
    static DROPPED: Cell<usize> = const { Cell::new(0) };
}

/// Tells of what was posted, for [`TICK_US`] or a single event. For a process that may run routes.
///
/// It takes no more from the queue before all that it took is told, so what waits stays bounded.
pub fn tell_of_posted(module: &Module) {
    let Some(event_queue) = &module.event_queue else {
        return;
    };
    TAKEN.with_borrow_mut(|taken| {
        if taken.is_empty() {
            *taken = event_queue.take().into();
            say_dropped(event_queue.take_dropped());
        }
    });
    let end_us = now_us() + TICK_US;
    // Nothing is borrowed while a route runs.
    while let Some(event) = TAKEN.with_borrow_mut(VecDeque::pop_front) {
        let mut feed = Feed::new(module, Cause::Rpc);
        feed.events.push(event);
        feed.deliver(None);
        if now_us() >= end_us {
            break;
        }
    }
}

/// Tells of the nodes of the cluster that came and went. For a process that may run routes.
pub fn tell_of_nodes(module: &Module) {
    let Some(memory) = &module.cluster else {
        return;
    };
    let events = memory.news.take();
    if events.is_empty() {
        return;
    }
    let waiting = events.iter().map(|event| Waiting {
        event: Rc::new(Event::of_node(event)),
        on: None,
    });
    let Some(delivery) = Delivery::start(waiting) else {
        return;
    };
    while let Some(Waiting { event, .. }) = delivery.next() {
        routes::tell(&module.settings.listeners, &event, None);
    }
}

/// Says how many events were not posted while those waited that have just been taken.
fn say_dropped(dropped: usize) {
    if dropped > 0 {
        log_warn!("{dropped} events were dropped");
    }
}

/// An event that waits for its turn.
struct Waiting {
    event: Rc<Event>,
    /// The address of the message that it is to be told on; `None` for a faked one.
    on: Option<*mut sys::sip_msg>,
}

/// The events that the running delivery has still to tell of.
struct Queue {
    waiting: VecDeque<Waiting>,
    /// How many more events routes may cause during it.
    room: usize,
    /// How many more they have caused.
    dropped: usize,
}

thread_local! {
    /// The queue of this process; `None` while no delivery runs.
    static QUEUE: RefCell<Option<Queue>> = const { RefCell::new(None) };
}

/// The delivery that this process is at; it ends when this is dropped.
struct Delivery;

impl Delivery {
    /// Starts a delivery; `None` if one is running, which then takes these events over.
    fn start(events: impl Iterator<Item = Waiting>) -> Option<Self> {
        QUEUE.with_borrow_mut(|queue| {
            if let Some(queue) = queue {
                queue.raise(events);
                return None;
            }
            let (waiting, room) = (events.collect(), MOST_RAISED);
            *queue = Some(Queue {
                waiting,
                room,
                dropped: 0,
            });
            Some(Delivery)
        })
    }

    fn next(&self) -> Option<Waiting> {
        QUEUE.with_borrow_mut(|queue| queue.as_mut()?.waiting.pop_front())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let dropped = DROPPED.get() + QUEUE.take().map_or(0, |queue| queue.dropped);
        let are_all_told = TAKEN.with_borrow(VecDeque::is_empty);
        DROPPED.set(if are_all_told { 0 } else { dropped });
        if dropped > 0 && are_all_told {
            log_warn!(
                "event routes raised {MOST_RAISED} events while they ran: the rest is dropped: {dropped}"
            );
        }
    }
}

impl Queue {
    /// Takes events that a route has caused, as far as there is room.
    fn raise(&mut self, events: impl Iterator<Item = Waiting>) {
        for event in events {
            match self.room.checked_sub(1) {
                Some(left) => {
                    self.room = left;
                    self.waiting.push_back(event);
                }
                None => {
                    group::EVENTS_DROPPED.count();
                    self.dropped += 1;
                }
            }
        }
    }
}
