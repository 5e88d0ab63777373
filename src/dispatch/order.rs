//! Orders that scripts rely on: of the sets among themselves, and of destinations in a set.

#![forbid(unsafe_code)]

use core::cmp::{Ordering, Reverse};

use super::dest::SetId;

/// Indices of `ids` in the order in which lists and searches walk the sets.
///
/// That is the post-order of an AVL tree into which the ids were put as given. An id that comes
/// again is ignored, so the result names the first place of each.
///
/// Source: features 3.1.3.
#[must_use]
pub fn post_order(ids: &[SetId]) -> Vec<usize> {
    let mut root = None;
    for (index, id) in ids.iter().enumerate() {
        insert(&mut root, *id, index);
    }
    let mut order = Vec::with_capacity(ids.len());
    walk(root.as_deref(), &mut order);
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

/// A subtree. `height` is 1 for a leaf.
struct Node {
    id: SetId,
    index: usize,
    height: u8,
    left: Tree,
    right: Tree,
}

type Tree = Option<Box<Node>>;

fn height(tree: &Tree) -> u8 {
    tree.as_ref().map_or(0, |node| node.height)
}

fn measure(node: &mut Node) {
    node.height = height(&node.left)
        .max(height(&node.right))
        .saturating_add(1);
}

/// Puts an id in; false where nothing above has to follow: it was there, or no height changed.
fn insert(tree: &mut Tree, id: SetId, index: usize) -> bool {
    let Some(node) = tree else {
        *tree = Some(Box::new(Node {
            id,
            index,
            height: 1,
            left: None,
            right: None,
        }));
        return true;
    };
    let below = match id.cmp(&node.id) {
        Ordering::Less => &mut node.left,
        Ordering::Greater => &mut node.right,
        Ordering::Equal => return false,
    };
    let before = node.height;
    if !insert(below, id, index) {
        return false;
    }
    balance(tree);
    height(tree) != before
}

/// Restores the AVL rule after one insertion below the root of a subtree.
fn balance(tree: &mut Tree) {
    let Some(node) = tree else { return };
    measure(node);
    let (left, right) = (height(&node.left), height(&node.right));
    if left > right.saturating_add(1) {
        let leans = |child: &Node| height(&child.left) < height(&child.right);
        if node.left.as_deref().is_some_and(leans) {
            rotate_left(&mut node.left);
        }
        rotate_right(tree);
    } else if right > left.saturating_add(1) {
        let leans = |child: &Node| height(&child.right) < height(&child.left);
        if node.right.as_deref().is_some_and(leans) {
            rotate_right(&mut node.right);
        }
        rotate_left(tree);
    }
}

/// Makes the right child of a subtree's root its root.
fn rotate_left(tree: &mut Tree) {
    let Some(mut node) = tree.take() else { return };
    let Some(mut top) = node.right.take() else {
        *tree = Some(node);
        return;
    };
    node.right = top.left.take();
    measure(&mut node);
    top.left = Some(node);
    measure(&mut top);
    *tree = Some(top);
}

/// Makes the left child of a subtree's root its root.
fn rotate_right(tree: &mut Tree) {
    let Some(mut node) = tree.take() else { return };
    let Some(mut top) = node.left.take() else {
        *tree = Some(node);
        return;
    };
    node.left = top.right.take();
    measure(&mut node);
    top.right = Some(node);
    measure(&mut top);
    *tree = Some(top);
}

fn walk(tree: Option<&Node>, order: &mut Vec<usize>) {
    if let Some(node) = tree {
        walk(node.left.as_deref(), order);
        walk(node.right.as_deref(), order);
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
            let mut root = None;
            for (index, id) in ids.iter().enumerate() {
                insert(&mut root, *id, index);
            }
            let mut sorted = Vec::new();
            check(root.as_deref(), &mut sorted);
            let mut want = ids.clone();
            want.sort_unstable();
            want.dedup();
            assert_eq!(sorted, want, "round {round}");
            assert_eq!(post_order(&ids).len(), want.len(), "round {round}");
        }
    }

    fn check(tree: Option<&Node>, sorted: &mut Vec<SetId>) -> u8 {
        let Some(node) = tree else { return 0 };
        let left = check(node.left.as_deref(), sorted);
        sorted.push(node.id);
        let right = check(node.right.as_deref(), sorted);
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
