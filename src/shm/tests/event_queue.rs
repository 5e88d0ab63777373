//! Changes that wait: in order, each once, none lost when memory runs out.

use super::Heap;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::event_queue::{EventQueue, MOST, QueuedEvent, Refused};
use crate::shm::memory::arena::OutOfMemory;

fn event(set: i32) -> QueuedEvent {
    let causes = [Cause::Rpc, Cause::Reload, Cause::Start];
    QueuedEvent {
        set,
        uri: format!("sip:host:{set}").into_bytes(),
        old: State(8),
        new: State(0x41),
        flip: [Flip::Up, Flip::Down][usize::from(set % 2 == 0)],
        cause: causes[usize::try_from(set % 3).unwrap()],
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
    for _ in 0..MOST {
        queue.post(&event(1)).unwrap();
    }
    assert_eq!(queue.post(&event(1)), Err(Refused::TooMany));
    assert_eq!(queue.take().len(), MOST);
    queue.post(&event(1)).unwrap();
    unsafe { queue.destroy() };
}
