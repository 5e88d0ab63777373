//! Tests of the attribute reader.

use super::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

fn ok(body: &str) -> (Attrs<'_>, Vec<String>) {
    let (attrs, warnings) = parse(trim_body(body.as_bytes())).unwrap();
    (attrs, warnings.iter().map(ToString::to_string).collect())
}

fn quiet(body: &str) -> Attrs<'_> {
    let (attrs, warnings) = ok(body);
    assert!(warnings.is_empty(), "{body}: {warnings:?}");
    attrs
}

/// Each row was read from `dispatcher.list` of the C module 5.6.3.
#[test]
fn duid_as_the_c_module_reads_it() {
    let rows: &[(&str, Option<&str>)] = &[
        ("", None),
        (";", None),
        ("a=b", None),
        ("duid=a", Some("a")),
        ("duid=a;", Some("a")),
        ("DuId=Q;duid=z", Some("Q")),
        ("duid;duid=x", None),
        ("duid=x;duid", Some("x")),
        ("duid=", Some("")),
        ("duid=\"\"", Some("")),
        ("duid=\"a\"", Some("a")),
        ("duid='a'", Some("a")),
        ("a=\"b;c\";duid=\"x;y\"", Some("x;y")),
        ("duid=\"a\\\\\"", Some("a\\\\")),
        ("duid=a=b", Some("a=b")),
        ("duid=a\"b\"c", Some("a\"b\"c")),
        ("duid=a>b", Some("a>b")),
        ("duid=a?b&c", Some("a?b&c")),
        ("duid=x|y;duid2=q", Some("x|y")),
        ("du\"id=x", None),
        ("@duid=x", None),
        ("=", None),
        ("=x", None),
        (";duid=x", Some("x")),
        (";;;duid=x", Some("x")),
        ("a;;duid=x", Some("x")),
        ("duid = x ; a = b", Some("x")),
        ("duid=ä", Some("ä")),
    ];
    for (body, want) in rows {
        assert_eq!(quiet(body).duid, want.map(str::as_bytes), "{body}");
    }
}

#[test]
fn text_after_a_comma_is_ignored_and_said() {
    let rows = [
        ("duid=a,b=c", Some("a"), ",b=c"),
        ("duid=x,", Some("x"), ","),
        (",duid=x", None, ",duid=x"),
        ("duid=\"a\">;maxload=3", Some("a"), ">;maxload=3"),
    ];
    for (body, duid, ignored) in rows {
        let (attrs, warnings) = parse(body.as_bytes()).unwrap();
        assert_eq!(attrs.duid, duid.map(str::as_bytes), "{body}");
        assert_eq!(attrs.maxload, 0, "{body}");
        assert_eq!(
            warnings,
            [AttrWarning::Ignored(ignored.as_bytes())],
            "{body}"
        );
    }
}

/// Read from `dispatcher.list` of the C modules 5.6.3 (maxload) and 6.0.1 (all four).
#[test]
fn some_numbers_count_only_with_a_value() {
    let (attrs, warnings) = ok("maxload;maxload=7;ocmax;ocmax=9;ocmin;ocmin=8;ocrate;ocrate=6");
    assert_eq!((attrs.maxload, attrs.ocrate), (7, 6));
    assert_eq!((attrs.ocmin, attrs.ocmax), (8, 9));
    assert_eq!(warnings.len(), 4);
    // Lists can repeat a name without end; one warning of each is enough.
    let body = format!("{}ocmax=9;{}x", "ocmax;".repeat(9), "maxload;".repeat(9));
    let (attrs, warnings) = ok(&body);
    assert_eq!((attrs.ocmax, warnings.len()), (9, 2));
    assert_eq!(ok("maxload=\"\";maxload=7").0.maxload, 0);
    assert_eq!(ok("weight;weight=7").0.weight, 0);
}

#[test]
fn an_empty_text_is_as_none() {
    let attrs = quiet("duid=\"\";socket='';sockname=\"\";ping_socket='';obproxy=\"\";ping_from=");
    assert_eq!(
        (attrs.duid, attrs.ping_from),
        (Some(&b""[..]), Some(&b""[..]))
    );
    let given = Attrs {
        given: true,
        ..Attrs::default()
    };
    assert_eq!(attrs.without_empty(), given);
    let kept = quiet("duid=a;obproxy=b");
    assert_eq!(kept.without_empty(), kept);
}

