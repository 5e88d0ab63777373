//! Messages with the kinds of oddities that RFC 4475 describes: valid ones that look odd, and invalid ones that look
//! right. All texts are our own, and all addresses are on loopback.

use std::net::SocketAddr;

use super::chance::Chance;
use super::mutate::mutate;
use super::words::{line, word};

/// Makes a message odd.
type Form = fn(&mut Chance, &mut Draft);

/// All forms, each with the name under which it is counted.
pub const FORMS: [(&str, Form); 24] = [
    ("plain", |_, _| {}),
    ("white space", white_space),
    ("escapes", escapes),
    ("a header missing", missing),
    ("a header twice", twice),
    ("Content-Length", content_length),
    ("CSeq", cseq),
    ("schemes", scheme),
    ("IPv6", ipv6),
    ("NUL bytes", nul),
    ("a long name", long_name),
    ("a long value", long_value),
    ("many headers", many),
    ("Via", via),
    ("dates", date),
    ("methods", method),
    ("a long R-URI", long_uri),
    ("R-URI", odd_uri),
    ("credentials", credentials),
    ("From and To without brackets", no_brackets),
    ("UTF-8 and not", encoding),
    ("versions", version),
    ("Route and Contact", routes),
    ("replies", reply),
];

/// The longest datagram that can be sent.
const MOST: usize = 65_000;

/// A message under construction.
pub struct Draft {
    start: Vec<u8>,
    method: &'static str,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    length: Option<Vec<u8>>,
    /// The text between name and value.
    colon: &'static [u8],
}

/// Returns a message of a form, mutated in one case of three. `place` makes it unlike all others.
pub fn message(
    chance: &mut Chance,
    form: Form,
    place: u64,
    local: SocketAddr,
    transport: &str,
) -> (bool, Vec<u8>) {
    let mut draft = Draft::new(chance, place, local, transport);
    form(chance, &mut draft);
    if chance.once_in(8) {
        let (_, other) = *chance.pick(&FORMS);
        other(chance, &mut draft);
    }
    let mut bytes = draft.bytes();
    let changed = chance.once_in(3);
    if changed {
        mutate(chance, &mut bytes);
    }
    bytes.truncate(MOST);
    (changed, bytes)
}

impl Draft {
    fn new(chance: &mut Chance, place: u64, local: SocketAddr, transport: &str) -> Self {
        let method = *chance.pick(&[
            "INVITE",
            "INVITE",
            "INVITE",
            "OPTIONS",
            "OPTIONS",
            "REGISTER",
            "BYE",
            "CANCEL",
            "ACK",
            "SUBSCRIBE",
            "MESSAGE",
            "PRACK",
            "UPDATE",
        ]);
        let user = chance.below(50);
        let branch = if chance.once_in(10) {
            String::new()
        } else {
            format!(";branch=z9hG4bKg{place}")
        };
        let headers = [
            ("Via", format!("SIP/2.0/{transport} {local};rport{branch}")),
            (
                "From",
                format!("<sip:u{user}@from.test:5066>;tag=f{}", place % 97),
            ),
            ("To", format!("<sip:u{user}@to.test>")),
            ("Call-ID", format!("garbage{}@{local}", place / 3)),
            ("CSeq", format!("{} {method}", 1 + place % 9)),
            ("Max-Forwards", "70".to_owned()),
            ("Contact", format!("<sip:{local}>")),
        ];
        let mut headers: Vec<(Vec<u8>, Vec<u8>)> = headers
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        for name in ["X-A", "X-B", "X-C", "X-D"] {
            headers.push((name.into(), line(chance, 3_000)));
        }
        if chance.once_in(4) {
            headers[2].1.extend_from_slice(b";tag=to");
        }
        let uri = ["sip:u@h.test", "sip:127.0.0.1:5070", "sip:u:p@h.test;x=y"];
        let uri = *chance.pick(&uri);
        Self {
            start: format!("{method} {uri} SIP/2.0").into(),
            method,
            headers,
            body: if chance.once_in(3) {
                word(chance, 500)
            } else {
                Vec::new()
            },
            length: None,
            colon: b": ",
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = self.start.clone();
        for (name, value) in &self.headers {
            for piece in [b"\r\n", &name[..], self.colon, value] {
                out.extend_from_slice(piece);
            }
        }
        let length = self.body.len().to_string().into_bytes();
        let length = self.length.as_ref().unwrap_or(&length);
        for piece in [
            b"\r\nContent-Length: ",
            &length[..],
            b"\r\n\r\n",
            &self.body,
        ] {
            out.extend_from_slice(piece);
        }
        out
    }

    fn put(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let name = name.as_bytes().to_vec();
        self.headers.push((name, value.into()));
    }

    /// Gives the first header of a name another value.
    fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let header = self
            .headers
            .iter_mut()
            .find(|(own, _)| own == name.as_bytes());
        match header {
            Some(header) => header.1 = value.into(),
            None => self.put(name, value),
        }
    }

