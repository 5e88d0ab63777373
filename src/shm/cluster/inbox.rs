//! The inbox of the process that speaks with the other servers: messages, answers and commands.

use crate::dispatch::cluster::state::ends::{CallEnd, Fate};
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::list::destination::Addr;
use crate::shm::memory::arena::ShmSafe;
use crate::shm::queue::{Item, Queue};

/// Bytes of shared memory that what waits may take.
pub const MOST_BYTES: usize = 1 << 20;

/// The queue of what came.
pub type Inbox<A> = Queue<A, Received>;

/// Something that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message of another server, which can be read.
    Message {
        /// The address that it came from.
        source: Addr,
        /// The message.
        body: Vec<u8>,
    },
    /// A message that was refused.
    Refused {
        /// The address that it came from.
        source: Addr,
        /// The code of the answer to it.
        code: u16,
        /// The reason of that answer.
        reason: String,
    },
    /// The end of a message of ours.
    Answer {
        /// The place of the peer that it was sent to.
        peer: u8,
        /// Its number.
        number: u64,
        /// The code of the answer; 408 without one.
        code: u16,
    },
    /// The end of a call that is not known here.
    CallEnd(CallEnd),
    /// A command of an operator.
    Command(Command),
    /// The lists were loaded, or not, because other servers have asked for it.
    Reloaded {
        /// The number of the last request that it was for.
        request: u64,
        /// The number of destinations, or why the lists were not taken.
        outcome: Result<u64, String>,
    },
}

/// A command of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Exchange everything with all others.
    Sync,
    /// Say that this server leaves.
    Leave,
    /// Forget the node with this name.
    Forget(String),
    /// Have all others load their lists, and tell what comes of it with this ticket.
    Reload(u64),
    /// Tell who pings a destination.
    Views {
        /// The number of the question.
        ticket: u64,
        /// The destination.
        key: Key,
    },
}

/// An entry without its text.
#[derive(Clone, Copy)]
pub struct Fixed {
    kind: u32,
    /// A place of a peer, or the length of an address.
    small: u16,
    code: u16,
    number: u64,
    /// An address, or a number of destinations.
    address: [u8; 16],
}

// SAFETY: numbers; zeroed it is a message from nowhere.
unsafe impl ShmSafe for Fixed {}

const MESSAGE: u32 = 0;
const REFUSED: u32 = 1;
const ANSWER: u32 = 2;
const SYNC: u32 = 3;
const LEAVE: u32 = 4;
const FORGET: u32 = 5;
const RELOAD: u32 = 6;
const RELOADED: u32 = 7;
const OVER: u32 = 8;
const CANCELLED: u32 = 9;
const ANSWERED: u32 = 10;
const VIEWS: u32 = 11;

impl Fixed {
    const fn of(kind: u32) -> Self {
        Fixed {
            kind,
            small: 0,
            code: 0,
            number: 0,
            address: [0; 16],
        }
    }

    fn from(self, source: Addr) -> Self {
        let mut address = [0; 16];
        let bytes: &[u8] = match &source {
            Addr::V4(bytes) => bytes,
            Addr::V6(bytes) => bytes,
        };
        address
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        let small = if bytes.len() == 4 { 4 } else { 16 };
        Fixed {
            small,
            address,
            ..self
        }
    }

    const fn source(&self) -> Addr {
        match (self.small, self.address) {
            (4, [a, b, c, d, ..]) => Addr::V4([a, b, c, d]),
            (_, bytes) => Addr::V6(bytes),
        }
    }
}

impl Item for Received {
    type Fixed = Fixed;

    const MOST_BYTES: usize = MOST_BYTES;

    fn fixed(&self) -> Fixed {
        match self {
            Received::Message { source, .. } => Fixed::of(MESSAGE).from(*source),
            Received::Refused { source, code, .. } => Fixed {
                code: *code,
                ..Fixed::of(REFUSED).from(*source)
            },
            &Received::Answer { peer, number, code } => Fixed {
                small: peer.into(),
                code,
                number,
                ..Fixed::of(ANSWER)
            },
            Received::CallEnd(end) => Fixed::of(match end.fate {
                Fate::Over => OVER,
                Fate::Cancelled => CANCELLED,
                Fate::Answered => ANSWERED,
            }),
            Received::Command(Command::Sync) => Fixed::of(SYNC),
            Received::Command(Command::Leave) => Fixed::of(LEAVE),
            Received::Command(Command::Forget(_)) => Fixed::of(FORGET),
            &Received::Command(Command::Reload(ticket)) => Fixed {
                number: ticket,
                ..Fixed::of(RELOAD)
            },
            Received::Reloaded { request, outcome } => Fixed {
                number: *request,
                code: outcome.is_ok().into(),
                address: u128::from(*outcome.as_ref().unwrap_or(&0)).to_le_bytes(),
                ..Fixed::of(RELOADED)
            },
            &Received::Command(Command::Views { ticket, key }) => {
                let [a, b, c, d, e, f, g, h] = key.0.to_le_bytes();
                let address = [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0];
                Fixed {
                    number: ticket,
                    address,
                    ..Fixed::of(VIEWS)
                }
            }
        }
    }

