//! Counts comparisons and sorts differences into explained and unexplained ones.

use std::collections::BTreeMap;
use std::io::Write;

use super::differences::EXPLAINED;

/// What the run has found so far.
#[derive(Default)]
pub struct Report {
    comparisons: usize,
    explained: BTreeMap<&'static str, usize>,
    unexplained: Vec<String>,
}

impl Report {
    /// Compares two answers to the same question, line by line.
    pub fn compare(&mut self, what: &str, c: &str, ours: &str) {
        self.comparisons += c.lines().count().max(1);
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

    /// Prints the result past the capture of the test runner; panics on unexplained differences.
    pub fn finish(self) {
        let mut out = std::io::stderr().lock();
        for (name, count) in &self.explained {
            let reason = EXPLAINED
                .iter()
                .find(|d| d.name == *name)
                .map_or("", |d| d.reason);
            let _ = writeln!(out, "parity: explained {count} x {name}: {reason}");
        }
        for text in self.unexplained.iter().take(60) {
            let _ = writeln!(out, "parity: UNEXPLAINED {text}");
        }
        let (n, m): (usize, usize) = (self.comparisons, self.explained.values().sum());
        let bad = self.unexplained.len();
        let _ = writeln!(
            out,
            "parity: {n} comparisons, {m} differences explained, {bad} unexplained"
        );
        assert_eq!(bad, 0, "unexplained differences to the C module");
    }
}
