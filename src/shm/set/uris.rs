//! Which positions of a set have a URI: a hash table of positions, part of the set's view.
//!
//! Open addressing: a position lies in the first free slot from its URI's own on. Frozen once its
//! view is published; the table of an edited view is the one before, with its positions moved.

use super::shift::Shift;
use crate::shm::memory::arena::{Block, Field, Plan, ShmSafe, ShmSlice};

/// The table. Lives in shared memory, inside the set's view.
pub struct Uris {
    /// A position and 1 below, bits of the hash above, see [`Parts`]; 0 where nothing is.
    slots: ShmSlice<u32>,
}

// SAFETY: a shared slice; zeroed it is the table of an empty set.
unsafe impl ShmSafe for Uris {}

/// The planned array of a [`Uris`].
pub struct UrisPlan(Field<u32>);

impl UrisPlan {
    /// Plans the slots for `len` positions; `None` when memory cannot be that large.
    pub fn new<H: ShmSafe>(plan: &mut Plan<H>, len: usize) -> Option<Self> {
        // A third of what is there is free, and one slot always: it ends each search.
        Some(UrisPlan(
            plan.array(len.checked_add(len / 2)?.checked_add(1)?),
        ))
    }

    /// Plans as many slots as another table has, where `len` positions still fit it well.
    pub fn like<H: ShmSafe>(plan: &mut Plan<H>, other: &Uris, len: usize) -> Option<Self> {
        let slots = other.slots.len();
        let fits = len < slots && len.checked_mul(8)? <= slots.checked_mul(7)?;
        if fits {
            Some(UrisPlan(plan.array(slots)))
        } else {
            UrisPlan::new(plan, len)
        }
    }

    /// The table over the block's memory, with nothing in it.
    pub fn place<H>(&self, block: &Block<H>) -> Uris {
        let slots = block.slice(&self.0);
        Uris { slots }
    }
}

/// How the slots of a table are divided: as many bits as positions need, and above them as many of
/// the lowest bits of the hash as there is room for. They tell URIs apart that fall together, so that
/// hardly any text is compared in vain.
#[derive(Clone, Copy)]
struct Parts {
    /// The bits of the position.
    position: u32,
}

impl Parts {
    /// Those of a table of so many slots, which always has fewer positions.
    fn of(slots: usize) -> Self {
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        let position = u32::MAX.checked_shr(slots.leading_zeros()).unwrap_or(0);
        Parts { position }
    }

    /// The bits of a hash that are kept.
    fn tag(self, hash: u32) -> u32 {
        hash.checked_shl(self.position.count_ones()).unwrap_or(0)
    }

    /// What a slot holds for a position.
    fn slot(self, at: usize, hash: u32) -> u32 {
        self.tag(hash) | number(at)
    }
}

/// The slot of a hash among so many.
fn home(hash: u32, slots: usize) -> usize {
    usize::try_from((u64::from(hash) * slots as u64) >> 32).unwrap_or(0)
}

