//! The account of a run: operations, faults with their effects, violations, and what each run must have reached.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use harness::this_server;

/// After so many violations nothing more is learned.
const MOST: usize = 20;
/// A run of this length has an effect of each fault. Unit: seconds.
const LONG: u64 = 300;

/// Shared memory is filled; its effect: no further value fits.
pub const POOL: &str = "shared memory filled";
/// A process gets no more memory; its effect: the log says what the system refuses.
pub const HEAP: &str = "processes without more memory";
/// The disk of the state file is filled; its effect: the log says that states are not kept.
pub const DISK: &str = "full disks";
/// The wall clock is set; its effect: the server tells that time.
pub const CLOCK: &str = "steps of the wall clock";
/// The destinations answer otherwise; its effect: calls fail at one of them.
pub const MOODS: &str = "changes of what destinations answer";
/// A stopped process is examined; its effect: it holds the lock.
pub const LOCK: &str = "stops with the lock";
/// A stopped process is examined for so long that a pin is seen; its effect: it holds one.
pub const PIN: &str = "stops with a pin";
/// A process is hunted to be killed with the lock; its effect: it held the lock.
pub const KILL_WRITER: &str = "kills with the lock";
/// A process is hunted to be killed with a pin; its effect: it held one.
pub const KILL_READER: &str = "kills with a pin";
/// Any process is killed; its effect: one was killed that held neither.
pub const KILL_ANY: &str = "kills elsewhere";

/// What every run does at least once, however short it is and however slow the machine.
const ALWAYS: [&str; 12] = [
    "calls counted",
    "calls ended",
    "calls relayed",
    "comparisons with the model",
    "edits",
    "list files replaced",
    "overload reports",
    "pings",
    "reloads",
    "selections",
    "servers stopped",
    "states set",
];

/// What chance decides, so that only a long run is certain to do it.
const OFTEN: [&str; 8] = [
    "dispatcher.calls asked",
    "dispatcher.check asked",
    "dispatcher.list asked",
    "dispatcher.ping_status asked",
    "edits refused: not there",
    "edits refused: there already",
    "old overload reports refused",
    "reloads refused: the file is no list",
];

/// Faults of which a long run sees an effect.
const FAULTS: [&str; 15] = [
    POOL,
    HEAP,
    DISK,
    CLOCK,
    MOODS,
    LOCK,
    KILL_WRITER,
    "list files: Truncated",
    "list files: Garbage",
    "list files: Empty",
    "list files: Directory",
    "list files: Fifo",
    "list files: Dangling",
    "list files: Loop",
    "list files: Huge",
];

/// Faults that need a life of their own, which not every run has. One that was tried so often has had its effect.
const KILLS: [&str; 2] = [KILL_READER, KILL_ANY];
const TRIES: u64 = 3;

/// How often a fault was tried, and how often it had its effect.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    times: u64,
    hits: u64,
}

/// The account of a run.
pub struct Ledger {
    seed: u64,
    begun: Instant,
    done: Mutex<BTreeMap<String, u64>>,
    faults: Mutex<BTreeMap<String, Tried>>,
    excepted: Mutex<BTreeMap<&'static str, String>>,
    slowest: Mutex<BTreeMap<&'static str, Duration>>,
    grown: Mutex<Vec<i64>>,
    wrong: Mutex<Vec<String>>,
}

impl Ledger {
    /// Returns an empty account.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            begun: Instant::now(),
            done: Mutex::default(),
            faults: Mutex::default(),
            excepted: Mutex::default(),
            slowest: Mutex::default(),
            grown: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// Counts an operation.
    pub fn did(&self, what: &str) {
        self.did_times(what, 1);
    }

    /// Counts an operation that was done several times.
    pub fn did_times(&self, what: &str, times: u64) {
        *self
            .done
            .lock()
            .unwrap()
            .entry(what.to_owned())
            .or_default() += times;
    }

    /// Counts a fault that is tried.
    pub fn fault(&self, what: &str) {
        self.on_fault(what, |fault| fault.times += 1);
    }

    /// Counts an effect of a fault.
    pub fn hit(&self, what: &str) {
        self.hits(what, 1);
    }

    /// Counts several effects of a fault.
    pub fn hits(&self, what: &str, times: u64) {
        self.on_fault(what, |fault| fault.hits += times);
    }