    fn set_uri(&mut self, uri: &[u8]) {
        self.start = [self.method.as_bytes(), b" ", uri, b" SIP/2.0"].concat();
    }
}

fn white_space(chance: &mut Chance, draft: &mut Draft) {
    draft.colon = *chance.pick(&[
        b":" as &[u8],
        b" : ",
        b"\t:\t",
        b"   :",
        b":\r\n  ",
        b" :\r\n\t",
    ]);
    let (_, value) = &mut draft.headers[chance.below(7)];
    let gaps = [b"\r\n " as &[u8], b"\t", b"      ", b"\r\n\t\r\n ", b"\n "];
    let at = chance.below(value.len() + 1);
    value.splice(at..at, chance.pick(&gaps).iter().copied());
    if chance.once_in(3) {
        draft.start.splice(0..0, *b"\r\n\r\n");
    }
    if chance.once_in(4) {
        let compact = [("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i")];
        for (name, short) in compact {
            for header in &mut draft.headers {
                if header.0 == name.as_bytes() {
                    header.0 = short.into();
                }
            }
        }
    }
}

fn escapes(chance: &mut Chance, draft: &mut Draft) {
    let uris = [
        b"sip:u%3Ap%40h.test@h.test;x=%0D%0Ay" as &[u8],
        b"sip:%75@h.test",
        b"sip:%00u%00@h.test",
        b"sip:u%@h.test",
        b"sip:u%zz@h.test",
        b"sip:%25%25%2@h%41.test",
        b"sip:u\\@h.test",
    ];
    let uri = chance.pick(&uris).to_vec();
    draft.set_uri(&uri);
    let quoted = [
        b"\"a \\\" b \\\\\" <" as &[u8],
        b"\"\\",
        b"\"never closed <",
        b"!%*+-.'`~ a token <",
        b"\"\" <",
        b"\"\\\x00\" <",
    ];
    let from = [chance.pick(&quoted), &uri[..], b">;tag=e;\"p\"=\"\\\"\""].concat();
    draft.set(if chance.once_in(2) { "From" } else { "To" }, from);
}

fn missing(chance: &mut Chance, draft: &mut Draft) {
    for _ in 0..=chance.below(2) {
        let at = chance.below(draft.headers.len());
        draft.headers.remove(at);
    }
}

fn twice(chance: &mut Chance, draft: &mut Draft) {
    for _ in 0..=chance.below(3) {
        let mut header = draft.headers[chance.below(7)].clone();
        if chance.once_in(2) {
            mutate(chance, &mut header.1);
        }
        let at = chance.below(draft.headers.len() + 1);
        draft.headers.insert(at, header);
    }
}

fn content_length(chance: &mut Chance, draft: &mut Draft) {
    let lengths = [
        "-999",
        "9999",
        "99999999999999999999",
        "",
        "0x10",
        "1 2",
        "0",
        "4294967296",
        "\u{0}",
    ];
    draft.length = Some(chance.pick(&lengths).as_bytes().to_vec());
    draft.body = word(chance, 2_000);
}

fn cseq(chance: &mut Chance, draft: &mut Draft) {
    let number = match chance.below(4) {
        0 => "18446744073709551617".to_owned(),
        1 => "0000000000000000000000000000000009".to_owned(),
        2 => String::new(),
        _ => chance.number().to_string(),
    };
    let method = *chance.pick(&[draft.method, "OTHER", "", "invite", "INVITE OPTIONS"]);
    draft.set("CSeq", format!("{number} {method}"));
}

