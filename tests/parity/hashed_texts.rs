//! Texts that are hashed, in every form that a message may give them: with blanks at their ends, quoted, escaped,
//! empty, missing, folded over lines, twice.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::compare;
use crate::pair::Pair;
use harness::{Config, Probe, Request};

/// Sizes of the sets 1 to 5: different hashes seldom agree in all of them.
const SIZES: [u16; 5] = [2, 3, 7, 64, 101];

/// Messages of a test.
const MESSAGES: usize = 180;

#[test]
fn call_ids() {
    texts(&[0], &[2], &["$hdr(X-Key)"], |rng, request| {
        request.replace("Call-ID", header(rng, "Call-ID", &CALL_IDS))
    });
}

#[test]
fn uris_of_the_caller() {
    texts(&[1], &[2, 3], &["$hdr(X-Key)"], |rng, request| {
        request.replace("From", address(rng, "From"))
    });
}

#[test]
fn uris_of_the_callee() {
    texts(&[2], &[2, 3], &["$hdr(X-Key)"], |rng, request| {
        request.replace("To", address(rng, "To"))
    });
}

#[test]
fn request_uris() {
    texts(&[3], &[2, 3], &["$hdr(X-Key)"], |rng, request| {
        request.uri(uri(rng))
    });
}

#[test]
fn users_of_credentials() {
    texts(&[5], &[2], &["$hdr(X-Key)"], |rng, mut request| {
        for _ in 0..*[1, 1, 1, 2, 3].choose(rng).unwrap() {
            let name = ["Authorization", "Proxy-Authorization"]
                .choose(rng)
                .unwrap();
            request = request.header(name, credentials(rng));
        }
        request
    });
}

#[test]
fn variables() {
    let variables = [
        "$hdr(X-Key)",
        "$hdr(X-Key)$ci",
        "$hdr(X-Key) ",
        "$fU@$td",
        "$hdr(X-Key)$hdr(X-None)",
        "$hdr(X-None)",
        "$xavp(no=>such)",
        "$var(none)",
        "$au",
        "$adu",
        "$ua",
        "$rU",
        "$(hdr(X-Key){s.trim})",
        "$cs",
        "text",
        "$hdr(X-Key)$ru$fu$tu$ci",
    ];
    texts(&[7, 0], &[2], &variables, |rng, request| {
        let key = match rng.random_range(0..8) {
            0 => vec![b'k'; rng.random_range(500..1_500)],
            _ => KEYS.choose(rng).unwrap().to_vec(),
        };
        let request = match rng.random_range(0..8) {
            0 => request,
            1 => request.header("X-Key", &key).header("x-key", "second"),
            _ => request.header("X-Key", key),
        };
        let name = ["Authorization", "Proxy-Authorization"]
            .choose(rng)
            .unwrap();
        let credentials = credentials(rng);
        let request = request.replace("From", address(rng, "From")).uri(uri(rng));
        request.header(name, credentials)
    });
}

/// Compares the choices of these algorithms for messages that `make` completes, with each value of `flags` and of
/// `hash_pvar`.
fn texts(
    algorithms: &[u32],
    flags: &[i64],
    variables: &[&str],
    make: impl Fn(&mut StdRng, Request) -> Request,
) {
    compare(|report, rng| {
        for (flags, variable) in flags
            .iter()
            .flat_map(|f| variables.iter().map(move |v| (f, v)))
        {
            let pair = Pair::start(config(*flags, variable));
            let steps = algorithms.iter().flat_map(|algorithm| {
                let step = move |set| format!("dst,{set},{algorithm}");
                (1..=SIZES.len()).map(step)
            });
            let operations = steps.collect::<Vec<_>>().join("|");
            let messages = MESSAGES.div_ceil(variables.len().div_ceil(4));
            let requests: Vec<Request> = (0..messages)
                .map(|_| make(rng, Probe::request(&operations)))
                .collect();
            let what = format!("text, flags {flags}, hash_pvar {variable}");
            pair.ask_what_may_be_refused(report, &what, &requests);
        }
    });
}

