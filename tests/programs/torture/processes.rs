//! Faults of processes, which are stopped anywhere and then continued or killed.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::actor::Actor;
use super::ledger::{KILL_ANY, KILL_READER, KILL_WRITER, LOCK, Ledger, PIN};
use super::scene::{Disturbance, Kind, Scene};
use harness::lab::ask_rpc;
use harness::{Kamailio, Uac, poll};

/// The time after which the log names a process that holds something.
const NAMED_MS: u64 = 10_000;
/// The time after which a pin is surely shown: it must be older than a second.
const SHOWN: Duration = Duration::from_millis(1_900);
/// The time for which the program waits for the figures while a process is stopped.
const FIGURES: Duration = Duration::from_millis(900);

/// Returns the actors of this file.
pub fn cast() -> Vec<Box<dyn Actor>> {
    vec![Box::new(Stopper), Box::new(Hunter)]
}

/// A process of the server.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its name, without numbers.
    pub name: String,
    /// A descriptor of the process. Another process may get its id when it has ended.
    handle: Arc<OwnedFd>,
}

impl Process {
    /// Opens a process; returns `None` if there is none with this id.
    pub fn open(pid: i32, name: String) -> Option<Self> {
        // SAFETY: a system call without memory (pidfd_open(2)).
        let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let handle = RawFd::try_from(handle).ok().filter(|handle| *handle >= 0)?;
        // SAFETY: the call has returned a descriptor, which nobody else has.
        let handle = Arc::new(unsafe { OwnedFd::from_raw_fd(handle) });
        Some(Self { pid, name, handle })
    }

    /// Sends a signal; returns false if the process has ended.
    pub fn signal(&self, number: i32) -> bool {
        let (handle, none) = (self.handle.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: a system call that reads no memory where there is no siginfo_t (pidfd_send_signal(2)).
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle, number, none, 0) == 0 }
    }

    /// Returns true while the process has its id.
    pub fn is_there(&self) -> bool {
        self.signal(0)
    }

    /// Returns true if its name has these words.
    pub fn has(&self, words: &str) -> bool {
        self.name.contains(words)
    }
}

/// Returns all processes but the main one, as the server names them, once the last one is there.
pub fn processes(server: &Kamailio) -> Vec<Process> {
    let all = || named(server);
    let has_last = |all: &Vec<Process>| all.iter().any(|process| process.has("tcp main"));
    poll(
        Duration::from_millis(20),
        Duration::from_secs(20),
        all,
        has_last,
    )
}

fn named(server: &Kamailio) -> Vec<Process> {
    let list = server.jsonrpc("core.ps", json!([])).unwrap_or_default();
    let items = list.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let all = items.chunks(2).filter_map(|pair| {
        let pid = text(pair.first()?).parse().ok()?;
        let name = text(pair.get(1)?).to_lowercase();
        let words = name.split_whitespace().filter(|word| {
            !word.contains(|c: char| c.is_ascii_digit() || c == '=' || c == '/')
                && *word != "(generic)"
        });
        let name = words.take(3).collect::<Vec<&str>>().join(" ");
        Process::open(pid, name)
    });
    all.filter(|process| !process.has("main process -") && !process.has("attendant"))
        .collect()
}

/// Returns the children that the main process has.
pub fn children(server: &Kamailio) -> Vec<i32> {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut pids: Vec<i32> = text
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// A process that is stopped, and goes on when this is dropped.
pub struct Stopped<'s> {
    scene: &'s Scene<'s>,
    begun: Instant,
    /// The process.
    pub process: Process,
    /// What the process holds.
    pub at: Place,
    ledger: &'s Ledger,
    _disturbances: Vec<Disturbance<'s>>,
}

/// What a stopped process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing that can be seen from outside, or nobody has looked.
    Elsewhere,
    /// A pin, with which it reads the lists.
    Pin,
    /// The lock, with which it changes the lists.
    Lock,
    /// Something that all other processes need, so that nobody answers.
    Everything,
}

impl<'s> Stopped<'s> {
    fn stop(scene: &'s Scene<'_>, process: &Process) -> Self {
        let mut disturbances = vec![scene.weather.begin(Kind::Stop)];
        if process.has("dispatcher states") {
            disturbances.push(scene.weather.begin(Kind::Keep));
        }
        if process.has("timer") {
            disturbances.push(scene.weather.begin(Kind::Timer));
        }
        let title = format!("stops of {}", process.name);
        scene.ledger.fault(&title);
        if process.signal(libc::SIGSTOP) {
            scene.ledger.hit(&title);
        }
        Self {
            scene,
            begun: Instant::now(),
            process: process.clone(),
            at: Place::Elsewhere,
            ledger: scene.ledger,
            _disturbances: disturbances,
        }
    }

