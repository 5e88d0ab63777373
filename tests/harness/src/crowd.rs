//! Many scripted destinations behind one UDP socket, told apart by the user part of their URI.
//!
//! A script advances with each new ping. Before a ping is answered, the crowd asks the server for
//! the `FLAGS` of the destination, so that a trace does not depend on when somebody looks.

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use super::listing::Lister;
use super::service::Service;
use super::sip::{Message, unique};
use super::{Kamailio, free_port, wait_for};

/// Longest time that the thread sleeps before it looks whether it shall end.
const NAP: Duration = Duration::from_millis(100);

/// The reaction of a destination to one ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Answers with this code.
    Code(u16),
    /// Answers with this code after a while.
    Late(u16, Duration),
    /// Does not answer.
    Silent,
}

/// One ping, retransmissions not counted.
#[derive(Clone, Debug)]
pub struct Ping {
    /// When it came.
    pub at: Instant,
    /// When it was answered.
    pub answered: Option<Instant>,
    /// `FLAGS` when it came; empty when nobody watches.
    pub before: String,
    /// The reaction of the destination.
    pub step: Step,
    /// Itself.
    pub message: Message,
}

/// The script of a destination, and the pings that it got.
#[derive(Default)]
struct Place {
    steps: Vec<Step>,
    pings: Vec<Ping>,
    /// Index of the ping with this branch, and what it was answered.
    branches: HashMap<String, (usize, Option<Vec<u8>>)>,
}

/// An answer that is due later.
struct Due {
    name: String,
    branch: String,
    peer: SocketAddr,
    reply: Vec<u8>,
}

#[derive(Default)]
struct Inside {
    places: HashMap<String, Place>,
    watched: Option<(Lister, Instant)>,
    due: BTreeMap<(Instant, u64), Due>,
}

/// The destinations. Dropping it closes the socket.
pub struct Crowd {
    addr: SocketAddr,
    service: Service<Inside>,
}

impl Crowd {
    /// Opens the socket on 127.0.0.1. Destinations without a script answer 200.
    pub fn start() -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let socket = UdpSocket::bind(addr).expect("the crowd's socket");
        let service = Service::start(move |inside| serve(&socket, inside));
        Self { addr, service }
    }

    /// URI of the destination with this name.
    pub fn uri(&self, name: &str) -> String {
        format!("sip:{name}@{}", self.addr)
    }

    /// Gives a destination its script, one step for each ping of its life; the last one repeats.
    pub fn script(&self, name: &str, steps: &[Step]) {
        let mut inside = self.service.known();
        let place = inside.places.entry(name.to_owned()).or_default();
        place.steps = steps.to_vec();
    }

    /// From now on the server is asked for `FLAGS` before a ping is answered.
    pub fn watch(&self, lister: Lister) {
        self.service.known().watched = Some((lister, Instant::now()));
    }

    /// Loads a list into a server that has none, and watches it: no ping is missed.
    pub fn load(&self, server: &Kamailio, list: &str) {
        server.write_list(list);
        self.watch(server.lister());
        let reloaded = server.jsonrpc("dispatcher.reload", json!([]));
        reloaded.unwrap_or_else(|fault| panic!("{fault}: {list}"));
    }

    /// The pings of one destination so far.
    pub fn pings(&self, name: &str) -> Vec<Ping> {
        let inside = self.service.known();
        let place = inside.places.get(name);
        place.map_or_else(Vec::new, |place| place.pings.clone())
    }

    /// Number of pings of one destination so far.
    pub fn count(&self, name: &str) -> usize {
        let inside = self.service.known();
        inside.places.get(name).map_or(0, |p| p.pings.len())
    }

    /// When each ping of all destinations came, in order.
    pub fn arrivals(&self) -> Vec<Instant> {
        let inside = self.service.known();
        let pings = inside.places.values().flat_map(|place| &place.pings);
        let mut times: Vec<Instant> = pings.map(|ping| ping.at).collect();
        times.sort_unstable();
        times
    }

    /// Waits until a destination was pinged `n` times more.
    pub fn wait_more(&self, name: &str, n: usize, limit: Duration) {
        self.wait_count(name, self.count(name) + n, limit);
    }

    /// Waits until a destination was pinged `n` times.
    pub fn wait_count(&self, name: &str, n: usize, limit: Duration) {
        wait_for(&format!("{n} pings of {name}"), limit, || {
            (self.count(name) >= n).then_some(())
        });
    }

    /// `FLAGS` before each of the first `n` pings. A destination that is not pinged again for
    /// `quiet` ends the trace with its last `FLAGS` and a dot: `AP TX.`
    pub fn trace(&self, name: &str, n: usize, quiet: Duration) -> String {
        let what = format!("{n} pings of {name}, or none for {quiet:?}");
        wait_for(&what, quiet * (u32::try_from(n).unwrap() + 1), || {
            let inside = self.service.known();
            let (lister, since) = inside.watched.as_ref().expect("somebody watches");
            let pings = inside.places.get(name).map_or(&[][..], |p| &p.pings[..]);
            let flags = |ping: &Ping| ping.before.clone();
            if pings.len() >= n {
                return Some(pings[..n].iter().map(flags).collect::<Vec<_>>().join(" "));
            }
            let last = pings.last().map_or(*since, |ping| ping.at);
            if last.elapsed() < quiet {
                return None;
            }
            let mut seen: Vec<String> = pings.iter().map(flags).collect();
            seen.push(format!("{}.", lister.flags_of(&self.uri(name))));
            Some(seen.join(" "))
        })
    }
}

