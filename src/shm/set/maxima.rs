//! The greatest of a value that each destination of a set has: a tree, changed in place.
//!
//! Above every [`FAN`] values there is a node with the greatest of them, and so on, up to one node.
//! Following a change, and finding a destination, touch one node and its children a level; there
//! are four levels for 10,000. The truth is in the records. A change is followed by
//! [`Maxima::sync`], which copies the truth until it stands still, so that the last of several
//! changes wins.

use crate::shm::memory::arena::{Block, Plan, ShmSafe, ShmSlice, to_u32};
use crate::shm::memory::atomic::{
    AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

/// Children of a node: those of one cache line.
const FAN: usize = 16;

/// Levels of the largest set: 16^8 are more destinations than there can be.
const LEVELS: usize = 9;

/// The tree of one set. Lives in shared memory, inside the set's view.
pub struct Maxima {
    /// One level behind the other, the values of the destinations first.
    nodes: ShmSlice<AtomicU32>,
    /// Where each level ends in `nodes`.
    ends: [u32; LEVELS],
    /// The level that has one node.
    top: u32,
}

// SAFETY: integers and a shared slice of atomics; zeroed it is the tree of an empty set.
unsafe impl ShmSafe for Maxima {}

impl Maxima {
    /// Plans the nodes for `len` destinations, and returns what places them, all 0.
    pub fn plan<H: ShmSafe>(
        plan: &mut Plan<H>,
        len: usize,
    ) -> impl FnOnce(&Block<H>) -> Self + use<H> {
        let mut ends = [0; LEVELS];
        let (mut nodes, mut all, mut top) = (len, 0, 0);
        for (level, end) in (0..).zip(&mut ends) {
            all += nodes;
            *end = to_u32(all);
            if nodes > 1 {
                nodes = nodes.div_ceil(FAN);
                top = level + 1;
            } else {
                nodes = 0;
            }
        }
        let nodes = plan.array(all);
        move |block: &Block<H>| Maxima {
            nodes: block.slice(&nodes),
            ends,
            top,
        }
    }

    fn level(&self, level: usize) -> &[AtomicU32] {
        let end = |level: usize| self.ends.get(level).map_or(0, |&end| end as usize);
        let start = level.checked_sub(1).map_or(0, end);
        self.nodes.get().get(start..end(level)).unwrap_or_default()
    }

    /// Returns the children of a node, which are in this level.
    fn children(&self, level: usize, node: usize) -> impl Iterator<Item = u32> + '_ {
        let level = self.level(level);
        let end = level.len().min((node + 1) * FAN);
        let children = level.get(node * FAN..end).unwrap_or_default();
        children.iter().map(|child| child.load(SeqCst))
    }

    fn greatest_child(&self, level: usize, node: usize) -> u32 {
        self.children(level, node).max().unwrap_or(0)
    }

    /// Returns the greatest of all values.
    pub fn greatest(&self) -> u32 {
        let top = self.nodes.get().last();
        top.map_or(0, |node| node.load(SeqCst))
    }

    /// Sets all values, before anybody else sees them.
    pub fn fill(&self, value: impl Fn(usize) -> u32) {
        for (index, leaf) in self.level(0).iter().enumerate() {
            leaf.store(value(index), Relaxed);
        }
        for level in 1..=self.top as usize {
            for (at, node) in self.level(level).iter().enumerate() {
                node.store(self.greatest_child(level - 1, at), Relaxed);
            }
        }
    }

    /// Makes the value of a destination what `truth` says, and goes on until it stays so.
    pub fn sync(&self, index: usize, truth: impl Fn() -> u32) {
        // Where the value is right already, another process was faster, and may be held up on its way to the top.
        let alone = follow(self.level(0).get(index), truth);
        self.climb(index, alone);
    }

    /// Makes the value of a destination what `truth` says, in a tree that was just filled: where the value is right,
    /// all above it is.
    pub fn settle(&self, index: usize, truth: impl Fn() -> u32) {
        if follow(self.level(0).get(index), truth) {
            self.climb(index, true);
        }
    }

    /// Makes the nodes above a destination follow. With `alone`, it stops where a node stays as it is: so do all
    /// above it.
    fn climb(&self, index: usize, alone: bool) {
        let mut node = index;
        for level in 1..=self.top as usize {
            node /= FAN;
            let greatest = || self.greatest_child(level - 1, node);
            if !follow(self.level(level).get(node), greatest) && alone {
                return;
            }
        }
    }

    /// Sets a value but nothing above it, as a process does that is held up just after it.
    #[cfg(test)]
    pub fn set_leaf(&self, index: usize, value: u32) {
        follow(self.level(0).get(index), || value);
    }

    /// Returns the greatest value below this one; 0 if there is none. This costs a way down the tree for each
    /// destination that has a greater value.
    pub fn greatest_below(&self, limit: u32) -> u32 {
        self.greatest_under(self.top as usize, 0, limit)
    }

    fn greatest_under(&self, level: usize, node: usize, limit: u32) -> u32 {
        let here = self.level(level).get(node);
        let greatest = here.map_or(0, |node| node.load(SeqCst));
        match level.checked_sub(1) {
            _ if greatest < limit => greatest,
            None => 0,
            Some(below) => {
                let children = node * FAN..(node + 1) * FAN;
                let values = children.map(|child| self.greatest_under(below, child, limit));
                values.max().unwrap_or(0)
            }
        }
    }

    /// Returns the first destination of `from..to` that has at least this value.
    ///
    /// Goes up to a node with something left, and down again; never back.
    fn next(&self, least: u32, from: usize, to: usize) -> Option<usize> {
        let mut level = 0;
        let mut at = from;
        while at < self.level(level).len() {
            let left = self.children(level, at / FAN).skip(at % FAN);
            match left.enumerate().find(|&(_, value)| value >= least) {
                Some((steps, _)) if level == 0 => {
                    return Some(at + steps).filter(|&found| found < to);
                }
                // A node that sank after it was read leads up again, behind it.
                Some((steps, _)) => {
                    level -= 1;
                    at = (at + steps) * FAN;
                }
                None => {
                    level += 1;
                    at = at / FAN + 1;
                }
            }
        }
        None
    }

    /// Returns the destinations of `from..to` that have at least this value, as they are found.
    pub fn at_least(&self, least: u32, from: usize, to: usize) -> impl Iterator<Item = usize> + '_ {
        let mut from = from;
        core::iter::from_fn(move || {
            let at = self.next(least, from, to)?;
            from = at + 1;
            Some(at)
        })
    }

    /// Returns the first destination that has the greatest value; `None` if all values are 0.
    ///
    /// A process that changes a value goes up from there. Until it is at the top, this may return another destination
    /// whose value is not 0.
    pub fn first_of_greatest(&self) -> Option<usize> {
        self.next(self.greatest().max(1), 0, usize::MAX)
            .or_else(|| self.next(1, 0, usize::MAX))
    }
}

