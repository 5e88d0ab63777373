//! All registers of a node, in the order in which they changed here.

use std::collections::BTreeSet;

use super::clock::Stamp;
use super::key::Key;
use super::numbered::Numbered;
use super::register::Register;
use super::rules::Rules;

/// The most registers of destinations that are not in the list here. The oldest ones go first.
pub const MOST_ORPHANS: usize = 10_000;

/// All registers of a node.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    all: Numbered<Register>,
    /// XOR of the digests of all registers.
    digest: u64,
    /// The destinations in the list.
    listed: BTreeSet<Key>,
    /// The registers of other destinations, by age.
    orphans: BTreeSet<(Stamp, Key)>,
}

/// The outcome for a register that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It counts now.
    Won,
    /// The one that was there still counts.
    Lost,
    /// It is of a destination that is not in the list, and there are newer ones enough.
    Dropped,
}

impl Registers {
    /// Merges a register that has come from wherever, by the rule.
    pub fn merge<R: Rules>(&mut self, key: Key, register: Register) -> Merged {
        let old = self.get(key);
        if old.is_some_and(|old| !R::wins(&register, &old)) {
            return Merged::Lost;
        }
        self.put(key, register);
        self.drop_oldest_orphans();
        match self.get(key) {
            Some(_) => Merged::Won,
            None => Merged::Dropped,
        }
    }

    /// Returns the register of a destination.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Register> {
        self.all.get(key)
    }

    /// Returns the number of registers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the number of registers whose destinations are not in the list.
    #[must_use]
    pub fn orphans(&self) -> usize {
        self.orphans.len()
    }

    /// Returns the number of destinations in the list.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.listed.len()
    }

    /// Tells whether the list has a destination.
    #[must_use]
    pub fn is_listed(&self, key: Key) -> bool {
        self.listed.contains(&key)
    }

    /// Returns the number of the last change. Numbers grow, from 1.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.all.last()
    }

    /// Returns the digest of all registers: with high probability, two nodes with the same one have the same registers.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Returns all registers.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Register)> {
        self.all.iter()
    }

    /// Returns the registers that changed after the change with this number, each with its own, in this order.
    pub fn changed_after(&self, number: u64) -> impl Iterator<Item = (u64, Key, Register)> {
        self.all.changed_after(number)
    }

    /// Takes notice of which destinations the list now has. Returns false if registers had to be dropped.
    pub fn set_list(&mut self, keys: impl IntoIterator<Item = Key>) -> bool {
        self.listed = keys.into_iter().collect();
        let unlisted = self.iter().filter(|(key, _)| !self.listed.contains(key));
        self.orphans = unlisted.map(|(key, one)| (one.stamp, key)).collect();
        let before = self.len();
        self.drop_oldest_orphans();
        self.len() == before
    }

    /// Drops all registers whose stamps are not believed.
    pub fn retain(&mut self, believes: impl Fn(Stamp) -> bool) {
        let wrong = self.iter().filter(|(_, one)| !believes(one.stamp));
        for key in wrong.map(|(key, _)| key).collect::<Vec<_>>() {
            self.remove(key);
        }
    }

    fn put(&mut self, key: Key, register: Register) {
        self.remove(key);
        self.all.put(key, register);
        self.digest ^= register.digest(key);
        if !self.is_listed(key) {
            self.orphans.insert((register.stamp, key));
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(register) = self.all.remove(key) {
            self.digest ^= register.digest(key);
            self.orphans.remove(&(register.stamp, key));
        }
    }

    fn drop_oldest_orphans(&mut self) {
        while self.orphans.len() > MOST_ORPHANS {
            let Some(&(_, key)) = self.orphans.first() else {
                return;
            };
            self.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::cluster::state::key::NodeHash;
    use crate::dispatch::cluster::state::rules::Sound;

    fn register(stamp: u64, bits: u32) -> Register {
        Register {
            stamp: Stamp(stamp),
            node: NodeHash(1),
            bits,
            base: 0,
        }
    }

    fn merge(registers: &mut Registers, key: u64, stamp: u64, bits: u32) -> Merged {
        registers.merge::<Sound>(Key(key), register(stamp, bits))
    }

    #[test]
    fn the_greatest_one_counts_and_only_changes_are_numbered() {
        let mut all = Registers::default();
        assert_eq!(merge(&mut all, 1, 5, 4), Merged::Won);
        assert_eq!(merge(&mut all, 1, 4, 8), Merged::Lost);
        assert_eq!(merge(&mut all, 1, 5, 4), Merged::Lost);
        assert_eq!((all.get(Key(1)), all.last()), (Some(register(5, 4)), 1));
        assert_eq!(merge(&mut all, 2, 1, 0), Merged::Won);
        assert_eq!(merge(&mut all, 1, 6, 0), Merged::Won);
        let changed = |after| -> Vec<(u64, u64)> {
            let changed = all.changed_after(after);
            changed.map(|(change, key, _)| (change, key.0)).collect()
        };
        assert_eq!(changed(0), [(2, 2), (3, 1)]);
        assert_eq!(changed(2), [(3, 1)]);
        assert_eq!((changed(3), changed(u64::MAX)), (vec![], vec![]));
    }

    #[test]
    fn digests_are_equal_exactly_if_the_registers_are() {
        let (mut one, mut other) = (Registers::default(), Registers::default());
        for (key, stamp, bits) in [(1, 5, 4), (2, 6, 0), (1, 7, 0), (3, 1, 8)] {
            merge(&mut one, key, stamp, bits);
        }
        for (key, stamp, bits) in [(3, 1, 8), (1, 7, 0), (1, 5, 4)] {
            merge(&mut other, key, stamp, bits);
            assert_ne!(one.digest(), other.digest());
        }
        merge(&mut other, 2, 6, 0);
        assert_eq!(one.digest(), other.digest());
        assert!(one.iter().eq(other.iter()));
    }

    #[test]
    fn orphans_are_bounded_and_the_newest_ones_stay() {
        let mut all = Registers::default();
        all.set_list([Key(1)]);
        merge(&mut all, 1, 1, 4);
        let most = MOST_ORPHANS as u64;
        for key in 0..most {
            assert_eq!(merge(&mut all, 100 + key, 10 + key, 4), Merged::Won);
        }
        assert_eq!(all.orphans(), MOST_ORPHANS);
        // Older than all of them: it is dropped. Newer: the oldest one is dropped.
        assert_eq!(merge(&mut all, 50, 9, 4), Merged::Dropped);
        assert_eq!(merge(&mut all, 51, 10 + most, 4), Merged::Won);
        assert_eq!((all.get(Key(50)), all.get(Key(100))), (None, None));
        assert_eq!(all.orphans(), MOST_ORPHANS);
        assert_eq!(all.len(), MOST_ORPHANS + 1);
        // The list counts no longer as an orphan what it has now, and the reverse.
        assert!(!all.set_list([Key(101), Key(51)].into_iter().take(0)));
        assert_eq!((all.get(Key(1)), all.orphans()), (None, MOST_ORPHANS));
        assert!(all.set_list([Key(101), Key(51)]));
        assert_eq!(all.orphans(), MOST_ORPHANS - 2);
    }
}
