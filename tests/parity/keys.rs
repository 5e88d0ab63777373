//! Requests that differ in everything an algorithm hashes: Call-ID, From, To, R-URI, user, key.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use harness::{Probe, Request};

/// A request with a random key of every kind that runs `operations`.
pub fn request(rng: &mut StdRng, operations: &str) -> Request {
    let request = Probe::request(operations)
        .uri(uri(rng))
        .call_id(call_id(rng))
        .from(uri(rng))
        .to(uri(rng))
        .header("X-Key", key(rng));
    let user = String::from_utf8_lossy(&text(rng, 12)).replace(['"', '\\'], "");
    let digest = match rng.random_range(0..4) {
        0 => return request,
        1 => "Digest realm=\"r\", nonce=".to_owned(),
        _ => format!(
            "Digest username=\"{user}\", realm=\"r\", nonce=\"n\", uri=\"sip:a\", \
             response=\"0123456789abcdef0123456789abcdef\""
        ),
    };
    let names = ["Authorization", "Proxy-Authorization"];
    let name = names.choose(rng).copied().unwrap_or("Authorization");
    request.header(name, digest)
}

/// ASCII, UTF-8, one byte, long.
fn call_id(rng: &mut StdRng) -> Vec<u8> {
    let mut id = match rng.random_range(0..10) {
        0 => vec![b'a'; 1],
        1 => repeat(rng, 1200),
        2..=4 => text(rng, 40),
        _ => ascii(rng, 36),
    };
    if rng.random_bool(0.5) {
        id.extend_from_slice(b"@host.test");
    }
    id
}

/// The hashed variable: empty, blank, short, long, UTF-8.
fn key(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..8) {
        0 => Vec::new(),
        1 => repeat(rng, 2000),
        2 => b"  spaced out  ".to_vec(),
        3 | 4 => text(rng, 30),
        _ => ascii(rng, 20),
    }
}

/// A URI with or without user, password, port, parameters, brackets.
pub fn uri(rng: &mut StdRng) -> Vec<u8> {
    if rng.random_bool(0.04) {
        return format!("tel:+{}", rng.random_range(1_000_000..9_999_999)).into_bytes();
    }
    let mut uri = if rng.random_bool(0.15) {
        b"sips:".to_vec()
    } else {
        b"sip:".to_vec()
    };
    if rng.random_bool(0.85) {
        uri.extend(match rng.random_range(0..8) {
            0 => repeat(rng, 300),
            1..=3 => text(rng, 20),
            _ => ascii(rng, 12),
        });
        if rng.random_bool(0.15) {
            uri.extend_from_slice(b":secret");
        }
        uri.push(b'@');
    }
    let hosts = [
        "a.example",
        "Host.EXAMPLE",
        "10.0.0.1",
        "[2001:db8::1]",
        "x",
    ];
    uri.extend_from_slice(hosts.choose(rng).unwrap_or(&"x").as_bytes());
    uri.extend_from_slice(match rng.random_range(0..8) {
        0 => b":5060",
        1 => b":5061",
        2 => b":5080",
        _ => b"",
    });
    if rng.random_bool(0.2) {
        uri.extend_from_slice(b";transport=udp;lr");
    }
    uri
}

fn repeat(rng: &mut StdRng, max: usize) -> Vec<u8> {
    let length = rng.random_range(max / 2..max);
    (0..length)
        .map(|_| *b"abcdefgh0123".choose(rng).unwrap_or(&b'a'))
        .collect()
}

fn ascii(rng: &mut StdRng, max: usize) -> Vec<u8> {
    let length = rng.random_range(1..=max);
    (0..length)
        .map(|_| {
            *b"abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-._"
                .choose(rng)
                .unwrap_or(&b'a')
        })
        .collect()
}

/// Text with characters of two to four bytes.
fn text(rng: &mut StdRng, max: usize) -> Vec<u8> {
    let length = rng.random_range(1..=max);
    let letters: Vec<char> = "abcäöüßñ日本語🙂é".chars().collect();
    let text: String = (0..length)
        .map(|_| *letters.choose(rng).unwrap_or(&'a'))
        .collect();
    text.into_bytes()
}
