//! Which destination of a set has the fewest calls: a tree of minima, changed in place.
//!
//! Leaf `i` holds the calls of destination `i`, or [`FULL`] when it takes no more. A node above
//! holds the smallest value of its [`FAN`] children. Finding the least loaded destination, and
//! following a change, touch one node and its children a level; there are four levels for 10,000.
//!
//! As in [`super::usable`], the truth is in the records: a change is followed by [`Least::sync`],
//! which copies the truth until it stands still.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

use crate::shm::memory::arena::{Block, Field, Plan, ShmSafe, ShmSlice};

/// The value of a destination that takes no calls.
pub const FULL: u32 = u32::MAX;

/// Children of a node.
const FAN: usize = 16;

/// Levels of the largest set: 16^8 is over four thousand million destinations.
const LEVELS: usize = 8;

/// The tree of one set. Lives in shared memory, inside the set's view.
pub struct Least {
    levels: [ShmSlice<AtomicU32>; LEVELS],
}

// SAFETY: shared slices; zeroed it is the tree of an empty set.
unsafe impl ShmSafe for Least {}

/// The planned arrays of a [`Least`].
pub struct LeastPlan([Option<Field<AtomicU32>>; LEVELS]);

impl LeastPlan {
    /// Plans the nodes for `len` destinations; `None` when memory cannot be that large.
    pub fn new<H: ShmSafe>(plan: &mut Plan<H>, len: usize) -> Option<Self> {
        let mut fields = [const { None }; LEVELS];
        let mut nodes = len;
        for field in &mut fields {
            *field = Some(plan.array(nodes));
            if nodes <= 1 {
                break;
            }
            nodes = nodes.div_ceil(FAN);
        }
        Some(LeastPlan(fields))
    }

    /// The tree over the block's memory, with every destination full.
    pub fn place<H>(&self, block: &Block<H>) -> Least {
        let levels = self.0.each_ref().map(|field| match field {
            Some(field) => block.slice(field),
            None => ShmSlice::EMPTY,
        });
        for node in levels.iter().flat_map(ShmSlice::get) {
            node.store(FULL, Relaxed);
        }
        Least { levels }
    }
}

impl Least {
    fn level(&self, level: usize) -> &[AtomicU32] {
        self.levels.get(level).map_or(&[], ShmSlice::get)
    }

    /// The children of a node one level up.
    fn children(&self, level: usize, node: usize) -> &[AtomicU32] {
        let below = self.level(level);
        let end = below.len().min((node + 1) * FAN);
        below.get(node * FAN..end).unwrap_or(&[])
    }

    /// The leaves, as they are.
    pub fn copy(&self) -> Vec<u32> {
        let leaves = self.level(0).iter();
        leaves.map(|leaf| leaf.load(SeqCst)).collect()
    }

    /// Sets all leaves of a tree that nobody else sees yet.
    pub fn fill(&self, leaves: &[u32]) {
        for (leaf, &calls) in self.level(0).iter().zip(leaves) {
            leaf.store(calls, Relaxed);
        }
        for level in 1..LEVELS {
            for (at, node) in self.level(level).iter().enumerate() {
                let children = self.children(level - 1, at).iter();
                let smallest = children.map(|child| child.load(Relaxed)).min();
                node.store(smallest.unwrap_or(FULL), Relaxed);
            }
        }
    }

    /// Makes the leaf of destination `index` what `truth` says, and goes on until it stays so.
    pub fn sync(&self, index: usize, truth: impl Fn() -> u32) {
        if !follow(self.level(0).get(index), &truth) {
            return;
        }
        let mut node = index;
        for level in 1..LEVELS {
            node /= FAN;
            let smallest = || {
                let children = self.children(level - 1, node).iter();
                children
                    .map(|child| child.load(SeqCst))
                    .min()
                    .unwrap_or(FULL)
            };
            // Where it stays, all above stays; who has just changed it goes on from here.
            if !follow(self.level(level).get(node), &smallest) {
                return;
            }
        }
    }

    /// The first of the destinations with the fewest calls; `None` when all are full. Where one
    /// changes meanwhile, it may be another one that has room.
    pub fn find(&self) -> Option<usize> {
        let top = self
            .levels
            .iter()
            .rposition(|level| !level.get().is_empty())?;
        let fewest = self.level(top).first()?.load(SeqCst);
        // The first child that has so few is on the way to the first such leaf.
        let down = (0..top).rev().try_fold(0, |node, level| {
            let children = self.children(level, node);
            let mut values = children.iter().map(|child| child.load(SeqCst));
            let at = values.position(|value| value <= fewest)?;
            Some(node * FAN + at)
        });
        down.filter(|_| fewest != FULL)
            .or_else(|| self.find_amid_changes())
    }

