//! The attributes of a destination.

use dispatcher::dispatch::list::attrs::{self, AttrErrorKind, AttrWarning, Attrs};
use dispatcher::dispatch::state::probe::ReplyCodes;

use super::lies_in;
use crate::Target;

pub const TARGET: Target = Target {
    name: "attrs",
    run,
    seeds: &[
        b"duid=abc;socket=udp:192.0.2.1:5060;sockname=\"x\";weight=50;rweight=1;maxload=200",
        b"ping_from=sip:p@x;obproxy='sip:127.0.0.1';ping_socket=udp:1:2;ping_reply_codes=\"code=404;class=5\"",
        b"cc=1;latency=20;ocmin=10;ocmax=90;ocrate=50;duid=second",
        b"weight=+7x;weight=8;maxload;maxload=-1;ocmin=60;ocmax=50",
        b" novalue; =x;e=;k=\"a;b\" , rest>",
        b"k=\"a;b",
        b"ocmax;ocmax;ocmax;ocmax=7;maxload;maxload;maxload;maxload;maxload;maxload;maxload;maxload",
        b"duid=a;",
        b"duid=;",
        b"weight=99999999999;rweight=101;latency=-99999999999",
        b"a b",
    ],
    words: &[
        b"duid=", b"socket=", b"sockname=", b"ping_socket=", b"obproxy=", b"ping_from=",
        b"ping_reply_codes=", b"weight=", b"rweight=", b"maxload=", b"cc=", b"latency=", b"ocmin=",
        b"ocmax=", b"ocrate=", b";", b"\"", b"'", b",", b">", b"=", b" ", b"100", b"-2147483648",
        b"class=2", b"code=404",
    ],
};

fn run(text: &[u8]) {
    let body = attrs::trim_body(text);
    assert!(lies_in(body, text));
    check(body);
    // Rows and commands give texts that are not trimmed.
    check(text);
}

fn check(body: &[u8]) {
    match attrs::parse(body) {
        Ok((attrs, warnings)) => {
            check_attrs(body, &attrs);
            for warning in &warnings {
                check_warning(body, warning);
            }
            // One for each number and for the reply codes, one more for each of the four attributes that may have no
            // value, and one each for a limit below 0, for the bounds and for the rest.
            assert!(warnings.len() <= 9 + 4 + 3, "{warnings:?}");
            reads_again(&attrs);
        }
        Err(error) => {
            let at = error.column - 1;
            let found = body.get(at);
            match error.kind {
                AttrErrorKind::NoName => assert_eq!(at, body.trim_ascii_end().len().max(at)),
                AttrErrorKind::NoValue => assert!(matches!(found, Some(b';' | b','))),
                AttrErrorKind::OpenQuote => assert!(matches!(found, Some(b'"' | b'\''))),
                AttrErrorKind::NoSeparator(byte) => assert_eq!(found, Some(&byte)),
            }
            assert!(at <= body.len() && error.to_string().len() < 100);
        }
    }
}

fn texts<'a>(attrs: &Attrs<'a>) -> [(&'static str, Option<&'a [u8]>); 7] {
    [
        ("duid", attrs.duid),
        ("socket", attrs.socket),
        ("sockname", attrs.sockname),
        ("ping_socket", attrs.ping_socket),
        ("obproxy", attrs.obproxy),
        ("ping_from", attrs.ping_from),
        ("ping_reply_codes", attrs.ping_reply_codes),
    ]
}

fn check_attrs(body: &[u8], attrs: &Attrs<'_>) {
    for (name, value) in texts(attrs) {
        assert!(lies_in(value.unwrap_or_default(), body), "{name}");
    }
    for (_, value) in texts(&attrs.without_empty()).into_iter().take(6) {
        assert_ne!(value, Some(&b""[..]));
    }
    if let Some(codes) = attrs.ping_reply_codes {
        let _ = ReplyCodes::parse_noting(codes, |_| panic!("reply codes that cannot be read"));
    }
    assert!((0..=100).contains(&attrs.weight) && (0..=100).contains(&attrs.rweight));
    assert!(0 <= attrs.ocmin && attrs.ocmin <= attrs.ocmax && (1..=100).contains(&attrs.ocmax));
    assert!((0..=100).contains(&attrs.ocrate));
}

fn check_warning(body: &[u8], warning: &AttrWarning<'_>) {
    let found = match warning {
        AttrWarning::NotANumber { value, .. } => value,
        AttrWarning::NotReplyCodes(found) | AttrWarning::Ignored(found) => found,
        AttrWarning::OutOfRange { value, range, .. } => {
            assert!(!(range.0..=range.1).contains(value));
            &b""[..]
        }
        AttrWarning::NoCalls(limit) => {
            assert!(*limit < 0);
            b""
        }
        AttrWarning::Bounds(least, greatest) => {
            assert!(least > greatest);
            b""
        }
        AttrWarning::NoPingSocket(_) | AttrWarning::NotUtf8(_) => panic!("not the reader's"),
    };
    assert!(lies_in(found, body));
    assert!(warning.to_string().len() < 320);
}

/// Checks that attributes that are written again are read as they were, with no warning but that of `maxload`.
fn reads_again(attrs: &Attrs<'_>) {
    let mut text = b"other=1".to_vec();
    for (name, value) in texts(attrs) {
        let Some(value) = value else { continue };
        let quote: &[u8] = match value {
            value if !value.contains(&b'"') => b"\"",
            value if !value.contains(&b'\'') => b"'",
            _ => b"",
        };
        text.extend_from_slice(format!(";{name}=").as_bytes());
        text.extend_from_slice(&[quote, value, quote].concat());
    }
    for (name, number, default) in [
        ("weight", attrs.weight, 0),
        ("rweight", attrs.rweight, 0),
        ("maxload", attrs.maxload, 0),
        ("cc", attrs.cc, 0),
        ("latency", attrs.latency, 0),
        ("ocmin", attrs.ocmin, 0),
        ("ocmax", attrs.ocmax, 100),
        ("ocrate", attrs.ocrate, 0),
    ] {
        if number != default {
            text.extend_from_slice(format!("; {name} = {number}").as_bytes());
        }
    }
    let (again, warnings) = attrs::parse(&text).expect("attributes as they are written");
    let want = Attrs {
        given: true,
        ..*attrs
    };
    assert_eq!(again, want);
    for warning in warnings {
        assert!(matches!(warning, AttrWarning::NoCalls(_)), "{warning}");
    }
}
