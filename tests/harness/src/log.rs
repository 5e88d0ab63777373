//! The server's log: what in it fails a test.

use super::under_valgrind;

/// The place of the lines of our module that tell of changes of states, and of nothing else.
pub const CHANGES: &str = " dispatcher [src/kamailio/observe/changes/line.rs:";

/// Log lines that a test has announced.
#[derive(Clone, Debug, Default)]
pub struct Announced {
    /// May appear.
    pub allowed: Vec<String>,
    /// Must appear.
    pub expected: Vec<String>,
    /// Dispatcher warnings and any errors are not looked at, only BUG, CRITICAL and ALERT.
    pub only_critical: bool,
    /// Nothing in the log is looked at.
    pub anything: bool,
}

impl Announced {
    /// Returns the faults in `log`, one sentence a line; empty when there are none.
    pub fn faults(&self, log: &str) -> Vec<String> {
        if self.anything {
            return Vec::new();
        }
        let mut faults: Vec<String> = log
            .lines()
            .filter(|line| self.is_bad(line) && !self.is_announced(line))
            .map(|line| format!("unannounced log line: {line}"))
            .collect();
        for pattern in &self.expected {
            if !log.contains(pattern.as_str()) {
                faults.push(format!("announced log line did not come: {pattern}"));
            }
        }
        faults
    }

    fn is_announced(&self, line: &str) -> bool {
        // The TCP processes say this of each other when the server stops, in either order.
        if line.contains(" CRITICAL: <core> ") && line.contains("receive_fd(): EOF on") {
            return true;
        }
        // Changes of states, which tests make; what they say is a matter of tests of its own.
        if line.contains(CHANGES) {
            return true;
        }
        // Under memcheck a large list takes so long that the module says who is at work on it.
        if under_valgrind() && line.contains(" warn_of_held(): ") {
            return true;
        }
        self.allowed
            .iter()
            .chain(&self.expected)
            .any(|p| line.contains(p.as_str()))
    }

    fn is_bad(&self, line: &str) -> bool {
        if [" BUG: ", " CRITICAL: ", " ALERT: "]
            .iter()
            .any(|w| line.contains(w))
        {
            return true;
        }
        !self.only_critical && (line.contains(" ERROR: ") || line.contains(" WARNING: dispatcher "))
    }
}
