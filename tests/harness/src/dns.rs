//! A DNS server of our own on a loopback address, and servers that ask it.
//!
//! A server of ours asks it through an `/etc/resolv.conf` of its own: a bind mount in a mount
//! namespace of its own ([`super::this_machine::lacks_name_servers`]).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Config;
use super::service::Service;
use super::sip::unique;

const PORT: u16 = 53;
const TYPE_A: u16 = 1;
const TYPE_SRV: u16 = 33;
const TYPE_NAPTR: u16 = 35;

/// The answer to the question for a name.
#[derive(Clone, Copy, Debug)]
pub enum Name {
    /// This address.
    Is(Ipv4Addr),
    /// These two addresses.
    Both(Ipv4Addr, Ipv4Addr),
    /// So many addresses.
    Many(u8),
    /// A service (SRV): this name and port.
    Service(&'static str, u16),
    /// A pointer (NAPTR): this kind of service is at that name.
    Pointer(&'static str, &'static str),
    /// This address after a while.
    Slow(Ipv4Addr, Duration),
    /// No answer.
    Silent,
    /// No such name. What every name gets that was not given another answer.
    Unknown,
}

/// Makes the answers to a question of whatever bytes it likes, each sent after a while; `None`: the name's own answer.
type Liar = Box<dyn FnMut(&str, &[u8]) -> Option<Vec<(Duration, Vec<u8>)>> + Send>;

#[derive(Default)]
struct Inside {
    names: HashMap<String, Name>,
    liar: Option<Liar>,
    asked: Vec<(String, Instant)>,
    /// Slow answers: when, what, to whom.
    due: Vec<(Instant, Vec<u8>, SocketAddr)>,
}

/// The name server. Dropping it closes its socket.
pub struct Dns {
    ip: IpAddr,
    service: Service<Inside>,
}

impl Dns {
    /// Starts one on a free loopback address.
    pub fn start() -> Self {
        let socket = bind();
        let ip = socket.local_addr().expect("its own address").ip();
        let service = Service::start(move |inside| serve(&socket, inside));
        Self { ip, service }
    }

    /// Sets what a name gets, from now on.
    pub fn set(&self, name: &str, answer: Name) {
        let mut inside = self.service.known();
        inside.names.insert(name.to_owned(), answer);
    }

    /// Lets `liar` answer, from now on: it gets the name that is asked for and the question as it came.
    pub fn lie(
        &self,
        liar: impl FnMut(&str, &[u8]) -> Option<Vec<(Duration, Vec<u8>)>> + Send + 'static,
    ) {
        self.service.known().liar = Some(Box::new(liar));
    }

    /// When a name was asked for.
    pub fn asked(&self, name: &str) -> Vec<Instant> {
        let inside = self.service.known();
        let of_name = inside.asked.iter().filter(|(asked, _)| asked == name);
        of_name.map(|(_, at)| *at).collect()
    }
}

impl Config {
    /// The server asks this name server and no other.
    pub fn resolver(self, dns: &Dns) -> Self {
        const SCRIPT: &str = "mount --bind {{DIR}}/resolv.conf /etc/resolv.conf && exec \"$@\"";
        let content = format!("nameserver {}\noptions ndots:1\n", dns.ip);
        let mut config = self.file("resolv.conf", &content);
        let inner = std::mem::take(&mut config.wrapper);
        let mut wrapper = vec!["unshare", "-m", "sh", "-c", SCRIPT, "sh"];
        wrapper.extend(inner.iter().map(String::as_str));
        config.under(&wrapper)
    }
}

/// A socket at port 53 of an address that nobody has.
fn bind() -> UdpSocket {
    let seed = u64::from(std::process::id()) * 31;
    for _ in 0..1_000 {
        let [.., c, d] = (seed + unique()).to_be_bytes();
        let ip = Ipv4Addr::new(127, 53, c, d.max(1));
        match UdpSocket::bind((ip, PORT)) {
            Ok(socket) => return socket,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => panic!("a name server at {ip}:{PORT} needs root: {error}"),
        }
    }
    panic!("no free loopback address for a name server");
}

/// Sends the slow answers that are due, and answers a question.
fn serve(socket: &UdpSocket, inside: &Mutex<Inside>) {
    let nap = send_due(&mut inside.lock().unwrap(), socket);
    let mut buffer = [0; 1_500];
    socket.set_read_timeout(Some(nap)).expect("a read timeout");
    let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
        return;
    };
    let query = &buffer[..length];
    let Some((name, kind)) = question(query) else {
        return;
    };
    let mut inside = inside.lock().unwrap();
    inside.asked.push((name.clone(), Instant::now()));
    let lies = inside.liar.as_mut().and_then(|liar| liar(&name, query));
    if let Some(lies) = lies {
        let due = lies
            .into_iter()
            .map(|(after, reply)| (Instant::now() + after, reply, peer));
        inside.due.extend(due);
        send_due(&mut inside, socket);
        return;
    }
    let reply = match inside.names.get(&name).copied().unwrap_or(Name::Unknown) {
        Name::Silent => return,
        Name::Slow(ip, after) => {
            let reply = addresses(query, kind, &[ip]);
            inside.due.push((Instant::now() + after, reply, peer));
            return;
        }
        Name::Unknown => reply(query, &[], 3),
        Name::Is(ip) => addresses(query, kind, &[ip]),
        Name::Both(one, other) => addresses(query, kind, &[one, other]),
        Name::Many(count) => {
            let ips: Vec<_> = (1..=count).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect();
            addresses(query, kind, &ips)
        }
        Name::Service(target, port) => {
            let found = (kind == TYPE_SRV).then(|| service(target, port));
            reply(query, found.as_slice(), 0)
        }
        Name::Pointer(service, target) => {
            let found = (kind == TYPE_NAPTR).then(|| pointer(service, target));
            reply(query, found.as_slice(), 0)
        }
    };
    let _ = socket.send_to(&reply, peer);
}