fn scheme(chance: &mut Chance, draft: &mut Draft) {
    let uris = [
        b"x-garbage:no/one;reads=this" as &[u8],
        b"tel:+0-00-000;phone-context=h.test",
        b"tel:",
        b"urn:service:sos",
        b"urn:",
        b"a.b+c-d://127.0.0.1:9",
        b"sips:u@h.test;transport=udp",
        b"mailto:u@h.test",
        b"http://h.test/?a=b",
        b"sip",
        b":",
        b"://",
    ];
    let uri = chance.pick(&uris).to_vec();
    let bracketed = [b"<", &uri[..], b">;tag=s"].concat();
    match chance.below(4) {
        0 => draft.set("From", bracketed),
        1 => draft.set("To", bracketed),
        2 => draft.set("Contact", bracketed),
        _ => draft.set_uri(&uri),
    }
}

fn ipv6(chance: &mut Chance, draft: &mut Draft) {
    let hosts = [
        "[::1]",
        "[::1]:5070",
        "[::ffff:127.0.0.1]",
        "::1:9:1",
        "[::127.0.0.1",
        "[::1]]",
        "[]",
        "[:::]",
        "[fe80::1%25eth0]",
        "[1:2:3:4:5:6:7:8:9]",
    ];
    let host = *chance.pick(&hosts);
    match chance.below(4) {
        0 => draft.set(
            "Via",
            format!("SIP/2.0/UDP {host};received=::1;branch=z9hG4bK6"),
        ),
        1 => draft.set("From", format!("<sip:u@{host}>;tag=6")),
        2 => draft.set("Contact", format!("<sip:{host}>")),
        _ => draft.set_uri(format!("sip:u@{host}").as_bytes()),
    }
    let at = draft.headers.len() - 1 - chance.below(4);
    draft.headers[at].1 = format!("sip:{host}").into();
}

fn nul(chance: &mut Chance, draft: &mut Draft) {
    for _ in 0..=chance.below(3) {
        let header = chance.below(draft.headers.len());
        let value = &mut draft.headers[header].1;
        let at = chance.below(value.len() + 1);
        value.insert(at, 0);
    }
    if chance.once_in(3) {
        let at = chance.below(draft.start.len());
        draft.start.insert(at, 0);
    }
}

fn long_name(chance: &mut Chance, draft: &mut Draft) {
    let length = chance.length(30_000);
    draft.put(&"n".repeat(length), line(chance, 20));
}

fn long_value(chance: &mut Chance, draft: &mut Draft) {
    let length = chance.length(50_000);
    let sign = *chance.pick(b"a0%;,=:@ \"<>\\\x80");
    let name = *chance.pick(&[
        "Call-ID", "From", "To", "Via", "X-A", "X-B", "Contact", "Subject",
    ]);
    let value = match name {
        "From" | "To" => [b"<sip:", &vec![sign; length][..], b"@h.test>;tag=l"].concat(),
        _ => vec![sign; length],
    };
    draft.set(name, value);
}

fn many(chance: &mut Chance, draft: &mut Draft) {
    let count = chance.length(1_500);
    let name = *chance.pick(&[
        "X-A",
        "Via",
        "Route",
        "Record-Route",
        "Contact",
        "Supported",
        "a",
    ]);
    for n in 0..count {
        draft.put(name, format!("<sip:{n}>"));
    }
}

