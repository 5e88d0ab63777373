//! Sums of a value that each destination of a set has: a Fenwick tree, changed in place.
//!
//! Node `i`, counted from 1, has the sum of the last `i & -i` values up to its own. A change adds its
//! difference to one node a bit of the number of destinations, and so does not matter in which
//! order several changes do. The truth is in the records: [`Sums::sync`] copies it until it stands
//! still.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

use crate::shm::memory::arena::{Block, Plan, ShmSafe, ShmSlice};

/// The sums of one set. Lives in shared memory, inside the set's view.
pub struct Sums {
    values: ShmSlice<AtomicU32>,
    /// Node `i` is at `i - 1`.
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
        let (values, nodes) = (plan.array(len), plan.array(len));
        move |block: &Block<H>| Sums {
            values: block.slice(&values),
            nodes: block.slice(&nodes),
        }
    }

    /// True for no destinations.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 0
    }

    /// Sets all values of sums that nobody else sees yet.
    pub fn fill(&self, value: impl Fn(usize) -> u32) {
        let nodes = self.nodes.get();
        for ((index, node), cell) in nodes.iter().enumerate().zip(self.values.get()) {
            let value = value(index);
            cell.store(value, Relaxed);
            // All nodes below it have added to it already.
            let sum = node.load(Relaxed).wrapping_add(value);
            node.store(sum, Relaxed);
            if let Some(above) = nodes.get(index + lowest_bit(index + 1)) {
                above.store(above.load(Relaxed).wrapping_add(sum), Relaxed);
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

    /// Adds to all nodes over a value.
    fn add(&self, index: usize, more: u32) {
        let mut node = index + 1;
        while let Some(sum) = self.nodes.get().get(node - 1) {
            sum.fetch_add(more, SeqCst);
            node += lowest_bit(node);
        }
    }

    /// Returns the sum of the values below `to`.
    pub fn below(&self, to: usize) -> u32 {
        let nodes = self.nodes.get();
        let mut node = to.min(nodes.len());
        let mut sum = 0u32;
        while let Some(part) = node.checked_sub(1).and_then(|at| nodes.get(at)) {
            sum = sum.wrapping_add(part.load(SeqCst));
            node -= lowest_bit(node);
        }
        sum
    }

    /// Returns the destination whose value covers this point of the sum; `None` behind the last one.
    pub fn find(&self, point: u32) -> Option<usize> {
        let nodes = self.nodes.get();
        let mut steps = nodes.len().checked_ilog2().map_or(0, |bits| 1 << bits);
        let (mut point, mut at) = (point, 0);
        while steps > 0 {
            let node = nodes.get(at + steps - 1).map(|sum| sum.load(SeqCst));
            if let Some(rest) = node.and_then(|sum| point.checked_sub(sum)) {
                (point, at) = (rest, at + steps);
            }
            steps /= 2;
        }
        Some(at).filter(|&at| at < nodes.len())
    }
}

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
            for _ in 0..300 {
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
