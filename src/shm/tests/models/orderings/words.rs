//! Protocols of a few words: event queue, next hop, watches, ring.

use std::sync::Arc;

use super::counts::{records, release};
use super::{Shared, thread};
use crate::dispatch::list::destination::{Addr, Proto};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::dest::next_hop::{Hop, NextHop, Resolved};
use crate::shm::dest::record::DestRecord;
use crate::shm::event_queue::{EventQueue, QueuedEvent};
use crate::shm::memory::watch::{LONG_S, Watch};
use crate::shm::observe::changes::ring::Ring;
use crate::shm::tests::models::memory::Pieces;

fn event(set: i32) -> QueuedEvent {
    QueuedEvent {
        set,
        uri: b"sip:a".to_vec(),
        old: State(8),
        new: State(1),
        flip: Flip::Down,
        cause: Cause::Rpc,
        node: Vec::new(),
    }
}

/// Two threads post an event each, and a third one takes: none is lost, none comes twice, and in the end nothing
/// counts.
fn events() {
    let queue = Arc::new(EventQueue::create(Pieces).unwrap());
    let posters = [1, 2].map(|set| {
        let queue = queue.clone();
        thread(move || queue.post(&event(set)).unwrap())
    });
    let mut taken = queue.take();
    for poster in posters {
        poster.join().unwrap();
    }
    taken.extend(queue.take());
    taken.sort_by_key(|event| event.set);
    assert_eq!(taken, [event(1), event(2)]);
    assert_eq!(queue.bytes(), 0);
    unsafe { queue.destroy() };
}

/// Two threads take what one posts: each event comes to one of them.
fn takers() {
    let queue = Arc::new(EventQueue::create(Pieces).unwrap());
    let taking = queue.clone();
    let taker = thread(move || taking.take().len());
    queue.post(&event(1)).unwrap();
    queue.post(&event(2)).unwrap();
    let mut taken = queue.take().len();
    taken += taker.join().unwrap();
    assert_eq!(taken, 2);
    assert_eq!(queue.bytes(), 0);
    unsafe { queue.destroy() };
}

/// Posters give up events and say so; who asks is told each number once.
fn dropped() {
    let queue = Arc::new(EventQueue::create(Pieces).unwrap());
    let counting = queue.clone();
    let poster = thread(move || usize::from(counting.count_dropped(2)));
    let mut first = usize::from(queue.count_dropped(3));
    let told = queue.take_dropped();
    first += poster.join().unwrap();
    let later = queue.take_dropped();
    assert_eq!(told + later, 5);
    assert_eq!(first, 1 + usize::from(told == 3));
    unsafe { queue.destroy() };
}

fn hop_to(byte: u8) -> Resolved {
    Resolved::At(NextHop {
        addr: Addr::V6([byte; 16]),
        port: u16::from(byte) + 5060,
        proto: Proto::TCP,
    })
}

fn hop_of(record: &DestRecord) -> &Hop {
    &record.need_vitals(&Pieces).unwrap().health.hop
}

/// Sets the next hop of a destination whose URI was `a` to one of its new URI `b`, while `read` reads.
fn hop_changes(read: impl Fn(&Hop)) {
    let [record] = records();
    let hop = Shared::from(hop_of(&record));
    hop.set(hop.stamp(), b"a", hop_to(1));
    let setter = thread(move || hop.set(hop.stamp(), b"b", hop_to(2)));
    read(&hop);
    setter.join().unwrap();
    assert_eq!(hop.get(b"b"), hop_to(2));
    release(record);
}

/// A reader that asks for the old URI sees what was found for it, whole, or nothing.
fn hop_before() {
    hop_changes(|hop| {
        let found = hop.get(b"a");
        assert!([Resolved::Unknown, hop_to(1)].contains(&found), "{found:?}");
    });
}

/// A reader that asks for the new one sees what was found for that, whole, or nothing.
fn hop_after() {
    hop_changes(|hop| {
        let found = hop.get(b"b");
        assert!([Resolved::Unknown, hop_to(2)].contains(&found), "{found:?}");
    });
}

/// Two processes set it one after the other: what the later one has stored stays.
fn hop_overwritten() {
    let [record] = records();
    let hop = Shared::from(hop_of(&record));
    let set = move |byte: u8| {
        let stamp = hop.stamp();
        hop.set(stamp, b"a", hop_to(byte));
    };
    let setter = thread(move || set(1));
    set(2);
    setter.join().unwrap();
    let found = hop.get(b"a");
    assert!([hop_to(1), hop_to(2)].contains(&found), "{found:?}");
    release(record);
}

/// A result with an old stamp is discarded: of two with the same stamp, the first one is kept.
fn hop_setters() {
    let [record] = records();
    let hop = Shared::from(hop_of(&record));
    let stamp = hop.stamp();
    let setter = thread(move || hop.set(stamp, b"a", hop_to(1)));
    hop.set(stamp, b"b", hop_to(2));
    setter.join().unwrap();
    let found = (hop.get(b"a"), hop.get(b"b"));
    let either = [
        (hop_to(1), Resolved::Unknown),
        (Resolved::Unknown, hop_to(2)),
    ];
    assert!(either.contains(&found), "{found:?}");
    release(record);
}

/// What has begun anew is not taken for something that has lasted.
fn watch() {
    let watch = Shared::<Watch>::new();
    assert_eq!(watch.look(1, 1), None);
    let looking = thread(move || assert_eq!(watch.look(2, 1 + LONG_S), None));
    let for_s = watch.seconds(2, 1 + LONG_S);
    assert_eq!(for_s, 0, "it has just begun");
    looking.join().unwrap();
    watch.free();
}

/// Returns what a ring has; each entry is the same word twice.
fn entries(ring: &Ring<2>) -> Vec<u64> {
    let whole = ring.newest().map(|[one, other]| {
        assert_eq!(one, other, "an entry is torn");
        one
    });
    whole.collect()
}

/// A reader sees an entry that is overwritten, or the one that overwrites it, whole, or nothing.
fn ring_read() {
    let ring = Arc::new(Ring::<2>::create(&Pieces, 1).unwrap());
    assert!(ring.push(&[1, 1]));
    let writing = ring.clone();
    let writer = thread(move || assert!(writing.push(&[2, 2])));
    let seen = entries(&ring);
    assert!([&[][..], &[1], &[2]].contains(&&*seen), "{seen:?}");
    writer.join().unwrap();
    assert_eq!(entries(&ring), [2]);
    unsafe { ring.destroy(&Pieces) };
}

/// Two writers come to the same place: one of the entries stays, whole.
fn ring_written() {
    let ring = Arc::new(Ring::<2>::create(&Pieces, 1).unwrap());
    let writing = ring.clone();
    let writer = thread(move || writing.push(&[1, 1]));
    let pushed = ring.push(&[2, 2]);
    assert!(writer.join().unwrap() || pushed, "at most one is given up");
    let kept = entries(&ring);
    assert!(kept.iter().all(|entry| [1, 2].contains(entry)), "{kept:?}");
    assert!(kept.len() <= 1);
    unsafe { ring.destroy(&Pieces) };
}

super::models! {
    events: [Some(3), Some(4)],
    takers: [Some(3), Some(5)],
    dropped: [None, None],
    hop_before: [Some(1), Some(2)],
    hop_after: [Some(1), Some(2)],
    hop_overwritten: [None, None],
    hop_setters: [None, None],
    watch: [None, None],
    ring_read: [Some(2), None],
    ring_written: [Some(2), Some(3)],
}