fn via(chance: &mut Chance, draft: &mut Draft) {
    let values = [
        "SIP /\t2.0 /\r\n UDP 127.0.0.2\r\n\t;branch=old-and-short",
        "SIP/2.0/UDP 127.0.0.2;branch=z9hG4bK1, SIP/2.0/TCP 127.0.0.3;branch=z9hG4bK2,SIP/2.0/TLS x;y=z",
        "SIP/9.9/UDP 127.0.0.1;branch=z9hG4bK3",
        "SIP/2.0/GARBAGE h.test:7;branch=z9hG4bK4",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP 127.0.0.2:99999;branch=z9hG4bK5",
        "SIP/2.0/UDP 127.0.0.2;;;branch=;rport=;received=",
        "SIP/2.0/UDP 127.0.0.2;branch=z9hG4bK5;maddr=;ttl=999;hidden",
        ",",
        "",
        "SIP/2.0/UDP [::1;branch=z9hG4bK7",
        "SIP/2.0/UDP 127.0.0.2;branch=z9hG4bK",
    ];
    let value = *chance.pick(&values);
    if chance.once_in(2) {
        draft.set("Via", value);
    } else {
        draft.put("Via", value);
        draft.put("v", *chance.pick(&values));
    }
}

fn date(chance: &mut Chance, draft: &mut Draft) {
    let dates = [
        "Mon, 02 Feb 2026 02:02:02 CET",
        "Sat, 99 Foo 99999 25:61:61 GMT",
        "0",
        "",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ];
    draft.put("Date", *chance.pick(&dates));
    draft.put(
        "Expires",
        *chance.pick(&["1000000000000000000000", "-1", "x", "0", ""]),
    );
    draft.put(
        "Max-Forwards",
        *chance.pick(&["0", "-1", "99999999999", "x", "255"]),
    );
    draft.put("Retry-After", line(chance, 40));
}

fn method(chance: &mut Chance, draft: &mut Draft) {
    let methods = [
        b"All-0f.these!are%signs*of_a+token`~'" as &[u8],
        b"invite",
        b"",
        b"\"INVITE\"",
        b"IN VITE",
        b"(",
        b"\x80",
        b"GARBAGE",
        b"OPT%49ONS",
        b"SIP/2.0",
    ];
    let mut name = chance.pick(&methods).to_vec();
    if chance.once_in(4) {
        name = name
            .iter()
            .copied()
            .cycle()
            .take(chance.length(5_000))
            .collect();
    }
    draft.start = [&name, b" sip:u@h.test SIP/2.0" as &[u8]].concat();
    draft.set("CSeq", [b"7 ", &name[..]].concat());
}

fn long_uri(chance: &mut Chance, draft: &mut Draft) {
    let most = *chance.pick(&[200, 4_000, 59_000]);
    let length = 900 + chance.below(most);
    let piece = chance
        .pick(&[b"u" as &[u8], b"%41", b"a.", b";p=v", b"[", b"\xc3\xa9"])
        .to_vec();
    let filling: Vec<u8> = piece.iter().copied().cycle().take(length).collect();
    let uri = match chance.below(4) {
        0 => [b"sip:", &filling[..], b"@h.test"].concat(),
        1 => [b"sip:u@", &filling[..]].concat(),
        2 => [b"sip:u@h.test;p=", &filling[..]].concat(),
        _ => [b"sip:u@h.test?h=", &filling[..]].concat(),
    };
    draft.set_uri(&uri);
}

fn odd_uri(chance: &mut Chance, draft: &mut Draft) {
    let uris = [
        b"<sip:u@h.test>" as &[u8],
        b"sip:u@h.test; lr",
        b"sip:u@h.test?Route=%3Csip:x%3E&a=",
        b"sip:@",
        b"sip:u@",
        b"sip:@h.test:",
        b"sip:;;;",
        b"sip:u@h@i@j.test",
        b"sip:u@h.test:65536",
        b"sip:u@h.test:5060:5061",
        b"sip:u@h.test;transport=garbage;maddr=;ttl=-1;user=phone",
        b"sip:+1;npdi;rn=+2@h.test;user=phone",
        b"sip: u @ h.test",
        b"*",
    ];
    let uri = chance.pick(&uris).to_vec();
    draft.set_uri(&uri);
    if chance.once_in(3) {
        draft.set("X-C", uri);
    }
}