    /// Returns true if the module's code is what it was stopped at.
    fn is_in_our_code(&self) -> bool {
        let read = |what: &str| {
            let path = format!("/proc/{}/{what}", self.process.pid);
            fs::read_to_string(path).unwrap_or_default()
        };
        // proc_pid_syscall(5): the place in the code comes last, once the process stands.
        let place = || read("syscall");
        let (each, most) = (Duration::from_micros(100), Duration::from_millis(20));
        let place = poll(each, most, place, |place| place.trim() != "running");
        let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        let Some(place) = place.split_whitespace().last().and_then(number) else {
            return false;
        };
        // proc_pid_maps(5): first the addresses, then the rights, and the file in the end.
        let is_there = |line: &str| {
            let (from, to) = line.split_once(' ')?.0.split_once('-')?;
            Some((number(from)?..number(to)?).contains(&place))
        };
        let maps = read("maps");
        let mut ours = maps.lines().filter(|line| line.contains("/dispatcher.so"));
        ours.any(|line| is_there(line) == Some(true))
    }

    /// Looks for the lock, and if there is `time`, for a pin, and counts what was found.
    fn look(&mut self, scene: &Scene<'_>, time: Duration) -> Place {
        self.ledger.fault(LOCK);
        if time >= SHOWN {
            self.ledger.fault(PIN);
        }
        let end = Instant::now() + time;
        let pid = i64::from(self.process.pid);
        loop {
            self.at = match figures(scene) {
                None => Place::Everything,
                Some(figures) if figures.writer == pid => Place::Lock,
                Some(figures) if figures.reader == pid => Place::Pin,
                Some(_) => Place::Elsewhere,
            };
            if self.at != Place::Elsewhere || Instant::now() >= end {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        match self.at {
            Place::Elsewhere => {}
            Place::Pin => self.ledger.hit(PIN),
            Place::Lock => self.ledger.hit(LOCK),
            Place::Everything => self.ledger.did("stops after which nobody answered"),
        }
        self.at
    }

    /// Kills the process, and counts what it held.
    pub fn kill(self) {
        self.ledger.hit(match self.at {
            Place::Lock => KILL_WRITER,
            Place::Pin => KILL_READER,
            Place::Elsewhere | Place::Everything => KILL_ANY,
        });
        self.process.signal(libc::SIGKILL);
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.process.signal(libc::SIGCONT);
        let time = self.begun.elapsed();
        let alone = self.at != Place::Everything;
        self.scene
            .weather
            .stood(alone.then_some(self.process.pid), time);
    }
}

/// The figures of `dispatcher.stats`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// The process that has been reading for the longest time; 0: none.
    pub reader: i64,
    /// The process that changes the lists; 0: none.
    pub writer: i64,
    /// The number of destinations.
    pub destinations: i64,
    /// The number of bytes that wait to be freed.
    pub replaced: i64,
}

impl Figures {
    fn read(stats: &Value) -> Option<Self> {
        Some(Self {
            reader: stats["READER"]["PID"].as_i64()?,
            writer: stats["WRITER"]["PID"].as_i64()?,
            destinations: stats["DESTINATIONS"].as_i64()?,
            replaced: stats["MEMORY"]["REPLACED"].as_i64()?,
        })
    }
}

/// Asks a UDP worker for the figures, as none of them ever waits for the lock. Returns `None` if nobody answers soon.
fn figures(scene: &Scene<'_>) -> Option<Figures> {
    let request = ask_rpc("dispatcher.stats", json!([])).header("X-Desk", "1");
    let mut uac = Uac::new();
    uac.in_vain_once(&scene.dying);
    let reply = uac.try_request(scene.server.addr(), &request, FIGURES)?;
    let body: Value = serde_json::from_str(&reply.body_text()).ok()?;
    Figures::read(&body["result"])
}

/// Asks for the figures through the unix socket for datagrams.
pub fn figures_by_datagram(server: &Kamailio, limit: Duration) -> Option<Figures> {
    let stats = server.jsonrpc_within("dispatcher.stats", json!([]), limit);
    stats.ok().and_then(|stats| Figures::read(&stats))
}

/// Returns a random time from a millisecond to `most_ms`, with each order of magnitude equally likely.
fn up_to(most_ms: u64, random: &mut StdRng) -> Duration {
    let most = f64::from(u32::try_from(most_ms).unwrap_or(u32::MAX));
    Duration::from_secs_f64(most.powf(random.random_range(0.0..1.0)) / 1_000.0)
}

/// Stops random processes for random times.
struct Stopper;

impl Actor for Stopper {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let mut time = up_to(scene.scale().stop_ms, random);
        let all = &scene.processes;
        let chosen: Vec<&Process> = match random.random_range(0..10) {
            0 => {
                time = time.min(Duration::from_millis(1_500));
                all.iter()
                    .filter(|process| process.has("udp receiver"))
                    .collect()
            }
            1 | 2 => (0..3)
                .map(|_| &all[random.random_range(0..all.len())])
                .collect(),
            _ => vec![&all[random.random_range(0..all.len())]],
        };
        let begun = Instant::now();
        let mut stopped: Vec<Stopped<'_>> = chosen
            .into_iter()
            .map(|process| Stopped::stop(scene, process))
            .collect();
        for one in &mut stopped {
            if time > Duration::from_millis(20) {
                let enough = time > SHOWN;
                one.look(scene, if enough { SHOWN } else { Duration::ZERO });
            }
        }
        scene.rest(time.saturating_sub(begun.elapsed()));
        drop(stopped);
        scene.rest(Duration::from_millis(random.random_range(0..300)));
    }
}

