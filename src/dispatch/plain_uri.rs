//! Request-URIs of the plainest form, which most are: `sip:user@host` or `sip:user@host:port`.

#![forbid(unsafe_code)]

/// All before the host of a URI of that form. `None` for all others, right or wrong: with a password,
/// parameters, headers, an IPv6 address, escapes, no user or another scheme.
#[must_use]
#[inline]
pub fn plain_start(uri: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8; 4] = b"sip:";
    let rest = uri.strip_prefix(SCHEME)?;
    let at = rest.iter().position(|&byte| !is_of(USER, byte))?;
    let (user, rest) = rest.split_at_checked(at)?;
    let rest = rest.strip_prefix(b"@")?;
    let end = rest.iter().position(|&byte| !is_of(HOST, byte));
    let (host, port) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
    let plain = !user.is_empty() && !host.is_empty() && (port.is_empty() || is_port(port));
    uri.get(..SCHEME.len() + user.len() + 1).filter(|_| plain)
}

/// Where a byte may stand.
const USER: u8 = 1;
const HOST: u8 = 2;

/// By byte.
const PLACES: [u8; 256] = places();

#[allow(
    clippy::indexing_slicing,
    reason = "all bytes are below 256; evaluated by the compiler"
)]
const fn places() -> [u8; 256] {
    let mut places = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        places[byte as usize] = match byte {
            b'+' | b'_' => USER,
            b'-' | b'.' => USER | HOST,
            _ if byte.is_ascii_alphanumeric() => USER | HOST,
            _ => 0,
        };
        byte += 1;
    }
    places
}

#[inline(always)]
fn is_of(place: u8, byte: u8) -> bool {
    PLACES
        .get(usize::from(byte))
        .is_some_and(|&places| places & place != 0)
}

/// A colon and a port.
fn is_port(text: &[u8]) -> bool {
    let [b':', digits @ ..] = text else {
        return false;
    };
    let number = digits.iter().take(6).try_fold(0u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit & 15))?;
        Some(number * 10 + digit)
    });
    digits.len() <= 5 && number.is_some_and(|number| matches!(number, 1..=65_535))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plainest_form_is_taken() {
        let cases: &[(&str, Option<&str>)] = &[
            ("sip:bob@b.example", Some("sip:bob@")),
            ("sip:+49-30.1_2@10.0.0.1:5060", Some("sip:+49-30.1_2@")),
            ("sip:b@h:1", Some("sip:b@")),
            ("sip:b.example", None),
            ("sip:@b.example", None),
            ("sip:bob@", None),
            ("sip:bob@:5060", None),
            ("sip:bob@b.example:", None),
            ("sip:bob@b.example:50600", Some("sip:bob@")),
            ("sip:bob@b.example:65536", None),
            ("sip:bob@b.example:0", None),
            ("sip:bob@b.example:005060", None),
            ("sip:bob@b.example:5x", None),
            ("sip:bob:secret@b.example", None),
            ("sip:bob@b.example;user=phone", None),
            ("sip:bob@b.example?a=b", None),
            ("sip:bob@[::1]", None),
            ("sip:b%6fb@b.example", None),
            ("sip:bob@a@b", None),
            ("sips:bob@b.example", None),
            ("SIP:bob@b.example", None),
            ("tel:123", None),
            ("sip:", None),
            ("", None),
        ];
        for &(uri, start) in cases {
            assert_eq!(
                plain_start(uri.as_bytes()),
                start.map(str::as_bytes),
                "{uri}"
            );
        }
    }
}
