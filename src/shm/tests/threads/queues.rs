//! Posters and takers of events, and calls that are noted beside a draining destination.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use super::{Heap, at_once, rounds};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::calls::fingerprint::FingerprintKey;
use crate::shm::event_queue::{EventQueue, QueuedEvent};
use crate::shm::observe::changes::ring::Ring;
use crate::shm::tests::Sticky;

fn event(poster: i32, number: usize) -> QueuedEvent {
    QueuedEvent {
        set: poster,
        uri: number.to_string().into_bytes(),
        old: State(8),
        new: State(0x41),
        flip: Flip::Up,
        cause: Cause::Rpc,
        node: Vec::new(),
    }
}

/// Returns the poster and the number of an event, which is as it was posted.
fn of(posted: &QueuedEvent) -> (i32, usize) {
    let number = String::from_utf8_lossy(&posted.uri).parse().unwrap();
    assert_eq!(*posted, event(posted.set, number));
    (posted.set, number)
}

#[test]
fn each_event_is_taken_once_and_those_of_one_poster_in_order() {
    let rounds = rounds(12, 20_000);
    let heap = Heap::default();
    let queue = EventQueue::create(heap.clone()).unwrap();
    let dropped = AtomicUsize::new(0);
    let taken = Mutex::new(Vec::new());
    let post = |poster| {
        for number in 0..rounds {
            match queue.post(&event(poster, number)) {
                Ok(()) => {}
                Err(_) => _ = queue.count_dropped(1),
            }
        }
    };
    let take = || {
        let events: Vec<_> = queue.take().iter().map(of).collect();
        for poster in [1, 2] {
            let numbers = events.iter().filter(|(of, _)| *of == poster);
            assert!(numbers.is_sorted_by(|(_, one), (_, other)| one < other));
        }
        taken.lock().unwrap().extend(events);
        dropped.fetch_add(queue.take_dropped(), Ordering::Relaxed);
    };
    at_once(&[&|| post(1), &|| post(2)], &[&take, &take]);
    take();
    let mut taken = taken.into_inner().unwrap();
    taken.sort_unstable();
    let all = taken.len();
    taken.dedup();
    assert_eq!(all, taken.len(), "one was taken twice");
    assert_eq!(all + dropped.into_inner(), 2 * rounds);
    assert_eq!(heap.taken(), 1, "only the queue itself");
    unsafe { queue.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn entries_of_a_ring_are_whole_however_often_writers_overtake_each_other() {
    let rounds = rounds(12, 20_000) as u64;
    let heap = Heap::default();
    let ring = Ring::<4>::create(&heap, 3).unwrap();
    let written = AtomicUsize::new(0);
    let entry = |word: u64| [word, !word, word.wrapping_mul(3), word ^ 0x5555];
    let write = |writer: u64| {
        for number in 1..=rounds {
            let is_written = ring.push(&entry(writer << 32 | number));
            written.fetch_add(is_written.into(), Ordering::Relaxed);
        }
    };
    let read = || {
        let seen: Vec<_> = ring.newest().collect();
        assert!(seen.len() <= 3);
        for words in &seen {
            assert_eq!(*words, entry(words[0]), "an entry is torn");
        }
    };
    at_once(&[&|| write(1), &|| write(2)], &[&read, &read]);
    read();
    // Two writers never take all of three places, so none is given up but by one that was held up for a whole round.
    assert!(written.into_inner() > 0);
    assert_eq!(heap.taken(), 1, "only the ring itself");
    unsafe { ring.destroy(&heap) };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn calls_that_several_processes_note_first_are_known_to_all() {
    let calls = rounds(2, 20);
    for _ in 0..self::rounds(2, 50) {
        let heap = Heap::default();
        let sticky = Sticky::with_groups(&heap, FingerprintKey(1, 2)).unwrap();
        let note = |process: u64| {
            for call in 0..calls {
                // One that all note, and one of its own.
                for id in [format!("{call}"), format!("{call} of {process}")] {
                    sticky.note(&heap, 1, id.as_bytes(), process).unwrap();
                    assert!(sticky.knows(1, id.as_bytes(), process + 1));
                }
                assert!(!sticky.knows(2, b"0", process));
            }
        };
        at_once(&[&|| note(1), &|| note(2), &|| note(3)], &[]);
        assert_eq!(heap.taken(), 2, "the table's memory is taken once");
        unsafe { sticky.destroy(&heap) };
        assert_eq!(heap.taken(), 0);
    }
}
