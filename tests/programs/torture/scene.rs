//! The scene that all actors of one life share.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::ledger::Ledger;
use super::model::Model;
use super::processes::Process;
use super::world::{Scale, World};
use harness::{Fault, Kamailio, Message, Request, TcpUac, binrpc_within, transports};

/// The longest wait for one answer. No fault lasts so long, so an answer must come.
pub const LIMIT: Duration = Duration::from_secs(90);

/// One life of a server.
pub struct Scene<'l> {
    /// The server.
    pub server: &'l Kamailio,
    /// The surroundings of every life.
    pub world: &'l World,
    /// The model of what must hold.
    pub model: &'l Model,
    /// The account of the run.
    pub ledger: &'l Ledger,
    /// The faults that are and were under way.
    pub weather: Weather,
    /// True while the round goes on.
    pub going: AtomicBool,
    /// True once the server is about to be killed. From then on, a lost request is no violation.
    pub dying: Arc<AtomicBool>,
    /// The processes of the server, without the main one.
    pub processes: Vec<Process>,
    /// The children of the server's main process.
    pub children: Vec<i32>,
    /// Held for reading by actors that need shared memory of other modules, and for writing while it is full.
    pub memory: RwLock<()>,
}

/// The faults that may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A process is stopped.
    Stop,
    /// The process that keeps states is stopped, or the disk is full: acknowledged states may not be kept yet.
    Keep,
    /// Shared memory is full.
    Pool,
    /// A process gets no more memory of the system.
    Heap,
    /// The wall clock was set.
    Clock,
    /// The list file is no list.
    File,
    /// A timer process is stopped.
    Timer,
}

/// The number of faults of each kind that are under way, and when the last one ended; and for how long each process was
/// stopped.
#[derive(Default)]
pub struct Weather(
    Mutex<BTreeMap<Kind, (u32, Option<Instant>)>>,
    Mutex<BTreeMap<Option<i32>, Duration>>,
);

/// A fault that is under way until this is dropped.
pub struct Disturbance<'w>(&'w Weather, Kind);

impl Weather {
    /// Notes that a fault begins.
    pub fn begin(&self, kind: Kind) -> Disturbance<'_> {
        self.0.lock().unwrap().entry(kind).or_default().0 += 1;
        Disturbance(self, kind)
    }

    /// Returns true if such a fault was under way at any time since a moment.
    pub fn disturbed(&self, kind: Kind, since: Instant) -> bool {
        let all = self.0.lock().unwrap();
        let seen = all.get(&kind);
        seen.is_some_and(|(now, last)| *now > 0 || last.is_some_and(|end| end >= since))
    }

    /// Notes for how long a process was stopped; `None` stands for any process for which all others waited.
    pub fn stood(&self, pid: Option<i32>, time: Duration) {
        *self.1.lock().unwrap().entry(pid).or_default() += time;
    }

    /// Returns for how long a process was stopped in this life, or waited for one that was.
    pub fn stood_in_all(&self, pid: i32) -> Duration {
        let all = self.1.lock().unwrap();
        [Some(pid), None]
            .iter()
            .filter_map(|pid| all.get(pid))
            .sum()
    }

    /// Returns true if there ever was such a fault in this life.
    pub fn ever(&self, kind: Kind) -> bool {
        self.0.lock().unwrap().contains_key(&kind)
    }
}

impl Drop for Disturbance<'_> {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap();
        let entry = all.entry(self.1).or_default();
        *entry = (entry.0 - 1, Some(Instant::now()));
    }
}

/// The outcome of a command.
#[derive(Debug)]
pub enum Answer {
    /// It was executed; the text of the reply, if it has one.
    Done(String),
    /// It was refused, for this reason.
    Refused(String),
    /// The server was killed meanwhile.
    Lost,
}

/// The ways to the commands.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    /// ctl, through its unix socket.
    Ctl,
    /// jsonrpcs, through its unix socket for datagrams.
    Datagram,
    /// jsonrpcs over HTTP.
    Http,
    /// `jsonrpc_exec` in a route, for a SIP request over TCP. Over UDP a copy of the request could be executed later.
    Script,
}

const DOORS: [Door; 4] = [Door::Ctl, Door::Datagram, Door::Http, Door::Script];

