//! Hostile peers: what one more call costs when Call-IDs collide, and what a flood leaves of the shared memory.

use std::time::{Duration, Instant};

use super::machine::{self, Process};
use super::report::{self, Table};
use harness::{Config, Kamailio, Module, Request, Uac};

const METHOD: &str = "\
One worker, `-m 64 -x qm`, `ds_hash_size` 9, INVITEs over UDP for which the script calls
`ds_select_dst(\"1\", \"10\", \"1\")` and exits. *One more INVITE*: nanoseconds of the worker on the processor for
all of an INVITE, parsing included, the least of nine rounds of 200, with 24,500 calls up. Plain Call-IDs are
numbers; colliding ones are one text of 32 letters in other letter cases; one Call-ID comes with another tag in From
each time, which the C module does not look at. *Flood*: a stranger sends INVITEs to a
destination without `maxload` all the time, first with Call-IDs of 60,000 bytes, then 2,000 a second with short
ones. Ten times a second another caller makes a call to a destination with `maxload=50` in another set, with a
transaction of tm, and ends it. Good are those of its requests that are answered with 200 and went to their
destination. At the end comes a reload.";

/// Calls that are up.
const UP: usize = 24_500;
/// INVITEs of a round, and rounds of which the fastest counts.
const ROUND: usize = 200;
const ROUNDS: usize = 9;
/// INVITEs of the flood in a millisecond.
const RATE: usize = 2;
/// Bytes of the long Call-IDs, and how many of them there are.
const LONG: (usize, usize) = (59_000, 1_300);

const ROUTES: &str = r#"request_route {
    if ($rU == "flood") {
        ds_select_dst("1", "10", "1");
        exit;
    }
    if ($rU == "read") {
        sl_send_reply("200", "OK");
        exit;
    }
    if (is_method("BYE")) {
        ds_load_update();
    }
    if (!t_newtran()) {
        sl_send_reply("500", "No Transaction");
        exit;
    }
    if (is_method("INVITE") && !ds_select_dst("2", "10", "1")) {
        t_reply("503", "No Destination");
        exit;
    }
    t_reply("200", "OK");
}
"#;

/// Makes the INVITE of a call by its number.
type Invite = fn(usize) -> Request;

/// What a flood has left.
struct Left {
    free: f64,
    sent: usize,
    good: usize,
    asked: usize,
    reload: bool,
}

/// The part of the page, with floods of so many seconds.
pub fn part(seconds: u64) -> String {
    let mut table = Table::new(&["what"], &["C", "ours", "ours / C"]);
    let calls: [(&str, Invite); 3] = [
        ("one more INVITE, plain Call-IDs, ns", plain),
        ("one more INVITE, colliding Call-IDs, ns", colliding),
        ("one more INVITE, one Call-ID, ns", tagged),
    ];
    for (what, invite) in calls {
        let [c, ours] = [Module::C, Module::Rust].map(|module| {
            eprintln!("{module:?}: {what}");
            let figure = one_more(module, invite);
            figure
                .inspect_err(|why| eprintln!("{module:?}: {why}"))
                .ok()
        });
        let (c_text, our_text) = (report::figure(c, 0), report::figure(ours, 0));
        table.row([what.to_owned(), c_text, our_text, report::ratio(c, ours)]);
    }
    let [c, ours] = [Module::C, Module::Rust].map(|module| {
        eprintln!("{module:?}: flood of {seconds} s");
        let left = flood(module, Duration::from_secs(seconds));
        left.inspect_err(|why| eprintln!("{module:?}: {why}")).ok()
    });
    let mut row = |what: &str, figure: &dyn Fn(&Left) -> String| {
        let text = |left: &Option<Left>| left.as_ref().map_or("-".to_owned(), figure);
        table.row([what.to_owned(), text(&c), text(&ours), "-".to_owned()]);
    };
    let number = |n: usize| report::number(n as f64, 0);
    row(&format!("flood of {seconds} s: INVITEs sent"), &|left| {
        number(left.sent)
    });
    row("bytes left of 64 MB", &|left| report::number(left.free, 0));
    row("requests of the other caller", &|left| number(left.asked));
    row("good ones", &|left| number(left.good));
    let reload = |left: &Left| if left.reload { "done" } else { "refused" };
    row("reload", &|left| reload(left).to_owned());
    report::part(super::page::PARTS[7], "bench-hostile", METHOD, &[&table])
}

