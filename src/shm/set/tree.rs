//! Trees over the destinations of a set, changed in place: a value for each destination, and for
//! every [`FAN`] values what they come to, up to one value for all.
//!
//! Following a change, and finding a destination, touch one node and its children a level; there
//! are four levels for 10,000. As in [`super::usable`], the truth is in the records: a change is
//! followed by a `sync`, which copies the truth until it stands still.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use crate::shm::memory::arena::{Block, Field, Plan, ShmSafe, ShmSlice};

/// Children of a node: those of one cache line.
const FAN: usize = 16;

/// Levels of the largest set: 16^8 is over four thousand million destinations.
const LEVELS: usize = 8;

/// The nodes of one tree. Zeroed it is the tree of an empty set.
struct Tree {
    levels: [ShmSlice<AtomicU32>; LEVELS],
    /// The level that is one node.
    top: usize,
}

/// The planned arrays of a tree.
pub struct TreePlan([Option<Field<AtomicU32>>; LEVELS]);

impl TreePlan {
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
        Some(TreePlan(fields))
    }

    /// The tree over the block's memory, all values 0.
    fn place<H>(&self, block: &Block<H>) -> Tree {
        let levels = self.0.each_ref().map(|field| match field {
            Some(field) => block.slice(field),
            None => ShmSlice::EMPTY,
        });
        let top = self.0.iter().flatten().count().saturating_sub(1);
        Tree { levels, top }
    }
}

impl Tree {
    fn level(&self, level: usize) -> &[AtomicU32] {
        self.levels.get(level).map_or(&[], ShmSlice::get)
    }

    /// The children of a node, by the level that they are in.
    fn children(&self, level: usize, node: usize) -> impl Iterator<Item = u32> + '_ {
        let below = self.level(level);
        let end = below.len().min((node + 1) * FAN);
        let children = below.get(node * FAN..end).unwrap_or(&[]);
        children.iter().map(|child| child.load(SeqCst))
    }

    /// What all values come to.
    fn whole(&self) -> u32 {
        let top = self.level(self.top).first();
        top.map_or(0, |node| node.load(SeqCst))
    }

    /// The value of a destination.
    fn value(&self, index: usize) -> u32 {
        let leaf = self.level(0).get(index);
        leaf.map_or(0, |leaf| leaf.load(SeqCst))
    }

    /// Fills a tree that nobody else sees yet.
    fn fill(&self, value: impl Fn(usize) -> u32, fold: fn(u32, u32) -> u32) {
        for (index, leaf) in self.level(0).iter().enumerate() {
            leaf.store(value(index), SeqCst);
        }
        for level in 1..LEVELS {
            for (at, node) in self.level(level).iter().enumerate() {
                node.store(self.children(level - 1, at).fold(0, fold), SeqCst);
            }
        }
    }

    /// Makes the value of a destination what `truth` says, and goes on until it stays so; false where
    /// it was so from the start.
    fn sync(&self, index: usize, truth: impl Fn() -> u32, fold: fn(u32, u32) -> u32) -> bool {
        if !follow(self.level(0).get(index), &truth) {
            return false;
        }
        let mut node = index;
        for level in 1..LEVELS {
            node /= FAN;
            let sum = || self.children(level - 1, node).fold(0, fold);
            if !follow(self.level(level).get(node), &sum) {
                break;
            }
        }
        true
    }
}

/// Copies `truth` into a node until both agree; false when they did from the start, or there is no
/// such node.
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

/// Weights of destinations, and their sums.
pub struct Shares(Tree);

// SAFETY: shared slices; zeroed it is the tree of an empty set.
unsafe impl ShmSafe for Shares {}

impl Shares {
    /// The tree over the block's memory; nobody has a share.
    pub fn place<H>(plan: &TreePlan, block: &Block<H>) -> Self {
        Shares(plan.place(block))
    }

    /// Gives each destination its weight, before anybody else sees the tree.
    pub fn fill(&self, weight: impl Fn(usize) -> u32) {
        self.0.fill(weight, u32::saturating_add);
    }

