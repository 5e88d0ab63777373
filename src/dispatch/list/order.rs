//! Orders that scripts rely on: of the sets among themselves, and of the destinations in a set.

use core::cmp::{Ordering, Reverse};

use super::destination::SetId;

/// Returns the indices of `ids` in the order in which lists and searches walk the sets.
///
/// The order is the post-order of an AVL tree into which the ids are put one after the other. An id that comes again is
/// ignored, so the result has the first index of each.
#[must_use]
pub fn post_order(ids: &[SetId]) -> Vec<usize> {
    let mut tree = None;
    for (index, id) in ids.iter().enumerate() {
        tree = Some(insert(tree, *id, index));
    }
    let mut order = Vec::with_capacity(ids.len());
    walk(tree.as_deref(), &mut order);
    order
}

/// Returns the positions of a set's lines in index order, given their priorities in file order: the highest priority
/// first, and of equal ones the last line first.
#[must_use]
pub fn order_set(priorities: &[i32]) -> Vec<usize> {
    let mut lines: Vec<(usize, i32)> = priorities.iter().copied().enumerate().rev().collect();
    lines.sort_by_key(|(_, priority)| Reverse(*priority));
    lines.into_iter().map(|(position, _)| position).collect()
}

type Tree = Option<Box<Node>>;

/// The root of a subtree.
struct Node {
    id: SetId,
    index: usize,
    /// 1 for a leaf.
    height: u8,
    less: Tree,
    greater: Tree,
}

fn height(tree: &Tree) -> u8 {
    tree.as_ref().map_or(0, |node| node.height)
}

impl Node {
    /// Returns the subtrees on one side and on the other.
    fn sides(&mut self, side: Ordering) -> (&mut Tree, &mut Tree) {
        match side {
            Ordering::Less => (&mut self.less, &mut self.greater),
            _ => (&mut self.greater, &mut self.less),
        }
    }

    fn measure(&mut self) {
        self.height = 1 + height(&self.less).max(height(&self.greater));
    }
}

fn insert(tree: Tree, id: SetId, index: usize) -> Box<Node> {
    let Some(mut node) = tree else {
        return Box::new(Node {
            id,
            index,
            height: 1,
            less: None,
            greater: None,
        });
    };
    let side = id.cmp(&node.id);
    if side != Ordering::Equal {
        let (below, _) = node.sides(side);
        *below = Some(insert(below.take(), id, index));
    }
    balance(node)
}

/// Restores the AVL rule after one insertion below the root of a subtree.
fn balance(mut node: Box<Node>) -> Box<Node> {
    node.measure();
    for side in [Ordering::Less, Ordering::Greater] {
        let (heavy, light) = node.sides(side);
        if height(heavy) <= height(light) + 1 {
            continue;
        }
        *heavy = heavy.take().map(|mut child| {
            let (outer, inner) = child.sides(side);
            if height(inner) > height(outer) {
                lift(child, side.reverse())
            } else {
                child
            }
        });
        return lift(node, side);
    }
    node
}

/// Makes the child on a side the root of a subtree.
fn lift(mut node: Box<Node>, side: Ordering) -> Box<Node> {
    let (below, _) = node.sides(side);
    let Some(mut top) = below.take() else {
        return node;
    };
    let (_, inner) = top.sides(side);
    *below = inner.take();
    node.measure();
    let (_, inner) = top.sides(side);
    *inner = Some(node);
    top.measure();
    top
}

fn walk(tree: Option<&Node>, order: &mut Vec<usize>) {
    if let Some(node) = tree {
        walk(node.less.as_deref(), order);
        walk(node.greater.as_deref(), order);
        order.push(node.index);
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
            let mut tree = None;
            for (index, id) in ids.iter().enumerate() {
                tree = Some(insert(tree, *id, index));
            }
            let mut sorted = Vec::new();
            check(tree.as_deref(), &mut sorted);
            let mut want = ids.clone();
            want.sort_unstable();
            want.dedup();
            assert_eq!(sorted, want, "round {round}");
            assert_eq!(post_order(&ids).len(), want.len(), "round {round}");
        }
    }

    fn check(tree: Option<&Node>, sorted: &mut Vec<SetId>) -> u8 {
        let Some(node) = tree else { return 0 };
        let less = check(node.less.as_deref(), sorted);
        sorted.push(node.id);
        let greater = check(node.greater.as_deref(), sorted);
        assert!(less.abs_diff(greater) <= 1);
        assert_eq!(node.height, less.max(greater) + 1);
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
