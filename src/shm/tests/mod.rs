//! Tests of the shared-memory layer: on the heap (also under Miri), and over a real `fork`.

#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

mod calls;
mod counters;
mod edit;
mod event_queue;
mod forked;
mod held;
mod key_shares;
mod laggard;
#[cfg(feature = "models")]
pub mod models;
mod processes;
mod rates;
mod retained;

mod shares;
mod store;
mod threads;

use core::alloc::Layout;
use core::ptr::NonNull;
use std::alloc;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::dispatch::list::attrs::Attrs;
use crate::dispatch::list::destination::{Addr, DestSpec, Proto};
use crate::dispatch::passive::standing::Rules;
use crate::dispatch::state::transition::State;
use crate::shm::calls::sticky::{self, StickyCalls};
use crate::shm::memory::arena::Arena;
use crate::shm::table::ejections::Limits;
use crate::shm::table::lock::Patience;

/// Sticky calls, as a server has them. Few under Miri, which goes through all of them at each use.
pub type Sticky = StickyCalls<{ if cfg!(miri) { 16 } else { sticky::GROUPS } }>;

/// Enough for any test.
pub const LONG: Patience = Patience::LONG;

/// An arena on the heap that knows what is taken, and that can refuse.
#[derive(Clone, Default)]
pub struct Heap(Rc<HeapState>);

#[derive(Default)]
struct HeapState {
    taken: RefCell<HashMap<NonNull<u8>, Layout>>,
    /// Allocations that still succeed; `None` is no limit.
    left: Cell<Option<usize>>,
}

impl Heap {
    /// Number of pieces that are taken.
    pub fn taken(&self) -> usize {
        self.0.taken.borrow().len()
    }

    /// Bytes of those pieces.
    pub fn bytes(&self) -> usize {
        self.0.taken.borrow().values().map(Layout::size).sum()
    }

    /// From now on only `left` more allocations succeed.
    pub fn limit(&self, left: Option<usize>) {
        self.0.left.set(left);
    }
}

unsafe impl Arena for Heap {
    fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        if let Some(left) = self.0.left.get() {
            self.0.left.set(Some(left.checked_sub(1)?));
        }
        let layout = Layout::from_size_align(layout.size().max(1), 8).unwrap();
        let piece = NonNull::new(unsafe { alloc::alloc(layout) })?;
        // Whoever reads what was not written finds this.
        unsafe { piece.write_bytes(0xa5, layout.size()) };
        self.0.taken.borrow_mut().insert(piece, layout);
        Some(piece)
    }

    unsafe fn free(&self, ptr: NonNull<u8>) {
        let layout = self.0.taken.borrow_mut().remove(&ptr);
        let layout = layout.expect("freed what was not taken");
        unsafe { ptr.write_bytes(0xde, layout.size()) };
        unsafe { alloc::dealloc(ptr.as_ptr(), layout) };
    }
}

impl Drop for HeapState {
    fn drop(&mut self) {
        for (piece, layout) in self.taken.borrow_mut().drain() {
            unsafe { alloc::dealloc(piece.as_ptr(), layout) };
        }
    }
}

/// Milliseconds of an ejection under [`limits`].
pub const EJECT_MS: u64 = 1_000;

/// The status of a failure.
pub const FAILED: u16 = 503;

/// Returns what ejections go by in tests that are not about times: each failure is to eject.
pub fn limits(percent: u32) -> Limits {
    Limits {
        rules: Rules {
            fails: 1,
            eject_ms: EJECT_MS,
            most_ms: EJECT_MS,
            retry_after_ms: 0,
        },
        percent,
    }
}

/// A destination `sip:<host>` with one address made from its host number.
pub fn spec(set: i32, uri: &str, flags: u32, priority: i32) -> DestSpec<'_> {
    let host = uri.split(':').nth(1).unwrap_or("");
    let host_at = uri.find(host).unwrap_or(0);
    DestSpec {
        set,
        uri: uri.as_bytes().into(),
        host: host_at..host_at + host.len(),
        port: uri
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .unwrap_or(0),
        proto: Proto::NONE,
        addrs: Cow::Borrowed(&[Addr::V4([127, 0, 0, 1])]),
        flags: State(flags),
        priority,
        attrs_body: b"",
        attrs: Attrs::default(),
        socket: 0,
    }
}
