//! Rows as the drivers give them, and as they should not be.

use super::*;

const NAMES: [&[u8]; 5] = [b"setid", b"destination", b"flags", b"priority", b"attrs"];

fn row(cells: &[Cell<'_>]) -> Result<Line<'static>, String> {
    let extra = extra_attrs(b"xa=c1;xb=c2").0;
    read(7, cells, &extra).map_err(|fault| fault.wrong.to_string())
}

#[test]
fn each_version_has_its_columns() {
    let columns = Columns {
        names: NAMES,
        extra: extra_attrs(b"xa=c1;xb=c2").0,
    };
    let of = |version| columns.of_version(version).map(|names| names.len());
    let found: Vec<_> = (-1..=5).map(of).collect();
    assert_eq!(
        found,
        [None, None, Some(2), Some(3), Some(4), Some(7), None]
    );
    assert_eq!(columns.of_version(1).unwrap(), NAMES[..2]);
}

#[test]
fn extra_attributes_are_pairs() {
    let good: &[(&str, &[(&str, &str)])] = &[
        (" xa=c1; xb = c2 ;", &[("xa", "c1"), ("xb", "c2")]),
        ("xa=c1;;xb=\"c2\"", &[("xa", "c1"), ("xb", "c2")]),
        ("", &[]),
        (";", &[]),
    ];
    let bad: &[(&str, &[(&str, &str)])] = &[
        ("xa", &[]),
        ("xa=", &[]),
        ("=c1", &[]),
        ("xa=c1=c2;xb=c2", &[("xb", "c2")]),
        ("x a=c1", &[]),
        ("xa=c1,xb=c2", &[("xa", "c1")]),
    ];
    let cases = good
        .iter()
        .map(|case| (case, true))
        .chain(bad.iter().map(|case| (case, false)));
    for ((text, want), whole) in cases {
        let (extra, all) = extra_attrs(text.as_bytes());
        let pairs: Vec<_> = extra.iter().map(|e| (e.attr, e.column)).collect();
        let want: Vec<_> = want
            .iter()
            .map(|(a, c)| (a.as_bytes(), c.as_bytes()))
            .collect();
        assert_eq!((pairs, all), (want, whole), "{text}");
    }
}

#[test]
fn numbers_come_in_any_type() {
    for set in [
        Cell::Int(7),
        Cell::Uint(7),
        Cell::Real(7.0),
        Cell::Text(b" 7 "),
    ] {
        let found = row(&[set, Cell::Text(b"sip:a"), set, set]).unwrap();
        assert_eq!((found.set, found.flags, found.priority), (7, 7, 7), "{set}");
    }
    let found = row(&[
        Cell::Int(0),
        Cell::Text(b"sip:a"),
        Cell::Int(u32::MAX.into()),
        Cell::Int(i32::MIN.into()),
    ]);
    let found = found.unwrap();
    assert_eq!((found.flags, found.priority), (u32::MAX, i32::MIN));
}

#[test]
fn null_is_the_default_but_for_set_and_destination() {
    let found = row(&[
        Cell::Int(1),
        Cell::Text(b"sip:a"),
        Cell::Null,
        Cell::Null,
        Cell::Null,
    ]);
    let plain = Line {
        origin: Origin::Row(7),
        set: 1,
        uri: b"sip:a".into(),
        flags: 0,
        priority: 0,
        attrs: b"".into(),
    };
    assert_eq!(found, Ok(plain.clone()));
    assert_eq!(row(&[Cell::Int(1), Cell::Text(b"sip:a   ")]), Ok(plain));
    let no_uri = "expected a SIP URI, found nothing";
    for uri in [Cell::Null, Cell::Text(b""), Cell::Text(b"  ")] {
        assert_eq!(row(&[Cell::Int(1), uri]), Err(no_uri.into()));
    }
}

#[test]
fn a_bad_row_says_what_was_expected_and_found() {
    let uri = Cell::Text(b"sip:a");
    let int = |number| Cell::Int(number);
    let cases: [(&[Cell<'_>], &str); 9] = [
        (
            &[Cell::Null, uri],
            "expected a set id (a number from 0 to 2147483647), found NULL",
        ),
        (
            &[int(-1), uri],
            "expected a set id (a number from 0 to 2147483647), found -1",
        ),
        (
            &[Cell::Text(b""), uri],
            "expected a set id (a number from 0 to 2147483647), found \"\"",
        ),
        (
            &[Cell::Real(1.5), uri],
            "expected a set id (a number from 0 to 2147483647), found 1.5",
        ),
        (
            &[int(1), uri, int(-1)],
            "expected flags (a number from 0 to 4294967295), found -1",
        ),
        (
            &[int(1), uri, Cell::Other],
            "expected flags (a number from 0 to 4294967295), \
                                       found neither a number nor a text",
        ),
        (
            &[int(1), uri, int(0), Cell::Text(b"x")],
            "expected a priority (a number from -2147483648 to 2147483647), found \"x\"",
        ),
        (
            &[int(1), Cell::Text(b"sip:a b")],
            "expected a SIP URI, found white space or a NUL byte in it",
        ),
        (
            &[int(1), uri, int(0), int(0), Cell::Text(b"a=\0")],
            "expected attributes, found a NUL byte in them",
        ),
    ];
    for (cells, expected) in cases {
        assert_eq!(row(cells), Err(expected.into()));
    }
}

#[test]
fn a_bad_row_is_named_as_far_as_it_can_be_read() {
    let fault = read(7, &[Cell::Int(3), Cell::Text(b"sip:a"), Cell::Int(-1)], &[]).unwrap_err();
    assert_eq!((fault.set, fault.uri), (Some(3), Some(b"sip:a".to_vec())));
    let fault = read(7, &[Cell::Null, Cell::Null], &[]).unwrap_err();
    assert_eq!((fault.set, fault.uri), (None, None));
}

#[test]
fn extra_attributes_stand_behind_the_others_last_one_first() {
    let with = |attrs, one, two| {
        let cells = [
            Cell::Int(1),
            Cell::Text(b"sip:a"),
            Cell::Null,
            Cell::Null,
            attrs,
            one,
            two,
        ];
        String::from_utf8(row(&cells).unwrap().attrs.into_owned()).unwrap()
    };
    let (x, y) = (Cell::Text(b"x"), Cell::Int(5));
    assert_eq!(with(Cell::Text(b"duid=a"), x, y), "duid=a;xb=5;xa=x");
    assert_eq!(with(Cell::Text(b"duid=a;"), x, Cell::Null), "duid=a;xa=x");
    assert_eq!(with(Cell::Null, Cell::Text(b""), y), "xb=5");
    assert_eq!(with(Cell::Null, Cell::Null, Cell::Null), "");
    assert_eq!(with(Cell::Text(b";"), x, y), ";xb=5;xa=x");
    for alone in [";", " ", "duid=a; "] {
        assert_eq!(
            with(Cell::Text(alone.as_bytes()), Cell::Null, Cell::Null),
            alone
        );
    }
}
