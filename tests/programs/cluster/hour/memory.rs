//! The memory of a node, which may not grow within a life.

use std::collections::BTreeMap;
use std::fs;

/// The most that shared memory may grow by after the first quiet check: calls that have ended are kept for new ones, and
/// tm has cells of messages that are under way. Unit: bytes.
pub const SHARED: i64 = 256 << 10;

/// The most that the private memory of a process may grow by. Unit: bytes.
const HEAP: i64 = 2 << 20;

/// Memory of one life of a node.
#[derive(Default)]
pub struct Memory {
    pid: u32,
    /// Shared memory in use at the first quiet check.
    pub shared: Option<i64>,
    /// Private memory of each process then.
    heaps: BTreeMap<u32, i64>,
    /// The most by which shared memory has grown in a life.
    pub most_shared: i64,
    /// The most by which the private memory of a process has grown in a life.
    pub most_heap: i64,
}

impl Memory {
    /// A life begins.
    pub fn begin(&mut self, pid: u32) {
        self.pid = pid;
        self.shared = None;
        self.heaps.clear();
    }

    /// Looks at shared memory in use; yields what is wrong.
    pub fn look(&mut self, shared: i64) -> Vec<String> {
        let mut wrong = Vec::new();
        let more = shared - *self.shared.get_or_insert(shared);
        self.most_shared = self.most_shared.max(more);
        if more > SHARED {
            wrong.push(format!("{more} bytes of shared memory more"));
        }
        for pid in self.processes() {
            let Some(now) = private(pid) else { continue };
            let more = now - *self.heaps.entry(pid).or_insert(now);
            self.most_heap = self.most_heap.max(more);
            if more > HEAP {
                wrong.push(format!(
                    "process {pid} has {more} bytes of private memory more"
                ));
            }
        }
        wrong
    }

    fn processes(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid);
        let children = fs::read_to_string(path).unwrap_or_default();
        let children = children.split_whitespace();
        children.filter_map(|pid| pid.parse().ok()).collect()
    }
}

/// Bytes of memory that only one process has.
fn private(pid: u32) -> Option<i64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    let kilobytes: i64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}
