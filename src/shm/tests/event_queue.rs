//! Changes that wait: in order, each once, none lost when memory runs out.

use super::Heap;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::event_queue::{EventQueue, MOST_BYTES, QueuedEvent};
use crate::shm::memory::arena::OutOfMemory;
use crate::shm::queue::Refused;

fn event(set: i32) -> QueuedEvent {
    let causes = [Cause::Rpc, Cause::Reload, Cause::Cluster];
    let cause = causes[usize::try_from(set % 3).unwrap()];
    let node = if cause == Cause::Cluster { "lb2" } else { "" };
    QueuedEvent {
        set,
        uri: format!("sip:host:{set}").into_bytes(),
        old: State(8),
        new: State(0x41),
        flip: [Flip::Up, Flip::Down][usize::from(set % 2 == 0)],
        cause,
        node: node.into(),
    }
}

#[test]
fn what_is_posted_is_taken_once_and_in_order() {
    let heap = Heap::default();
    let queue = EventQueue::create(heap.clone()).unwrap();
    assert_eq!(queue.take(), []);
    for round in 0..3 {
        let events: Vec<QueuedEvent> = (0..round * 5).map(event).collect();
        events.iter().for_each(|event| queue.post(event).unwrap());
        assert_eq!(queue.take(), events);
        assert_eq!(queue.take(), []);
        assert_eq!(heap.taken(), 1, "only the queue itself");
        assert_eq!(queue.bytes(), 0);
    }
    queue.post(&event(1)).unwrap();
    unsafe { queue.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_full_arena_refuses_and_keeps_the_rest() {
    let heap = Heap::default();
    let queue = EventQueue::create(heap.clone()).unwrap();
    queue.post(&event(1)).unwrap();
    heap.limit(Some(0));
    assert_eq!(queue.post(&event(2)), Err(Refused::Memory(OutOfMemory)));
    heap.limit(None);
    queue.post(&event(3)).unwrap();
    assert_eq!(queue.take(), [event(1), event(3)]);
    unsafe { queue.destroy() };
}

#[test]
#[cfg_attr(miri, ignore = "too many events for Miri")]
fn too_many_are_refused() {
    let queue = EventQueue::create(Heap::default()).unwrap();
    let long = QueuedEvent {
        uri: vec![b'a'; 10_000],
        ..event(1)
    };
    for (event, least) in [(event(1), 40_000), (long, 800)] {
        let posted = (0..).take_while(|_| queue.post(&event).is_ok()).count();
        assert!((least..least * 2).contains(&posted), "{posted}");
        assert!(posted * event.uri.len() < MOST_BYTES);
        assert_eq!(queue.post(&event), Err(Refused::TooMany));
        assert_eq!(queue.take().len(), posted);
    }
    queue.post(&event(1)).unwrap();
    unsafe { queue.destroy() };
}

#[test]
fn what_is_dropped_is_counted_from_one_question_to_the_next() {
    let queue = EventQueue::create(Heap::default()).unwrap();
    assert!(queue.count_dropped(3));
    assert!(!queue.count_dropped(4));
    assert_eq!((queue.take_dropped(), queue.take_dropped()), (7, 0));
    assert!(queue.count_dropped(1));
    unsafe { queue.destroy() };
}