impl Uris {
    /// The positions whose URIs may have this hash, those of one URI going up. Few others.
    pub fn find(&self, hash: u32) -> impl Iterator<Item = usize> + '_ {
        let slots = self.slots.get();
        let (behind, first) = slots
            .split_at_checked(home(hash, slots.len()))
            .unwrap_or_default();
        let parts = Parts::of(slots.len());
        let tag = parts.tag(hash);
        let taken = first.iter().chain(behind).take_while(|&&slot| slot != 0);
        taken
            .filter(move |&&slot| slot & !parts.position == tag)
            .map(move |&slot| (slot & parts.position).saturating_sub(1) as usize)
    }

    /// Puts all positions in, whose hashes come in their order.
    ///
    /// # Safety
    /// The table is empty, and nobody else sees it yet.
    pub unsafe fn fill(&self, hashes: impl Iterator<Item = u32>) {
        // SAFETY: the caller's promise.
        let slots = unsafe { self.slots.fill() };
        let parts = Parts::of(slots.len());
        let mut free: Option<FreeSlots> = None;
        for (position, hash) in hashes.enumerate() {
            let first = home(hash, slots.len());
            let near = match free {
                None => free_near(slots, first),
                Some(_) => None,
            };
            let at = near.unwrap_or_else(|| {
                let free = free.get_or_insert_with(|| FreeSlots::of(slots));
                free.take(first)
            });
            if let Some(place) = slots.get_mut(at) {
                *place = parts.slot(position, hash);
            }
        }
    }

    /// Takes over what another table has, with its positions moved; false where this one has
    /// another number of slots: it stays empty then. `old_hash` gives the hash of a position of
    /// the order before.
    ///
    /// # Safety
    /// As for [`Uris::fill`].
    pub unsafe fn take_over(
        &self,
        other: &Uris,
        shift: Shift,
        old_hash: impl Fn(usize) -> u32,
    ) -> bool {
        if self.slots.len() != other.slots.len() {
            return false;
        }
        // SAFETY: the caller's promise.
        let slots = unsafe { self.slots.fill() };
        slots.copy_from_slice(other.slots.get());
        let limit = |at: Option<usize>| at.map_or(u32::MAX, number);
        let parts = Parts::of(slots.len());
        if let Some(dropped) = shift.dropped {
            remove(slots, dropped, old_hash);
        }
        let (dropped, added) = (limit(shift.dropped), limit(shift.added));
        for slot in slots {
            let before = *slot & parts.position;
            let kept = before - u32::from(before > dropped);
            let now = kept + u32::from(kept >= added);
            *slot = (*slot & !parts.position) | now;
        }
        true
    }

    /// Puts one position in, before those of the same URI that are later.
    ///
    /// # Safety
    /// Nobody else sees the table yet.
    pub unsafe fn insert(&self, hash: u32, at: usize, same: impl Fn(usize, usize) -> bool) {
        // SAFETY: the caller's promise.
        let slots = unsafe { self.slots.fill() };
        let parts = Parts::of(slots.len());
        let position = |slot: u32| (slot & parts.position).saturating_sub(1) as usize;
        put(slots, hash, parts.slot(at, hash), |new, there| {
            let (new, there) = (position(new), position(there));
            new < there && same(new, there)
        });
    }
}

/// Slots that are looked at one by one before [`FreeSlots`] are used.
const NEAR: usize = 64;

/// The first free slot from one on, if it is near.
fn free_near(slots: &[u32], first: usize) -> Option<usize> {
    let mut near = (first..slots.len()).chain(0..first).take(NEAR);
    near.find(|&at| slots.get(at) == Some(&0))
}

/// Which slots are free, where many URIs are the same or fall together: without it each would be
/// held against all that came before.
struct FreeSlots {
    /// A slot's own number where it is free, else a slot behind it, up to which none is free.
    next: Vec<u32>,
}

impl FreeSlots {
    fn of(slots: &[u32]) -> Self {
        let number = |at: usize| u32::try_from(at % slots.len().max(1)).unwrap_or(0);
        let next = slots.iter().enumerate();
        let next = next.map(|(at, &slot)| number(at + usize::from(slot != 0)));
        FreeSlots {
            next: next.collect(),
        }
    }

    fn next(&self, at: usize) -> usize {
        self.next.get(at).map_or(at, |&next| next as usize)
    }

    fn set_next(&mut self, at: usize, next: usize) {
        if let Some(place) = self.next.get_mut(at) {
            *place = u32::try_from(next).unwrap_or(0);
        }
    }

    /// Takes the first free slot from one on; there is always one.
    fn take(&mut self, from: usize) -> usize {
        let mut at = from;
        while self.next(at) != at {
            // Halves the way for the next one.
            let behind = self.next(self.next(at));
            self.set_next(at, behind);
            at = behind;
        }
        let behind = (at + 1).checked_rem(self.next.len()).unwrap_or(0);
        self.set_next(at, behind);
        at
    }
}

/// A position and 1.
fn number(at: usize) -> u32 {
    u32::try_from(at).map_or(u32::MAX, |at| at.saturating_add(1))
}

/// Puts a value into the first free slot from its own on; `before` says that it takes the place of
/// another one, which moves on.
fn put(slots: &mut [u32], hash: u32, value: u32, before: impl Fn(u32, u32) -> bool) {
    let (mut value, len) = (value, slots.len());
    let first = home(hash, len);
    for at in (first..len).chain(0..first) {
        let Some(slot) = slots.get_mut(at) else {
            return;
        };
        if *slot == 0 {
            *slot = value;
            return;
        }
        if before(value, *slot) {
            core::mem::swap(slot, &mut value);
        }
    }
}

