//! Members that came and went, until the timer process runs the routes for that.

use crate::dispatch::state::transition::Flip;
use crate::shm::queue::{Item, Queue};

/// Bytes of shared memory that news may take: some 200 wait at most.
pub const MOST_BYTES: usize = 64 << 10;

/// The queue of news.
pub type News<A> = Queue<A, NodeEvent>;

/// A member of the cluster came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// Up if it came.
    pub flip: Flip,
    /// Its name.
    pub name: String,
    /// Where it is reached.
    pub uri: String,
}

impl Item for NodeEvent {
    /// Not 0 for [`Flip::Up`].
    type Fixed = u8;

    const MOST_BYTES: usize = MOST_BYTES;

    fn fixed(&self) -> u8 {
        (self.flip == Flip::Up).into()
    }

    fn texts(&self) -> [&[u8]; 2] {
        [self.name.as_bytes(), self.uri.as_bytes()]
    }

    fn from_parts(is_up: u8, texts: [&[u8]; 2]) -> Self {
        let [name, uri] = texts.map(|text| String::from_utf8_lossy(text).into_owned());
        let flip = if is_up != 0 { Flip::Up } else { Flip::Down };
        NodeEvent { flip, name, uri }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;

    #[test]
    fn news_are_taken_as_they_were() {
        let heap = Heap::default();
        let news = News::create(heap.clone()).unwrap();
        let event = |flip, name: &str, uri: &str| NodeEvent {
            flip,
            name: name.into(),
            uri: uri.into(),
        };
        let all = [
            event(Flip::Up, "lb1", "sip:192.0.2.1"),
            event(Flip::Down, "lb2", ""),
        ];
        all.iter().for_each(|event| news.post(event).unwrap());
        assert_eq!(news.take(), all);
        // SAFETY: no other process has it.
        unsafe { news.destroy() };
        assert_eq!(heap.taken(), 0);
    }
}