/// Copies `truth` into a node until both agree. Returns true if that changed the node.
///
/// Nodes near the top rarely change and are written only then, so they stay in every processor's cache.
fn follow(node: Option<&AtomicU32>, truth: impl Fn() -> u32) -> bool {
    let Some(node) = node else { return false };
    let mut changed = false;
    loop {
        let value = truth();
        if node.load(SeqCst) == value {
            return changed;
        }
        node.store(value, SeqCst);
        changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use std::cell::RefCell;

    const SIZES: &[usize] = if cfg!(miri) {
        &[0, 1, 17]
    } else {
        &[0, 1, 16, 17, 300, 5000]
    };

    fn maxima(heap: &Heap, len: usize) -> Maxima {
        let mut plan = Plan::<u64>::of_header();
        let place = Maxima::plan(&mut plan, len);
        place(&plan.alloc(heap).unwrap())
    }

    #[test]
    fn maxima_agree_with_a_plain_list() {
        let mut random = StdRng::seed_from_u64(13);
        for &len in SIZES {
            let heap = Heap::default();
            let maxima = maxima(&heap, len);
            let model = RefCell::new(vec![0u32; len]);
            for _ in 0..if cfg!(miri) { 30 } else { 300 } {
                if len > 0 {
                    let index = random.random_range(0..len);
                    model.borrow_mut()[index] = random.random_range(0..5);
                    maxima.sync(index, || model.borrow()[index]);
                }
                let model = model.borrow();
                let greatest = model.iter().copied().max().unwrap_or(0);
                assert_eq!(maxima.greatest(), greatest);
                let first = model.iter().position(|&value| value == greatest);
                let expected = first.filter(|_| greatest > 0);
                assert_eq!(maxima.first_of_greatest(), expected, "len {len}");
                let limit = random.random_range(1..6);
                let under = model.iter().copied().filter(|&have| have < limit).max();
                assert_eq!(
                    maxima.greatest_below(limit),
                    under.unwrap_or(0),
                    "len {len}"
                );
                let (from, to) = (
                    random.random_range(0..len + 2),
                    random.random_range(0..len + 2),
                );
                let expected = (from..to.min(len)).find(|&at| model[at] >= limit);
                let found = maxima.at_least(limit, from, to).next();
                assert_eq!(found, expected, "len {len} {from}..{to}");
            }
        }
    }

    #[test]
    fn a_change_that_is_held_up_on_its_way_hides_nobody() {
        let heap = Heap::default();
        for len in [2, 40, 300] {
            let maxima = maxima(&heap, len);
            maxima.fill(|_| 9);
            // All have fallen, but above the leaves nobody knows.
            for leaf in maxima.level(0) {
                leaf.store(8, SeqCst);
            }
            assert_eq!(maxima.first_of_greatest(), Some(0), "len {len}");
            // One comes up, and above nobody knows.
            maxima.fill(|_| 0);
            assert_eq!(maxima.first_of_greatest(), None, "len {len}");
            maxima.level(0)[1].store(7, SeqCst);
            assert_eq!(maxima.first_of_greatest(), Some(1), "len {len}");
        }
    }
}
