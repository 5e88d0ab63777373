//! Bounded load: hashing by key, with a bound on how far a destination may be above its part of the calls.

/// The calls of a set, of which each destination has its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The part that a destination may have, in percent of its fair one.
    pub percent: u32,
    /// The calls that are counted in the set.
    pub calls: u64,
    /// The sum of the weights of the usable candidates.
    pub weight: u64,
}

impl Bound {
    /// Returns how many calls a destination of this weight may have, with the one that is placed:
    /// percent * (calls + 1) * weight / (100 * sum of weights), rounded up, and at least 1.
    #[must_use]
    pub fn most(&self, weight: u8) -> u32 {
        let part = u64::from(self.percent)
            .saturating_mul(self.calls.saturating_add(1))
            .saturating_mul(weight.into());
        let most = part.div_ceil(self.weight.saturating_mul(100).max(1)).max(1);
        u32::try_from(most).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that were computed by hand. They are a part of the definition in doc/dev/rendezvous.md.
    #[test]
    fn each_has_its_part_and_a_margin() {
        // percent, calls, sum of weights, own weight, most
        let golden = [
            (125, 0, 10, 1, 1),
            (125, 7, 10, 1, 1),
            (125, 8, 10, 1, 2),
            (125, 15, 10, 1, 2),
            (125, 16, 10, 1, 3),
            (125, 1_999, 10, 1, 250),
            (125, 2_000, 10, 1, 251),
            (150, 99, 100, 10, 15),
            (150, 99, 100, 40, 60),
            (101, 999, 3, 1, 337),
            (200, 9, 100, 0, 1),
            (1_000, 4_294_967_295, 1, 100, u32::MAX),
        ];
        for (percent, calls, weight, own, most) in golden {
            let bound = Bound {
                percent,
                calls,
                weight,
            };
            assert_eq!(bound.most(own), most, "{bound:?}, {own}");
        }
    }

    /// A destination with a weight has room for one more, however the calls are spread.
    #[test]
    fn somebody_has_room() {
        for weights in [
            &[1u8][..],
            &[1; 10],
            &[10, 20, 30, 40],
            &[1, 100],
            &[3, 0, 5],
        ] {
            let sum: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            for calls in 0..500 {
                let bound = Bound {
                    percent: 101,
                    calls,
                    weight: sum,
                };
                let room: u64 = weights.iter().map(|&own| u64::from(bound.most(own))).sum();
                assert!(room > calls, "{weights:?}, {calls}");
            }
        }
    }
}
