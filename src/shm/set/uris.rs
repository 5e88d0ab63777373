//! The positions of a set by URI: a sorted array of hashes, part of the set's view.

use crate::shm::memory::arena::{Block, Plan, ShmSafe, ShmSlice};

/// The positions of a set, sorted by the hashes of their URIs.
pub struct Uris {
    /// A hash above, and a position with that hash below.
    entries: ShmSlice<u64>,
}

// SAFETY: a shared slice of integers; zeroed it is that of an empty set.
unsafe impl ShmSafe for Uris {}

impl Uris {
    /// Plans the array for `len` positions, and returns what places it.
    pub fn plan<H: ShmSafe>(
        plan: &mut Plan<H>,
        len: usize,
    ) -> impl FnOnce(&Block<H>) -> Uris + use<H> {
        let entries = plan.array(len);
        move |block: &Block<H>| Uris {
            entries: block.slice(&entries),
        }
    }

    /// Writes the entries of all positions, whose hashes come in order.
    ///
    /// # Safety
    /// Nobody else sees the array yet.
    pub unsafe fn fill(&self, hashes: impl Iterator<Item = u32>) {
        // SAFETY: the caller promises that nobody else sees the array.
        let entries = unsafe { self.entries.fill() };
        for ((position, entry), hash) in (0..).zip(entries.iter_mut()).zip(hashes) {
            *entry = first_of(hash) | position;
        }
        entries.sort_unstable();
    }

    /// Returns the positions whose URIs have this hash, going up.
    pub fn find(&self, hash: u32) -> impl Iterator<Item = usize> + '_ {
        let entries = self.entries.get();
        let first = entries.partition_point(|&entry| entry < first_of(hash));
        let found = entries
            .iter()
            .skip(first)
            .map(move |entry| entry ^ first_of(hash));
        found
            .map_while(|position| u32::try_from(position).ok())
            .map(|position| position as usize)
    }
}

/// Returns the entry of a hash with position 0.
const fn first_of(hash: u32) -> u64 {
    (hash as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;

    #[test]
    fn positions_of_a_hash_are_found_in_order() {
        let hashes = [7, 0, u32::MAX, 7, 8, 0, 7, u32::MAX - 1];
        let heap = Heap::default();
        for len in 0..=hashes.len() {
            let hashes = &hashes[..len];
            let mut plan = Plan::<u64>::of_header();
            let place = Uris::plan(&mut plan, len);
            let uris = place(&plan.alloc(&heap).unwrap());
            // SAFETY: just made.
            unsafe { uris.fill(hashes.iter().copied()) };
            for hash in [0, 1, 6, 7, 8, 9, u32::MAX - 1, u32::MAX] {
                let expected = (0..len).filter(|&at| hashes[at] == hash);
                assert!(uris.find(hash).eq(expected), "{hash} in {hashes:?}");
            }
        }
    }
}
