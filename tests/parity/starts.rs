//! Every parameter with values of every kind: does the server start, and what works then.

use harness::{Config, Kamailio, Module};

/// How a start ended.
pub enum Outcome {
    /// It did not, and this is why, with the log.
    Refuses(String),
    /// It did, and this is what it does.
    Starts(String),
}

impl Outcome {
    /// Returns what to compare.
    pub fn word(&self) -> &str {
        match self {
            Outcome::Refuses(_) => "refuses",
            Outcome::Starts(works) => works,
        }
    }
}

/// A config with these routes and few modules, which starts quickly.
pub fn small(routes: &str) -> Config {
    Config::raw(&format!("{PREAMBLE}{routes}\n"))
        .only_critical()
        .shm_mb(16)
}

const PREAMBLE: &str = r#"#!KAMAILIO
debug=2
log_stderror=yes
children=1
auto_aliases=no
{{LISTEN}}
{{GLOBALS}}
mpath="{{MPATH}}"
{{MODULES}}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "ctl.so"
loadmodule "jsonrpcs.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{{DIR}}/rpc")
{{PARAMS}}
"#;

/// Starts at the same time. Each is short, and mostly waits.
const AT_ONCE: usize = 6;

/// Starts each config under the C module and ours. `look` says what a server that has started does.
pub fn both(
    configs: &[Config],
    look: impl Fn(&Kamailio) -> String + Sync,
) -> Vec<(Outcome, Outcome)> {
    let one = |module, config: &Config| match Kamailio::try_start(module, config.clone().native()) {
        Err(log) => Outcome::Refuses(log),
        Ok(server) => {
            let works = format!("starts {}", look(&server));
            server.abandon();
            Outcome::Starts(works)
        }
    };
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut done: Vec<(usize, (Outcome, Outcome))> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(config) = configs.get(at) else {
                    return done;
                };
                done.push((at, (one(Module::C, config), one(Module::Rust, config))));
            }
        };
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let parts = threads
            .into_iter()
            .map(|thread| thread.join().expect("it ran"));
        parts.flatten().collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, outcomes)| outcomes).collect()
}
