//! SIP messages as bytes: a parser for what comes back and a builder for requests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that no other message of this process has.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A received message. Header names are compared without case; values are raw bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Request or status line.
    pub start: String,
    /// Name and value, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The bytes behind the empty line.
    pub body: Vec<u8>,
}

impl Message {
    /// Parses a datagram; `None` for what is not a SIP message (keep-alives).
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let mut lines = Vec::new();
        let mut rest = &bytes[..end];
        while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
            lines.push(&rest[..at]);
            rest = &rest[at + 2..];
        }
        lines.push(rest);
        let start = String::from_utf8_lossy(lines[0]).into_owned();
        let headers = lines[1..].iter().filter_map(|line| {
            let colon = line.iter().position(|&b| b == b':')?;
            let name = String::from_utf8_lossy(&line[..colon]).trim().to_owned();
            Some((name, line[colon + 1..].trim_ascii().to_vec()))
        });
        let headers = headers.collect();
        Some(Self {
            start,
            headers,
            body: bytes[end + 4..].to_vec(),
        })
    }

    /// Status code of a reply.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// Method of a request; of a reply the one in its CSeq.
    pub fn method(&self) -> String {
        match self.status() {
            None => self.start.split(' ').next().unwrap_or("").to_owned(),
            Some(_) => self.text("CSeq").split(' ').nth(1).unwrap_or("").to_owned(),
        }
    }

    /// Request URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    /// First header with this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_slice())
    }

    /// All headers with this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// First header as text; empty when absent.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.header(name).unwrap_or_default()).into_owned()
    }

    /// Body as text.
    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Branch of the topmost Via.
    pub fn branch(&self) -> String {
        param(&self.text("Via"), "branch")
    }

    /// A reply to this request, as a user agent would make it.
    pub fn reply(&self, code: u16, to_tag: &str, extra: &str) -> Vec<u8> {
        let mut out = format!("SIP/2.0 {code} {}\r\n", reason(code)).into_bytes();
        for (name, value) in &self.headers {
            let copied = ["Via", "From", "To", "Call-ID", "CSeq", "Record-Route"];
            if !copied.iter().any(|c| name.eq_ignore_ascii_case(c)) {
                continue;
            }
            out.extend_from_slice(format!("{name}: ").as_bytes());
            out.extend_from_slice(value);
            let to = name.eq_ignore_ascii_case("To");
            if to && code > 100 && !String::from_utf8_lossy(value).contains(";tag=") {
                out.extend_from_slice(format!(";tag={to_tag}").as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("{extra}Content-Length: 0\r\n\r\n").as_bytes());
        out
    }
}

/// Value of `;name=` in a header.
pub fn param(header: &str, name: &str) -> String {
    let part = header
        .split(';')
        .find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='));
    part.unwrap_or("")
        .split([',', ' ', '>'])
        .next()
        .unwrap_or("")
        .to_owned()
}

/// Returns the text between `<` and `>`.
pub fn bracketed(header: &str) -> &str {
    let inner = header.split_once('<').map_or(header, |(_, rest)| rest);
    inner.split_once('>').map_or(inner, |(uri, _)| uri)
}

fn reason(code: u16) -> &'static str {
    match code {
        100..=199 => "Trying",
        200..=299 => "OK",
        300..=399 => "Moved",
        400..=499 => "Refused",
        500..=599 => "Failure",
        _ => "Decline",
    }
}