    fn texts(&self) -> [&[u8]; 2] {
        let text: &[u8] = match self {
            Received::Message { body, .. } => body,
            Received::Refused { reason, .. } => reason.as_bytes(),
            Received::Command(Command::Forget(name)) => name.as_bytes(),
            Received::Reloaded {
                outcome: Err(reason),
                ..
            } => reason.as_bytes(),
            Received::Reloaded { .. } => &[],
            Received::CallEnd(end) => end.words().as_bytes(),
            Received::Answer { .. } | Received::Command(_) => &[],
        };
        [text, &[]]
    }

    fn from_parts(fixed: Fixed, [text, _]: [&[u8]; 2]) -> Self {
        let bytes = text;
        let text = || String::from_utf8_lossy(bytes).into_owned();
        match fixed.kind {
            REFUSED => Received::Refused {
                source: fixed.source(),
                code: fixed.code,
                reason: text(),
            },
            ANSWER => Received::Answer {
                peer: u8::try_from(fixed.small).unwrap_or(u8::MAX),
                number: fixed.number,
                code: fixed.code,
            },
            OVER => Received::CallEnd(CallEnd::of_words(Fate::Over, text())),
            CANCELLED => Received::CallEnd(CallEnd::of_words(Fate::Cancelled, text())),
            ANSWERED => Received::CallEnd(CallEnd::of_words(Fate::Answered, text())),
            SYNC => Received::Command(Command::Sync),
            LEAVE => Received::Command(Command::Leave),
            VIEWS => {
                let [a, b, c, d, e, f, g, h, ..] = fixed.address;
                let key = Key(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
                let ticket = fixed.number;
                Received::Command(Command::Views { ticket, key })
            }
            FORGET => Received::Command(Command::Forget(text())),
            RELOAD => Received::Command(Command::Reload(fixed.number)),
            RELOADED => Received::Reloaded {
                request: fixed.number,
                outcome: match u64::try_from(u128::from_le_bytes(fixed.address)) {
                    Ok(dests) if fixed.code != 0 => Ok(dests),
                    _ => Err(text()),
                },
            },
            _ => Received::Message {
                source: fixed.source(),
                body: bytes.to_vec(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;

    #[test]
    fn what_came_is_taken_as_it_was_and_in_order() {
        let heap = Heap::default();
        let inbox = Inbox::create(heap.clone()).unwrap();
        let all = [
            Received::Message {
                source: Addr::V4([192, 0, 2, 1]),
                body: b"DSC 1.0\n\xff\n".to_vec(),
            },
            Received::Message {
                source: Addr::V6([7; 16]),
                body: Vec::new(),
            },
            Received::Refused {
                source: Addr::V4([0; 4]),
                code: 413,
                reason: "Too Long".into(),
            },
            Received::Answer {
                peer: 127,
                number: u64::MAX,
                code: 408,
            },
            Received::Command(Command::Sync),
            Received::Command(Command::Leave),
            Received::Command(Command::Forget("lb2".into())),
            Received::Command(Command::Reload(u64::MAX)),
            Received::Reloaded {
                request: 7,
                outcome: Ok(u64::MAX),
            },
            Received::Reloaded {
                request: 8,
                outcome: Err("line 3".into()),
            },
            Received::CallEnd(CallEnd::of(Fate::Over, b"id", b"f", b"t").unwrap()),
            Received::CallEnd(CallEnd::of(Fate::Cancelled, b"id", b"", b"").unwrap()),
            Received::CallEnd(CallEnd::of(Fate::Answered, b"id", b"f", b"").unwrap()),
            Received::Command(Command::Views {
                ticket: 7,
                key: Key(u64::MAX - 1),
            }),
        ];
        all.iter().for_each(|came| inbox.post(came).unwrap());
        assert_eq!(inbox.take(), all);
        assert_eq!((inbox.take(), inbox.bytes()), (vec![], 0));
        assert_eq!(heap.taken(), 1, "only the queue itself");
        // SAFETY: no other process has it.
        unsafe { inbox.destroy() };
        assert_eq!(heap.taken(), 0);
    }
}