    /// Makes the weight of a destination what `truth` says.
    pub fn sync(&self, index: usize, truth: impl Fn() -> u32) {
        self.0.sync(index, truth, u32::saturating_add);
    }

    /// True when no destination can have a share.
    pub fn is_empty(&self) -> bool {
        self.0.level(0).is_empty()
    }

    /// The sum of all weights.
    #[inline]
    pub fn whole(&self) -> u32 {
        self.0.whole()
    }

    /// The sum of the weights below `to`.
    pub fn below(&self, to: usize) -> u32 {
        if to >= self.0.level(0).len() {
            return self.0.whole();
        }
        let mut sum = 0u32;
        let mut at = to;
        for level in 0..LEVELS {
            let before = self.0.children(level, at / FAN).take(at % FAN);
            sum = before.fold(sum, u32::saturating_add);
            at /= FAN;
        }
        sum
    }

    /// The destination whose weight covers this point of the sum; `None` behind the last one.
    pub fn find(&self, point: u32) -> Option<usize> {
        let mut point = point;
        let mut node = 0;
        for level in (0..self.0.top).rev() {
            let mut children = self.0.children(level, node);
            let at = children.position(|weight| match point.checked_sub(weight) {
                Some(rest) => {
                    point = rest;
                    false
                }
                None => true,
            })?;
            node = node * FAN + at;
        }
        (point < self.0.value(node)).then_some(node)
    }
}

/// Ranks of destinations, and the best of them. 0 is no rank: out.
pub struct Best {
    tree: Tree,
    /// Changes that are in the tree.
    changes: AtomicU32,
    /// The number of changes above, 1 and who was found to be the only best one below.
    alone: AtomicU64,
}

// SAFETY: shared slices; zeroed it is the tree of an empty set.
unsafe impl ShmSafe for Best {}

impl Best {
    /// The tree over the block's memory; all are out.
    pub fn place<H>(plan: &TreePlan, block: &Block<H>) -> Self {
        Best {
            tree: plan.place(block),
            changes: AtomicU32::new(0),
            alone: AtomicU64::new(0),
        }
    }

    /// Gives each destination its rank, before anybody else sees the tree.
    pub fn fill(&self, rank: impl Fn(usize) -> u32) {
        self.tree.fill(rank, u32::max);
    }

    /// Makes the rank of a destination what `truth` says.
    pub fn sync(&self, index: usize, truth: impl Fn() -> u32) {
        if self.tree.sync(index, truth, u32::max) {
            // Only now: who counts them before looking sees all that they count.
            self.changes.fetch_add(1, SeqCst);
        }
    }

    /// The first destination of the best rank, at or after `at` and around the end of the ring.
    ///
    /// Costs the same for any size while one is better than all others, or those of the best rank
    /// are next to each other; else a way up and down the tree.
    pub fn around(&self, at: usize, ring: usize) -> Option<usize> {
        let changes = u64::from(self.changes.load(SeqCst)) << 32;
        let known = self.alone.load(SeqCst) ^ changes;
        // Of another number of changes it is far above all positions.
        let alone = known.checked_sub(1).filter(|&alone| alone < ring as u64);
        if let Some(alone) = alone.and_then(|alone| usize::try_from(alone).ok()) {
            return Some(alone);
        }
        let rank = Some(self.best()).filter(|&rank| rank > 0)?;
        let found = self
            .next(rank, at, ring)
            .or_else(|| self.next(rank, 0, at))?;
        let behind = found + 1;
        // From right behind it all others were passed.
        if behind == at || (behind == ring && at == 0) {
            self.alone.store(changes | behind as u64, SeqCst);
        }
        Some(found)
    }

    /// The rank of a destination.
    pub fn rank(&self, index: usize) -> u32 {
        self.tree.value(index)
    }

    /// The best rank; 0 when all are out.
    pub fn best(&self) -> u32 {
        self.tree.whole()
    }

    /// The best rank below this one; 0 when there is none. Costs a way down for each destination
    /// that is better.
    pub fn best_below(&self, rank: u32) -> u32 {
        self.best_under(self.tree.top, 0, rank)
    }

