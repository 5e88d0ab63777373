//! The condition of a direction between two places.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// How much later a packet comes that others overtake: longer than two servers need for an answer.
const HELD: Duration = Duration::from_millis(30);

/// What one direction does to packets. Shares are between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Condition {
    /// Nothing comes through.
    pub cut: bool,
    /// The share that is lost.
    pub loss: f64,
    /// The share that comes twice.
    pub doubled: f64,
    /// The share that is held back, so that later ones overtake it.
    pub reordered: f64,
    /// How long every packet takes.
    pub delay: Duration,
}

impl Condition {
    /// A line that carries nothing.
    pub const CUT: Self = Self {
        cut: true,
        loss: 0.0,
        doubled: 0.0,
        reordered: 0.0,
        delay: Duration::ZERO,
    };

    /// Returns after how long a packet arrives: never, once, or twice. Each packet takes as many random numbers as
    /// any other, so that a packet has the same fate in every run with the same seed.
    pub(super) fn fate(&self, random: &mut StdRng) -> [Option<Duration>; 2] {
        let mut hits = |share: f64| random.random::<f64>() < share;
        let (lost, doubled, held) = (hits(self.loss), hits(self.doubled), hits(self.reordered));
        if self.cut || lost {
            return [None, None];
        }
        let first = if held { self.delay + HELD } else { self.delay };
        [Some(first), doubled.then_some(self.delay)]
    }
}

/// What went in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets that were sent.
    pub packets: u64,
    /// Their bytes, with the heads of IP.
    pub bytes: u64,
    /// KDMQ requests that were sent, repeated ones as well. One that is cut into fragments counts once.
    pub kdmqs: u64,
    /// Packets that did not arrive.
    pub lost: u64,
    /// Packets that arrived twice.
    pub doubled: u64,
}

impl Traffic {
    pub(super) fn count(&mut self, bytes: usize, is_kdmq: bool, arrivals: &[Option<Duration>; 2]) {
        self.packets += 1;
        self.bytes += bytes as u64;
        self.kdmqs += u64::from(is_kdmq);
        self.lost += u64::from(arrivals[0].is_none());
        self.doubled += u64::from(arrivals[1].is_some());
    }
}
