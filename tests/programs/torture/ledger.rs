//! What was done, which faults there were, and what went wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// After so many violations nothing more is learned.
const MOST: usize = 20;

/// The account of a run.
pub struct Ledger {
    seed: u64,
    begun: Instant,
    done: Mutex<BTreeMap<String, u64>>,
    faults: Mutex<BTreeMap<String, u64>>,
    slowest: Mutex<BTreeMap<&'static str, Duration>>,
    wrong: Mutex<Vec<String>>,
}

impl Ledger {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            begun: Instant::now(),
            done: Mutex::default(),
            faults: Mutex::default(),
            slowest: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// Counts an operation.
    pub fn did(&self, what: &str) {
        *self
            .done
            .lock()
            .unwrap()
            .entry(what.to_owned())
            .or_default() += 1;
    }

    /// Counts a fault.
    pub fn fault(&self, what: &str) {
        *self
            .faults
            .lock()
            .unwrap()
            .entry(what.to_owned())
            .or_default() += 1;
    }

    /// Counts events that the server told of, as the model says.
    pub fn heard(&self, events: i64) {
        let mut done = self.done.lock().unwrap();
        let most = done
            .entry("events in the last life".to_owned())
            .or_default();
        *most = u64::try_from(events).unwrap_or(0);
    }

    /// Keeps the longest time of something.
    pub fn slowest(&self, what: &'static str, time: Duration) {
        let mut slowest = self.slowest.lock().unwrap();
        let most = slowest.entry(what).or_default();
        *most = time.max(*most);
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
        for (title, counts) in [("operations", &self.done), ("faults", &self.faults)] {
            writeln!(f, "  {title}:")?;
            for (what, count) in counts.lock().unwrap().iter() {
                writeln!(f, "    {count:>9} {what}")?;
            }
        }
        for (what, time) in self.slowest.lock().unwrap().iter() {
            writeln!(f, "  slowest {what}: {:.1} s", time.as_secs_f64())?;
        }
        let wrong = self.wrong.lock().unwrap();
        write!(f, "  violations: {}", wrong.len())?;
        wrong.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}