impl Scene<'_> {
    /// Returns true while the round goes on.
    pub fn goes_on(&self) -> bool {
        self.going.load(Ordering::Relaxed) && !self.is_dying() && !self.ledger.is_full()
    }

    /// Returns true once the server is about to be killed.
    pub fn is_dying(&self) -> bool {
        self.dying.load(Ordering::SeqCst)
    }

    /// Returns how hard the torture is.
    pub fn scale(&self) -> &Scale {
        &self.world.scale
    }

    /// Books a violation, unless the server is being killed.
    pub fn wrong(&self, what: &str) {
        if !self.is_dying() {
            self.ledger.wrong(what);
        }
    }

    /// Waits for a time, at most until the round ends.
    pub fn rest(&self, time: Duration) {
        let end = Instant::now() + time;
        while self.goes_on() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5).min(time));
        }
    }

    /// Runs a command through a random door, and again through ctl if that door was shut for lack of memory.
    pub fn command(&self, random: &mut StdRng, method: &str, params: &[Value]) -> Answer {
        let begun = Instant::now();
        let door = DOORS[random.random_range(0..DOORS.len())];
        let mut result = self.through(door, method, params);
        let shut = |result: &Result<String, Fault>| matches!(result, Err(fault) if fault.code == 0);
        // A reader that is stopped keeps replaced lists, beside which a large one may fill the rest.
        let is_full = || {
            let full = [Kind::Pool, Kind::Stop];
            full.iter().any(|kind| self.weather.disturbed(*kind, begun))
        };
        while shut(&result) && begun.elapsed() < LIMIT && is_full() && !self.is_dying() {
            result = self.through(Door::Ctl, method, params);
        }
        match result {
            Ok(text) => Answer::Done(text),
            Err(fault) if fault.code == 0 => {
                self.wrong(&format!(
                    "no answer to {method} {params:?} through {door:?} for {:.1} s: {}",
                    begun.elapsed().as_secs_f64(),
                    fault.text
                ));
                Answer::Lost
            }
            Err(fault) => Answer::Refused(fault.text),
        }
    }

    /// Sends a request over a TCP connection of its own, and returns the reply. A server that has no memory for one more
    /// connection closes it at once; then the next one is tried.
    ///
    /// # Errors
    /// The server takes no connection, or does not answer for [`LIMIT`].
    pub fn over_tcp(&self, request: &Request) -> io::Result<Message> {
        let begun = Instant::now();
        loop {
            let reply = TcpUac::try_connect(self.server.addr())
                .and_then(|mut uac| uac.try_request(request, LIMIT));
            let closed = |error: &io::Error| {
                matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                )
            };
            if !reply.as_ref().is_err_and(closed) || begun.elapsed() >= LIMIT {
                return reply;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn through(&self, door: Door, method: &str, params: &[Value]) -> Result<String, Fault> {
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        match door {
            Door::Ctl => {
                let words = params.iter().map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                let words: Vec<String> = std::iter::once(method.to_owned()).chain(words).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let pieces = binrpc_within(self.server.dir(), &words, LIMIT)?;
                Ok(match pieces.into_iter().next() {
                    Some(harness::Piece::Text(text)) => text,
                    _ => String::new(),
                })
            }
            Door::Datagram => self
                .server
                .jsonrpc_within(method, json!(params), LIMIT)
                .map(text),
            Door::Http => {
                let params = json!(params);
                transports::by_http_within(self.server.addr(), method, &params, LIMIT).map(text)
            }
            Door::Script => {
                let lost = |error: std::io::Error| Fault {
                    code: 0,
                    text: format!("SIP over TCP: {error}"),
                };
                let request = harness::lab::ask_rpc(method, json!(params)).header("X-Desk", "1");
                let reply = self.over_tcp(&request).map_err(lost)?;
                let body: Value = serde_json::from_str(&reply.body_text()).unwrap_or_default();
                match (body.get("result"), body.get("error")) {
                    (Some(result), _) => Ok(text(result.clone())),
                    (None, Some(error)) => Err(Fault {
                        code: error["code"].as_i64().unwrap_or(0),
                        text: error["message"].as_str().unwrap_or("").to_owned(),
                    }),
                    _ => Err(Fault {
                        code: 0,
                        text: "jsonrpc_exec without an answer".to_owned(),
                    }),
                }
            }
        }
    }

    /// Runs a command through the unix socket for datagrams. Returns `None` when the server is killed, and after a
    /// violation.
    pub fn ask(&self, method: &str, params: Value) -> Option<Value> {
        match self.server.jsonrpc_within(method, params.clone(), LIMIT) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.wrong(&format!("{method} {params}: {fault}"));
                None
            }
        }
    }
}

/// Returns a request for which the script does `what`.
pub fn request(method: &str, what: &str) -> Request {
    Request::new(method, format!("sip:{what}@torture.test")).header("X-Desk", "1")
}
