//! Orders that scripts rely on: of the sets among themselves, and of destinations in a set.

#![forbid(unsafe_code)]

use core::cmp::{Ordering, Reverse};

use super::destination::SetId;

/// Indices of `ids` in the order in which lists and searches walk the sets.
///
/// That is the post-order of an AVL tree into which the ids were put as given. An id that comes
/// again is ignored, so the result names the first place of each.
///
/// Source: features 3.1.3.
#[must_use]
pub fn post_order(ids: &[SetId]) -> Vec<usize> {
    let tree = Tree::of(ids);
    let mut order = Vec::with_capacity(ids.len());
    tree.walk(tree.root, &mut order);
    order
}

/// Positions of a set's lines in index order, given their priorities in file order.
///
/// Highest priority first; of equal ones the last line first.
///
/// Source: features 3.1.1.
#[must_use]
pub fn order_set(priorities: &[i32]) -> Vec<usize> {
    let mut lines: Vec<(usize, i32)> = priorities.iter().copied().enumerate().rev().collect();
    lines.sort_by_key(|(_, priority)| Reverse(*priority));
    lines.into_iter().map(|(position, _)| position).collect()
}

/// A subtree, by the number of its root, which is also the place of its id; [`NONE`] when empty.
type Subtree = u32;

/// The empty subtree.
const NONE: Subtree = Subtree::MAX;

/// The root of a subtree. `height` is 1 for a leaf.
struct Node {
    id: SetId,
    height: u8,
    /// What is less, and what is greater.
    below: [Subtree; 2],
}

/// A side of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }
}

struct Tree {
    nodes: Vec<Node>,
    root: Subtree,
    /// The way to where the last id was put.
    path: Vec<(Subtree, Side)>,
}

impl Tree {
    fn of(ids: &[SetId]) -> Self {
        let mut tree = Tree {
            nodes: Vec::with_capacity(ids.len()),
            root: NONE,
            path: Vec::new(),
        };
        ids.iter().for_each(|id| tree.insert(*id));
        tree
    }

    fn node(&self, at: Subtree) -> Option<&Node> {
        self.nodes.get(at as usize)
    }

    fn height(&self, at: Subtree) -> u8 {
        self.node(at).map_or(0, |node| node.height)
    }

    fn below(&self, at: Subtree, side: Side) -> Subtree {
        self.node(at).map_or(NONE, |node| {
            let [left, right] = node.below;
            match side {
                Side::Left => left,
                Side::Right => right,
            }
        })
    }

    fn set_below(&mut self, at: Subtree, side: Side, subtree: Subtree) {
        if let Some(node) = self.nodes.get_mut(at as usize) {
            let [left, right] = &mut node.below;
            match side {
                Side::Left => *left = subtree,
                Side::Right => *right = subtree,
            }
        }
    }

