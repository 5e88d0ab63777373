//! The atomics of shared memory, which are core's. In tests with the feature `models` they are those of the models.
//!
//! All of this layer takes them from here. They begin as zeroes in shared memory, and only their own operations change
//! them: another first value is stored, never written over them, and nobody takes a `&mut` to what is in them.

#[cfg(all(test, feature = "models"))]
pub use crate::shm::tests::models::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(not(all(test, feature = "models")))]
pub use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

#[cfg(all(test, feature = "models"))]
pub(super) use crate::shm::tests::models::memory::{reads, writes};

/// Tells a model that something of a piece is read that is not atomic.
#[cfg(not(all(test, feature = "models")))]
#[inline(always)]
pub(super) fn reads<T>(_start: *const T) {}

/// Tells a model that something of a piece is written that is not atomic.
#[cfg(not(all(test, feature = "models")))]
#[inline(always)]
pub(super) fn writes<T>(_start: *const T) {}
