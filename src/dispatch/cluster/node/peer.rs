//! One other node, as this one knows it.

use std::collections::HashMap;

use super::action::PeerId;
use super::cursor::Cursor;
use super::settings::{JOIN_HELLO_MS, MOST_PERIOD_MS, SUSPECT_HELLOS, Settings};
use crate::dispatch::cluster::state::clock::Now;
use crate::dispatch::cluster::state::key::{Key, NodeHash};
use crate::dispatch::cluster::state::pings::Heard;
use crate::dispatch::cluster::state::view::View;
use crate::dispatch::cluster::text::message::{Hello, Message};

/// Another node: a place where there is one, or should be one.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it is reached; it never changes.
    pub uri: String,
    /// True if the config names it: then it is never forgotten.
    pub configured: bool,
    /// True if it turned out to be this node itself.
    pub is_self: bool,
    /// The life of the node that was heard from there; `None` before the first hello.
    pub life: Option<Life>,
    /// When it gets the next hello.
    pub next_hello_ms: u64,
    /// When it got the last hello, and the number of that.
    pub last_hello: Option<(u64, u64)>,
    /// The place of the peer with which the next hello begins to tell of others.
    pub next_told: usize,
    /// When there was the last sign of it.
    pub remembered_ms: u64,
    /// Its counts.
    pub counts: PeerCounts,
}

/// The counts of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounts {
    /// Messages that were sent to it.
    pub sent: u64,
    /// Messages with registers that were sent again, because no answer came.
    pub retried: u64,
    /// Messages that it refused.
    pub refused: u64,
}

/// One life of a node: from a start to the next one.
#[derive(Clone, Debug)]
pub struct Life {
    /// The name.
    pub name: String,
    /// Its number.
    pub node: NodeHash,
    /// Which life it is.
    pub incarnation: u64,
    /// The incarnation with which the node started; 0 if it does not say so.
    pub started: u64,
    /// The address from which its hellos come.
    pub source: Vec<u8>,
    /// The state.
    pub state: State,
    /// When it ceased to be a member.
    pub ended_ms: u64,
    /// When a message came from it.
    pub heard_ms: u64,
    /// When a message came from it to one of the others, by their word.
    pub vouched_ms: u64,
    /// The number of the last hello.
    pub hello_number: u64,
    /// The number of the last message with data that was taken.
    pub taken_number: u64,
    /// The number of the last message that asked for a reload or told of one.
    pub reload_number: u64,
    /// True if its last hello says that it knows this life of this node.
    pub knows_us: bool,
    /// True if it has what the others have.
    pub ready: bool,
    /// How often it sends a hello.
    pub hello_ms: u64,
    /// After how long it takes another node for dead.
    pub dead_ms: u64,
    /// How far its wall clock is ahead of this node's.
    pub clock_ms: i64,
    /// The digest of its registers; `None` if it shares none.
    pub digest: Option<u64>,
    /// True if its last hello had the digest of this node's registers.
    pub same: bool,
    /// True once the message has arrived with which its figures begin.
    pub has_begun: bool,
    /// How it pings; `None` if it does not.
    pub pings: Option<Heard>,
    /// Since when it lacks views of this node, by the steady clock.
    pub lacks_since_ms: Option<u64>,
    /// True if some of its figures were not kept since then, because there were too many.
    pub has_dropped: bool,
    /// Its views of the destinations that it pings.
    pub views: HashMap<Key, View>,
    /// The calls that it counts for destinations.
    pub calls: HashMap<Key, u32>,
    /// How far it has come with the registers and figures of this node.
    pub cursor: Cursor,
    /// True if its last hello says that it has taken nothing of this life of this node.
    pub has_lost: bool,
    /// True if registers were exchanged with it since its last hello.
    pub moved: bool,
    /// True if its last hello had another digest than the one before: it gets registers from somebody.
    pub changes: bool,
    /// How long hellos in a row have had another digest than this node, while no registers were exchanged: a hello counts
    /// [`Life::STILL`], and 1 while the peer changes.
    pub differed: u32,
    /// From how much on all registers are sent.
    pub patience: u32,
}

/// The state of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is a member.
    Alive,
    /// Neither this node nor any other one has heard of it for so long that it counts as dead.
    Dead,
    /// It has said that it goes.
    Left,
}

/// A member as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its place; `None` for this node.
    pub peer: Option<PeerId>,
    /// The name; `None` if nothing was ever heard from there.
    pub name: Option<&'a str>,
    /// Where it is reached.
    pub uri: &'a str,
    /// The state.
    pub state: Shown,
    /// How long ago a message came from it.
    pub heard_ms: Option<u64>,
    /// Which life of it this is.
    pub incarnation: u64,
    /// How many changes here it has not acknowledged, at most [`MOST_BEHIND`](super::settings::MOST_BEHIND); 0 if it is no
    /// member or shares no states.
    pub behind: u64,
    /// How far its wall clock is ahead of this node's.
    pub clock_ms: i64,
    /// True if it has the same registers, by its last hello.
    pub same: bool,
    /// Its counts.
    pub counts: PeerCounts,
}

/// The state of a member as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Nothing was ever heard from there.
    Unheard,
    /// It does not have yet what the others have.
    Joining,
    /// It has what the others have.
    Ready,
    /// It was not heard for some hellos.
    Suspect,
    /// It is dead.
    Dead,
    /// It has left.
    Left,
}

