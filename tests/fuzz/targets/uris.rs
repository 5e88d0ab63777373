//! URIs, schemes and addresses.

use std::net::Ipv4Addr;

use dispatcher::dispatch::list::destination::ipv4;
use dispatcher::dispatch::list::file::with_scheme;
use dispatcher::dispatch::text::{bare_uri, number as read_number};

use super::lies_in;
use crate::Target;

pub const TARGET: Target = Target {
    name: "uris",
    run,
    seeds: &[
        b"sip:u:p@a;x=y?h=1",
        b"SIPS:host",
        b"tel:+123",
        b"urn:service:sos",
        b"a.bcd",
        b"::1",
        b"\"Name <x>\" <sip:u@h>;tag=1",
        b"<sip:u@h",
        b"192.0.2.255",
        b"01.2.3.4",
        b"-2147483648",
        b"+7",
    ],
    words: &[
        b"sip:", b"sips:", b"tel:", b"urn:", b"<", b">", b".", b"255", b"256", b"0", b"[::1]",
        b":5060",
    ],
};

fn run(text: &[u8]) {
    let uri = with_scheme(text);
    assert!(uri.ends_with(text) && [0, 4].contains(&(uri.len() - text.len())));
    assert_eq!(with_scheme(&uri), uri, "one scheme is enough");

    let bare = bare_uri(text);
    assert!(lies_in(bare, text));
    let angle = text.contains(&b'<');
    assert!(angle && !bare.contains(&b'>') || bare == text);

    if let Some(octets) = ipv4(text) {
        assert_eq!(Ipv4Addr::from(octets).to_string().as_bytes(), text);
    }
    if let Some(number) = read_number::<i64>(text) {
        let digits = text
            .strip_prefix(b"-")
            .or(text.strip_prefix(b"+"))
            .unwrap_or(text);
        assert!(!digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
        assert_eq!(written(number), Some(number));
    }
}

fn written(number: i64) -> Option<i64> {
    read_number(number.to_string().as_bytes())
}