    /// The least loaded of the first few that have room, from the leaves up. Who changes a leaf goes
    /// up from there, and may be held up on the way for as long as the scheduler likes: until then
    /// nodes above say what their children no longer have.
    #[cold]
    fn find_amid_changes(&self) -> Option<usize> {
        let calls = |at: &usize| {
            self.level(0)
                .get(*at)
                .map_or(FULL, |leaf| leaf.load(SeqCst))
        };
        let with_room = core::iter::successors(self.next(0), |at| self.next(at + 1));
        with_room.take(FAN).min_by_key(calls)
    }

    /// The first destination at or after `from` that is not full.
    ///
    /// Goes up to a node with something left, and down again; never back.
    pub fn next(&self, from: usize) -> Option<usize> {
        let mut level = 0;
        let mut at = from;
        while level < LEVELS && at < self.level(level).len() {
            let node = at / FAN;
            let left = self.children(level, node).iter().skip(at % FAN);
            let mut values = left.map(|child| child.load(SeqCst));
            match values.position(|value| value != FULL) {
                Some(steps) if level == 0 => return Some(at + steps),
                // A node that filled up after it was read leads up again, behind it.
                Some(steps) => {
                    level -= 1;
                    at = (at + steps) * FAN;
                }
                None => {
                    level += 1;
                    at = node + 1;
                }
            }
        }
        None
    }
}

/// Copies `truth` into a node until both agree; false when they did from the start, or there is no
/// such node. Nodes near the top rarely change, and are written only when they do, so that they
/// stay in every processor's cache.
fn follow(node: Option<&AtomicU32>, truth: &impl Fn() -> u32) -> bool {
    let Some(node) = node else { return false };
    let mut changed = false;
    loop {
        let value = truth();
        if node.load(SeqCst) != value {
            node.store(value, SeqCst);
            changed = true;
        }
        if truth() == value {
            return changed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use std::cell::RefCell;

    #[test]
    fn a_change_that_is_held_up_on_its_way_hides_nobody() {
        let heap = Heap::default();
        for len in [2, 40, 300] {
            let mut plan = Plan::<u64>::of_header();
            let least = LeastPlan::new(&mut plan, len).unwrap();
            let least = least.place(&plan.alloc(&heap).unwrap());
            // All have a call now, but above the leaves nobody knows.
            least.fill(&vec![0; len]);
            for leaf in least.level(0) {
                leaf.store(1, SeqCst);
            }
            assert_eq!(least.find(), Some(0), "len {len}");
            // One gets room, and above nobody knows.
            least.fill(&vec![FULL; len]);
            assert_eq!(least.find(), None, "len {len}");
            least.level(0)[1].store(7, SeqCst);
            assert_eq!(least.find(), Some(1), "len {len}");
        }
    }

    #[test]
    fn find_agrees_with_a_plain_list() {
        let mut random = StdRng::seed_from_u64(9);
        let sizes: &[usize] = if cfg!(miri) {
            &[0, 1, 17]
        } else {
            &[0, 1, 16, 17, 300, 5000]
        };
        for &len in sizes {
            let heap = Heap::default();
            let mut plan = Plan::<u64>::of_header();
            let least = LeastPlan::new(&mut plan, len).unwrap();
            let least = least.place(&plan.alloc(&heap).unwrap());
            let model = RefCell::new(vec![FULL; len]);
            for _ in 0..300 {
                if len > 0 {
                    let index = random.random_range(0..len);
                    let full = random.random_range(0..3) == 0;
                    let calls = if full {
                        FULL
                    } else {
                        random.random_range(0..4)
                    };
                    model.borrow_mut()[index] = calls;
                    least.sync(index, || model.borrow()[index]);
                }
                let model = model.borrow();
                let smallest = model.iter().copied().min().filter(|&calls| calls != FULL);
                let expected = smallest.and_then(|calls| model.iter().position(|&c| c == calls));
                assert_eq!(least.find(), expected, "len {len}");
                let from = random.random_range(0..len + 2);
                let left = (from..len).find(|&at| model[at] != FULL);
                assert_eq!(least.next(from), left, "len {len} from {from}");
            }
        }
    }
}
