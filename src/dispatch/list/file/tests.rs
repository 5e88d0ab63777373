//! Tests of the list reader.

use super::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// The contents of a list.
#[derive(Debug, Default)]
struct Parsed<'a> {
    lines: Vec<Line<'a>>,
    problems: Vec<LineProblem<'a>>,
}

fn parse(text: &[u8]) -> Parsed<'_> {
    let mut parsed = Parsed::default();
    let mut keep = |problem| parsed.problems.push(problem);
    super::parse(text, &mut parsed.lines, &mut keep);
    let is_error = |problem: &&LineProblem<'_>| problem.severity == Severity::Error;
    let errors = parsed.problems.iter().filter(is_error).count();
    assert_eq!(count(text), parsed.lines.len() + errors);
    parsed
}

/// A line as `set uri flags priority attrs`, then ` / ` and each problem without its place.
fn read(text: &str) -> String {
    let parsed = parse(text.as_bytes());
    let mut out: Vec<String> = parsed
        .lines
        .iter()
        .map(|line| {
            let (uri, attrs) = (line.uri.escape_ascii(), line.attrs.escape_ascii());
            format!(
                "{} {uri} {} {} {attrs}",
                line.set, line.flags, line.priority
            )
        })
        .collect();
    out.extend(
        parsed
            .problems
            .iter()
            .map(|problem| problem.kind.to_string()),
    );
    out.join(" / ")
}

#[test]
fn a_byte_order_mark_belongs_to_no_line() {
    assert_eq!(read("\u{feff}1 sip:a"), "1 sip:a 0 0 ");
    assert_eq!(read("\u{feff}# c\n1 sip:a"), "1 sip:a 0 0 ");
    assert_eq!(read("\u{feff}"), "");
    let found = "expected a set id (a number), found \"\\xef\\xbb\\xbf1\"";
    assert_eq!(read("\n\u{feff}1 sip:a"), found);
    assert_eq!(read("\u{feff}\u{feff}1 sip:a"), found);
}

/// Lines that mean the same to the C module 5.6.3, as its `dispatcher.list` shows.
#[test]
fn lines_as_the_c_module_reads_them() {
    let rows = [
        ("1 sip:a", "1 sip:a 0 0 "),
        ("1sip:a", "1 sip:a 0 0 "),
        ("01 sip:a", "1 sip:a 0 0 "),
        ("0 sip:a", "0 sip:a 0 0 "),
        ("00000000000000000002 sip:a", "2 sip:a 0 0 "),
        ("1 a:5060;transport=udp", "1 a:5060;transport=udp 0 0 "),
        ("1 sip:u:p@a;x=y?h=1", "1 sip:u:p@a;x=y?h=1 0 0 "),
        ("1 \"sip:a\"", "1 \\\"sip:a\\\" 0 0 "),
        ("1,sip:a", "1 ,sip:a 0 0 "),
        ("1 sip:a#c", "1 sip:a 0 0 "),
        ("1 sip:a;b=#c 1", "1 sip:a;b= 0 0 "),
        ("1 sip:a #1", "1 sip:a 0 0 "),
        ("1 sip:a 1#c", "1 sip:a 1 0 "),
        ("1 sip:a 1 #2", "1 sip:a 1 0 "),
        ("1 sip:a 1 2#c", "1 sip:a 1 2 "),
        ("1 sip:a 1 2 #a=b", "1 sip:a 1 2 "),
        ("1 sip:a 1 2 \r#a=b", "1 sip:a 1 2 "),
        ("1 sip:a 1 2 a=b #c", "1 sip:a 1 2 a=b"),
        ("1 sip:a 1 2 a#b", "1 sip:a 1 2 a#b"),
        ("1 sip:a 1 2 a=b;c;", "1 sip:a 1 2 a=b;c;"),
        ("1 sip:a 1 2 foo", "1 sip:a 1 2 foo"),
        ("1 sip:a duid=a", "1 sip:a 0 0 duid=a"),
        ("1 sip:a 5 duid=a", "1 sip:a 5 0 duid=a"),
        ("1 sip:a 1duid=a", "1 sip:a 1 0 duid=a"),
        ("1 sip:a 1 2duid=a", "1 sip:a 1 2 duid=a"),
        ("1 sip:a 0xa=1", "1 sip:a 0 0 xa=1"),
        ("1 sip:a 64", "1 sip:a 64 0 "),
        ("\t 1\tsip:a\t8\t3\tduid=a\r", "1 sip:a 8 3 duid=a"),
        ("1 sip:a\r", "1 sip:a 0 0 "),
        (
            "1 sip:a\r1 sip:b",
            "1 sip:a 1 0 sip:b / expected a priority (a number), \
          found \"sip:b\", taken as attributes",
        ),
        ("", ""),
        (" \t\r", ""),
        ("#", ""),
        ("  # 1 sip:a", ""),
        ("1 sip:a\n\n#x\n2 sip:b", "1 sip:a 0 0  / 2 sip:b 0 0 "),
    ];
    for (text, want) in rows {
        assert_eq!(read(text), want, "{text:?}");
    }
}

