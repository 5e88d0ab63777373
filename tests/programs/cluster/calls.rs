//! Calls through every node while something happens to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use harness::cluster::Cluster;
use harness::{Request, Uac, patience};

/// How long a caller waits for an answer.
const LIMIT: Duration = Duration::from_secs(4);

/// What became of the calls through one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Answered by a gateway, and ended.
    pub good: u64,
    /// Refused, because no destination was selected.
    pub unselected: u64,
    /// Refused for another reason.
    pub refused: u64,
    /// Without an answer.
    pub lost: u64,
}

/// Callers, one for each node.
pub struct Calls {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Count>>,
}

impl Calls {
    /// Lets a caller make calls through each node, one every `pause`.
    pub fn begin(cluster: &Cluster, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let caller = |node| {
            let (uac, dest) = (cluster.caller(), cluster.addr(node));
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut count = Count::default();
                while !stop.load(Ordering::Relaxed) {
                    call(&uac, dest, &mut count);
                    std::thread::sleep(pause);
                }
                count
            })
        };
        let callers = (0..cluster.size()).map(caller).collect();
        Self { stop, callers }
    }

    /// Ends the calls; yields what became of them, by node.
    pub fn end(self) -> Vec<Count> {
        self.stop.store(true, Ordering::Relaxed);
        let counts = self.callers.into_iter().map(JoinHandle::join);
        counts.map(|count| count.expect("a caller")).collect()
    }
}

fn call(uac: &Uac, dest: std::net::SocketAddr, count: &mut Count) {
    let limit = LIMIT.max(patience(4));
    let invite = Request::new("INVITE", "sip:callee@service.test");
    match uac.try_call(dest, invite, limit) {
        Some(Ok(call)) => match call.try_bye(limit) {
            Some(_) => count.good += 1,
            None => count.lost += 1,
        },
        Some(Err(reply)) if reply.start.contains("No destination") => count.unselected += 1,
        Some(Err(_)) => count.refused += 1,
        None => count.lost += 1,
    }
}