fn start(module: Module) -> Result<(Kamailio, Vec<Process>), String> {
    let list = "1 sip:127.0.0.1:7001 0 0 duid=a\n2 sip:127.0.0.1:7002 0 0 duid=b;maxload=50\n";
    let config = Config::routes(ROUTES).list(list).param("flags", 2);
    let config = config.param("ds_hash_size", 9).children(1);
    let config = config.memory_manager("qm").shm_mb(64);
    let server = machine::start(module, config.only_critical())?;
    let workers = machine::workers(&server);
    Ok((server, workers))
}

/// The number of a call as a text of 32 bytes.
fn text(n: usize) -> String {
    format!("{:032x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn plain(n: usize) -> Request {
    invite(&text(n))
}

/// A Call-ID whose letter cases are the call's number.
fn colliding(n: usize) -> Request {
    let letter = |bit: usize| if n >> bit & 1 == 1 { 'Q' } else { 'q' };
    let call_id: String = (0..32).map(letter).collect();
    invite(&call_id)
}

fn tagged(n: usize) -> Request {
    invite("one Call-ID of 32 bytes for all.").from_tag(&text(n))
}

fn invite(call_id: &str) -> Request {
    Request::new("INVITE", "sip:flood@service.test").call_id(call_id)
}

/// Waits until the server has read what was sent.
fn read(server: &Kamailio, uac: &Uac) -> Result<(), String> {
    let request = Request::new("OPTIONS", "sip:read@service.test");
    let reply = uac.try_request(server.addr(), &request, Duration::from_secs(10));
    reply
        .map(|_| ())
        .ok_or_else(|| "it does not answer".to_owned())
}

/// Nanoseconds of one more INVITE.
fn one_more(module: Module, invite: Invite) -> Result<f64, String> {
    let (server, workers) = start(module)?;
    let uac = Uac::new();
    let mut next = 0;
    let mut send = |count: usize| {
        for n in 0..count {
            uac.send(server.addr(), &invite(next + n));
            if n % 20 == 19 {
                read(&server, &uac)?;
            }
        }
        next += count;
        read(&server, &uac)
    };
    send(UP)?;
    let mut least = f64::MAX;
    for _ in 0..ROUNDS {
        let before = machine::cpu(&workers);
        send(ROUND)?;
        least = least.min((machine::cpu(&workers) - before) as f64 / ROUND as f64);
    }
    server.abandon();
    Ok(least)
}

fn flood(module: Module, time: Duration) -> Result<Left, String> {
    let (server, _) = start(module)?;
    let (stranger, caller) = (Uac::new(), Uac::new());
    let (mut sent, mut good, mut asked) = (0, 0, 0);
    let long = "x".repeat(LONG.0);
    for n in 0..LONG.1 {
        stranger.send(server.addr(), &invite(&format!("{n}{long}")));
        std::thread::sleep(Duration::from_micros(500));
        sent += 1;
    }
    let begin = Instant::now();
    let mut next_call = Duration::ZERO;
    while begin.elapsed() < time {
        if begin.elapsed() >= next_call {
            next_call += Duration::from_millis(100);
            asked += 2;
            good += call(&server, &caller, asked);
        }
        for n in 0..RATE {
            stranger.send(server.addr(), &plain(sent + n));
        }
        sent += RATE;
        std::thread::sleep(Duration::from_millis(1));
    }
    let free = machine::shm_free(&server);
    let reload = server.kamcmd(&["dispatcher.reload"]).is_ok();
    server.abandon();
    Ok(Left {
        free,
        sent,
        good,
        asked,
        reload,
    })
}

/// Makes a call and ends it; returns how many of the two requests were answered as they should be.
fn call(server: &Kamailio, caller: &Uac, number: usize) -> usize {
    let request = |method: &str| {
        let request = Request::new(method, "sip:other@service.test");
        let request = request.call_id(format!("other-{number}")).from_tag("x");
        let reply = caller.try_request(server.addr(), &request, Duration::from_secs(2));
        usize::from(reply.is_some_and(|reply| reply.status() == Some(200)))
    };
    request("INVITE") + request("BYE")
}