/// Sends what is due and takes what comes.
fn serve(socket: &UdpSocket, inside: &Mutex<Inside>) {
    let nap = send_due(&mut inside.lock().unwrap(), socket);
    let batch = receive(socket, nap);
    let lister = inside.lock().unwrap().watched.clone();
    // Asked without the lock, and once for all that came together.
    let any = !batch.is_empty();
    let flags = lister.filter(|_| any).map(|(lister, _)| lister.flags());
    let mut inside = inside.lock().unwrap();
    for (message, peer) in batch {
        let uri = message.uri().to_owned();
        let before = flags.as_ref().and_then(|all| all.get(&uri));
        let before = before.cloned().unwrap_or_default();
        take(&mut inside, socket, message, peer, before);
    }
}

/// Sends the answers that are due; yields how long there is nothing to do.
fn send_due(inside: &mut Inside, socket: &UdpSocket) -> Duration {
    let now = Instant::now();
    while let Some(entry) = inside.due.first_entry() {
        if entry.key().0 > now {
            return NAP.min(entry.key().0 - now).max(Duration::from_millis(1));
        }
        let due = entry.remove();
        let _ = socket.send_to(&due.reply, due.peer);
        if let Some(place) = inside.places.get_mut(&due.name) {
            if let Some((index, reply)) = place.branches.get_mut(&due.branch) {
                *reply = Some(due.reply);
                place.pings[*index].answered = Some(now);
            }
        }
    }
    NAP
}

/// Everything that has come, after waiting for the first.
fn receive(socket: &UdpSocket, wait: Duration) -> Vec<(Message, SocketAddr)> {
    let mut batch = Vec::new();
    let mut buffer = vec![0; 65_535];
    socket.set_read_timeout(Some(wait)).expect("a read timeout");
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        if let Some(message) = Message::parse(&buffer[..length]) {
            batch.push((message, peer));
        }
        if batch.len() >= 1_000 || socket.set_nonblocking(true).is_err() {
            break;
        }
    }
    socket.set_nonblocking(false).expect("a blocking socket");
    batch
}

/// Books a ping and answers it; a retransmission gets the same answer.
fn take(
    inside: &mut Inside,
    socket: &UdpSocket,
    message: Message,
    peer: SocketAddr,
    before: String,
) {
    if message.status().is_some() {
        return;
    }
    let user = message.uri().strip_prefix("sip:").unwrap_or_default();
    let name = user.split('@').next().unwrap_or_default().to_owned();
    let branch = message.branch();
    let place = inside.places.entry(name.clone()).or_default();
    if let Some((_, reply)) = place.branches.get(&branch) {
        if let Some(reply) = reply {
            let _ = socket.send_to(reply, peer);
        }
        return;
    }
    let (index, now) = (place.pings.len(), Instant::now());
    let last = place.steps.len().saturating_sub(1);
    let step = place.steps.get(index.min(last)).copied();
    let step = step.unwrap_or(Step::Code(200));
    let answered = matches!(step, Step::Code(_)).then_some(now);
    let reply = |code| message.reply(code, "crowd", "");
    let (sent, late) = match step {
        Step::Code(code) => (Some(reply(code)), None),
        Step::Late(code, after) => (None, Some((reply(code), now + after))),
        Step::Silent => (None, None),
    };
    if let Some(bytes) = &sent {
        let _ = socket.send_to(bytes, peer);
    }
    place.branches.insert(branch.clone(), (index, sent));
    place.pings.push(Ping {
        at: now,
        answered,
        before,
        step,
        message,
    });
    if let Some((reply, at)) = late {
        let due = Due {
            name,
            branch,
            peer,
            reply,
        };
        inside.due.insert((at, unique()), due);
    }
}
