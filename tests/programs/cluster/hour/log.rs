//! How much a node writes to its log, and whether it is bad.

use std::time::{Duration, Instant};

use harness::CHANGES;

/// The most lines that a node may write a minute, but for those of changes, which have a bound of their own.
const MOST: i64 = 120;

/// Lines of a shorter time are not yet a rate.
const SHORTEST: Duration = Duration::from_secs(20);

/// The log of a node.
#[derive(Default)]
pub struct Log {
    lines: usize,
    looked: Option<Instant>,
    /// The most lines a minute.
    pub most: i64,
}

impl Log {
    /// A node has started, and this is what it has said meanwhile.
    pub fn begin(&mut self, log: &str) {
        self.lines = count(log);
        self.looked = Some(Instant::now());
    }

    /// Looks at the whole log; yields what is wrong.
    pub fn look(&mut self, log: &str) -> Vec<String> {
        let is_bad = |line: &&str| {
            [" CRITICAL: ", " BUG: ", " ALERT: ", "panic"]
                .iter()
                .any(|word| line.contains(word))
        };
        let mut wrong: Vec<String> = log.lines().filter(is_bad).map(str::to_owned).collect();
        let passed = self.looked.map_or(Duration::ZERO, |at| at.elapsed());
        let (lines, before) = (count(log), self.lines);
        if passed < SHORTEST {
            return wrong;
        }
        let more = i64::try_from(lines - before).expect("a number of lines");
        let rate = more * 60 / i64::try_from(passed.as_secs()).expect("a time");
        self.most = self.most.max(rate);
        if rate > MOST {
            let some = log.lines().rev().take(20);
            wrong.push(format!(
                "{rate} lines a minute:\n{}",
                some.collect::<Vec<_>>().join("\n")
            ));
        }
        self.begin(log);
        wrong
    }
}

fn count(log: &str) -> usize {
    log.lines().filter(|line| !line.contains(CHANGES)).count()
}
