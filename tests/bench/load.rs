//! Time of a reload, shared memory per destination.

use std::time::{Duration, Instant};

use super::server::{Config, Kamailio, Module};

/// Destinations of the lists.
pub const DESTINATIONS: usize = 10_000;
/// Reloads of which the fastest counts.
const RUNS: u32 = 7;

const CONFIG: &str = r#"#!KAMAILIO
debug=0
log_stderror=yes
children=1
auto_aliases=no
{{LISTEN}}
mpath="{{MPATH}}"
loadmodule "sl.so"
loadmodule "ctl.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
{{PARAMS}}
request_route { exit; }
"#;

/// Milliseconds of one reload of [`DESTINATIONS`] in `sets` sets.
pub fn reload_ms(module: Module, sets: usize) -> f64 {
    let server = start(module, &list(sets));
    let reload = fastest(|| {
        server
            .kamcmd(&["dispatcher.reload"])
            .expect("the list loads");
    });
    // What the client costs without the work.
    let client = fastest(|| {
        server
            .kamcmd(&["core.version"])
            .expect("the server answers");
    });
    reload.saturating_sub(client).as_secs_f64() * 1e3
}

/// Bytes of shared memory per destination, with [`DESTINATIONS`] in `sets` sets.
pub fn shm_per_destination(module: Module, sets: usize) -> f64 {
    let full = used(&start(module, &list(sets)));
    let empty = used(&start(module, "1 sip:10.0.0.1:5060\n"));
    (full - empty) / (DESTINATIONS - 1) as f64
}

fn start(module: Module, list: &str) -> Kamailio {
    let mut config = Config::raw(CONFIG)
        .list(list)
        .memory_manager("tlsf")
        .shm_mb(128);
    if module == Module::C {
        config = config.param("reload_delta", 0);
    }
    let server = Kamailio::start(module, config);
    if module == Module::C {
        server.ignore_log();
    }
    server
}

/// Shared memory in use, the allocator's overhead included. Unit: bytes.
fn used(server: &Kamailio) -> f64 {
    let text = server.kamcmd(&["core.shmmem", "b"]).expect("core.shmmem");
    let line = text
        .lines()
        .find_map(|l| l.trim().strip_prefix("real_used: "));
    line.and_then(|n| n.trim().parse().ok())
        .unwrap_or_else(|| panic!("no real_used in {text}"))
}

fn fastest(mut run: impl FnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let begin = Instant::now();
        run();
        times.push(begin.elapsed());
    }
    times.into_iter().min().unwrap_or_default()
}

fn list(sets: usize) -> String {
    let line = |n: usize| {
        format!(
            "{} sip:10.0.{}.{}:5060\n",
            n % sets + 1,
            n / 250,
            n % 250 + 1
        )
    };
    (0..DESTINATIONS).map(line).collect()
}