/// Stops a process again and again until it holds a pin or the lock, and then for a while.
struct Hunter;

impl Actor for Hunter {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let prey = if random.random() {
            Place::Pin
        } else {
            Place::Lock
        };
        if let Some(stopped) = hunt(scene, random, prey) {
            hold(scene, random, &stopped);
        }
        scene.rest(Duration::from_millis(random.random_range(0..500)));
    }
}

/// Holds a process that was stopped with a pin or the lock, sometimes until the log must have named it.
fn hold(scene: &Scene<'_>, random: &mut StdRng, stopped: &Stopped<'_>) {
    let begun = Instant::now();
    let most = scene.scale().stop_ms;
    let long = most > NAMED_MS && random.random_range(0..8) == 0;
    let time = match long {
        true => Duration::from_millis(most),
        false => up_to(most / 3, random),
    };
    scene.rest(time);
    let held = begun.elapsed() >= Duration::from_millis(NAMED_MS + 1_500);
    if !held || scene.weather.disturbed(Kind::Timer, begun) {
        return;
    }
    let what = match stopped.at {
        Place::Pin => "reading",
        _ => "changing",
    };
    let warning = format!(
        "process {} has been {what} the lists for",
        stopped.process.pid
    );
    let said = || scene.server.log().contains(&warning);
    if poll(
        Duration::from_millis(100),
        Duration::from_secs(3),
        said,
        |said| *said,
    ) {
        scene
            .ledger
            .did("warnings of a process that holds something");
    } else if !scene.weather.disturbed(Kind::Timer, begun) {
        scene.wrong(&format!("no warning: {warning}"));
    }
}

/// Stops a process that holds the `prey`; returns `None` if none is met soon.
pub fn hunt<'s>(scene: &'s Scene<'_>, random: &mut StdRng, prey: Place) -> Option<Stopped<'s>> {
    let busy = |process: &&Process| {
        let asks = process.has("datagram") || process.has("ctl");
        asks || match prey {
            Place::Lock => process.has("tcp receiver"),
            _ => process.has("udp receiver"),
        }
    };
    let busy: Vec<&Process> = scene.processes.iter().filter(busy).collect();
    let process = busy[random.random_range(0..busy.len())];
    // A pin is seen only after a second, so that is waited for where there may be one.
    let (tries, time) = match prey {
        Place::Pin => (400, SHOWN),
        _ => (100, Duration::ZERO),
    };
    for _ in 0..tries {
        if !scene.goes_on() {
            return None;
        }
        let mut stopped = Stopped::stop(scene, process);
        let promising = prey != Place::Pin || stopped.is_in_our_code();
        if promising && stopped.look(scene, time) == prey {
            return Some(stopped);
        }
        drop(stopped);
        std::thread::sleep(Duration::from_millis(random.random_range(1..30)));
    }
    None
}

/// Stops a random process, wherever it is.
pub fn stop_any<'s>(scene: &'s Scene<'_>, random: &mut StdRng) -> Stopped<'s> {
    let all = &scene.processes;
    Stopped::stop(scene, &all[random.random_range(0..all.len())])
}