pub fn config(flags: i64, variable: &str) -> Config {
    let mut list = String::new();
    for (set, size) in (1..).zip(SIZES) {
        for n in 0..size {
            list += &format!("{set} sip:127.0.{set}.1:{}\n", 7000 + n);
        }
    }
    // The last one counts.
    Probe::new()
        .config()
        .list(list)
        .param("flags", flags)
        .param("hash_pvar", variable)
}

const CALL_IDS: [&[u8]; 22] = [
    b"abc",
    b"abc@host",
    b"  abc",
    b"abc  ",
    b"abc\t",
    b"\tabc \t ",
    b"\r\n abc",
    b"\r\n\tabc",
    b"abc\r\n ",
    b"abc \r\n\t",
    b"a\r\n b",
    b"a b",
    b"\"abc\"",
    b"<abc>",
    b"abc;x=y",
    b"abc,def",
    b"",
    b" ",
    b"abc\x0b",
    b"\x0cabc\x0c",
    b"a\xc3\xa4\xff",
    b"ABC",
];

const KEYS: [&[u8]; 18] = [
    b"",
    b" ",
    b"\t",
    b"key",
    b" key",
    b"key ",
    b"key\t",
    b"\"key\"",
    b"\"ke\\\"y\"",
    b"<key>",
    b"\r\n key",
    b"key\r\n ",
    b"ke\r\n\ty",
    b"a,b",
    b"0",
    b"0123",
    b"key\x0b",
    b"k\xc3\xa4\xff",
];

/// A header with one of these values: its name long or short, there, twice, or not at all.
fn header(rng: &mut StdRng, name: &str, values: &[&[u8]]) -> Vec<u8> {
    let short = &name[..1];
    let names = [
        name,
        short,
        &name.to_uppercase(),
        &format!("{name} "),
        &format!("{short}\t"),
    ];
    let colons: [&[u8]; 4] = [b": ", b":", b":  ", b":\r\n "];
    let line = |rng: &mut StdRng| {
        let name = names.choose(rng).unwrap().as_bytes();
        [
            name,
            colons.choose(rng).unwrap(),
            values.choose(rng).unwrap(),
        ]
        .concat()
    };
    match rng.random_range(0..16) {
        0 => Vec::new(),
        1 => [line(rng), line(rng)].join(&b"\r\n"[..]),
        _ => line(rng),
    }
}

/// A From or To with a URI in one of the forms that the grammar has, or does not have.
fn address(rng: &mut StdRng, name: &str) -> Vec<u8> {
    let tag: &[u8] = if name == "From" { b";tag=t" } else { b"" };
    let uri = uri(rng);
    let value: Vec<u8> = match rng.random_range(0..14) {
        0 => [&uri, tag].concat(),
        1 => [b"Bob <", &uri[..], b">", tag].concat(),
        2 => [b"\"Bob\" <", &uri[..], b">", tag].concat(),
        3 => [b"\"B \\\"o\\\" <sip:x@y>\"<", &uri[..], b">", tag].concat(),
        4 => [b"  <", &uri[..], b">  ", tag, b"  "].concat(),
        5 => [b"< ", &uri[..], b" >", tag].concat(),
        6 => [b"\r\n <", &uri[..], b">", tag].concat(),
        7 => [b"<", &uri[..], b">\r\n ", tag].concat(),
        8 => [b"<", &uri[..], b">", tag, b";x=\"a;b\""].concat(),
        9 => [&uri, &b" "[..], tag].concat(),
        10 => [b"Bob B\r\n\t<", &uri[..], b">", tag].concat(),
        11 => [b"<", &uri[..], tag].concat(),
        _ => [b"<", &uri[..], b">", tag].concat(),
    };
    header(rng, name, &[&value])
}

