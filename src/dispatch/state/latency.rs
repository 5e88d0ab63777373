//! Running figures of how long a destination takes to answer pings.

use super::compat::Compat;

/// From this number of samples on the mean is a weighted one: each new sample weighs one in so many.
const MEMORY: u32 = 2_097_152;

/// The number of samples that the attribute `latency` stands for.
const INITIAL_SAMPLES: u32 = 10_000;

/// Up to this number of samples the estimate is the mean, as in the C module.
const FEW: u32 = 10;

/// The weight of the old value in the estimate: how slowly the estimate follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alpha {
    kept: f64,
}

impl Alpha {
    /// Returns the weight that `ds_latency_estimator_alpha` asks for, in thousandths; `None` outside 1 to 999.
    ///
    /// The number is the weight of the old value, and in compat 6.1 that of the new one.
    #[must_use]
    pub fn new(permille: i32, compat: Compat) -> Option<Alpha> {
        if !(1..=999).contains(&permille) {
            return None;
        }
        let kept = match compat {
            Compat::V3_2 | Compat::V5_6 | Compat::V6_0 => permille,
            Compat::V6_1 => 1000 - permille,
        };
        Some(Alpha {
            kept: f64::from(kept) / 1000.0,
        })
    }

    /// Returns what an unset `ds_latency_estimator_alpha` means, which is the same weight in all versions.
    #[must_use]
    pub const fn default_permille(compat: Compat) -> i32 {
        match compat {
            Compat::V3_2 | Compat::V5_6 | Compat::V6_0 => 900,
            Compat::V6_1 => 100,
        }
    }
}

/// The running figures of one destination's round trips, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// The mean of all samples.
    pub average: f64,
    /// The standard deviation, with divisor n - 1.
    pub deviation: f64,
    /// A mean that follows the newest samples, by [`Alpha`]; after few samples the plain mean.
    pub estimate: f64,
    /// The longest round trip.
    pub max: u32,
    /// The number of pings without an answer.
    pub timeouts: u32,
    /// The number of samples, up to [`MEMORY`].
    pub samples: u32,
    /// The sum of the squared distances from the mean.
    pub m2: f64,
}

impl Latency {
    /// Returns the figures with which the attribute `latency` starts a destination.
    #[must_use]
    pub fn initial(ms: u32) -> Latency {
        Latency {
            samples: INITIAL_SAMPLES,
            ..Latency::first(ms)
        }
    }

    fn first(ms: u32) -> Latency {
        Latency {
            average: f64::from(ms),
            estimate: f64::from(ms),
            max: ms,
            samples: 1,
            ..Latency::default()
        }
    }

    /// Returns the figures after one more answer. The first one sets them all.
    ///
    /// Mean and deviation are computed by Welford's method.
    #[must_use]
    pub fn sample(&self, ms: u32, alpha: Alpha) -> Latency {
        if self.samples == 0 {
            return Latency {
                timeouts: self.timeouts,
                ..Latency::first(ms)
            };
        }
        let full = self.samples >= MEMORY;
        let samples = if full { MEMORY } else { self.samples + 1 };
        let count = f64::from(samples);
        let new = f64::from(ms);
        let distance = new - self.average;
        let average = self.average + distance / count;
        let faded = if full { self.m2 / count } else { 0.0 };
        let m2 = self.m2 - faded + distance * (new - average);
        let followed = self.estimate * alpha.kept + new * (1.0 - alpha.kept);
        Latency {
            average,
            deviation: (m2 / (count - 1.0)).max(0.0).sqrt(),
            estimate: if samples <= FEW { average } else { followed },
            max: self.max.max(ms),
            timeouts: self.timeouts,
            samples,
            m2,
        }
    }

    /// Returns the estimate in whole milliseconds.
    #[must_use]
    pub fn estimate_ms(&self) -> i32 {
        whole(self.estimate)
    }

    /// Returns how much longer than usual an answer takes now, in whole milliseconds; never below 0. Congestion control
    /// (attribute `cc`) goes by it.
    #[must_use]
    pub fn congestion_ms(&self) -> i32 {
        whole((self.estimate - self.average).max(0.0))
    }

    /// Returns the figures after a ping without an answer.
    #[must_use]
    pub fn timeout(&self) -> Latency {
        Latency {
            timeouts: self.timeouts.saturating_add(1),
            ..*self
        }
    }
}