#[test]
fn what_the_c_module_swallows() {
    let rows = [
        ("1 sip:a 0x08 5 duid=a", "1 sip:a 8 5 duid=a"),
        ("1 sip:a 0XfF", "1 sip:a 255 0 "),
        ("1 sip:a 0 -5 duid=a", "1 sip:a 0 -5 duid=a"),
        (
            "1 sip:a 4294967295 -2147483648",
            "1 sip:a 4294967295 -2147483648 ",
        ),
        ("sip:a 1", "expected a set id (a number), found \"sip:a\""),
        ("-1 sip:a", "expected a set id (a number), found \"-1\""),
        ("1", "expected a SIP URI after set id 1, found nothing"),
        ("1 #c", "expected a SIP URI after set id 1, found nothing"),
        (
            "2147483648 sip:a",
            "expected a set id (a number from 0 to 2147483647), found \"2147483648\"",
        ),
        (
            "1 sip:a 4294967296",
            "expected flags (a number from 0 to 4294967295), found \"4294967296\"",
        ),
        (
            "1 sip:a 0x100000000",
            "expected flags (a number from 0 to 4294967295), found \"0x100000000\"",
        ),
        (
            "1 sip:a 0 2147483648",
            "expected a priority (a number from -2147483648 to 2147483647), \
             found \"2147483648\"",
        ),
        ("1 sip:a 0 0 a=\0b", "expected plain text, found a NUL byte"),
    ];
    for (text, want) in rows {
        assert_eq!(read(text), want, "{text:?}");
    }
}

#[test]
fn unlikely_text_is_warned_about() {
    let rows = [
        ("1 sip:a foo", "1 sip:a 0 0 foo", NumberField::Flags, "foo"),
        ("1 sip:a 1k", "1 sip:a 1 0 k", NumberField::Flags, "1k"),
        ("1 sip:a 1,2", "1 sip:a 1 0 ,2", NumberField::Flags, "1,2"),
        ("1 sip:a 0xZ", "1 sip:a 0 0 xZ", NumberField::Flags, "0xZ"),
        ("1 sip:a -1", "1 sip:a 0 0 -1", NumberField::Flags, "-1"),
        ("1 sip:a 1-5", "1 sip:a 1 0 -5", NumberField::Flags, "1-5"),
        (
            "1 sip:a 5 foo",
            "1 sip:a 5 0 foo",
            NumberField::Priority,
            "foo",
        ),
        (
            "1 sip:a 5 +5",
            "1 sip:a 5 0 +5",
            NumberField::Priority,
            "+5",
        ),
        (
            "1 sip:a 5 -5x",
            "1 sip:a 5 0 -5x",
            NumberField::Priority,
            "-5x",
        ),
        ("1 sip:a 5 2k", "1 sip:a 5 2 k", NumberField::Priority, "2k"),
    ];
    for (text, line, field, found) in rows {
        let kind = ProblemKind::NotANumber(field, found.as_bytes());
        assert_eq!(kind.severity(), Severity::Warning);
        assert_eq!(read(text), format!("{line} / {kind}"), "{text:?}");
    }
    let ignored = ProblemKind::Ignored(b"c=d  e");
    assert_eq!(
        read("1 sip:a 0 0 a=b  c=d  e "),
        format!("1 sip:a 0 0 a=b / {ignored}")
    );
}

