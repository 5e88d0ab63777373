//! Figures: values of destinations that one node alone writes, and the others only hear.
//!
//! There is nothing to merge: what its writer has said last counts. So a peer has the right figure as soon as it has got
//! what the writer has sent, in the order in which that was sent.

use std::collections::BTreeSet;

use super::key::Key;
use super::numbered::Numbered;

/// The figures of this node, as its peers are to have them.
#[derive(Clone, Debug)]
pub struct Figures<V> {
    /// `None` is a figure that was taken back, as long as a peer may have it.
    all: Numbered<Option<V>>,
    /// The changes by which figures were taken back.
    taken_back: BTreeSet<u64>,
}

impl<V> Default for Figures<V> {
    fn default() -> Self {
        Self {
            all: Numbered::default(),
            taken_back: BTreeSet::new(),
        }
    }
}

impl<V: Copy + PartialEq> Figures<V> {
    /// Sets the figure of a destination, or takes it back. Returns true if it was another one before.
    pub fn set(&mut self, key: Key, figure: Option<V>) -> bool {
        if self.get(key) == figure {
            return false;
        }
        if let Some(before) = self.all.put(key, figure) {
            self.taken_back.remove(&before);
        }
        if figure.is_none() {
            self.taken_back.insert(self.all.last());
        }
        true
    }

    /// Returns the figure of a destination.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<V> {
        self.all.get(key).flatten()
    }

    /// Returns all figures.
    pub fn iter(&self) -> impl Iterator<Item = (Key, V)> {
        let all = self.all.iter();
        all.filter_map(|(key, figure)| Some((key, figure?)))
    }

    /// Returns the number of the last change.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.all.last()
    }

    /// Returns the first figures that changed after the change with this number, at most so many, and the number of the
    /// change up to which they are all.
    #[must_use]
    pub fn changed_after(&self, number: u64, most: usize) -> (Vec<(Key, Option<V>)>, u64) {
        let mut changed = self.all.changed_after(number);
        let (mut figures, mut up_to) = (Vec::new(), number);
        for (change, key, figure) in changed.by_ref().take(most) {
            figures.push((key, figure));
            up_to = change;
        }
        if changed.next().is_none() {
            up_to = self.last();
        }
        (figures, up_to)
    }

    /// Forgets figures that were taken back by this change or before: every peer has heard of that.
    pub fn all_have(&mut self, number: u64) {
        while let Some(change) = self.taken_back.first().copied() {
            if change > number {
                return;
            }
            self.taken_back.remove(&change);
            if let Some(key) = self.all.changed_by(change) {
                self.all.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_follows_the_changes_has_the_figures_of_the_writer() {
        let mut own = Figures::default();
        let mut peer = std::collections::BTreeMap::new();
        let mut acked = 0;
        let mut word = 7_u64;
        for step in 0..2_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (key, value) = (Key(word >> 60), (word >> 40) % 4);
            own.set(key, (value > 0).then_some(value));
            if step % 7 == 0 {
                let (figures, up_to) = own.changed_after(acked, 3);
                assert!(figures.len() <= 3);
                for (key, figure) in figures {
                    match figure {
                        Some(value) => _ = peer.insert(key, value),
                        None => _ = peer.remove(&key),
                    }
                }
                acked = up_to;
                own.all_have(acked);
            }
        }
        while acked < own.last() {
            let (figures, up_to) = own.changed_after(acked, 3);
            for (key, figure) in figures {
                match figure {
                    Some(value) => _ = peer.insert(key, value),
                    None => _ = peer.remove(&key),
                }
            }
            acked = up_to;
        }
        assert!(own.iter().eq(peer));
        own.all_have(acked);
        assert!(own.taken_back.is_empty());
        assert_eq!(own.iter().count(), own.all.len());
    }

    #[test]
    fn what_is_taken_back_stays_until_every_peer_has_heard_of_it() {
        let mut own = Figures::default();
        assert!(own.set(Key(1), Some('a')) && !own.set(Key(1), Some('a')));
        assert!(!own.set(Key(2), None), "there was none");
        assert!(own.set(Key(1), None));
        assert_eq!(own.changed_after(0, 9), (vec![(Key(1), None)], 2));
        own.all_have(1);
        assert_eq!(own.changed_after(1, 9), (vec![(Key(1), None)], 2));
        own.set(Key(1), Some('b'));
        assert!(own.taken_back.is_empty());
        own.all_have(2);
        assert_eq!(own.get(Key(1)), Some('b'), "it was set again");
        own.set(Key(1), None);
        own.all_have(4);
        assert_eq!(own.changed_after(0, 9), (vec![], 4));
    }
}
