//! The atomics of shared memory, which are core's.
//!
//! All of this layer takes them from here, and so do its models.
//!
//! Atomics in shared memory begin as zeroes, and only their own operations change them: another first value is stored,
//! never written over them, and nobody takes a `&mut` to what is in them.

pub use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
