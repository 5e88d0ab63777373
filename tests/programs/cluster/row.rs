//! A row of the table: what was done, what must hold, and the figures that were seen.

use std::fmt::Display;
use std::time::Duration;

use harness::patience;

/// How much of each row is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// The numbers of the table, with its limits of time: `make cluster`.
    Full,
    /// A few repetitions, beside other tests and without limits of time: `make test`.
    Short,
}

impl Scale {
    /// How often something is done.
    pub fn times<T>(self, full: T, short: T) -> T {
        match self {
            Self::Full => full,
            Self::Short => short,
        }
    }

    /// How long something is waited for that must happen within `limit`: longer, so that the row can say how long it took.
    pub fn wait(self, limit: Duration) -> Duration {
        limit * 4 + patience(20)
    }

    /// Whether a time is within a limit. Beside other tests no time is.
    fn allows(self, took: Duration, limit: Duration) -> bool {
        self == Self::Short || took <= limit
    }
}

/// What a row says in the end.
pub struct Row {
    /// The scale that it ran with.
    pub scale: Scale,
    /// What must hold.
    pub criterion: &'static str,
    /// What was seen.
    pub figures: Vec<String>,
    /// What did not hold.
    pub faults: Vec<String>,
}

impl Row {
    /// A row without figures.
    pub fn new(scale: Scale, criterion: &'static str) -> Self {
        Self {
            scale,
            criterion,
            figures: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Adds a figure.
    pub fn say(&mut self, figure: impl Display) {
        let figure = figure.to_string();
        eprintln!("    {figure}");
        self.figures.push(figure);
    }

    /// Something must hold.
    pub fn must(&mut self, holds: bool, what: impl Display) {
        if !holds {
            self.faults.push(what.to_string());
        }
    }

    /// Returns true once several things did not hold: then more of the same takes long, and says nothing new.
    pub fn has_failed(&self) -> bool {
        self.faults.len() >= 3
    }

    /// Something must be within a time; adds the figure.
    pub fn within(&mut self, what: &str, took: Duration, limit: Duration) {
        self.say(format!("{what} {} ms", took.as_millis()));
        let held = self.scale.allows(took, limit);
        self.must(held, format!("{what} took {took:?}, not {limit:?}"));
    }

    /// Adds the median and the 99th percentile of some times, and the longest one; the second must be within a limit.
    pub fn times(&mut self, what: &str, mut times: Vec<Duration>, limit: Duration) {
        if times.is_empty() {
            self.must(false, format!("{what}: not once"));
            return;
        }
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        let (half, most, last) = (at(50), at(99), at(100));
        self.say(format!(
            "{what}: p50 {} ms, p99 {} ms, longest {} ms of {}",
            half.as_millis(),
            most.as_millis(),
            last.as_millis(),
            times.len()
        ));
        let held = self.scale.allows(most, limit);
        self.must(held, format!("{what}: p99 is {most:?}, not {limit:?}"));
    }
}
