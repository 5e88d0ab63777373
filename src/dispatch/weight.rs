//! The wheel of algorithm 9: a hundred slots, each naming a destination.

#![forbid(unsafe_code)]

use rand::{Rng, RngCore};

/// Slots of a wheel: weights are percentages.
pub const SLOTS: usize = 100;

/// A destination index per slot, in shuffled order.
pub type Wheel = [u32; SLOTS];

/// Fills a wheel from the weights of a set's destinations in index order, and shuffles it.
///
/// A destination gets as many slots as its weight. What is over 100 is dropped; what is missing to
/// 100 goes to the last destination. `None` when no destination has a weight.
///
/// Source: seed README, algorithm 9; `features.md` 3.7.3.
pub fn wheel(
    weights: impl ExactSizeIterator<Item = i32>,
    random: &mut impl RngCore,
) -> Option<Wheel> {
    let last = u32::try_from(weights.len().checked_sub(1)?).ok()?;
    let mut slots = [last; SLOTS];
    let mut filled = 0;
    for (index, weight) in (0u32..).zip(weights) {
        let share = usize::try_from(weight).unwrap_or(0).min(SLOTS - filled);
        if let Some(free) = slots.get_mut(filled..filled + share) {
            free.fill(index);
        }
        filled += share;
    }
    (filled > 0).then(|| {
        shuffle(&mut slots, random);
        slots
    })
}

/// A Fisher-Yates shuffle, from the first slot on.
fn shuffle(slots: &mut Wheel, random: &mut impl RngCore) {
    for slot in 0..SLOTS {
        slots.swap(slot, random.random_range(slot..SLOTS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn shares(weights: &[i32]) -> Option<Vec<usize>> {
        let wheel = wheel(weights.iter().copied(), &mut StdRng::seed_from_u64(1))?;
        let mut shares = vec![0; weights.len()];
        for slot in wheel {
            shares[slot as usize] += 1;
        }
        Some(shares)
    }

    #[test]
    fn shares_follow_the_weights() {
        let cases: [(&[i32], Option<&[usize]>); 8] = [
            (&[50, 30, 20], Some(&[50, 30, 20])),
            (&[50, 30, 10], Some(&[50, 30, 20])),
            (&[50, 50, 50], Some(&[50, 50, 0])),
            (&[60, 60], Some(&[60, 40])),
            (&[0, 50, 50], Some(&[0, 50, 50])),
            (&[0, 0], None),
            (&[100], Some(&[100])),
            (&[], None),
        ];
        for (weights, expected) in cases {
            assert_eq!(shares(weights).as_deref(), expected, "weights {weights:?}");
        }
    }

    #[test]
    fn slots_are_mixed() {
        let first = wheel([50, 50].into_iter(), &mut StdRng::seed_from_u64(7)).unwrap();
        let second = wheel([50, 50].into_iter(), &mut StdRng::seed_from_u64(8)).unwrap();
        assert_ne!(first, second);
        assert!(first[..50].contains(&1));
    }
}
