//! Atomics that are core's in memory, and whose operations are those of the running model.

// Values go through the widest word. Methods are those of core, which documents them.
#![allow(
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::useless_conversion
)]

use core::ptr;
use core::sync::atomic as core_atomic;
pub use core::sync::atomic::Ordering;

use super::memory::{self, Mode};
use super::place::{Kind, step};

/// An operation that reads and writes in one step.
#[derive(Clone, Copy)]
pub enum Rmw {
    Swap(u64),
    Add(u64),
    Sub(u64),
    And(u64),
    Or(u64),
}

impl Rmw {
    fn apply(self, old: u64) -> u64 {
        match self {
            Rmw::Swap(value) => value,
            Rmw::Add(value) => old.wrapping_add(value),
            Rmw::Sub(value) => old.wrapping_sub(value),
            Rmw::And(value) => old & value,
            Rmw::Or(value) => old | value,
        }
    }
}

/// The atomics of an explorer, or of core, whatever their size.
pub trait Operations {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    fn rmw(&self, op: Rmw, order: Ordering) -> u64;
    fn exchange(&self, old: u64, new: u64, orders: [Ordering; 2]) -> Result<u64, u64>;
}

macro_rules! operations {
    ($($atomic:ty: $value:ty,)*) => { $(
        impl Operations for $atomic {
            fn load(&self, order: Ordering) -> u64 {
                u64::from(self.load(order))
            }

            fn store(&self, value: u64, order: Ordering) {
                self.store(value as $value, order);
            }

            fn rmw(&self, op: Rmw, order: Ordering) -> u64 {
                u64::from(match op {
                    Rmw::Swap(value) => self.swap(value as $value, order),
                    Rmw::Add(value) => self.fetch_add(value as $value, order),
                    Rmw::Sub(value) => self.fetch_sub(value as $value, order),
                    Rmw::And(value) => self.fetch_and(value as $value, order),
                    Rmw::Or(value) => self.fetch_or(value as $value, order),
                })
            }

            fn exchange(&self, old: u64, new: u64, [success, failure]: [Ordering; 2]) -> Result<u64, u64> {
                let swap = self.compare_exchange(old as $value, new as $value, success, failure);
                swap.map(u64::from).map_err(u64::from)
            }
        }
    )* };
}
operations!(
    core_atomic::AtomicU8: u8,
    core_atomic::AtomicU32: u32,
    core_atomic::AtomicU64: u64,
    loom::sync::atomic::AtomicU8: u8,
    loom::sync::atomic::AtomicU32: u32,
    loom::sync::atomic::AtomicU64: u64,
);

/// The word of an atomic in memory.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    there: &'a dyn Operations,
    /// Its size in bytes.
    pub size: usize,
}

impl Word<'_> {
    /// Returns its address.
    pub fn addr(self) -> usize {
        ptr::from_ref(self.there).addr()
    }

    /// Returns what lies in memory.
    pub fn there(self) -> u64 {
        self.there.load(Ordering::Relaxed)
    }

    /// Leaves in memory what one of loom's atomics holds now.
    fn put(self, value: u64, word: &memory::Modelled) {
        self.there.store(value, Ordering::Relaxed);
        word.last.set(self.there());
    }

    #[track_caller]
    fn load(self, order: Ordering) -> u64 {
        let Some([order, _]) = step(Kind::Load, [order, order]) else {
            panic!("a load cannot be left out");
        };
        match memory::mode(self, false) {
            Mode::Plain => self.there.load(order),
            Mode::Loom(word) => word.in_any_order(false, |atomic| atomic.load(order)),
        }
    }

    #[track_caller]
    fn store(self, value: u64, order: Ordering) {
        let Some([order, _]) = step(Kind::Store, [order, order]) else {
            return;
        };
        match memory::mode(self, true) {
            Mode::Plain => self.there.store(value, order),
            Mode::Loom(word) => {
                word.in_any_order(true, |atomic| atomic.store(value, order));
                self.put(value, &word);
            }
        }
    }

    #[track_caller]
    fn rmw(self, op: Rmw, order: Ordering) -> u64 {
        let Some([order, _]) = step(Kind::Rmw, [order, order]) else {
            return self.there();
        };
        match memory::mode(self, true) {
            Mode::Plain => self.there.rmw(op, order),
            Mode::Loom(word) => {
                let old = word.in_any_order(true, |atomic| atomic.rmw(op, order));
                self.put(op.apply(old), &word);
                old
            }
        }
    }

    #[track_caller]
    fn exchange(self, old: u64, new: u64, orders: [Ordering; 2]) -> Result<u64, u64> {
        let Some(orders) = step(Kind::Exchange, orders) else {
            return Ok(old);
        };
        match memory::mode(self, true) {
            Mode::Plain => self.there.exchange(old, new, orders),
            Mode::Loom(word) => {
                let swap = word.in_any_order(true, |atomic| atomic.exchange(old, new, orders));
                if swap.is_ok() {
                    self.put(new, &word);
                }
                swap
            }
        }
    }

    /// As core's: a load, and then exchanges until one succeeds.
    #[track_caller]
    fn update(
        self,
        [success, fetch]: [Ordering; 2],
        mut to: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        let mut seen = self.load(fetch);
        while let Some(next) = to(seen) {
            match self.exchange(seen, next, [success, fetch]) {
                Ok(old) => return Ok(old),
                Err(newer) => seen = newer,
            }
        }
        Err(seen)
    }
}

