//! Random destination sets for the selection cases.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Sizes of the sets 1 to 5.
pub const SIZES: [u16; 5] = [1, 2, 3, 10, 97];

/// A list of the sets 1 to 5 with random flags, priorities and attributes.
pub fn random_list(rng: &mut StdRng) -> String {
    let mut list = String::new();
    for (set, size) in (1..).zip(SIZES) {
        for n in 0..size {
            list += &format!("{}\n", line(rng, set, n, size));
        }
    }
    list
}

/// URI of the n-th line of a set.
pub fn uri(set: u16, n: u16) -> String {
    let host = format!("127.0.{set}.1:{}", 7000 + n);
    match n % 7 {
        3 => format!("sip:gw{n}@{host}"),
        4 => format!("sip:{host};transport=udp"),
        5 => format!("sips:{host}"),
        _ => format!("sip:{host}"),
    }
}

fn line(rng: &mut StdRng, set: u16, n: u16, size: u16) -> String {
    // A single destination is more often up, so that both outcomes are seen.
    let flags = [0, 0, 0, 0, 0, 2, 8, 10, 1, 4, 9, 5, 16];
    let flags = if size == 1 {
        0
    } else {
        *flags.choose(rng).unwrap_or(&0)
    };
    let priority = rng.random_range(0..4);
    let mut attrs = Vec::new();
    if rng.random_bool(0.5) {
        attrs.push(format!("duid=d{set}x{n}"));
    }
    if rng.random_bool(0.3) {
        attrs.push("cc=0;site=\"a-b\"".to_owned());
    }
    if rng.random_bool(0.15) {
        attrs.push("socket=udp:127.0.0.1:{{PORT}}".to_owned());
    }
    format!(
        "{set} {} {flags} {priority} {}",
        uri(set, n),
        attrs.join(";")
    )
}

/// Commands that change random states: (state, set, uri).
pub fn random_states(rng: &mut StdRng, count: usize) -> Vec<(&'static str, u16, String)> {
    let states = ["a", "ap", "i", "ip", "d", "t", "tp"];
    let change = |rng: &mut StdRng| {
        let at = rng.random_range(0..SIZES.len());
        let set = u16::try_from(at).unwrap_or(0) + 1;
        let n = rng.random_range(0..SIZES[at]);
        (*states.choose(rng).unwrap_or(&"a"), set, uri(set, n))
    };
    (0..count).map(|_| change(rng)).collect()
}