impl Shown {
    /// Returns the word that commands show.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unheard => "unheard",
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Suspect => "suspect",
            Self::Dead => "dead",
            Self::Left => "left",
        }
    }
}

impl Peer {
    /// Makes a peer of which nothing but the URI is known.
    #[must_use]
    pub fn at(uri: &str, configured: bool, time_ms: u64) -> Self {
        Self {
            uri: uri.to_owned(),
            configured,
            is_self: false,
            life: None,
            next_hello_ms: time_ms,
            last_hello: None,
            next_told: 0,
            remembered_ms: time_ms,
            counts: PeerCounts::default(),
        }
    }

    /// Returns the life of a peer that is a member.
    #[must_use]
    pub fn alive(&self) -> Option<&Life> {
        self.life.as_ref().filter(|life| life.is_alive())
    }

    /// Returns the life if it is that of the sender of a message; not the life before it, and not the next one.
    #[must_use]
    pub fn life_of(&self, message: &Message<'_>) -> Option<&Life> {
        let life = self.life.as_ref();
        life.filter(|life| life.incarnation == message.incarnation)
    }

    /// Sends the next hello soon, but not more often than to one that joins.
    pub fn hasten_hello(&mut self, time_ms: u64) {
        let soon = self
            .last_hello
            .map_or(time_ms, |(last, _)| last + JOIN_HELLO_MS);
        self.next_hello_ms = self.next_hello_ms.min(soon);
    }
}

impl Life {
    /// The weight of a hello whose digest differs from this node's, and not from that of the hello before.
    const STILL: u32 = 4;

    /// The first patience: two such hellos. It doubles each time, as long as it does not help.
    pub const PATIENCE: u32 = 2 * Self::STILL;

    /// The longest patience.
    pub const MOST_PATIENCE: u32 = 64 * Self::STILL;

    /// Begins with the first hello of a life. `all` says whether it is to get all registers.
    #[must_use]
    pub fn begin(message: &Message<'_>, all: bool, time_ms: u64) -> Self {
        Self {
            name: message.node.to_owned(),
            node: NodeHash::of(message.node),
            incarnation: message.incarnation,
            started: 0,
            source: Vec::new(),
            state: State::Dead,
            ended_ms: time_ms,
            heard_ms: time_ms,
            vouched_ms: time_ms,
            hello_number: 0,
            taken_number: 0,
            reload_number: 0,
            knows_us: false,
            ready: false,
            hello_ms: 0,
            dead_ms: 0,
            clock_ms: 0,
            digest: None,
            same: false,
            pings: None,
            lacks_since_ms: None,
            views: HashMap::new(),
            calls: HashMap::new(),
            cursor: Cursor::at_start(all),
            has_begun: false,
            has_dropped: false,
            has_lost: false,
            moved: false,
            changes: false,
            differed: 0,
            patience: Self::PATIENCE,
        }
    }

    /// Takes notice of what a hello says of its sender.
    pub fn heard(&mut self, hello: &Hello<'_>, source: &[u8], time_ms: u64, now: Now) {
        self.heard_ms = time_ms;
        source.clone_into(&mut self.source);
        self.ready = hello.ready;
        self.hello_ms = hello.hello_ms.min(MOST_PERIOD_MS);
        self.dead_ms = hello.dead_ms.min(MOST_PERIOD_MS);
        let [theirs, ours] =
            [hello.wall_ms, now.wall_ms].map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        self.clock_ms = theirs - ours;
        self.changes = self.digest.is_some() && self.digest != hello.digest;
        self.digest = hello.digest;
        if let Some(told) = hello.pings {
            let heard = Heard::after(self.pings, told, now.steady_ms);
            self.pings = Some(heard).filter(|_| told.interval_ms > 0);
        }
    }

    /// Tells whether the node is a member.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.state == State::Alive
    }

    /// Tells whether a member's hellos have not come for some time.
    #[must_use]
    pub fn is_suspect(&self, settings: &Settings, time_ms: u64) -> bool {
        let period = settings.hello_ms.max(self.hello_ms);
        time_ms.saturating_sub(self.heard_ms) >= SUSPECT_HELLOS * period
    }

    /// Tells whether nobody has heard the node for so long that it counts as dead. Of two times the longer one counts.
    #[must_use]
    pub fn is_overdue(&self, settings: &Settings, time_ms: u64) -> bool {
        let heard = self.heard_ms.max(self.vouched_ms);
        time_ms.saturating_sub(heard) >= settings.dead_ms.max(self.dead_ms)
    }

    /// Compares digests at a hello. Returns true if all registers should be sent.
    ///
    /// They differ for a moment after each change, so they must differ in several hellos in a row while nothing is exchanged.
    /// While the peer changes it takes more of them: it may be getting thousands of registers from the node that has decided
    /// them, as this one does.
    pub fn compare(&mut self, own_digest: u64) -> bool {
        self.same = self.digest == Some(own_digest);
        let quiet = !core::mem::take(&mut self.moved) && !self.cursor.sends_registers();
        if self.same {
            (self.differed, self.patience) = (0, Self::PATIENCE);
            return false;
        }
        let counts = if self.changes { 1 } else { Self::STILL };
        self.differed = if quiet { self.differed + counts } else { 0 };
        if self.differed < self.patience {
            return false;
        }
        self.differed = 0;
        self.patience = (self.patience * 2).min(Self::MOST_PATIENCE);
        true
    }
}
