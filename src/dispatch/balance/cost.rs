//! The key of a request, and what each destination costs it: weighted rendezvous hashing.
//!
//! Each destination has a number between 0 and 1 for each key, as if it were drawn at random, and costs the logarithm
//! of that number, divided by its weight. The cheapest one takes the request. So each has its share of all keys in
//! proportion to its weight, and a destination that comes or goes moves no key but its own.
//!
//! All of it is computed in integers, so that all machines agree.

use core::cmp::Ordering;
use core::fmt;

use crate::dispatch::hash::xxh64;

/// The key of a request: the hash of the text that it is selected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u64);

impl Key {
    /// Returns the key of a text.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        Self(xxh64(text))
    }

    /// Returns the key of the parts of a URI, which is that of the text `user@host`, or of the only part that is there.
    #[must_use]
    pub fn of_parts(user: &[u8], host: Option<&[u8]>) -> Self {
        match host {
            None => Self::of(user),
            Some(host) if user.is_empty() => Self::of(host),
            Some(host) => Self::of(&[user, b"@", host].concat()),
        }
    }
}

/// Shows the key as traces and `dispatcher.route` show it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The cost of a destination for a key. The least cost wins.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    distance: u64,
    /// 0 if it has no share.
    weight: u64,
    identity: u64,
    at: usize,
}

impl Cost {
    /// Returns what the destination at an index costs a key. With the weight 0 it costs more than all that have one.
    #[must_use]
    #[inline]
    pub fn new(key: Key, identity: u64, weight: u8, at: usize) -> Self {
        Cost {
            distance: distance(draw(key, identity)),
            weight: weight.into(),
            identity,
            at,
        }
    }

    /// Returns the index of the destination.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }
}

impl Ord for Cost {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let without_share = (self.weight == 0).cmp(&(other.weight == 0));
        // The quotients of distance and weight, without dividing.
        let by_weight = |one: &Self, other: &Self| one.distance * other.weight.max(1);
        let dearer = by_weight(self, other).cmp(&by_weight(other, self));
        let same = self.identity.cmp(&other.identity);
        without_share
            .then(dearer)
            .then(same)
            .then(self.at.cmp(&other.at))
    }
}

impl PartialOrd for Cost {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cost {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cost {}

/// Returns the index of the cheapest destination of some identities and weights; `None` if none has a weight. `greatest`
/// is the greatest of the weights.
///
/// Most of many destinations draw so little that their cost need not be computed.
#[must_use]
#[inline]
pub fn cheapest(
    key: Key,
    destinations: impl Iterator<Item = (u64, u8)>,
    greatest: u8,
) -> Option<usize> {
    let mut best = None;
    let (mut best_distance, mut best_weight, mut best_identity) = (1, 0, 0);
    let mut least = 0;
    for (at, (identity, weight)) in destinations.enumerate() {
        let draw = draw(key, identity);
        if draw < least || weight == 0 {
            continue;
        }
        let (distance, weight) = (distance(draw), u64::from(weight));
        let (cost, best_cost) = (distance * best_weight, best_distance * weight);
        if cost < best_cost || cost == best_cost && identity < best_identity {
            best = Some(at);
            (best_distance, best_weight, best_identity) = (distance, weight, identity);
            least = least_draw(distance, weight, greatest.into());
        }
    }
    best
}

/// Returns a bound: no destination that draws less, and weighs at most `greatest`, is as cheap as one of this distance
/// and weight.
///
/// A destination is as cheap if its distance is at most that distance times the quotient of the weights. For x up to 1,
/// `-log2(x)` is at least `(1 - x) / ln 2`, and [`distance`] is less than 2 units below `-log2(x)`.
#[inline]
pub(super) fn least_draw(distance: u64, weight: u64, greatest: u64) -> u64 {
    /// The natural logarithm of 2 with 32 bits of fraction, rounded up.
    const LN_2: u64 = 2_977_044_472;
    let most = if weight == greatest {
        distance
    } else {
        (distance * greatest)
            .checked_div(weight)
            .unwrap_or(u64::MAX / 2)
    };
    let below = (most + 3)
        .checked_mul(LN_2)
        .and_then(|below| below.checked_add(1 << 11));
    below.map_or(0, u64::wrapping_neg)
}

/// Returns what is drawn for a destination and a key, as if at random.
#[must_use]
#[inline]
pub const fn draw(key: Key, identity: u64) -> u64 {
    mix(key.0 ^ identity)
}

/// Mixes the bits of a word: the finaliser of splitmix64.
#[must_use]
#[inline]
pub const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Returns `-log2(v / 2^53)` with 32 bits of fraction, where v is 1 more than the upper 53 bits of the word: a line
/// between each two of 1,025 points that are exact to the last bit. The greatest result is 53 * 2^32.
#[must_use]
#[inline]
pub fn distance(word: u64) -> u64 {
    let number = (word >> 11) + 1;
    // It is 2^(53 - zeros) * (1 + fraction / 2^53).
    let zeros = number.leading_zeros() - 10;
    let fraction = (number << zeros) & ((1 << 53) - 1);
    let segment = usize::try_from(fraction >> 43).unwrap_or(0);
    let [start, step] = SEGMENTS.get(segment).copied().unwrap_or_default();
    let rest = (fraction >> 11) & 0xffff_ffff;
    (u64::from(zeros) << 32) - u64::from(start) - ((u64::from(step) * rest) >> 32)
}

/// The logarithm at the start of each segment, and what it grows by until the next.
static SEGMENTS: [[u32; 2]; 1024] = segments();

const fn segments() -> [[u32; 2]; 1024] {
    let mut segments = [[0; 2]; 1024];
    let mut rest: &mut [[u32; 2]] = &mut segments;
    let mut at = 0;
    while let Some((segment, others)) = rest.split_first_mut() {
        let start = logarithm(at);
        *segment = [start, logarithm(at + 1).wrapping_sub(start)];
        rest = others;
        at += 1;
    }
    segments
}

/// Returns `log2(1 + at / 1024)` with 32 bits of fraction, rounded to the nearest. For 1024 it is 2^32, so 0 here.
const fn logarithm(at: u32) -> u32 {
    const ONE: u128 = 1 << 62;
    let mut number = ONE + ((at as u128) << 52);
    if at == 1024 {
        number = ONE;
    }
    let mut result: u32 = 0;
    let mut bits = 0;
    // Squaring doubles the logarithm, which brings its next bit in front of the point.
    loop {
        number = (number * number) >> 62;
        let bit = number >= 2 * ONE;
        if bit {
            number >>= 1;
        }
        if bits == 32 {
            return if bit { result + 1 } else { result };
        }
        result = result << 1 | if bit { 1 } else { 0 };
        bits += 1;
    }
}