/// Cuts the fraction off.
#[allow(clippy::cast_possible_truncation)] // `as` returns the nearest number of the type.
fn whole(ms: f64) -> i32 {
    ms as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use Compat::{V3_2, V5_6, V6_1};
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn near(have: f64, want: f64) {
        assert!(
            (have - want).abs() <= 1e-6 * want.abs().max(1.0),
            "{have} is not {want}"
        );
    }

    fn alpha(compat: Compat) -> Alpha {
        Alpha::new(Alpha::default_permille(compat), compat).unwrap()
    }

    #[test]
    fn first_sample_sets_everything() {
        let first = Latency::default().timeout().sample(40, alpha(V5_6));
        let want = Latency {
            average: 40.0,
            deviation: 0.0,
            estimate: 40.0,
            max: 40,
            timeouts: 1,
            samples: 1,
            m2: 0.0,
        };
        assert_eq!(first, want);
    }

    /// The figures that the C module 5.6.3 shows, with `ds_ping_latency_stats`, for these round trips.
    #[test]
    fn as_the_c_module_counts() {
        let rows = [
            (21, 21.0, 0.0, 21.0),
            (60, 40.5, 27.577, 40.5),
            (103, 61.333, 41.016, 61.333),
            (23, 51.75, 38.586, 51.75),
            (94, 60.2, 38.388, 60.2),
            (10, 51.833, 39.987, 51.833),
            (90, 57.285, 39.25, 57.285),
            (10, 51.375, 39.999, 51.375),
            (90, 55.666, 39.569, 55.666),
            (10, 51.1, 40.004, 51.1),
            (90, 54.636, 39.722, 54.99),
            (10, 50.916, 40.005, 50.491),
            (90, 53.923, 39.806, 54.441),
            (10, 50.785, 40.006, 49.997),
        ];
        let mut have = Latency::default();
        for (ms, average, deviation, estimate) in rows {
            have = have.sample(ms, alpha(V5_6));
            for (have, want) in [
                (have.average, average),
                (have.deviation, deviation),
                (have.estimate, estimate),
            ] {
                assert!((have - want).abs() < 0.002, "{ms}: {have} is not {want}");
            }
        }
        let start = Latency::initial(50);
        assert_eq!(
            (start.estimate, start.deviation, start.max),
            (50.0, 0.0, 50)
        );
        let next = start.sample(100, alpha(V5_6));
        assert!((next.deviation - 0.499).abs() < 0.002 && (next.estimate - 55.0).abs() < 1e-9);
    }

    #[test]
    fn alpha_is_the_old_weight_until_6_1() {
        let from_100_to_200 = |permille, compat| {
            Latency::initial(100)
                .sample(200, Alpha::new(permille, compat).unwrap())
                .estimate
        };
        for (permille, compat, want) in [
            (900, V3_2, 110.0),
            (900, V5_6, 110.0),
            (100, V5_6, 190.0),
            (100, V6_1, 110.0),
            (900, V6_1, 190.0),
            (1, V6_1, 100.1),
            (999, V5_6, 100.1),
        ] {
            near(from_100_to_200(permille, compat), want);
        }
        for compat in [V3_2, V5_6, V6_1] {
            near(
                from_100_to_200(Alpha::default_permille(compat), compat),
                110.0,
            );
            for wrong in [0, 1000, -1, i32::MAX, i32::MIN] {
                assert_eq!(Alpha::new(wrong, compat), None);
            }
        }
    }

    #[test]
    fn mean_and_deviation_equal_those_of_all_samples() {
        let mut random = StdRng::seed_from_u64(11);
        let samples: Vec<u32> = (0..500).map(|_| random.random_range(0..3000)).collect();
        let mut have = Latency::default();
        for ms in &samples {
            have = have.sample(*ms, alpha(V5_6));
        }
        let count = samples.len() as f64;
        let mean = samples.iter().map(|ms| f64::from(*ms)).sum::<f64>() / count;
        let squares: f64 = samples
            .iter()
            .map(|ms| (f64::from(*ms) - mean).powi(2))
            .sum();
        near(have.average, mean);
        near(have.deviation, (squares / (count - 1.0)).sqrt());
        assert_eq!(have.max, *samples.iter().max().unwrap());
        assert_eq!((have.samples, have.timeouts), (500, 0));
    }

    #[test]
    fn an_initial_latency_weighs_ten_thousand_samples() {
        let start = Latency::initial(50);
        assert_eq!((start.samples, start.average), (10_000, 50.0));
        near(start.sample(10_051, alpha(V5_6)).average, 51.0);
    }

    #[test]
    fn the_memory_ends() {
        let mut latency = Latency {
            samples: MEMORY - 1,
            ..Latency::initial(100)
        };
        let steps = if cfg!(miri) { 100 } else { 3_000_000 };
        for step in 0..steps {
            // 200 and 400 in turn: mean 300, deviation 100.
            latency = latency.sample(if step % 2 == 0 { 200 } else { 400 }, alpha(V6_1));
            assert!(latency.samples <= MEMORY && latency.deviation.is_finite());
        }
        if !cfg!(miri) {
            let left = 200.0 * (-(steps as f64) / f64::from(MEMORY)).exp();
            assert!(
                (latency.average - (300.0 - left)).abs() < 1.0,
                "{latency:?}"
            );
            assert!((100.0..150.0).contains(&latency.deviation), "{latency:?}");
        }
    }

    #[test]
    fn counters_stop_at_their_end() {
        let full = Latency {
            timeouts: u32::MAX,
            ..Latency::default()
        };
        assert_eq!(full.timeout().timeouts, u32::MAX);
        let longest = full.sample(u32::MAX, alpha(V5_6)).sample(0, alpha(V5_6));
        assert_eq!(longest.max, u32::MAX);
    }
}
