//! Changes that wait: in order, each once, none lost when memory runs out.

use super::Heap;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::event_queue::{Letter, MOST, Mailbox, Refused};
use crate::shm::memory::arena::OutOfMemory;

fn letter(set: i32) -> Letter {
    let causes = [Cause::Rpc, Cause::Reload, Cause::Start];
    Letter {
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
    let mailbox = Mailbox::create(heap.clone()).unwrap();
    assert_eq!(mailbox.take(), []);
    for round in 0..3 {
        let letters: Vec<Letter> = (0..round * 5).map(letter).collect();
        letters
            .iter()
            .for_each(|letter| mailbox.post(letter).unwrap());
        assert_eq!(mailbox.take(), letters);
        assert_eq!(mailbox.take(), []);
        assert_eq!(heap.taken(), 1, "only the box itself");
    }
    mailbox.post(&letter(1)).unwrap();
    unsafe { mailbox.destroy() };
    assert_eq!(heap.taken(), 0);
}

#[test]
fn a_full_arena_refuses_and_keeps_the_rest() {
    let heap = Heap::default();
    let mailbox = Mailbox::create(heap.clone()).unwrap();
    mailbox.post(&letter(1)).unwrap();
    heap.limit(Some(0));
    assert_eq!(mailbox.post(&letter(2)), Err(Refused::Memory(OutOfMemory)));
    heap.limit(None);
    mailbox.post(&letter(3)).unwrap();
    assert_eq!(mailbox.take(), [letter(1), letter(3)]);
    unsafe { mailbox.destroy() };
}

#[test]
#[cfg_attr(miri, ignore = "too many letters for Miri")]
fn too_many_are_refused() {
    let mailbox = Mailbox::create(Heap::default()).unwrap();
    for _ in 0..MOST {
        mailbox.post(&letter(1)).unwrap();
    }
    assert_eq!(mailbox.post(&letter(1)), Err(Refused::TooMany));
    assert_eq!(mailbox.take().len(), MOST);
    mailbox.post(&letter(1)).unwrap();
    unsafe { mailbox.destroy() };
}