/// A URI with parts that are there, empty, escaped, of another kind or too many.
fn uri(rng: &mut StdRng) -> Vec<u8> {
    let one = |rng: &mut StdRng, of: &[&str]| (*of.choose(rng).unwrap()).to_owned();
    let schemes = [
        "sip:", "sip:", "sip:", "sips:", "SIP:", "tel:", "urn:", "TEL:", "tels:", "http:", "",
    ];
    let users = [
        "u@",
        "u@",
        "u@",
        "U@",
        "",
        "@",
        "u:p@",
        "u:@",
        ":p@",
        "u%20x@",
        "u;x=y@",
        "u;x@",
        "+49123@",
        "+49-1(2)3@",
        "%75@",
        "u&x@",
        "u?@",
        "a.b_c@",
        "*@",
        "u@v@",
        "1234@",
    ];
    let hosts = [
        "host",
        "HOST",
        "host.",
        "127.0.0.1",
        "[::1]",
        "[::FFFF:1]",
        "a-b.c",
        "h_x",
        "",
        "0x7f.1",
        "127.0.0.01",
    ];
    let ports = [
        "", "", "", ":", ":5060", ":5061", ":05060", ":0", ":5062", ":65535", ":65536", ":1x",
    ];
    let rests = [
        "",
        "",
        ";lr",
        ";transport=tcp",
        ";user=phone",
        ";maddr=h",
        ";transport=tls;lr=on",
        "?a=b",
        ";x=y?a=b",
        ";",
        ";;",
        ";phone-context=+49",
        ";method=INVITE",
        ";ttl=1",
        ";transport=",
        ";TRANSPORT=TLS",
    ];
    let scheme = one(rng, &schemes);
    let rest = one(rng, &rests);
    let body = if scheme.to_lowercase().starts_with("tel") {
        one(
            rng,
            &[
                "+49123",
                "123;phone-context=+49",
                "+4-9.1(2)3",
                "",
                "abc",
                "+49123;ext=1;isub=2",
                "7@host",
            ],
        )
    } else if scheme == "urn:" {
        one(rng, &["service:sos", "x", ""])
    } else {
        one(rng, &users) + &one(rng, &hosts) + &one(rng, &ports)
    };
    (scheme + &body + &rest).into_bytes()
}

/// The value of a header with credentials.
fn credentials(rng: &mut StdRng) -> Vec<u8> {
    let users: [&[u8]; 30] = [
        b"username=\"bob\"",
        b"username=\" bob\"",
        b"username=\"bob \"",
        b"username=\" \"",
        b"username=\"\"",
        b"username=\"\t bob\t\"",
        b"username=\"bo b\"",
        b"username=\"b\\\"ob\"",
        b"username=\"\\\"bob\\\"\"",
        b"username=\"bob\\\\\"",
        b"username=\"\r\n bob\"",
        b"username=\"bob\r\n \"",
        b"username=\"bo\r\n b\"",
        b"username=bob",
        b"username= bob",
        b"username =\"bob\"",
        b"username = \"bob\"",
        b"username\r\n =\r\n \"bob\"",
        b"USERNAME=\"bob\"",
        b"UserName=bob",
        b"username=\"bob@realm\"",
        b"username=\" bob@realm \"",
        b"username=\"bob @realm\"",
        b"username=\"@realm\"",
        b"username=\"a:b\"",
        b"username=\"sip:bob@realm\"",
        b"username*=UTF-8''bob",
        b"username=\"b\xc3\xb6b\"",
        b"username=\"bob",
        b"username",
    ];
    let rests: [&[u8]; 7] = [
        b"realm=\"r\"",
        b"realm=\"other\", nonce=\"n\", uri=\"sip:a\", response=\"0123456789abcdef0123456789abcdef\"",
        b"realm=\"r\",nonce=\"n\",uri=\"sip:a\",response=\"0123456789abcdef0123456789abcdef\",algorithm=MD5,qop=auth,\
          nc=00000001,cnonce=\"c\"",
        b"nonce=\"n\"",
        b"x=y",
        b"realm=",
        b"",
    ];
    let schemes: [&[u8]; 8] = [
        b"Digest ",
        b"Digest ",
        b"Digest ",
        b"digest ",
        b"DIGEST  ",
        b"Digest\r\n ",
        b"Basic ",
        b"",
    ];
    let scheme = schemes.choose(rng).unwrap();
    let user = users.choose(rng).unwrap();
    let (rest, other) = (rests.choose(rng).unwrap(), users.choose(rng).unwrap());
    let list: Vec<&[u8]> = match rng.random_range(0..8) {
        0 => vec![rest],
        1 => vec![user],
        2 | 3 => vec![rest, user],
        4 => vec![user, rest, other],
        _ => vec![user, rest],
    };
    let between: &[u8] = [&b", "[..], b",", b" , ", b",\r\n "].choose(rng).unwrap();
    [scheme, &list.join(between)[..]].concat()
}