/// A form feed is no white space in attributes, as in the C module.
#[test]
fn a_form_feed_is_a_part_of_names_and_values() {
    assert_eq!(trim_body(b" \t\r\n a=b\x0c;\n"), b"a=b\x0c");
    assert_eq!(trim_body(b"\x0c"), b"\x0c");
    assert_eq!(quiet("duid=a\x0c").duid, Some(&b"a\x0c"[..]));
    assert_eq!(quiet("\x0cduid=a").duid, None);
    assert!(parse(b"duid=a;\x0c").is_ok(), "a name of one byte");
}

#[test]
fn all_names() {
    let body = "duid=1;socket=udp:127.0.0.1:5060;sockname=s;ping_socket=p;obproxy=o;\
                ping_from=f;weight=1;rweight=100;maxload=3;cc=1;latency=4;ocmin=5;ocmax=6;\
                ocrate=7;other=8;cps=9;ping_reply_codes=\"class=2;code=404\"";
    let want = Attrs {
        given: true,
        duid: Some(b"1"),
        socket: Some(b"udp:127.0.0.1:5060"),
        sockname: Some(b"s"),
        ping_socket: Some(b"p"),
        obproxy: Some(b"o"),
        ping_from: Some(b"f"),
        ping_reply_codes: Some(b"class=2;code=404"),
        weight: 1,
        rweight: 100,
        maxload: 3,
        cps: 9,
        cc: 1,
        latency: 4,
        ocmin: 5,
        ocmax: 6,
        ocrate: 7,
    };
    assert_eq!(quiet(body), want);
    assert_eq!(quiet(&body.to_uppercase()).rweight, 100);
    assert_eq!(quiet("").ocmax, 100);
}

#[test]
fn reply_codes_of_a_destination() {
    for (body, codes) in [
        ("ping_reply_codes=class=2", Some("class=2")),
        (
            "ping_reply_codes='code=404; class=3';x=y",
            Some("code=404; class=3"),
        ),
        // Without quotes the value ends at the first ; and the rest is another attribute.
        ("ping_reply_codes=class=2;code=404", Some("class=2")),
        ("ping_reply_codes", None),
        ("ping_reply_codes=", None),
        ("ping_reply_codes=\"\";weight=5", None),
        ("ping_reply_codes=\" \"", None),
    ] {
        assert_eq!(
            quiet(body).ping_reply_codes,
            codes.map(str::as_bytes),
            "{body}"
        );
    }
    for bad in [
        "404",
        "class=9",
        "code=404;x",
        "class=2;code=abc",
        "code=99",
    ] {
        let body = format!("ping_reply_codes=\"{bad}\";weight=5");
        let (attrs, warnings) = parse(body.as_bytes()).unwrap();
        assert_eq!((attrs.ping_reply_codes, attrs.weight), (None, 5), "{body}");
        let text = format!(
            "ping_reply_codes: expected code=N and class=N, separated by ; and in quotes, \
             found \"{bad}\", using ds_ping_reply_codes"
        );
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [text]);
    }
}

/// Each number was read from `dispatcher.list` of the C module 5.6.3; the warnings are ours.
#[test]
fn maxload_as_the_c_module_reads_it() {
    let rows = [
        ("5", 5, ""),
        ("+5", 5, ""),
        ("03", 3, ""),
        ("0000000000000000000000000005", 5, ""),
        ("\"5\"", 5, ""),
        ("'5'", 5, ""),
        (
            "abc",
            0,
            "maxload: expected a number, found \"abc\", using 0",
        ),
        ("7x", 7, "maxload: expected a number, found \"7x\", using 7"),
        (
            "0x10",
            0,
            "maxload: expected a number, found \"0x10\", using 0",
        ),
        (
            "1-3",
            1,
            "maxload: expected a number, found \"1-3\", using 1",
        ),
        (
            "5.9",
            5,
            "maxload: expected a number, found \"5.9\", using 5",
        ),
        (
            "--3",
            0,
            "maxload: expected a number, found \"--3\", using 0",
        ),
        ("=3", 0, "maxload: expected a number, found \"=3\", using 0"),
        ("+", 0, "maxload: expected a number, found \"+\", using 0"),
        ("", 0, "maxload: expected a number, found \"\", using 0"),
        ("2147483647", i32::MAX, ""),
        (
            "2147483648",
            i32::MAX,
            "maxload: expected a number, found \"2147483648\", using 2147483647",
        ),
        (
            "-5",
            -5,
            "maxload: -5 is below 0, the destination gets no calls",
        ),
    ];
    for (value, want, warning) in rows {
        let body = format!("maxload={value}");
        let (attrs, warnings) = ok(&body);
        assert_eq!(attrs.maxload, want, "{body}");
        assert_eq!(warnings.join("|"), warning, "{body}");
    }
    assert_eq!(ok("maxload=-99999999999").0.maxload, i32::MIN);
    assert_eq!(ok("maxload").1.len(), 1);
}

