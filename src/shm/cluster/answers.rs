//! The outcome of a reload of all servers, for the process that waits for it.

use crate::dispatch::cluster::node::action::{Answer, Told};
use crate::shm::memory::arena::ShmSafe;
use crate::shm::queue::{Item, Queue};

/// Bytes of shared memory that answers may take: two of each node, with reasons of full length.
pub const MOST_BYTES: usize = 256 << 10;

/// The queue of answers.
pub type Answers<A> = Queue<A, Told>;

/// An answer without its texts.
#[derive(Clone, Copy)]
pub struct Fixed {
    ticket: u64,
    dests: u64,
    left: u32,
    kind: u16,
    code: u16,
}

// SAFETY: numbers; zeroed it is an answer to nobody.
unsafe impl ShmSafe for Fixed {}

const ASKED: u16 = 0;
const NOT_ASKED: u16 = 1;
const NOT_TAKEN: u16 = 2;
const LOADED: u16 = 3;
const FAILED: u16 = 4;

impl Item for Told {
    type Fixed = Fixed;

    const MOST_BYTES: usize = MOST_BYTES;

    fn fixed(&self) -> Fixed {
        let (kind, code, dests) = match &self.answer {
            Answer::Asked => (ASKED, 0, 0),
            Answer::NotAsked(_) => (NOT_ASKED, 0, 0),
            Answer::NotTaken(code) => (NOT_TAKEN, *code, 0),
            Answer::Ended(Ok(dests)) => (LOADED, 0, *dests),
            Answer::Ended(Err(_)) => (FAILED, 0, 0),
        };
        Fixed {
            ticket: self.ticket,
            dests,
            left: self.left,
            kind,
            code,
        }
    }

    fn texts(&self) -> [&[u8]; 2] {
        let text = match &self.answer {
            Answer::NotAsked(text) | Answer::Ended(Err(text)) => text.as_bytes(),
            _ => &[],
        };
        [self.name.as_bytes(), text]
    }

    fn from_parts(fixed: Fixed, texts: [&[u8]; 2]) -> Self {
        let [name, text] = texts.map(|text| String::from_utf8_lossy(text).into_owned());
        Told {
            ticket: fixed.ticket,
            left: fixed.left,
            name,
            answer: match fixed.kind {
                NOT_ASKED => Answer::NotAsked(text),
                NOT_TAKEN => Answer::NotTaken(fixed.code),
                LOADED => Answer::Ended(Ok(fixed.dests)),
                FAILED => Answer::Ended(Err(text)),
                _ => Answer::Asked,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;

    #[test]
    fn answers_are_taken_as_they_were() {
        let heap = Heap::default();
        let answers = Answers::create(heap.clone()).unwrap();
        let all = [
            Answer::Asked,
            Answer::NotAsked("dead".into()),
            Answer::NotTaken(408),
            Answer::Ended(Ok(u64::MAX)),
            Answer::Ended(Err("no".into())),
        ];
        let all = all.map(|answer| Told {
            ticket: 7,
            left: 3,
            name: "lb2".into(),
            answer,
        });
        all.iter().for_each(|told| answers.post(told).unwrap());
        assert_eq!(answers.take(), all);
        // SAFETY: no other process has it.
        unsafe { answers.destroy() };
        assert_eq!(heap.taken(), 0);
    }
}
