//! The identities and weights by which a key finds its destination: a part of the view of a set.
//!
//! They lie one behind the other, because a selection looks at all of them.

use crate::dispatch::balance::identity::{self, Name};
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::{Block, Plan, ShmSafe, ShmSlice};

/// The identities of a set's destinations, and their relative weights if one has any. Frozen.
pub struct KeyShares {
    identities: ShmSlice<u64>,
    weights: ShmSlice<u8>,
}

// SAFETY: shared slices of integers; zeroed it is that of an empty set.
unsafe impl ShmSafe for KeyShares {}

impl KeyShares {
    /// Plans the arrays for these destinations, and returns what places them.
    pub fn plan<'d, H: ShmSafe, D: ExactSizeIterator<Item = &'d Dest>>(
        plan: &mut Plan<H>,
        mut dests: D,
    ) -> impl FnOnce(&Block<H>) -> Self + use<'d, H, D> {
        let len = dests.len();
        let weighted = dests.any(|dest| dest.rweight() > 0);
        let identities = plan.array(len);
        let weights = plan.array(if weighted { len } else { 0 });
        move |block: &Block<H>| KeyShares {
            identities: block.slice(&identities),
            weights: block.slice(&weights),
        }
    }

    /// Writes what is known of the destinations, which `dest` finds by position.
    ///
    /// # Safety
    /// Nobody else sees the arrays yet.
    pub unsafe fn fill<'d>(&self, dest: impl Fn(usize) -> Option<&'d Dest>) {
        let name = |at| dest(at).map_or(Name::Uri(b"", b""), name);
        let line = |at| dest(at).map_or(0, |dest| dest.line);
        // SAFETY: the caller promises that nobody else sees the array.
        identity::write(unsafe { self.identities.fill() }, name, line);
        // SAFETY: the caller promises that nobody else sees the array.
        for (at, weight) in unsafe { self.weights.fill() }.iter_mut().enumerate() {
            let listed = dest(at).map_or(0, Dest::rweight);
            *weight = u8::try_from(listed).unwrap_or(0);
        }
    }

    /// Returns the identities in order.
    #[inline]
    pub fn identities(&self) -> &[u64] {
        self.identities.get()
    }

    /// Returns the relative weights in order; none if no destination has one.
    #[inline]
    pub fn weights(&self) -> &[u8] {
        self.weights.get()
    }
}

/// Returns what tells a destination from the others of its set.
fn name(dest: &Dest) -> Name<'_> {
    let socket = || {
        dest.attribute(b"sockname")
            .or_else(|| dest.attribute(b"socket"))
    };
    dest.duid().map_or_else(
        || Name::Uri(dest.uri(), socket().unwrap_or_default()),
        Name::Duid,
    )
}