    /// Returns how many effects of a fault there were.
    pub fn effects(&self, what: &str) -> u64 {
        let faults = self.faults.lock().unwrap();
        faults.get(what).map_or(0, |fault| fault.hits)
    }

    fn on_fault(&self, what: &str, count: impl FnOnce(&mut Tried)) {
        let mut faults = self.faults.lock().unwrap();
        count(faults.entry(what.to_owned()).or_default());
    }

    /// Excepts a fault that this machine cannot make for lack of something. It is counted as a skipped part of a test.
    pub fn except(&self, fault: &'static str, lack: &str, why: &str) {
        this_server::skip_part_for_lack_of(fault, lack, why);
        self.excepted.lock().unwrap().insert(fault, why.to_owned());
    }

    /// Returns what a run of so many seconds should have reached, and has not.
    pub fn missed(&self, seconds: u64) -> Vec<String> {
        let is_long = seconds >= LONG;
        let (done, faults) = (self.done.lock().unwrap(), self.faults.lock().unwrap());
        let excepted = self.excepted.lock().unwrap();
        let often = OFTEN.iter().filter(|_| is_long);
        let undone = ALWAYS
            .iter()
            .chain(often)
            .filter(|what| !done.contains_key(**what));
        let is_hit = |what: &str| faults.get(what).is_some_and(|fault| fault.hits > 0);
        let unhit = FAULTS
            .iter()
            .filter(|what| is_long && !excepted.contains_key(**what) && !is_hit(what));
        let is_vain = |what: &str| {
            let fault = faults.get(what).copied().unwrap_or_default();
            fault.times >= TRIES && fault.hits == 0
        };
        let vain = KILLS.iter().filter(|what| is_vain(what));
        undone
            .map(|what| format!("never done: {what}"))
            .chain(
                unhit
                    .chain(vain)
                    .map(|what| format!("never with an effect: {what}")),
            )
            .collect()
    }

    /// Keeps the longest time of something.
    pub fn slowest(&self, what: &'static str, time: Duration) {
        let mut slowest = self.slowest.lock().unwrap();
        let most = slowest.entry(what).or_default();
        *most = time.max(*most);
    }

    /// Keeps by how many bytes our shared memory has grown in a life.
    pub fn grown(&self, bytes: i64) {
        self.grown.lock().unwrap().push(bytes);
    }

    /// Keeps what should not have been, and says it at once.
    pub fn wrong(&self, what: &str) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() >= MOST {
            return;
        }
        let line = format!("{:.1} s: {what}", self.begun.elapsed().as_secs_f64());
        println!("torture: violation at {line}");
        wrong.push(line);
    }

    /// Returns the number of violations.
    pub fn violations(&self) -> usize {
        self.wrong.lock().unwrap().len()
    }

    /// Returns true if there are so many violations that nothing more is learned.
    pub fn is_full(&self) -> bool {
        self.violations() >= MOST
    }

    /// Keeps the log of a server that did something wrong.
    pub fn keep_log(&self, life: &str, log: &str) {
        let folder = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| harness::root().join("target"), PathBuf::from)
            .join("torture");
        let file = folder.join(format!("{}-{life}.log", self.seed));
        let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, log));
        match kept {
            Ok(()) => println!("torture: its log is {}", file.display()),
            Err(error) => println!("torture: its log is lost: {error}"),
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  operations:")?;
        for (what, count) in self.done.lock().unwrap().iter() {
            writeln!(f, "    {count:>9} {what}")?;
        }
        writeln!(f, "  faults, tried and with an effect:")?;
        for (what, Tried { times, hits }) in self.faults.lock().unwrap().iter() {
            writeln!(f, "    {times:>9} {hits:>9} {what}")?;
        }
        for (what, why) in self.excepted.lock().unwrap().iter() {
            writeln!(f, "  not on this machine: {what}: {why}")?;
        }
        for (what, time) in self.slowest.lock().unwrap().iter() {
            writeln!(f, "  slowest {what}: {:.1} s", time.as_secs_f64())?;
        }
        let grown = self.grown.lock().unwrap();
        writeln!(
            f,
            "  growth of our shared memory in each life that was stopped, in bytes: {grown:?}"
        )?;
        let wrong = self.wrong.lock().unwrap();
        write!(f, "  violations: {}", wrong.len())?;
        wrong.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}