    fn best_under(&self, level: usize, node: usize, rank: u32) -> u32 {
        let here = self.tree.level(level).get(node);
        let best = here.map_or(0, |node| node.load(SeqCst));
        if best < rank {
            return best;
        }
        let Some(below) = level.checked_sub(1) else {
            return 0;
        };
        let children = (node * FAN..(node + 1) * FAN).map(|at| self.best_under(below, at, rank));
        children.max().unwrap_or(0)
    }

    /// The first destination in `from..to` of at least this rank.
    ///
    /// Goes up to a node with something left, and down again; never back.
    pub fn next(&self, rank: u32, from: usize, to: usize) -> Option<usize> {
        let mut level = 0;
        let mut at = from;
        while level < LEVELS && at < self.tree.level(level).len() {
            let left = self.tree.children(level, at / FAN).skip(at % FAN);
            match left.enumerate().find(|&(_, value)| value >= rank) {
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

    fn tree<T>(heap: &Heap, len: usize, place: fn(&TreePlan, &Block<u64>) -> T) -> T {
        let mut plan = Plan::<u64>::of_header();
        let tree = TreePlan::new(&mut plan, len).unwrap();
        place(&tree, &plan.alloc(heap).unwrap())
    }

    #[test]
    fn shares_agree_with_a_plain_list() {
        let mut random = StdRng::seed_from_u64(11);
        for &len in SIZES {
            let heap = Heap::default();
            let shares = tree(&heap, len, Shares::place);
            let model = RefCell::new(vec![0u32; len]);
            shares.fill(|_| 7);
            model.borrow_mut().fill(7);
            for _ in 0..300 {
                if len > 0 {
                    let index = random.random_range(0..len);
                    let weight = [0, 0, 1, 50, 100][random.random_range(0..5)];
                    model.borrow_mut()[index] = weight;
                    shares.sync(index, || model.borrow()[index]);
                }
                let model = model.borrow();
                let to = random.random_range(0..len + 2);
                let sum: u32 = model.iter().take(to).sum();
                assert_eq!(shares.below(to), sum, "len {len} to {to}");
                let whole: u32 = model.iter().sum();
                let point = random.random_range(0..whole + 2);
                let mut rest = point;
                let expected = model.iter().position(|&weight| {
                    let here = rest < weight;
                    rest = rest.saturating_sub(weight);
                    here
                });
                let expected = expected.filter(|_| point < whole);
                assert_eq!(shares.find(point), expected, "len {len} point {point}");
            }
        }
    }

    #[test]
    fn ranks_agree_with_a_plain_list() {
        let mut random = StdRng::seed_from_u64(13);
        for &len in SIZES {
            let heap = Heap::default();
            let best = tree(&heap, len, Best::place);
            let model = RefCell::new(vec![0u32; len]);
            for _ in 0..300 {
                if len > 0 {
                    let index = random.random_range(0..len);
                    model.borrow_mut()[index] = random.random_range(0..5);
                    best.sync(index, || model.borrow()[index]);
                }
                let model = model.borrow();
                assert_eq!(best.best(), model.iter().copied().max().unwrap_or(0));
                let (from, to) = (
                    random.random_range(0..len + 2),
                    random.random_range(0..len + 2),
                );
                for _ in 0..if len > 0 { 3 } else { 0 } {
                    let at = random.random_range(0..len);
                    let whole = best.best();
                    let mut around = (at..len).chain(0..at);
                    let expected = around.find(|&at| whole > 0 && model[at] == whole);
                    assert_eq!(best.around(at, len), expected, "len {len} around {at}");
                    // So who is alone is remembered.
                    let behind = expected.map_or(0, |found| (found + 1) % len);
                    assert_eq!(best.around(behind, len).is_some(), whole > 0, "len {len}");
                }
                let rank = random.random_range(1..6);
                let under = model.iter().copied().filter(|&have| have < rank).max();
                assert_eq!(best.best_below(rank), under.unwrap_or(0), "len {len}");
                let expected = (from..to.min(len)).find(|&at| model[at] >= rank);
                assert_eq!(
                    best.next(rank, from, to),
                    expected,
                    "len {len} {from}..{to}"
                );
            }
        }
    }
}