    fn measure(&mut self, at: Subtree) {
        let higher = |side| self.height(self.below(at, side));
        let height = higher(Side::Left).max(higher(Side::Right));
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.height = height.saturating_add(1);
        }
    }

    /// Puts the next id in, or only gives it a number where it is there.
    fn insert(&mut self, id: SetId) {
        let number = Subtree::try_from(self.nodes.len()).unwrap_or(NONE);
        self.nodes.push(Node {
            id,
            height: 1,
            below: [NONE; 2],
        });
        self.path.clear();
        let mut at = self.root;
        while let Some(node) = self.node(at) {
            let side = match id.cmp(&node.id) {
                Ordering::Less => Side::Left,
                Ordering::Greater => Side::Right,
                Ordering::Equal => return,
            };
            self.path.push((at, side));
            at = self.below(at, side);
        }
        let mut subtree = number;
        while let Some((above, side)) = self.path.pop() {
            self.set_below(above, side, subtree);
            let before = self.height(above);
            subtree = self.balance(above);
            if self.height(subtree) == before {
                // Nothing above has to follow but the place of this subtree.
                match self.path.pop() {
                    Some((above, side)) => self.set_below(above, side, subtree),
                    None => self.root = subtree,
                }
                return;
            }
        }
        self.root = subtree;
    }

    /// Restores the AVL rule after one insertion below the root of a subtree; yields its root.
    fn balance(&mut self, at: Subtree) -> Subtree {
        self.measure(at);
        for side in [Side::Left, Side::Right] {
            let child = self.below(at, side);
            let light = self.height(self.below(at, side.other()));
            if self.height(child) <= light.saturating_add(1) {
                continue;
            }
            let inner = self.height(self.below(child, side.other()));
            if inner > self.height(self.below(child, side)) {
                let top = self.lift(child, side.other());
                self.set_below(at, side, top);
            }
            return self.lift(at, side);
        }
        at
    }

    /// Makes the child on a side the root of a subtree; yields it.
    fn lift(&mut self, at: Subtree, side: Side) -> Subtree {
        let top = self.below(at, side);
        if top == NONE {
            return at;
        }
        let inner = self.below(top, side.other());
        self.set_below(at, side, inner);
        self.measure(at);
        self.set_below(top, side.other(), at);
        self.measure(top);
        top
    }

    fn walk(&self, at: Subtree, order: &mut Vec<usize>) {
        if let Some(node) = self.node(at) {
            node.below.iter().for_each(|&below| self.walk(below, order));
            order.push(at as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn listed(ids: &[SetId]) -> Vec<SetId> {
        post_order(ids)
            .into_iter()
            .map(|index| ids[index])
            .collect()
    }

    /// Orders that `dispatcher.list` of the C module 5.6.3 gave for lists with these sets.
    #[test]
    fn sets_are_listed_as_in_the_c_module() {
        let cases: &[(&[SetId], &[SetId])] = &[
            (&[], &[]),
            (&[20], &[20]),
            (&[9, 25], &[25, 9]),
            (&[41, 3, 4], &[3, 41, 4]),
            (&[3, 1, 1, 1, 2, 2, 5, 4], &[1, 3, 5, 4, 2]),
            (&[52, 34, 6, 23, 37, 3, 32], &[3, 32, 23, 6, 37, 52, 34]),
            (
                &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
                &[1, 3, 2, 5, 7, 6, 4, 9, 12, 11, 10, 8],
            ),
            (
                &[
                    40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21,
                ],
                &[
                    21, 22, 24, 23, 26, 28, 27, 30, 32, 31, 29, 25, 34, 36, 35, 38, 40, 39, 37, 33,
                ],
            ),
            (
                &[
                    25, 3, 14, 2, 35, 54, 8, 18, 26, 9, 34, 7, 36, 19, 55, 43, 11, 6, 37, 47, 12,
                    23, 42, 45, 4, 58, 13, 31, 27, 24, 10,
                ],
                &[
                    2, 4, 7, 6, 3, 10, 9, 13, 12, 11, 8, 18, 23, 25, 24, 19, 27, 31, 35, 34, 26,
                    42, 37, 45, 47, 58, 55, 54, 43, 36, 14,
                ],
            ),
        ];
        for (ids, want) in cases {
            assert_eq!(listed(ids), *want, "{ids:?}");
        }
    }

    #[test]
    fn repeated_ids_count_once() {
        assert_eq!(post_order(&[3, 1, 1, 1, 2, 2, 5, 4]), [1, 0, 6, 7, 4]);
    }

    #[test]
    fn tree_stays_balanced_and_sorted() {
        let mut random = StdRng::seed_from_u64(2);
        for round in 0..if cfg!(miri) { 2 } else { 50 } {
            let ids: Vec<SetId> = (0..if cfg!(miri) { 60 } else { 500 })
                .map(|_| random.random_range(-300..300))
                .collect();
            let tree = Tree::of(&ids);
            let mut sorted = Vec::new();
            check(&tree, tree.root, &mut sorted);
            let mut want = ids.clone();
            want.sort_unstable();
            want.dedup();
            assert_eq!(sorted, want, "round {round}");
            assert_eq!(post_order(&ids).len(), want.len(), "round {round}");
        }
    }

    fn check(tree: &Tree, at: Subtree, sorted: &mut Vec<SetId>) -> u8 {
        let Some(node) = tree.node(at) else { return 0 };
        let [left, right] = node.below;
        let left = check(tree, left, sorted);
        sorted.push(node.id);
        let right = check(tree, right, sorted);
        assert!(left.abs_diff(right) <= 1);
        assert_eq!(node.height, left.max(right) + 1);
        node.height
    }

    #[test]
    fn many_sets_in_ascending_order() {
        let ids: Vec<SetId> = (0..if cfg!(miri) { 300 } else { 100_000 }).collect();
        assert_eq!(post_order(&ids).len(), ids.len());
    }

    #[test]
    fn lines_of_a_set() {
        let cases: &[(&[i32], &[usize])] = &[
            (&[], &[]),
            (&[0], &[0]),
            (&[0, 0, 0], &[2, 1, 0]),
            (&[1, 2, 3], &[2, 1, 0]),
            (&[3, 2, 1], &[0, 1, 2]),
            (&[5, 1, 5, 0, 5, 1, 0, i32::MAX], &[7, 4, 2, 0, 5, 1, 6, 3]),
            (&[-5, 0, i32::MIN, -5], &[1, 3, 0, 2]),
        ];
        for (priorities, want) in cases {
            assert_eq!(order_set(priorities), *want, "{priorities:?}");
        }
    }
}
