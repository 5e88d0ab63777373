//! Sums of a value that each destination of a set has: a Fenwick tree, changed in place.
//!
//! Node `i`, from 1 on, is the sum of the last `i & -i` values up to the `i`th. A change adds its difference to as many
//! nodes as the number of destinations has bits, so it does not matter in which order several changes come. The truth
//! is in the records: [`Sums::sync`] copies it until it stands still.

use crate::shm::memory::arena::{Block, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::atomic::{
    AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

/// The sums of one set. Lives in shared memory, inside the set's view.
pub struct Sums {
    values: ShmSlice<AtomicU32>,
    /// The nodes, and in the place of node 0 the sum of all values.
    nodes: ShmSlice<AtomicU32>,
}

// SAFETY: shared slices of atomics; zeroed it is that of an empty set.
unsafe impl ShmSafe for Sums {}

impl Sums {
    /// Plans the nodes for `len` destinations, and returns what places them, all 0.
    pub fn plan<H: ShmSafe>(
        plan: &mut Plan<H>,
        len: usize,
    ) -> impl FnOnce(&Block<H>) -> Self + use<H> {
        let (values, nodes) = (plan.array(len), plan.array(len + usize::from(len > 0)));
        move |block: &Block<H>| Sums {
            values: block.slice(&values),
            nodes: block.slice(&nodes),
        }
    }

    /// Returns true if there are no destinations.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 0
    }

    /// Sets all values, before anybody else sees them.
    pub fn fill(&self, value: impl Fn(usize) -> u32) {
        let Some((whole, nodes)) = self.nodes.get().split_first() else {
            return;
        };
        let add = |node: &AtomicU32, more: u32| {
            let sum = node.load(Relaxed).wrapping_add(more);
            node.store(sum, Relaxed);
            sum
        };
        for ((index, node), cell) in nodes.iter().enumerate().zip(self.values.get()) {
            let value = value(index);
            cell.store(value, Relaxed);
            add(whole, value);
            // The nodes below this one have added to it already.
            let sum = add(node, value);
            if let Some(above) = nodes.get(index + lowest_bit(index + 1)) {
                add(above, sum);
            }
        }
    }

    /// Makes the value of a destination what `truth` says, and goes on until it stays so.
    pub fn sync(&self, index: usize, truth: impl Fn() -> u32) {
        let Some(cell) = self.values.get().get(index) else {
            return;
        };
        loop {
            let value = truth();
            if cell.load(SeqCst) == value {
                return;
            }
            let before = cell.swap(value, SeqCst);
            self.add(index, value.wrapping_sub(before));
        }
    }

    /// Sets a value but no sum of it, as a process does that is held up just after it.
    #[cfg(test)]
    pub fn set_value(&self, index: usize, value: u32) {
        if let Some(cell) = self.values.get().get(index) {
            cell.store(value, SeqCst);
        }
    }

    /// Adds to the sum of all, and to each node that has this value.
    fn add(&self, index: usize, more: u32) {
        let nodes = self.nodes.get();
        let mut node = 0;
        while let Some(sum) = nodes.get(node) {
            sum.fetch_add(more, SeqCst);
            node = if node == 0 {
                index + 1
            } else {
                node + lowest_bit(node)
            };
        }
    }

    /// Returns the sum of the values below `to`.
    pub fn below(&self, to: usize) -> u32 {
        let nodes = self.nodes.get();
        let sum = |node: usize| nodes.get(node).map_or(0, |sum| sum.load(SeqCst));
        if to >= nodes.len().saturating_sub(1) {
            return sum(0);
        }
        let (mut node, mut below) = (to, 0u32);
        while node > 0 {
            below = below.wrapping_add(sum(node));
            node -= lowest_bit(node);
        }
        below
    }

    /// Returns the destination whose value covers this point of the sum; `None` behind the last one.
    pub fn find(&self, point: u32) -> Option<usize> {
        let nodes = self.nodes.get();
        let last = nodes.len().checked_sub(1)?;
        let (mut point, mut at) = (point, 0);
        let mut steps = 1 << last.checked_ilog2()?;
        while steps > 0 {
            if let Some(node) = nodes.get(at + steps) {
                let sum = node.load(SeqCst);
                if sum <= point {
                    point -= sum;
                    at += steps;
                }
            }
            steps /= 2;
        }
        Some(at).filter(|&at| at < last)
    }
}

/// Returns the lowest bit of a number that is set.
const fn lowest_bit(number: usize) -> usize {
    number & number.wrapping_neg()
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

    #[test]
    fn sums_agree_with_a_plain_list() {
        let mut random = StdRng::seed_from_u64(11);
        for &len in SIZES {
            let heap = Heap::default();
            let mut plan = Plan::<u64>::of_header();
            let place = Sums::plan(&mut plan, len);
            let sums = place(&plan.alloc(&heap).unwrap());
            let model = RefCell::new(vec![0u32; len]);
            sums.fill(|_| 7);
            model.borrow_mut().fill(7);
            for _ in 0..if cfg!(miri) { 30 } else { 300 } {
                if len > 0 {
                    let index = random.random_range(0..len);
                    let weight = [0, 0, 1, 50, 100][random.random_range(0..5)];
                    model.borrow_mut()[index] = weight;
                    sums.sync(index, || model.borrow()[index]);
                }
                let model = model.borrow();
                let to = random.random_range(0..len + 2);
                let sum: u32 = model.iter().take(to).sum();
                assert_eq!(sums.below(to), sum, "len {len} to {to}");
                let whole: u32 = model.iter().sum();
                let point = random.random_range(0..whole + 2);
                let mut rest = point;
                let expected = model.iter().position(|&weight| {
                    let here = rest < weight;
                    rest = rest.saturating_sub(weight);
                    here
                });
                let expected = expected.filter(|_| point < whole);
                assert_eq!(sums.find(point), expected, "len {len} point {point}");
            }
        }
    }
}
