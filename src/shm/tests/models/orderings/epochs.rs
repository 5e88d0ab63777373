//! Epochs alone: a published piece is replaced, and freed when no reader can have it.

use core::ptr::NonNull;

use super::{Shared, thread};
use crate::shm::memory::arena::{Arena, Plan};
use crate::shm::memory::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::shm::memory::atomic::{AtomicPtr, AtomicU64};
use crate::shm::memory::epoch::Epochs;
use crate::shm::tests::models::memory::Pieces;
use crate::shm::tests::models::place::{Change, Kind, Mutation};
use crate::shm::tests::models::run;

/// Epochs, and one published piece.
#[derive(Clone, Copy)]
struct Lab {
    epochs: Shared<Epochs>,
    link: Shared<AtomicPtr<AtomicU64>>,
}

impl Lab {
    fn new(slots: usize) -> Self {
        let mut block = Plan::<Epochs>::of_header().alloc(&Pieces).unwrap();
        if slots > 0 {
            block.fill().make_slots(&Pieces, slots).unwrap();
        }
        let epochs = Shared(block.header());
        epochs.start();
        let lab = Lab {
            epochs,
            link: Shared::new(),
        };
        lab.link.store(lab.node(1), Relaxed);
        lab
    }

    /// Makes a piece to publish.
    fn node(self, value: u64) -> *mut AtomicU64 {
        let node = Shared::<AtomicU64>::new();
        node.store(value, Relaxed);
        node.0.as_ptr()
    }

    /// Reads the published piece, as a reader that has pinned.
    fn read(self) -> u64 {
        let value = unsafe { &*self.link.load(Acquire) }.load(Relaxed);
        assert!(value > 0);
        value
    }

    /// Replaces the published piece; returns what is retired, with its epoch.
    fn replace(self, value: u64) -> (*mut AtomicU64, u64) {
        let old = self.link.swap(self.node(value), Release);
        (old, self.epochs.advance())
    }

    /// Frees what is retired, if nobody can have it.
    fn collect(self, retired: &mut Vec<(*mut AtomicU64, u64)>) {
        let oldest = self.epochs.oldest();
        retired.retain(|&(node, epoch)| {
            let is_over = epoch < oldest;
            if is_over {
                unsafe { Pieces.free(NonNull::new(node).unwrap().cast()) };
            }
            !is_over
        });
    }

    /// Frees all: nobody pins any more, so nothing may be left.
    fn end(self, mut retired: Vec<(*mut AtomicU64, u64)>) {
        self.collect(&mut retired);
        assert_eq!(retired, []);
        let last = NonNull::new(self.link.load(Relaxed)).unwrap();
        unsafe { Pieces.free(last.cast()) };
        self.link.free();
        let mut epochs = self.epochs.0;
        unsafe { epochs.as_mut() }.free_slots(&Pieces);
        self.epochs.free();
    }

    /// Replaces the piece twice, and frees what it can each time.
    fn write(self) -> Vec<(*mut AtomicU64, u64)> {
        let mut retired = Vec::new();
        for value in 2..4 {
            retired.push(self.replace(value));
            self.collect(&mut retired);
        }
        retired
    }
}

/// A reader pins twice, one after the other, while the piece is replaced.
fn pin() {
    let lab = Lab::new(2);
    let reader = thread(move || {
        for _ in 0..2 {
            let pin = lab.epochs.pin(1);
            lab.read();
            drop(pin);
        }
    });
    let mut retired = vec![lab.replace(2)];
    lab.collect(&mut retired);
    reader.join().unwrap();
    lab.end(retired);
}

/// A reader that pins after the first piece was replaced does not keep it: it is freed while that pin is held, and the
/// reader goes on with the second one, which is replaced meanwhile.
fn replace_twice() {
    let lab = Lab::new(2);
    let mut retired = vec![lab.replace(2)];
    let reader = thread(move || {
        let pin = lab.epochs.pin(1);
        let node = unsafe { &*lab.link.load(Acquire) };
        assert!(node.load(Relaxed) > 1);
        assert!(lab.read() > 1);
        assert!(node.load(Relaxed) > 1);
        drop(pin);
    });
    retired.push(lab.replace(3));
    lab.collect(&mut retired);
    assert!(retired.len() < 2, "the first piece is not freed");
    reader.join().unwrap();
    lab.end(retired);
}

#[test]
fn an_epoch_that_does_not_end_is_found() {
    let fault = Mutation {
        file: "memory/epoch.rs",
        line: "self.now.fetch_add(1, Relaxed)",
        kind: Kind::Rmw,
        change: Change::LeftOut,
    };
    let report = run::loom(Some(2), Some(fault), replace_twice);
    let failure = report.failure.unwrap();
    assert!(
        report.mutated && failure == "the first piece is not freed",
        "{failure}"
    );
}

/// The piece is replaced twice under a reader.
fn replace_under_pin() {
    let lab = Lab::new(2);
    let reader = thread(move || {
        let pin = lab.epochs.pin(1);
        let value = lab.read();
        assert!(lab.read() >= value);
        drop(pin);
    });
    let retired = lab.write();
    reader.join().unwrap();
    lab.end(retired);
}

/// A reader pins twice at once, and goes on reading under either.
fn nested_pins() {
    let lab = Lab::new(2);
    let reader = thread(move || {
        let first = lab.epochs.pin(1);
        let node = unsafe { &*lab.link.load(Acquire) };
        let second = lab.epochs.pin(1);
        drop(first);
        assert!(node.load(Relaxed) > 0);
        drop(second);
    });
    let mut retired = vec![lab.replace(2)];
    lab.collect(&mut retired);
    reader.join().unwrap();
    lab.end(retired);
}

/// Two readers without slots of their own.
fn strays() {
    let lab = Lab::new(0);
    let read = move || {
        let pin = lab.epochs.pin(7);
        lab.read();
        drop(pin);
    };
    let readers = [thread(read), thread(read)];
    let mut retired = vec![lab.replace(2)];
    lab.collect(&mut retired);
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
    lab.end(retired);
}

/// Another process ends epochs as well, without the writer lock: it looks who has pinned for long.
fn watched() {
    let lab = Lab::new(2);
    let reader = thread(move || {
        let pin = lab.epochs.pin(1);
        lab.read();
        drop(pin);
    });
    let watcher = thread(move || {
        assert_eq!(lab.epochs.watch(1), []);
    });
    let mut retired = vec![lab.replace(2)];
    lab.collect(&mut retired);
    reader.join().unwrap();
    watcher.join().unwrap();
    lab.end(retired);
}

super::models! {
    pin: [None, None],
    replace_twice: [None, None],
    replace_under_pin: [Some(3), Some(5)],
    nested_pins: [None, None],
    strays: [Some(3), Some(4)],
    watched: [Some(2), Some(4)],
}
