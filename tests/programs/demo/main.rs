//! `make demo`: a real Kamailio with our module balances real SIP calls over three destinations.
//!
//! Half-way one destination is killed. Every call must still be answered and hung up; the program
//! ends with an error when one was lost or when the counts do not add up. With `PAGE=1` it then shows the page.

mod page;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use harness::{Answer, Config, Kamailio, Module, Request, Uac, Uas, patience, wait_for};

/// Calls before and after the kill, each.
const HALF: u32 = 30;
/// Callers at the same time, each with a socket of its own.
const CALLERS: u32 = 6;

/// What an operator writes, in the style of the README.
const ROUTES: &str = r#"request_route {
    if (has_totag()) { t_relay(); exit; }        # ACK and BYE go where the call went
    if (!ds_select_dst("1", "4")) {              # set 1, round-robin
        sl_send_reply("503", "No destination");
        exit;
    }
    t_on_failure("NEXT");
    t_relay();
}
failure_route[NEXT] {
    if (t_is_canceled()) { exit; }
    if (t_branch_timeout() && ds_mark_dst("ip") && ds_next_dst()) {
        xlog("L_NOTICE", "failover: $ci goes to $du\n");
        t_on_failure("NEXT");
        t_relay();
    }
}"#;

fn main() {
    let begin = Instant::now();
    let mut uases: Vec<Uas> = (0..3).map(|_| Uas::start(Answer::Code(200))).collect();
    let lines = uases.iter().map(|u| format!("1 {}\n", u.uri()));
    let list = lines.collect::<Vec<_>>().concat();
    let config = Config::routes(ROUTES)
        .list(list.as_str())
        .param("flags", 2)
        .modparam("tm", "fr_timer", milliseconds(1000))
        .children(2);
    let proxy = Kamailio::start(Module::Rust, config);
    introduce(&proxy, &list);

    let lost = calls(proxy.addr(), HALF);
    let before = counts(&uases);
    uases[2].stop();
    let lost = lost + calls(proxy.addr(), HALF);
    let after = counts(&uases);
    let killed = uases[2].uri();

    println!("\nCalls, {CALLERS} at a time        first {HALF}   last {HALF}");
    for (n, uas) in uases.iter().enumerate() {
        let last = after[n] - before[n];
        let mark = if n == 2 { "  killed in between" } else { "" };
        println!("    {:<22} {:>9} {last:>9}{mark}", uas.uri(), before[n]);
    }
    let moved = proxy.log().matches("failover: ").count();
    let answered = 2 * HALF - lost;
    println!("\n{answered} calls answered and hung up, {moved} of them failed over, {lost} lost");
    println!("\n$ kamcmd dispatcher.list");
    println!("{}", proxy.kamcmd(&["dispatcher.list"]).unwrap());

    assert_eq!(lost, 0, "calls were lost");
    assert_eq!(before.iter().sum::<usize>(), HALF as usize);
    // A retransmission on a busy machine takes a turn, too.
    let even = before.iter().all(|n| (8..=12).contains(n));
    assert!(even, "not spread evenly: {before:?}");
    assert_eq!(after.iter().sum::<usize>(), 2 * HALF as usize);
    assert_eq!(after[2], before[2], "{killed} is dead but got calls");
    assert!(moved > 0, "no call failed over");
    proxy.stop();
    println!("\nDone in {:.1} s.", begin.elapsed().as_secs_f64());
    if std::env::var_os("PAGE").is_some_and(|page| page == "1") {
        page::show();
    }
}

/// A time parameter in milliseconds; memcheck slows the server down.
fn milliseconds(n: u64) -> i64 {
    i64::try_from(patience(n).as_secs()).unwrap()
}

/// Prints what runs: server, module, list, and the part of the config that matters.
fn introduce(proxy: &Kamailio, list: &str) {
    let version = proxy.kamcmd(&["core.version"]).unwrap();
    println!("{version}");
    println!(
        "with the Rust dispatcher module, listening on {}",
        proxy.addr()
    );
    println!("\ndispatcher.list");
    print!("{}", indented(list));
    println!("\nkamailio.cfg, the lines that matter");
    print!("{}", indented("loadmodule \"dispatcher.so\""));
    print!(
        "{}",
        indented("modparam(\"dispatcher\", \"list_file\", \"dispatcher.list\")")
    );
    print!("{}", indented("modparam(\"dispatcher\", \"flags\", 2)"));
    print!("{}", indented(ROUTES));
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}\n"));
    lines.collect::<Vec<_>>().concat()
}

/// Makes `number` calls by [`CALLERS`] callers at once: INVITE, 200, ACK, BYE, 200.
/// Yields how many were lost.
fn calls(proxy: SocketAddr, number: u32) -> u32 {
    let lost = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let caller = Uac::new();
                for _ in 0..number / CALLERS {
                    if let Err(why) = call(&caller, proxy) {
                        eprintln!("lost call: {why}");
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    lost.into_inner()
}

/// One call. An answer to INVITE and BYE other than 200, or none at all, is a lost call.
fn call(caller: &Uac, proxy: SocketAddr) -> Result<(), String> {
    let invite = Request::new("INVITE", "sip:bob@example.test");
    let call = caller.call(proxy, invite).map_err(|reply| reply.start)?;
    let reply = call.bye();
    match reply.status() {
        Some(200) => Ok(()),
        _ => Err(format!("BYE: {}", reply.start)),
    }
}

/// Calls that each destination served: INVITEs, once as many ACKs and BYEs have come.
fn counts(uases: &[Uas]) -> Vec<usize> {
    let count = |uas: &Uas| {
        let invites = uas.count("INVITE");
        wait_for("an ACK and a BYE for each call", patience(5), || {
            let whole = uas.count("ACK") == invites && uas.count("BYE") == invites;
            whole.then_some(invites)
        })
    };
    uases.iter().map(count).collect()
}
