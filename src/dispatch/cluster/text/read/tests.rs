use super::*;
use crate::dispatch::cluster::text::message::MOST_REGISTERS;
use crate::dispatch::cluster::text::write::write;

const FIRST: &str = "DSC 1.0 c=default n=lb1 i=a s=1f4 k=";

fn register(bits: u32) -> Register {
    Register {
        stamp: Stamp(0x12_0001),
        node: NodeHash(0x9f),
        bits,
        base: 0xc,
    }
}

fn message(content: Content<'_>) -> Message<'_> {
    Message {
        cluster: "default",
        node: "lb1",
        incarnation: 10,
        number: 500,
        content,
    }
}

fn unreadable(line: usize, column: usize, expected: &'static str) -> Refusal {
    Refusal::Unreadable {
        line,
        column,
        expected,
    }
}

#[test]
fn an_incarnation_that_leaves_no_later_one_is_refused() {
    let hello = |own: u64, told: u64| {
        let first = format!("DSC 1.0 c=default n=lb1 i={own:x} s=1 k=H u=sip:a\n");
        first + &format!("M lb2 sip:b {told:x} 0\n")
    };
    let most = MOST_INCARNATION;
    assert!(read(hello(most, most).as_bytes()).is_ok());
    for (own, told, line, column) in [(most + 1, 1, 1, 27), (1, u64::MAX, 2, 13)] {
        let refusal = unreadable(line, column, "Incarnation");
        assert_eq!(read(hello(own, told).as_bytes()), Err(refusal));
    }
}

#[test]
fn what_is_written_is_read() {
    let told = |name, heard_ms| Told {
        name,
        uri: "sip:192.0.2.2:5060;transport=tls",
        incarnation: MOST_INCARNATION,
        heard_ms,
        taken: heard_ms == 0,
    };
    let hello = Hello {
        uri: "sip:192.0.2.1:5060",
        ready: true,
        started: 7,
        hello_ms: 1_000,
        dead_ms: 5_000,
        wall_ms: 1 << 40,
        digest: Some(0),
        pings: Some(pings::Told {
            true_ms: 5,
            interval_ms: 1,
        }),
        members: vec![told("lb2", 0), told("lb=3", 70_000)],
    };
    let silent = Hello {
        uri: "sip:a",
        ..Hello::default()
    };
    let registers: Vec<_> = (0..200).map(|n| (Key(n << 50), register(4))).collect();
    let contents = [
        Content::Hello(hello),
        Content::Hello(silent),
        Content::Data(Data::default()),
        Content::Data(Data {
            to: 77,
            end: true,
            begins: true,
            registers: registers[..MOST_REGISTERS].to_vec(),
            ..Data::default()
        }),
        Content::Data(Data {
            views: vec![
                (
                    Key(1),
                    Some(View {
                        failures: 1,
                        bits: 9,
                        phase_ms: 9_999,
                    }),
                ),
                (Key(2), None),
            ],
            calls: vec![(Key(u64::MAX), Some(u32::MAX)), (Key(3), None)],
            ends: [Fate::Over, Fate::Cancelled, Fate::Answered]
                .into_iter()
                .filter_map(|fate| CallEnd::of(fate, b"id@192.0.2.1", b"from", b""))
                .collect(),
            ..Data::default()
        }),
        Content::Leave,
    ];
    let key = HmacKey::new(b"secret");
    for content in contents {
        let message = message(content);
        let plain = write(&message, None);
        assert_eq!(read(&plain), Ok(message.clone()));
        assert_eq!(check(&plain, "default", None), Ok(message.clone()));
        let with_code = write(&message, key.as_ref());
        assert_eq!(
            check(&with_code, "default", key.as_ref()),
            Ok(message.clone())
        );
        assert_eq!(check(&with_code, "default", None), Ok(message));
    }
}

#[test]
fn what_a_later_version_adds_is_skipped() {
    let text = "DSC 1.7 c=default new n=lb1 i=a x=? s=1f4 k=D e=1 =\nY 1 2 3\n\
        A 7 120001 9f 4 c later 5\nB 7 1 2 3 4\nB 8 - 5\nL 9 1 -\nE o id / t later\nE later id f t\nA\u{e9} 1\nM lb2 sip:b 1 2\nQ\n";
    let data = Content::Data(Data {
        to: 0,
        end: true,
        begins: false,
        registers: vec![(Key(7), register(4))],
        views: vec![
            (
                Key(7),
                Some(View {
                    failures: 1,
                    bits: 2,
                    phase_ms: 3,
                }),
            ),
            (Key(8), None),
        ],
        calls: vec![(Key(9), Some(1))],
        ends: CallEnd::of(Fate::Over, b"id", b"", b"t")
            .into_iter()
            .collect(),
    });
    assert_eq!(read(text.as_bytes()), Ok(message(data)));
    let text = format!("{FIRST}X\nA what\n");
    assert_eq!(read(text.as_bytes()), Ok(message(Content::Unknown)));
}

#[test]
fn a_problem_is_named_with_its_place() {
    let cases = [
        ("".to_owned(), 1, 1, "End Of Line"),
        ("\n".to_owned(), 1, 1, "Message"),
        ("DSC\n".to_owned(), 1, 4, "Version"),
        ("{\"json\":1}\n".to_owned(), 1, 1, "Message"),
        ("DSC 1.0\n".to_owned(), 1, 8, "Kind"),
        ("DSC 1.0 n=lb1 i=a s=1 k=D\n".to_owned(), 1, 26, "Cluster"),
        (
            "DSC 1.0 c=x n=lb\t1 i=a s=1 k=D\n".to_owned(),
            1,
            15,
            "Node",
        ),
        (
            "DSC 1.0 c=x n=lb1 i=+a s=1 k=D\n".to_owned(),
            1,
            21,
            "Incarnation",
        ),
        (
            "DSC 1.0 c= n=lb1 i=a s=1 k=D\n".to_owned(),
            1,
            11,
            "Cluster",
        ),
        (
            format!("DSC 1.0 c={} n=l i=a s=1 k=D\n", "c".repeat(65)),
            1,
            11,
            "Cluster",
        ),
        (format!("{FIRST}H\n"), 1, 38, "URI"),
        (format!("{FIRST}D e=\n"), 1, 41, "End"),
        (
            format!("{FIRST}D e=1\nA 7 120001 9f 4"),
            2,
            16,
            "End Of Line",
        ),
        (
            format!("{FIRST}D e=1\nA 7 120001 9f 4\n"),
            2,
            16,
            "Listed Flags",
        ),
        (
            format!("{FIRST}D e=1\nA 7 120001 9f 123456789 0\n"),
            2,
            15,
            "Flags",
        ),
        (
            format!("{FIRST}D e=1\nA 10000000000000000 1 9f 4 c\n"),
            2,
            3,
            "Key",
        ),
        (format!("{FIRST}D e=1\nA 7  120001 9f 4 c\n"), 2, 5, "Stamp"),
        (format!("{FIRST}D e=1\nB 7 1 2\n"), 2, 8, "Phase"),
        (format!("{FIRST}D e=1\nL 7\n"), 2, 4, "Calls"),
        (format!("{FIRST}D e=1\nE o id f\n"), 2, 9, "Tag"),
        (format!("{FIRST}D e=1\n\nA 7 1 9f 4 c\n"), 2, 1, "Letter"),
        (
            format!("{FIRST}H u=sip:a\nM lb2 sip:b 1 g\n"),
            2,
            15,
            "Time",
        ),
        (
            format!("{FIRST}H u=sip:a\nM lb2 sip:b\u{7f} 1 1\n"),
            2,
            7,
            "URI",
        ),
    ];
    for (text, line, column, expected) in cases {
        let refusal = unreadable(line, column, expected);
        assert_eq!(read(text.as_bytes()), Err(refusal), "{text:?}");
        assert_eq!(refusal.code(), 400);
    }
    let refusal = unreadable(2, 16, "Flags");
    assert_eq!(refusal.to_string(), "Line 2 Column 16: No Flags");
}

#[test]
fn another_version_cluster_or_size_is_refused() {
    let text = format!("{FIRST}D e=1\n").replace("1.0", "2.0");
    assert_eq!(read(text.as_bytes()), Err(Refusal::Version));
    let text = format!("{FIRST}D e=1\n");
    assert_eq!(check(text.as_bytes(), "other", None), Err(Refusal::Cluster));

    let line = "A 7 120001 9f 4 c\n";
    let text = text + &line.repeat(MOST_BYTES / line.len());
    assert_eq!(read(text.as_bytes()), Err(Refusal::TooLong));
    assert_eq!(
        check(text.as_bytes(), "default", None),
        Err(Refusal::TooLong)
    );
    let text = format!("{FIRST}D e=1\n{}", "X\n".repeat(MOST_LINES - 1));
    assert!(read(text.as_bytes()).is_ok());
    assert_eq!(read((text + "X\n").as_bytes()), Err(Refusal::TooLong));
}

#[test]
fn with_a_key_only_a_message_with_its_code_at_the_end_is_taken() {
    let key = HmacKey::new(b"secret");
    let check = |text: &[u8]| check(text, "default", key.as_ref()).map(|_| ());
    let text = write(&message(Content::Leave), key.as_ref());
    assert_eq!(check(&text), Ok(()));
    let plain = write(&message(Content::Leave), None);
    let other = HmacKey::new(b"other");
    let wrong = [
        plain.clone(),
        write(&message(Content::Leave), other.as_ref()),
        [&text[..], b"A 1 1 1 1 1\n"].concat(),
        [&text[..], b"\n"].concat(),
        text[..text.len() - 1].to_vec(),
        text[..text.len() - 3].to_vec(),
        b"Z 5bdcc146bf60754e6a042426089575c7\n".to_vec(),
        b"\n".to_vec(),
        vec![],
    ];
    for text in wrong {
        assert_eq!(check(&text), Err(Refusal::Code), "{text:?}");
    }
    for at in 0..text.len() {
        let mut spoiled = text.clone();
        spoiled[at] ^= 1;
        assert_eq!(check(&spoiled), Err(Refusal::Code), "{at}");
    }
}