/// A request to send. All parts are raw bytes, so a test can send what no parser likes.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: String,
    pub(super) uri: Vec<u8>,
    from: Vec<u8>,
    to: Vec<u8>,
    pub(super) call_id: Vec<u8>,
    cseq: u32,
    pub(super) branch: String,
    pub(super) from_tag: String,
    to_tag: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
    replaced: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// A request outside a dialog, with a Call-ID, branch and tag of its own.
    pub fn new(method: &str, uri: impl AsRef<[u8]>) -> Self {
        let n = unique();
        Self {
            method: method.to_owned(),
            uri: uri.as_ref().to_vec(),
            from: b"sip:caller@client.test".to_vec(),
            to: b"sip:callee@service.test".to_vec(),
            call_id: format!("{n}-{}@client.test", std::process::id()).into_bytes(),
            cseq: 1,
            branch: format!("z9hG4bKt{n}"),
            from_tag: format!("f{n}"),
            to_tag: None,
            headers: Vec::new(),
            replaced: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Its Call-ID.
    pub fn id(&self) -> &[u8] {
        &self.call_id
    }

    /// Request URI.
    pub fn uri(mut self, uri: impl AsRef<[u8]>) -> Self {
        self.uri = uri.as_ref().to_vec();
        self
    }

    /// From URI.
    pub fn from(mut self, uri: impl AsRef<[u8]>) -> Self {
        self.from = uri.as_ref().to_vec();
        self
    }

    /// To URI.
    pub fn to(mut self, uri: impl AsRef<[u8]>) -> Self {
        self.to = uri.as_ref().to_vec();
        self
    }

    /// Tag of From; no tag if it is empty.
    pub fn from_tag(mut self, tag: &str) -> Self {
        self.from_tag = tag.to_owned();
        self
    }

    /// Tag of To: the request is inside a dialog.
    pub fn tagged(mut self, tag: &str) -> Self {
        self.to_tag = Some(tag.to_owned());
        self
    }

    /// Call-ID.
    pub fn call_id(mut self, id: impl AsRef<[u8]>) -> Self {
        self.call_id = id.as_ref().to_vec();
        self
    }

    /// CSeq number.
    pub fn cseq(mut self, n: u32) -> Self {
        self.cseq = n;
        self
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// These lines in the place of its own header with this name; none leave it out.
    pub fn replace(mut self, name: &'static str, lines: impl AsRef<[u8]>) -> Self {
        self.replaced.push((name, lines.as_ref().to_vec()));
        self
    }

    /// Body, with `Content-Type: application/sdp`.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self.header("Content-Type", "application/sdp")
    }

    /// The ACK or CANCEL of the same transaction, with the To of `reply` for an ACK.
    pub fn same_transaction(&self, method: &str, reply: Option<&Message>) -> Self {
        let mut other = self.clone();
        other.method = method.to_owned();
        other
            .headers
            .retain(|(name, _)| name.eq_ignore_ascii_case("Route"));
        other.body.clear();
        other.to_tag = reply.map(|r| param(&r.text("To"), "tag"));
        other
    }

    /// A request inside the dialog that `reply` made: route set, remote target, tags.
    pub(super) fn in_dialog(&self, method: &str, cseq: u32, reply: &Message) -> Self {
        let mut other = self.same_transaction(method, Some(reply));
        other.headers.clear();
        other.branch = format!("z9hG4bKt{}", unique());
        other.cseq = cseq;
        let contact = reply.text("Contact");
        if !contact.is_empty() {
            other.uri = bracketed(&contact).as_bytes().to_vec();
        }
        let mut routes: Vec<Vec<u8>> = reply.all("Record-Route").map(<[u8]>::to_vec).collect();
        routes.reverse();
        for route in routes {
            other = other.header("Route", route);
        }
        other
    }

    /// The bytes, as sent from `local` over `transport` (`UDP` or `TCP`).
    pub fn render(&self, local: SocketAddr, transport: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut line = |parts: &[&[u8]]| {
            let own = parts.concat();
            let other = self.replaced.iter().find(|(name, _)| {
                let after = own.strip_prefix(name.as_bytes());
                after.is_some_and(|after| after.starts_with(b":"))
            });
            match other {
                Some((_, lines)) if lines.is_empty() => return,
                Some((_, lines)) => out.extend_from_slice(lines),
                None => out.extend_from_slice(&own),
            }
            out.extend_from_slice(b"\r\n");
        };
        line(&[self.method.as_bytes(), b" ", &self.uri, b" SIP/2.0"]);
        let via = format!(
            "Via: SIP/2.0/{transport} {local};rport;branch={}",
            self.branch
        );
        line(&[via.as_bytes()]);
        match self.from_tag.as_str() {
            "" => line(&[b"From: <", &self.from, b">"]),
            tag => line(&[b"From: <", &self.from, b">;tag=", tag.as_bytes()]),
        }
        match &self.to_tag {
            Some(tag) => line(&[b"To: <", &self.to, b">;tag=", tag.as_bytes()]),
            None => line(&[b"To: <", &self.to, b">"]),
        }
        line(&[b"Call-ID: ", &self.call_id]);
        line(&[format!("CSeq: {} {}", self.cseq, self.method).as_bytes()]);
        line(&[b"Max-Forwards: 70"]);
        line(&[format!(
            "Contact: <sip:{local};transport={}>",
            transport.to_lowercase()
        )
        .as_bytes()]);
        for (name, value) in &self.headers {
            line(&[name.as_bytes(), b": ", value]);
        }
        line(&[format!("Content-Length: {}", self.body.len()).as_bytes()]);
        line(&[]);
        out.extend_from_slice(&self.body);
        out
    }
}
