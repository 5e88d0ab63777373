//! Values by destination, numbered in the order in which they changed here.

use std::collections::BTreeMap;

use super::key::Key;

/// Values by destination. Each change has a number, so whoever has seen all up to one can be given what is newer.
#[derive(Clone, Debug)]
pub struct Numbered<V> {
    /// Each value, and the number of its last change.
    entries: BTreeMap<Key, (V, u64)>,
    /// The destination of each change that was the last one of its value.
    changes: BTreeMap<u64, Key>,
    /// The number of the last change.
    last: u64,
}

impl<V> Default for Numbered<V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            changes: BTreeMap::new(),
            last: 0,
        }
    }
}

impl<V: Copy> Numbered<V> {
    /// Returns the value of a destination.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<V> {
        self.entries.get(&key).map(|(value, _)| *value)
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the number of the last change. Numbers grow, from 1.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Returns all values.
    pub fn iter(&self) -> impl Iterator<Item = (Key, V)> {
        self.entries.iter().map(|(&key, &(value, _))| (key, value))
    }

    /// Returns the values that changed after the change with this number, each with its own, in this order.
    pub fn changed_after(&self, number: u64) -> impl Iterator<Item = (u64, Key, V)> {
        let changes = self.changes.range(number.saturating_add(1)..);
        changes.filter_map(|(&change, &key)| Some((change, key, self.get(key)?)))
    }

    /// Returns the destination of a change, if that was the last one of its value.
    #[must_use]
    pub fn changed_by(&self, number: u64) -> Option<Key> {
        self.changes.get(&number).copied()
    }

    /// Sets the value of a destination, as the next change. Returns the number of the change that this one replaces.
    pub fn put(&mut self, key: Key, value: V) -> Option<u64> {
        self.last += 1;
        let before = self.entries.insert(key, (value, self.last));
        self.changes.insert(self.last, key);
        let (_, change) = before?;
        self.changes.remove(&change);
        Some(change)
    }

    /// Removes the value of a destination, and returns it. That is no change of which others hear.
    pub fn remove(&mut self, key: Key) -> Option<V> {
        let (value, change) = self.entries.remove(&key)?;
        self.changes.remove(&change);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_change_of_a_value_is_listed() {
        let mut all = Numbered::default();
        for (key, value) in [(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd')] {
            all.put(Key(key), value);
        }
        let changed = |all: &Numbered<char>, after| -> Vec<(u64, u64, char)> {
            let changed = all.changed_after(after);
            changed
                .map(|(change, key, value)| (change, key.0, value))
                .collect()
        };
        assert_eq!(changed(&all, 0), [(2, 2, 'b'), (3, 1, 'c'), (4, 3, 'd')]);
        assert_eq!(all.remove(Key(1)), Some('c'));
        assert_eq!(all.remove(Key(1)), None);
        assert_eq!(changed(&all, 2), [(4, 3, 'd')]);
        assert_eq!((all.len(), all.last(), all.get(Key(1))), (2, 4, None));
        assert_eq!(changed(&all, u64::MAX), []);
    }
}
