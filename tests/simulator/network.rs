//! Messages on their way: lost, doubled, late, cut off.

use std::collections::BTreeSet;
use std::rc::Rc;

use dispatcher::dispatch::cluster::node::action::PeerId;
use rand::Rng;
use rand::rngs::SmallRng;

/// When the server's transaction sends a request again, counted from its start.
pub const AGAIN_MS: [u64; 3] = [125, 375, 875];

/// When a transaction ends without an answer.
pub const NO_ANSWER_MS: u64 = 2_000;

/// How the network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The share of transmissions that are lost.
    pub loss: f64,
    /// The share of transmissions that arrive once more, any time later.
    pub double: f64,
    /// The longest time that a transmission takes. Each takes its own, so they overtake each other.
    pub slowest_ms: u64,
}

/// The weather at a quiet end.
pub const FAIR: Weather = Weather {
    loss: 0.0,
    double: 0.0,
    slowest_ms: 20,
};

/// The latest time at which a second copy of a message arrives.
const LATEST_COPY_MS: u64 = 12_000;

/// The network.
#[derive(Debug)]
pub struct Network {
    pub weather: Weather,
    /// Nothing passes from the first to the second one of a pair of servers.
    pub cut: BTreeSet<(usize, usize)>,
}

/// One of these arrives for each time in it.
pub type Arrivals = [Option<u64>; 2];

impl Network {
    /// Returns after which times a transmission arrives.
    pub fn carry(&self, from: usize, to: usize, random: &mut SmallRng) -> Arrivals {
        let weather = self.weather;
        if self.cut.contains(&(from, to)) || random.random_bool(weather.loss) {
            return [None, None];
        }
        let copy = random.random_bool(weather.double);
        let first = random.random_range(1..=weather.slowest_ms);
        [
            Some(first),
            copy.then(|| random.random_range(1..=LATEST_COPY_MS)),
        ]
    }
}

/// A message that a server sends, with what it takes to answer it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The server, which life of it, and how its node calls the receiver.
    pub from: usize,
    pub life: u64,
    pub peer: PeerId,
    /// The address that it comes from.
    pub source: Rc<str>,
    pub to: Rc<str>,
    pub number: u64,
    pub body: Rc<[u8]>,
    /// True after the answer.
    pub done: bool,
}
