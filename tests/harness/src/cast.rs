//! The cast of a probing test: one server that pings destinations of every kind from every start.
//!
//! The list is loaded only when the crowd watches, so that no ping is missed.

use std::time::Duration;

use super::crowd::{Crowd, Step};
use super::{Config, Kamailio, Module, free_port, patience};

/// When an answer is late: long after tm has given up, and after the next ping has come.
const LATE: Step = Step::Late(200, Duration::from_millis(1_250));
/// How long the destinations that cannot tell their pings are looked at.
const LOOK: u64 = 6;
/// A destination that was not pinged for so many seconds is not pinged any more.
const QUIET: u64 = 3;

/// Start flags of a list: active, probing, inactive, inactive and probing.
pub const STARTS: [u32; 4] = [0, 8, 1, 9];

const GOOD: Step = Step::Code(200);
const BAD: Step = Step::Code(503);

/// Name, what it does, and how many pings make its trace.
pub const SCRIPTS: [(&str, &[Step], usize); 6] = [
    ("ok", &[GOOD], 5),
    ("refuses", &[BAD], 5),
    ("unknown", &[Step::Code(404)], 5),
    ("silent", &[Step::Silent], 5),
    ("late", &[LATE], 5),
    (
        "changes",
        &[BAD, BAD, GOOD, BAD, BAD, BAD, GOOD, GOOD, GOOD],
        10,
    ),
];

/// Destinations that are not there: what their URI ends with.
const ABSENT: [(&str, &str); 2] = [("icmp", ""), ("tcp", ";transport=tcp")];

/// One server and its destinations, named `ok-0` to `tcp-9`.
pub struct Cast {
    /// The server.
    pub server: Kamailio,
    /// The destinations that answer or are silent.
    pub crowd: Crowd,
    /// A port at which nobody is.
    closed: u16,
}

impl Cast {
    /// A server that pings every second, with both thresholds alike.
    pub fn config(mode: i64, threshold: i64) -> Config {
        Self::config_with(mode, threshold, threshold)
    }

    /// A server that pings every second, and that waits for half of it: `down` failures take out,
    /// `up` answers bring back. Where the server is slow, all this takes longer, as [`patience`]
    /// does. Its list is empty, for [`Crowd::load`].
    pub fn config_with(mode: i64, down: i64, up: i64) -> Config {
        let interval = i64::try_from(patience(1).as_secs()).expect("a few seconds");
        Config::routes("request_route { exit; }")
            .list("")
            .tcp()
            .only_critical()
            .param("reload_delta", 0)
            .param("ds_ping_interval", interval)
            .param("ds_probing_mode", mode)
            .param("ds_probing_threshold", down)
            .param("ds_inactive_threshold", up)
            .modparam("tm", "fr_timer", interval * 500)
            .modparam("jsonrpcs", "pretty_format", 0)
    }

    /// Starts it without destinations. When several run at the same time, start all of them before
    /// any one pings: a start takes the processor from pings that are timed.
    pub fn start(module: Module, config: Config) -> Self {
        let crowd = Crowd::start();
        let server = Kamailio::start(module, config);
        if module == Module::C {
            server.ignore_log();
        }
        let closed = free_port();
        Self {
            server,
            crowd,
            closed,
        }
    }

    /// Loads every kind of destination from these start flags.
    pub fn begin(&self, starts: &[u32]) {
        for (name, steps, _) in SCRIPTS {
            let steps: Vec<Step> = steps.iter().copied().map(stretched).collect();
            for flags in starts {
                self.crowd.script(&format!("{name}-{flags}"), &steps);
            }
        }
        let mut list = String::new();
        for flags in starts {
            for (name, _, _) in SCRIPTS {
                let uri = self.crowd.uri(&format!("{name}-{flags}"));
                list += &format!("1 {uri} {flags}\n");
            }
            for (name, _) in ABSENT {
                list += &format!("1 {} {flags}\n", self.absent(name, *flags));
            }
        }
        self.crowd.load(&self.server, &list);
    }

    fn absent(&self, name: &str, flags: u32) -> String {
        let parameter = ABSENT.iter().find(|(n, _)| *n == name);
        let parameter = parameter.expect("a known name").1;
        format!("sip:{name}-{flags}@127.0.0.1:{}{parameter}", self.closed)
    }

    /// Returns the trace of each destination: `ok-0: AX AP AP AP AP`. Blanks separate the `FLAGS`
    /// before each ping, and a dot says that no ping follows. For destinations that are absent, `>`
    /// separates distinct `FLAGS`.
    pub fn traces(&self, starts: &[u32]) -> Vec<String> {
        let absent = ABSENT.map(|(name, _)| starts.iter().map(move |&flags| (name, flags)));
        let absent: Vec<(&str, u32)> = absent.into_iter().flatten().collect();
        let asked = absent.iter().map(|(n, f)| (self.absent(n, *f), usize::MAX));
        let asked: Vec<(String, usize)> = asked.collect();
        let lister = self.server.lister();
        let looked = std::thread::spawn(move || lister.distinct(&asked, patience(LOOK)));
        let mut traces = Vec::new();
        for (name, _, n) in SCRIPTS {
            for flags in starts {
                let name = format!("{name}-{flags}");
                let trace = self.crowd.trace(&name, n, patience(QUIET));
                traces.push(format!("{name}: {trace}"));
            }
        }
        let looked = looked.join().expect("the list was looked at");
        for ((name, flags), trace) in absent.iter().zip(looked) {
            traces.push(format!("{name}-{flags}: {}", trace.join(">")));
        }
        traces
    }
}

/// A step that takes as much longer as the interval.
fn stretched(step: Step) -> Step {
    match step {
        Step::Late(code, after) => Step::Late(code, after.mul_f64(patience(1).as_secs_f64())),
        step => step,
    }
}