/// Sends the slow answers that are due; yields how long to wait for a question.
fn send_due(inside: &mut Inside, socket: &UdpSocket) -> Duration {
    inside.due.retain(|(at, reply, peer)| {
        let later = Instant::now() < *at;
        if !later {
            let _ = socket.send_to(reply, peer);
        }
        later
    });
    Duration::from_millis(if inside.due.is_empty() { 100 } else { 5 })
}

/// Name and type of the first question (RFC 1035, 4.1.2).
fn question(query: &[u8]) -> Option<(String, u16)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        let label = query.get(at + 1..at + 1 + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += 1 + length;
    }
    let kind = query.get(at + 1..at + 3)?;
    Some((labels.join("."), u16::from_be_bytes([kind[0], kind[1]])))
}

/// Type and content of a record.
type Record = (u16, Vec<u8>);

/// The answer with addresses, if it is they that are asked for.
fn addresses(query: &[u8], kind: u16, ips: &[Ipv4Addr]) -> Vec<u8> {
    let asked = ips.iter().filter(|_| kind == TYPE_A);
    let records: Vec<Record> = asked.map(|ip| (TYPE_A, ip.octets().to_vec())).collect();
    reply(query, &records, 0)
}

/// A service's record (RFC 2782): priority 0, weight 0.
fn service(target: &str, port: u16) -> Record {
    let mut content = vec![0, 0, 0, 0];
    content.extend(port.to_be_bytes());
    content.extend(labels(target));
    (TYPE_SRV, content)
}

/// A pointer's record (RFC 3403, 4.1): order 1, preference 1, flag s, no expression.
fn pointer(service: &str, target: &str) -> Record {
    let mut content = vec![0, 1, 0, 1];
    for text in ["s", service, ""] {
        content.push(u8::try_from(text.len()).expect("a short text"));
        content.extend(text.as_bytes());
    }
    content.extend(labels(target));
    (TYPE_NAPTR, content)
}

/// A name as its labels (RFC 1035, 3.1).
fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).expect("a label"));
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

/// The answer: the question again, and what was found (RFC 1035, 4.1).
fn reply(query: &[u8], records: &[Record], code: u8) -> Vec<u8> {
    let end = 12
        + query[12..]
            .iter()
            .position(|&b| b == 0)
            .expect("it was read before")
        + 5;
    let mut out = query[..2].to_vec();
    out.extend([
        0x85,
        0x80 | code,
        0,
        1,
        0,
        u8::try_from(records.len()).expect("few records"),
        0,
        0,
        0,
        0,
    ]);
    out.extend(&query[12..end]);
    for (kind, content) in records {
        // The name is the one at offset 12; class IN, one second to live.
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 1]);
        out.extend(u16::try_from(content.len()).expect("short").to_be_bytes());
        out.extend(content);
    }
    out
}
