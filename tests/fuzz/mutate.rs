//! Inputs that are made from the seeds and words of a target. The same number always gives the same input.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::Target;

/// The longest input.
const LONGEST: usize = 600;

/// Puts the input with this number into `input`.
pub fn input(target: &Target, number: u64, input: &mut Vec<u8>) {
    let mut random = SmallRng::seed_from_u64(number);
    let seed = |random: &mut SmallRng| *target.seeds.choose(random).unwrap_or(&&b""[..]);
    input.clear();
    input.extend_from_slice(seed(&mut random));
    for _ in 0..random.random_range(1..8) {
        change(target, input, &mut random, seed);
    }
    input.truncate(LONGEST);
}

/// Changes an input in one place.
fn change(
    target: &Target,
    input: &mut Vec<u8>,
    random: &mut SmallRng,
    seed: impl Fn(&mut SmallRng) -> &'static [u8],
) {
    let at = random.random_range(0..=input.len());
    let to = (at + random.random_range(1..12)).min(input.len());
    match random.random_range(0..9) {
        0 => drop(input.drain(at..to)),
        1 => input.extend_from_within(at..to),
        2 | 3 => {
            let word = *target.words.choose(random).unwrap_or(&&b""[..]);
            input.splice(at..at, word.iter().copied());
        }
        4 => {
            let word = *target.words.choose(random).unwrap_or(&&b""[..]);
            input.splice(at..to, word.iter().copied());
        }
        5 => {
            let other = seed(random);
            let from = random.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        6 => input.insert(at, random.random()),
        7 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte = *b"0123456789 ;=,\"'#:.-\n\0".choose(random).unwrap_or(&0);
            }
        }
    }
}
