//! The weight slots of algorithm 9: a hundred slots, each of which names a destination.

use core::fmt;

use rand::{Rng, RngCore};

/// Number of slots: weights are percentages.
pub const SLOTS: usize = 100;

/// A destination index for each slot, in shuffled order.
pub type Slots = [u32; SLOTS];

/// Returns the slots for the weights of a set's destinations in index order; `None` when no destination has a weight.
///
/// A destination gets as many slots as its weight. Slots above 100 are dropped, and slots missing to 100 go to the last
/// destination.
pub fn slots(
    weights: impl ExactSizeIterator<Item = i32>,
    random: &mut impl RngCore,
) -> Option<Slots> {
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

/// The effect of weights that do not add up to 100 on algorithm 9; `Display` describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The last destination gets the slots that are missing to 100 on top.
    Short {
        /// The sum of the weights.
        sum: usize,
    },
    /// The slots above 100 are dropped.
    Over {
        /// The sum of the weights.
        sum: usize,
        /// Number of destinations whose weight is cut: the last ones.
        cut: usize,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::Short { sum } => write!(
                f,
                "weights add up to {sum}, not 100: algorithm 9 gives the last destination {} of \
                 100 calls on top",
                SLOTS.saturating_sub(*sum)
            ),
            Remark::Over { sum, cut } => write!(
                f,
                "weights add up to {sum}, not 100: algorithm 9 cuts those of the last {cut}"
            ),
        }
    }
}

/// Returns the remark on the weights of a set in index order; `None` when they add up to 100, or there are none.
#[must_use]
pub fn remark(weights: impl Iterator<Item = i32>) -> Option<Remark> {
    let (mut sum, mut cut) = (0usize, 0);
    for weight in weights.filter_map(|weight| usize::try_from(weight).ok()) {
        sum += weight;
        cut += usize::from(weight > 0 && sum > SLOTS);
    }
    match sum {
        0 | SLOTS => None,
        ..SLOTS => Some(Remark::Short { sum }),
        _ => Some(Remark::Over { sum, cut }),
    }
}

/// Shuffles the slots as Fisher and Yates do, from the first one on.
fn shuffle(slots: &mut Slots, random: &mut impl RngCore) {
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
        let slots = slots(weights.iter().copied(), &mut StdRng::seed_from_u64(1))?;
        let mut shares = vec![0; weights.len()];
        for slot in slots {
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
    fn odd_sums_are_remarked() {
        let remark = |weights: &[i32]| remark(weights.iter().copied());
        assert_eq!(remark(&[50, 30, 20]), None);
        assert_eq!(remark(&[0, 0]), None);
        assert_eq!(remark(&[10, 10]), Some(Remark::Short { sum: 20 }));
        assert_eq!(
            remark(&[50, 50, 50, 0]),
            Some(Remark::Over { sum: 150, cut: 1 })
        );
        assert_eq!(
            remark(&[60, 60, 60]),
            Some(Remark::Over { sum: 180, cut: 2 })
        );
        assert!(
            remark(&[10, 10])
                .unwrap()
                .to_string()
                .contains(" 80 of 100")
        );
    }

    #[test]
    fn slots_are_mixed() {
        let first = slots([50, 50].into_iter(), &mut StdRng::seed_from_u64(7)).unwrap();
        let second = slots([50, 50].into_iter(), &mut StdRng::seed_from_u64(8)).unwrap();
        assert_ne!(first, second);
        assert!(first[..50].contains(&1));
    }
}
