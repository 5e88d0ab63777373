//! Counts comparisons and sorts differences into explained and unexplained ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use super::differences::EXPLAINED;
use super::pair::without_ids;

/// Unexplained differences that are printed; the rest is only counted.
const SHOWN: usize = 60;

/// Comparisons, explained and unexplained differences of all tests so far.
static SUM: Mutex<[usize; 3]> = Mutex::new([0; 3]);

/// The findings of a test.
pub struct Report {
    test: String,
    start: Instant,
    comparisons: usize,
    explained: BTreeMap<&'static str, usize>,
    unexplained: Vec<String>,
    trace: Option<File>,
}

impl Report {
    /// An empty report of the running test.
    pub fn new() -> Self {
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        let trace = std::env::var_os("PARITY_TRACE")
            .map(|directory| File::create(Path::new(&directory).join(&test)).expect("trace file"));
        Self {
            test,
            start: Instant::now(),
            comparisons: 0,
            explained: BTreeMap::new(),
            unexplained: Vec::new(),
            trace,
        }
    }

    /// Compares two answers to the same question, line by line.
    pub fn compare(&mut self, what: &str, c: &str, ours: &str) {
        // A reply of the probe holds one result a line; any other answer counts once.
        self.comparisons += c
            .lines()
            .filter(|line| line.starts_with("= "))
            .count()
            .max(1);
        if let Some(trace) = &mut self.trace {
            let _ = writeln!(trace, "--- {what}\n{ours}");
        }
        let (c, ours) = (&*without_ids(c), &*without_ids(ours));
        if c == ours {
            return;
        }
        let (c_lines, our_lines): (Vec<_>, Vec<_>) = (c.lines().collect(), ours.lines().collect());
        if c_lines.len() != our_lines.len() {
            self.differ(what, c, ours);
            return;
        }
        for (c, ours) in c_lines
            .into_iter()
            .zip(our_lines)
            .filter(|(c, ours)| c != ours)
        {
            self.differ(what, c, ours);
        }
    }

    /// Books a fact that must hold whatever the C module says.
    pub fn check(&mut self, what: &str, holds: bool, detail: &str) {
        self.comparisons += 1;
        if !holds {
            self.unexplained.push(format!("{what}: {detail}"));
        }
    }

    fn differ(&mut self, what: &str, c: &str, ours: &str) {
        match EXPLAINED.iter().find(|d| (d.applies)(what, c, ours)) {
            Some(difference) => *self.explained.entry(difference.name).or_default() += 1,
            None => self
                .unexplained
                .push(format!("{what}\n  C:    {c}\n  ours: {ours}")),
        }
    }

    /// How many comparisons there were.
    pub fn comparisons(&self) -> usize {
        self.comparisons
    }

    /// How many differences nothing explains.
    pub fn unexplained(&self) -> usize {
        self.unexplained.len()
    }

    /// Prints the result, and the sum so far, past the capture of the test runner; panics on
    /// unexplained differences.
    pub fn finish(self, seed: u64) {
        let test = &self.test;
        let explained = self.explained.values().sum();
        let found = [self.comparisons, explained, self.unexplained.len()];
        let mut sum = SUM.lock().expect("the sum");
        for (sum, found) in sum.iter_mut().zip(found) {
            *sum += found;
        }
        let mut out = std::io::stderr().lock();
        for difference in EXPLAINED {
            if let Some(count) = self.explained.get(difference.name) {
                let (name, reason) = (difference.name, difference.reason);
                let _ = writeln!(out, "parity: {test}: {count} x {name}: {reason}");
            }
        }
        for text in self.unexplained.iter().take(SHOWN) {
            let _ = writeln!(out, "parity: {test}: UNEXPLAINED {text}");
        }
        let took = self.start.elapsed().as_secs_f32();
        let _ = writeln!(out, "parity: {test}: {} in {took:.1} s", counts(found));
        let _ = writeln!(out, "parity: so far {}", counts(*sum));
        drop(sum);
        assert!(
            self.unexplained.is_empty(),
            "differences to the C module that nothing explains (PARITY_SEED={seed})"
        );
    }
}

fn counts([comparisons, explained, unexplained]: [usize; 3]) -> String {
    format!(
        "{comparisons} comparisons, {explained} differences explained, {unexplained} unexplained"
    )
}
