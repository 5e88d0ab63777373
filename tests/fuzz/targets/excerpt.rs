//! Texts that messages quote.

use dispatcher::dispatch::text::{Escaped, Excerpt, Whole, trim};

use super::lies_in;
use crate::Target;

pub const TARGET: Target = Target {
    name: "excerpt",
    run,
    seeds: &[
        b"",
        b"a b",
        b"a\"\\\n\x7f\xff",
        &[b'x'; 41],
        &[0xff; 60],
        "\u{20ac}uro".as_bytes(),
    ],
    words: &[
        b"\"",
        b"\\",
        b"\n",
        b"\x1b[31m",
        b"\xff",
        "\u{2028}".as_bytes(),
    ],
};

fn run(text: &[u8]) {
    let whole = Whole(text).to_string();
    let escaped = Escaped(text).to_string();
    assert!(!whole.chars().any(char::is_control) && !escaped.chars().any(char::is_control));
    // A control character of two bytes takes six.
    assert!(whole.len() <= 6 * text.len());
    match escaped.strip_suffix("...") {
        _ if whole.len() <= Escaped::MAX => assert_eq!(escaped, whole),
        Some(start) => assert!(whole.starts_with(start) && escaped.len() <= Escaped::MAX),
        None => panic!("a long text is cut"),
    }
    let trimmed = trim(text);
    assert!(lies_in(trimmed, text) && trim(trimmed) == trimmed);
    let shown = Excerpt(text).to_string();
    assert!(shown.len() <= 2 + 40 * 4 + "…".len());
    let (kept, is_cut) = match shown.strip_suffix("…\"") {
        Some(kept) => (kept, true),
        None => (shown.strip_suffix('"').expect("a quote at the end"), false),
    };
    assert_eq!(is_cut, text.len() > 40);
    let kept = kept.strip_prefix('"').expect("a quote at the start");
    assert!(
        kept.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "one line, nothing to control a terminal"
    );
    assert_eq!(read(kept), text[..text.len().min(40)]);
}

/// Returns the bytes that an excerpt shows.
fn read(shown: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = shown;
    while let Some(first) = rest.chars().next() {
        rest = &rest[1..];
        if first != '\\' {
            bytes.push(first as u8);
        } else if let Some(hex) = rest.strip_prefix('x') {
            bytes.push(u8::from_str_radix(&hex[..2], 16).expect("two digits"));
            rest = &hex[2..];
        } else {
            bytes.push(rest.as_bytes()[0]);
            rest = &rest[1..];
        }
    }
    bytes
}
