//! The content of messages.

use crate::dispatch::cluster::state::ends::CallEnd;
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::pings;
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::cluster::state::view::View;

/// The most bytes of a message that are read.
pub const MOST_BYTES: usize = 15_000;

/// The most lines of a message that are read.
pub const MOST_LINES: usize = 1_000;

/// The most bytes of a message that are written: what fits into a server's TCP buffer, and into few fragments over UDP.
pub const MOST_WRITTEN: usize = 8_000;

/// The most registers that are written into one message. With numbers of full length they take 7,100 bytes.
pub const MOST_REGISTERS: usize = 100;

/// The most bytes of the name of a node or of a cluster.
pub const MOST_NAME: usize = 64;

/// The most bytes of a node's URI.
pub const MOST_URI: usize = 128;

/// The most bytes of the reason why lists were not loaded.
pub const MOST_REASON: usize = 500;

/// The greatest incarnation that is read. One that is greater than any time of a start would leave no later life.
pub const MOST_INCARNATION: u64 = 1 << 48;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'m> {
    /// The name of the cluster.
    pub cluster: &'m str,
    /// The name of the node that sent it.
    pub node: &'m str,
    /// Which life of that node; it grows from one to the next.
    pub incarnation: u64,
    /// The number of the message within that life.
    pub number: u64,
    /// Its content.
    pub content: Content<'m>,
}

/// The content of a message, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'m> {
    /// The sender is there.
    Hello(Hello<'m>),
    /// States that operators have set, and figures of the sender.
    Data(Data),
    /// The receiver is to load its lists anew.
    Reload {
        /// The incarnation of the receiver that it is for.
        to: u64,
    },
    /// The receiver has asked for a reload, which has ended.
    Reloaded(Reloaded<'m>),
    /// The sender leaves.
    Leave,
    /// Something that only later versions understand.
    Unknown,
}

/// The content of a hello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello<'m> {
    /// Where the sender is reached.
    pub uri: &'m str,
    /// True if it has what the others have.
    pub ready: bool,
    /// The incarnation with which its process started. A sender that begins another life without a start goes on to count
    /// the same calls.
    pub started: u64,
    /// How often it sends a hello, in milliseconds.
    pub hello_ms: u64,
    /// After how many milliseconds without a sign of life it takes another for dead.
    pub dead_ms: u64,
    /// Its wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The digest of its registers; `None` if it shares no states.
    pub digest: Option<u64>,
    /// How it pings; `None` in a hello that all get, which does not say so.
    pub pings: Option<pings::Told>,
    /// The other members, as far as they fit.
    pub members: Vec<Told<'m>>,
}

/// Another member, as a hello tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told<'m> {
    /// Its name.
    pub name: &'m str,
    /// Where it is reached.
    pub uri: &'m str,
    /// Its incarnation.
    pub incarnation: u64,
    /// How many milliseconds ago the sender of the hello had a message from it.
    pub heard_ms: u64,
    /// True if the sender has the message with which the figures of this life of it begin.
    pub taken: bool,
}

/// Registers, and figures of the sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// The incarnation of the receiver that they are for.
    pub to: u64,
    /// True if the sender is ready, and the receiver then has all that the sender has.
    pub end: bool,
    /// True if the figures begin with this message: the receiver forgets those that it has of the sender.
    pub begins: bool,
    /// The registers.
    pub registers: Vec<(Key, Register)>,
    /// The views of destinations that the sender pings; `None` for one that it pings no longer.
    pub views: Vec<(Key, Option<View>)>,
    /// The calls that the sender counts; `None` for none.
    pub calls: Vec<(Key, Option<u32>)>,
    /// Ends of calls that the sender does not know.
    pub ends: Vec<CallEnd>,
}

/// The outcome of a reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded<'m> {
    /// The incarnation of the receiver that it is for.
    pub to: u64,
    /// The number of the message that asked for it.
    pub asked: u64,
    /// The number of destinations after it; `None` if the lists were not taken.
    pub dests: Option<u64>,
    /// Why they were not taken.
    pub reason: &'m str,
}

/// Tells whether a text can be the reason of a failure in a message: visible ASCII with blanks, and not too long.
#[must_use]
pub fn is_reason(text: &[u8]) -> bool {
    let visible = |byte: &u8| *byte == b' ' || byte.is_ascii_graphic();
    (1..=MOST_REASON).contains(&text.len()) && text.iter().all(visible)
}

/// Tells whether a text can be a name or a URI in a message: visible ASCII, and no longer than this.
#[must_use]
pub fn is_word(text: &[u8], most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}