#[test]
fn problems_name_line_and_column() {
    let parsed = parse(b"# list\n1 sip:a\n\n  sip:x\n1 sip:a 0 0 a=b c\n  7  # none");
    let texts: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "line 4, column 3: expected a set id (a number), found \"sip:x\"",
            "line 5, column 17: expected the end of the line or a # comment after the \
             attributes, found \"c\", ignored",
            "line 6, column 6: expected a SIP URI after set id 7, found nothing",
        ]
    );
    let origins: Vec<_> = parsed.lines.iter().map(|line| line.origin).collect();
    assert_eq!(origins, [2, 5].map(Origin::Line));
}

#[test]
fn lines_of_any_length() {
    let long = if cfg!(miri) { 3_000 } else { 100_000 };
    let uri = format!("sip:{}@a", "u".repeat(long));
    let text = format!("1 {uri} 0 0 duid={}", "d".repeat(long));
    let parsed = parse(text.as_bytes());
    assert!(parsed.problems.is_empty());
    assert_eq!(parsed.lines[0].uri, uri.as_bytes());
    assert_eq!(parsed.lines[0].attrs.len(), long + 5);
}

#[test]
fn excerpts_are_escaped_and_cut() {
    let rows: &[(&[u8], &str)] = &[
        (b"", "\"\""),
        (b"a b", "\"a b\""),
        (b"a\"\\\n\x7f\xff", "\"a\\\"\\\\\\x0a\\x7f\\xff\""),
        (&[b'x'; 40], "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\""),
        (&[b'x'; 41], "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\""),
    ];
    for (bytes, want) in rows {
        assert_eq!(Excerpt(bytes).to_string(), *want);
    }
}

/// Each row was read from `dispatcher.list` of the C module 5.6.3, or is one that it calls a
/// bad URI as it stands.
#[test]
fn schemes() {
    let kept = "sip:a sip:5060 SIP:host sips:5060 Sips:host tel:5060 TEL:5060 tel:1@host \
                urn:5060 URN:a:b a.b a.bc abcd h:1 h:12 u@h * sip: tel: ::1";
    for uri in kept.split_whitespace() {
        assert_eq!(*with_scheme(uri.as_bytes()), *uri.as_bytes(), "{uri}");
    }
    let given = "http:5060 sipx:5060 tels:5060 urns:5060 cid:5060 a.bcd abcde sips: \
                 sipa:5060 im:5060 host:5060 user@h sip@h tel@host isc:5060 [::1]";
    for uri in given.split_whitespace() {
        assert_eq!(
            *with_scheme(uri.as_bytes()),
            *format!("sip:{uri}").as_bytes(),
            "{uri}"
        );
    }
}

/// Every line that says something gives a destination or an error, never both.
#[test]
fn no_line_is_lost() {
    let mut random = StdRng::seed_from_u64(5);
    let likely = b"1 2 sip:a 0x8 -5 duid=a;b=\"c\" # \t\r\n\n\n99999999999";
    for round in 0..if cfg!(miri) { 8 } else { 5_000 } {
        let mut text = vec![0u8; random.random_range(0..200)];
        random.fill(text.as_mut_slice());
        if round % 4 != 0 {
            for byte in &mut text {
                *byte = likely[random.random_range(0..likely.len())];
            }
        }
        let parsed = parse(&text);
        let mut results = vec![0; text.len() + 2];
        for line in &parsed.lines {
            let Origin::Line(number) = line.origin else {
                panic!("{line:?}")
            };
            results[number] += 1;
        }
        for problem in &parsed.problems {
            assert!(problem.column >= 1 && !problem.to_string().is_empty());
            if problem.severity == Severity::Error {
                results[problem.line] += 1;
            }
        }
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let start = skip(blanks, line);
            let want = usize::from(!at_line_end(start));
            assert_eq!(
                results[index + 1],
                want,
                "round {round}: {:?}",
                line.escape_ascii()
            );
        }
    }
}
