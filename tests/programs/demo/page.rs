//! `make demo PAGE=1`: a server with calls, a page to look at, and gateways to which things happen, until Ctrl-C.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Answer, Config, Kamailio, Module, Request, Uac, Uas, free_port};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

/// Calls that are up at the same time.
const CALLERS: u64 = 24;

/// How long a gateway that dies is gone, and how long it is there.
const PHASE: Duration = Duration::from_secs(20);

/// The user part of the R-URI is the set.
const ROUTES: &str = r#"request_route {
    if (has_totag()) {
        if (is_method("BYE")) { ds_load_update(); }
        t_relay();
        exit;
    }
    if (!ds_select_dst("$rU", "10")) {
        sl_send_reply("503", "No destination");
        exit;
    }
    t_on_failure("NEXT");
    t_on_reply("ANSWER");
    t_relay();
}
onreply_route[ANSWER] {
    if (status =~ "2[0-9][0-9]") { ds_load_update(); }
}
failure_route[NEXT] {
    if (t_branch_timeout() && ds_next_dst()) { t_on_failure("NEXT"); t_relay(); }
}
event_route[xhttp:request] {
    if ($Rp == {{HTTP}} && $hu =~ "^/dispatcher") { ds_page(); } else { xhttp_reply("404", "Not Found", "", ""); }
}"#;

/// A gateway and its carrier.
type Gateway = (&'static str, &'static str);

/// Set, its name, and its gateways.
const SETS: [(u32, &str, &[Gateway]); 3] = [
    (
        1,
        "Carrier North",
        &[
            ("oslo1", "north"),
            ("oslo2", "north"),
            ("bergen1", "north"),
            ("bergen2", "north"),
        ],
    ),
    (
        2,
        "Carrier South",
        &[("rome1", "south"), ("rome2", "south"), ("bari1", "south")],
    ),
    (3, "Voice mail", &[("vm1", "house"), ("vm2", "house")]),
];

/// True once somebody has pressed Ctrl-C.
static ENDED: AtomicBool = AtomicBool::new(false);

extern "C" fn end(_signal: libc::c_int) {
    ENDED.store(true, Ordering::Relaxed);
}

/// Shows it until Ctrl-C.
pub fn show() {
    let mut gateways = Vec::new();
    let mut list = String::new();
    for (set, _, names) in SETS {
        for (at, (name, carrier)) in names.iter().enumerate() {
            let gateway = Uas::start(Answer::Code(200));
            let priority = if at < 2 { 10 } else { 0 };
            let uri = format!("sip:127.0.0.1:{}", gateway.port());
            list += &format!(
                "{set} {uri} 0 {priority} duid={name};maxload=40;weight=25;carrier={carrier};desc={name}.example\n"
            );
            gateways.push(gateway);
        }
    }
    let port = free_port();
    let mut config = Config::routes(ROUTES)
        .list(list)
        .define("HTTP", port)
        .global(&format!(
            "tcp_accept_no_cl=yes\nsocket_workers=1\nlisten=tcp:127.0.0.1:{port}"
        ))
        .tcp()
        .load("xhttp.so")
        .children(4)
        .param("flags", 2)
        .param("ds_hash_size", 8)
        .param("counters", 2)
        .param("metrics_attrs", "carrier")
        .param("ds_ping_interval", 2)
        .param("ds_ping_fr_timeout", 1_000)
        .param("ds_probing_mode", 1)
        .param("ds_probing_threshold", 2)
        .modparam("tm", "fr_timer", 1_000)
        // Gateways die on purpose.
        .only_critical();
    for (set, name, _) in SETS {
        config = config.param("set_name", format!("{set}={name}"));
    }
    let server = Kamailio::start(Module::Rust, config);
    server
        .jsonrpc(
            "dispatcher.set_state",
            json!(["drain", 2, gateways[5].uri()]),
        )
        .unwrap();
    // SAFETY: the handler only stores to an atomic (signal-safety(7)).
    unsafe { libc::signal(libc::SIGINT, end as *const () as libc::sighandler_t) };
    println!("\nThe page: http://127.0.0.1:{port}/dispatcher/");
    println!("Gateway bergen2 dies and comes back; another one drains. Ctrl-C ends it.");
    thread::scope(|scope| {
        for seed in 0..CALLERS {
            let to = server.addr();
            scope.spawn(move || call(to, StdRng::seed_from_u64(seed)));
        }
        let (mut is_up, mut since) = (true, Instant::now());
        while !ENDED.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
            if since.elapsed() < PHASE {
                continue;
            }
            (is_up, since) = (!is_up, Instant::now());
            if is_up {
                gateways[3].restart();
            } else {
                gateways[3].stop();
            }
        }
    });
    println!("\nEnded.");
}

/// Makes one call after the other, each of some seconds.
fn call(to: SocketAddr, mut chance: StdRng) {
    let caller = Uac::new();
    while !ENDED.load(Ordering::Relaxed) {
        let set = [1, 1, 1, 2, 2, 3][chance.random_range(0..6)];
        let invite = Request::new("INVITE", format!("sip:{set}@example.test"));
        let Ok(call) = caller.call(to, invite) else {
            continue;
        };
        let end = Instant::now() + Duration::from_millis(chance.random_range(500..12_000));
        while Instant::now() < end && !ENDED.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
        }
        let _ = call.try_bye(Duration::from_secs(5));
    }
}