fn credentials(chance: &mut Chance, draft: &mut Draft) {
    let name = *chance.pick(&["Authorization", "Proxy-Authorization"]);
    let values = [
        "Digest username=\"alice\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"0\"",
        "Digest username=\"",
        "Digest username=alice",
        "Digest username=\"\",realm=\"\"",
        "Digest username=\"   \"",
        "Digest",
        "Basic Z2FyYmFnZTpnYXJiYWdl",
        "Garbage any=thing",
        "Digest username=\"a\",username=\"b\",username=\"c\"",
        "Digest realm=\"a\\\"b\",,,,username=\"\\\"\"",
        "",
        "Digest qop=auth,nc=zzzzzzzz,cnonce=\"\",algorithm=NONE,opaque=\"\"",
    ];
    for _ in 0..=chance.below(3) {
        let mut value = chance.pick(&values).as_bytes().to_vec();
        if chance.once_in(3) {
            mutate(chance, &mut value);
        }
        draft.put(name, value);
    }
    if chance.once_in(3) {
        let user = "u".repeat(chance.length(20_000));
        draft.put(
            name,
            format!(
                "Digest username=\"{user}\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"0\""
            ),
        );
    }
}

fn no_brackets(chance: &mut Chance, draft: &mut Draft) {
    let values = [
        "sip:u@h.test;tag=9;unknown=yes",
        "a sip:u@h.test",
        "sip:u@h.test?Route=x",
        "sip:u@h.test;tag=;tag=;tag",
        "",
        "<>",
        "<sip:u@h.test",
        "sip:u@h.test>;tag=1",
        "*",
        "\"a\" \"b\" <sip:u@h.test>;tag=1",
        "sip:u@h.test;tag=\"quoted tag\"",
    ];
    draft.set("From", *chance.pick(&values));
    draft.set("To", *chance.pick(&values));
}

fn encoding(chance: &mut Chance, draft: &mut Draft) {
    let texts = [
        b"\xce\xbb\xcf\x8c\xce\xb3\xce\xbf\xcf\x82" as &[u8],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xfe\xff\x00i",
        b"\x80\x81\x82",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xae",
    ];
    let text = *chance.pick(&texts);
    draft.set(
        "From",
        [b"\"", text, b"\" <sip:", text, b"@h.test>;tag=", text].concat(),
    );
    draft.set("Call-ID", [text, b"@garbage"].concat());
    draft.set("X-B", text);
    if chance.once_in(2) {
        draft.set_uri(&[b"sip:", text, b"@h.test"].concat());
    }
}

fn version(chance: &mut Chance, draft: &mut Draft) {
    let ends = [
        b" SIP/9.9" as &[u8],
        b" SIP/2.0 ",
        b"  SIP/2.0",
        b"",
        b" sip/2.0",
        b" SIP/2.00000000",
        b" HTTP/1.1",
        b" SIP/2",
        b"\tSIP/2.0",
    ];
    let end = *chance.pick(&ends);
    draft.start = [draft.method.as_bytes(), b" sip:u@h.test", end].concat();
}

fn routes(chance: &mut Chance, draft: &mut Draft) {
    let values = [
        "<sip:127.0.0.1:5070;lr>",
        "<sip:127.0.0.1:5070;lr>,<sip:x;lr>,",
        "<sip:u@h.test?Route=%3Csip:y%3E>",
        "sip:x;lr",
        "*",
        "\"a \\\" b\" <sip:u@h.test>;x=y;q=9.99;expires=-1",
        "<sip:[::1]:5070;lr;ftag=x>",
        "",
        ",,,",
    ];
    let name = *chance.pick(&["Route", "Record-Route", "Contact", "Path"]);
    for _ in 0..=chance.below(3) {
        draft.put(name, *chance.pick(&values));
    }
}

fn reply(chance: &mut Chance, draft: &mut Draft) {
    let lines = [
        "SIP/2.0 200 OK",
        "SIP/2.0 4294967496 more than 32 bits",
        "SIP/2.0 100",
        "SIP/2.0 100 ",
        "SIP/2.0 0 x",
        "SIP/2.0 -1 x",
        "SIP/2.0 999 x",
        "SIP/2.0 200 = 8 * 25 \u{3bb}\u{3cc}",
        "SIP/2.0 503 x",
        "SIP/2.0",
        "SIP/2.0 abc",
    ];
    draft.start = chance.pick(&lines).as_bytes().to_vec();
}