/// Takes a position out, and closes the gap: what is behind it must still be found.
fn remove(slots: &mut [u32], dropped: usize, hash: impl Fn(usize) -> u32) {
    let len = slots.len();
    let first = home(hash(dropped), len);
    let parts = Parts::of(len);
    let wanted = number(dropped);
    let Some(mut gap) = (first..len).chain(0..first).find(|&at| {
        let slot = slots.get(at);
        slot.is_some_and(|&slot| slot & parts.position == wanted)
    }) else {
        return;
    };
    let start = gap;
    for at in (start + 1..len).chain(0..start) {
        let Some(&slot) = slots.get(at).filter(|&&slot| slot != 0) else {
            break;
        };
        let position = (slot & parts.position).saturating_sub(1) as usize;
        let own = home(hash(position), len);
        // It may move to the gap unless its own slot lies behind that.
        let steps = |from: usize| (at + len - from).checked_rem(len).unwrap_or(0);
        if steps(own) >= steps(gap) {
            if let Some(place) = slots.get_mut(gap) {
                *place = slot;
            }
            gap = at;
        }
    }
    if let Some(place) = slots.get_mut(gap) {
        *place = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::tests::Heap;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    /// A table over the list's texts, by a poor hash: many fall together.
    struct Lab {
        list: Vec<u32>,
        uris: Uris,
        heap: Heap,
    }

    fn hash(text: u32) -> u32 {
        (text % 5).wrapping_mul(0x3fff_ffff)
    }

    impl Lab {
        fn new(list: Vec<u32>) -> Self {
            let heap = Heap::default();
            let mut plan = Plan::<u64>::of_header();
            let uris = UrisPlan::new(&mut plan, list.len()).unwrap();
            let uris = uris.place(&plan.alloc(&heap).unwrap());
            // SAFETY: just made.
            unsafe { uris.fill(list.iter().map(|&text| hash(text))) };
            Lab { list, uris, heap }
        }

        fn edit(&mut self, shift: Shift, text: u32) {
            let before = self.list.clone();
            shift.dropped.map(|at| self.list.remove(at));
            if let Some(at) = shift.added {
                self.list.insert(at, text);
            }
            let mut plan = Plan::<u64>::of_header();
            let uris = UrisPlan::like(&mut plan, &self.uris, self.list.len()).unwrap();
            let uris = uris.place(&plan.alloc(&self.heap).unwrap());
            // SAFETY: just made.
            let taken = unsafe { uris.take_over(&self.uris, shift, |at| hash(before[at])) };
            match shift.added {
                // SAFETY: as above.
                Some(at) if taken => unsafe {
                    uris.insert(hash(text), at, |a, b| self.list[a] == self.list[b]);
                },
                // SAFETY: as above.
                _ if !taken => unsafe { uris.fill(self.list.iter().map(|&text| hash(text))) },
                _ => {}
            }
            self.uris = uris;
        }

        fn check(&self) {
            for text in 0..9 {
                let found = self
                    .uris
                    .find(hash(text))
                    .filter(|&at| self.list[at] == text);
                let expected = (0..self.list.len()).filter(|&at| self.list[at] == text);
                assert!(found.eq(expected), "{text} in {:?}", self.list);
            }
        }
    }

    #[test]
    fn many_that_are_the_same_are_found_in_order() {
        let len = if cfg!(miri) { 150 } else { 200_000 };
        // Nearly all are the same text; the others fall where those are, too.
        let list: Vec<u32> = (0..len)
            .map(|at| if at % 50 == 0 { 3 } else { 1 })
            .collect();
        Lab::new(list).check();
    }

    #[test]
    fn edits_find_what_a_plain_list_has() {
        let mut random = StdRng::seed_from_u64(17);
        for len in if cfg!(miri) { 0..3 } else { 0..30 } {
            let mut lab = Lab::new((0..len).map(|_| random.random_range(0..8)).collect());
            lab.check();
            for _ in 0..if cfg!(miri) { 10 } else { 60 } {
                let len = lab.list.len();
                let dropped = (len > 0 && random.random()).then(|| random.random_range(0..len));
                let kept = len - usize::from(dropped.is_some());
                let added = random
                    .random::<bool>()
                    .then(|| random.random_range(0..=kept));
                lab.edit(Shift { dropped, added }, random.random_range(0..8));
                lab.check();
            }
        }
    }
}