/// A fence, as core's.
#[track_caller]
pub fn fence(order: Ordering) {
    let Some([order, _]) = step(Kind::Fence, [order, order]) else {
        return;
    };
    if memory::is_loom() {
        loom::sync::atomic::fence(order);
    } else {
        core_atomic::fence(order);
    }
}

macro_rules! atomic {
    ($name:ident $(<$of:ident>)?, $value:ty, $word:ident, |$to_value:ident| $to:expr, |$to_word:ident| $from:expr) => {
        /// As core's of that name.
        #[repr(transparent)]
        pub struct $name$(<$of>)?(core_atomic::$name$(<$of>)?);

        impl$(<$of>)? $name$(<$of>)? {
            /// Makes one, which is 0 in shared memory.
            pub const fn new(value: $value) -> Self {
                $name(core_atomic::$name::new(value))
            }

            fn word(&self) -> Word<'_> {
                // SAFETY: an atomic of the same size and alignment, all of whose bytes are values of it.
                let there: &core_atomic::$word = unsafe { &*ptr::from_ref(&self.0).cast() };
                let size = size_of::<core_atomic::$word>();
                Word { there, size }
            }

            fn of_word($to_value: u64) -> $value {
                $to
            }

            fn to_word($to_word: $value) -> u64 {
                $from
            }

            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                Self::of_word(self.word().load(order))
            }

            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                self.word().store(Self::to_word(value), order);
            }

            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                Self::of_word(self.word().rmw(Rmw::Swap(Self::to_word(value)), order))
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let swap = self.word().exchange(Self::to_word(old), Self::to_word(new), [success, failure]);
                swap.map(Self::of_word).map_err(Self::of_word)
            }

            #[track_caller]
            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                mut to: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let next = |seen| to(Self::of_word(seen)).map(Self::to_word);
                let update = self.word().update([set, fetch], next);
                update.map(Self::of_word).map_err(Self::of_word)
            }

            #[track_caller]
            pub fn get_mut(&mut self) -> &mut $value {
                memory::assert_private(self.word());
                self.0.get_mut()
            }

            #[track_caller]
            pub fn into_inner(self) -> $value {
                memory::assert_private(self.word());
                self.0.into_inner()
            }
        }
    };
}

macro_rules! number {
    ($name:ident, $value:ty, $word:ident, $bits:ty) => {
        atomic!(
            $name,
            $value,
            $word,
            |word| word as $value,
            |value| value as $bits as u64
        );

        impl $name {
            #[track_caller]
            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                Self::of_word(self.word().rmw(Rmw::Add(Self::to_word(value)), order))
            }

            #[track_caller]
            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                Self::of_word(self.word().rmw(Rmw::Sub(Self::to_word(value)), order))
            }

            #[track_caller]
            pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                Self::of_word(self.word().rmw(Rmw::And(Self::to_word(value)), order))
            }

            #[track_caller]
            pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                Self::of_word(self.word().rmw(Rmw::Or(Self::to_word(value)), order))
            }
        }
    };
}

number!(AtomicU32, u32, AtomicU32, u32);
number!(AtomicI32, i32, AtomicU32, u32);
number!(AtomicU64, u64, AtomicU64, u64);
number!(AtomicUsize, usize, AtomicU64, u64);
atomic!(AtomicBool, bool, AtomicU8, |word| word != 0, |value| {
    u64::from(value)
});
atomic!(
    AtomicPtr<T>,
    *mut T,
    AtomicU64,
    |word| ptr::with_exposed_provenance_mut(word as usize),
    |value| value.expose_provenance() as u64
);
