//! Counts comparisons and sorts differences into explained and unexplained ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::differences::EXPLAINED;

/// Unexplained differences that are printed; the rest is only counted.
const SHOWN: usize = 60;

/// What the run has found so far.
#[derive(Default)]
pub struct Report {
    comparisons: usize,
    explained: BTreeMap<&'static str, usize>,
    unexplained: Vec<String>,
    trace: Option<File>,
}

impl Report {
    /// An empty report. `PARITY_TRACE` names a directory for all questions and our answers.
    pub fn new(section: &str) -> Self {
        let trace = std::env::var_os("PARITY_TRACE").map(|directory| {
            File::create(Path::new(&directory).join(section)).expect("trace file")
        });
        Self {
            trace,
            ..Self::default()
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

    /// Prints the result past the capture of the test runner; panics on unexplained differences.
    pub fn finish(reports: Vec<Self>) {
        let mut all = Self::default();
        for report in reports {
            all.comparisons += report.comparisons;
            all.unexplained.extend(report.unexplained);
            for (name, count) in report.explained {
                *all.explained.entry(name).or_default() += count;
            }
        }
        let mut out = std::io::stderr().lock();
        for difference in EXPLAINED {
            let count = all.explained.get(difference.name).copied().unwrap_or(0);
            let _ = writeln!(
                out,
                "parity: {count} x {}: {}",
                difference.name, difference.reason
            );
        }
        for text in all.unexplained.iter().take(SHOWN) {
            let _ = writeln!(out, "parity: UNEXPLAINED {text}");
        }
        let (n, m): (usize, usize) = (all.comparisons, all.explained.values().sum());
        let bad = all.unexplained.len();
        let _ = writeln!(
            out,
            "parity: {n} comparisons, {m} differences explained, {bad} unexplained"
        );
        assert_eq!(bad, 0, "unexplained differences to the C module");
    }
}