#[test]
fn shares_outside_their_range() {
    let range = "expected a number from 1 to 100, found";
    let rows = [
        ("weight=100;WEIGHT=5", 100, String::new()),
        ("weight=+5", 5, String::new()),
        (
            "weight=12x",
            12,
            "weight: expected a number, found \"12x\", using 12".into(),
        ),
        (
            "weight=abc",
            0,
            "weight: expected a number, found \"abc\", using 0".into(),
        ),
        (
            "weight",
            0,
            "weight: expected a number, found \"\", using 0".into(),
        ),
        (
            "weight=101;weight=4",
            0,
            format!("weight: {range} 101, using 0"),
        ),
        ("weight=0", 0, format!("weight: {range} 0, using 0")),
        ("weight=-5", 0, format!("weight: {range} -5, using 0")),
        (
            "weight=99999999999",
            0,
            format!("weight: {range} 2147483647, using 0"),
        ),
    ];
    for (body, want, warning) in rows {
        let (attrs, warnings) = ok(body);
        assert_eq!(attrs.weight, want, "{body}");
        assert_eq!(warnings.join("|"), warning, "{body}");
        let body = body.to_ascii_lowercase().replace("weight", "rweight");
        assert_eq!(ok(&body).0.rweight, want, "{body}");
    }
    assert_eq!(ok("ocmax=101").0.ocmax, 100);
    assert_eq!(ok("ocmax=x").0.ocmax, 100);
    assert_eq!(ok("ocmax=0").0.ocmax, 100);
    assert_eq!(ok("ocmin=-1").0.ocmin, 0);
    for body in ["ocmin=90;ocmax=10", "ocmax=10;ocmin=90"] {
        let (attrs, warnings) = ok(body);
        assert_eq!((attrs.ocmin, attrs.ocmax), (0, 10));
        assert_eq!(warnings, ["ocmin: 90 is above ocmax 10, using 0"]);
    }
    assert_eq!(ok("ocmin=20;ocmax=20").0.ocmin, 20);
}

#[test]
fn unreadable_texts() {
    use AttrErrorKind::{NoName, NoSeparator, NoValue, OpenQuote};
    let rows: &[(&str, usize, AttrErrorKind)] = &[
        ("a=b;", 5, NoName),
        (";", 2, NoName),
        ("a;b; ", 5, NoName),
        ("=;", 2, NoValue),
        ("duid=;weight=5", 6, NoValue),
        ("a=,b", 3, NoValue),
        ("a=\"b", 3, OpenQuote),
        ("a='", 3, OpenQuote),
        ("x;a=\"b'", 5, OpenQuote),
        ("a=\"b\"c", 6, NoSeparator(b'c')),
        ("duid=\"a\\\"b\"", 10, NoSeparator(b'b')),
        ("  a b", 5, NoSeparator(b'b')),
    ];
    for (body, column, kind) in rows {
        let want = AttrError {
            column: *column,
            kind: *kind,
        };
        assert_eq!(parse(body.as_bytes()).unwrap_err(), want, "{body}");
    }
    let error = parse(b"a=\"b\"\xff").unwrap_err();
    assert_eq!(
        error.to_string(),
        "attributes, column 6: expected ;, found \"\\xff\""
    );
}

#[test]
fn body_loses_one_semicolon() {
    let rows = [
        ("a=b;", "a=b"),
        ("a=b;;", "a=b;"),
        (" a ; ", "a "),
        (";", ""),
        ("", ""),
    ];
    for (body, want) in rows {
        assert_eq!(trim_body(body.as_bytes()), want.as_bytes(), "{body}");
    }
}

#[test]
fn any_text_is_read_or_refused() {
    let mut random = StdRng::seed_from_u64(4);
    let letters = b"duid=weight;,'\"> \t\\x1-\xff\0";
    for _ in 0..if cfg!(miri) { 25 } else { 20_000 } {
        let length = random.random_range(0..24);
        let body: Vec<u8> = (0..length)
            .map(|_| letters[random.random_range(0..letters.len())])
            .collect();
        match parse(&body) {
            Ok((attrs, _)) => {
                assert!((0..=100).contains(&attrs.weight), "{body:?}");
                if let Some(duid) = attrs.duid {
                    assert!(body.as_ptr_range().contains(&duid.as_ptr()) || duid.is_empty());
                }
            }
            Err(error) => assert!((1..=body.len() + 1).contains(&error.column), "{body:?}"),
        }
    }
}
