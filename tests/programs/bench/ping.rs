//! The part "ping": how fast a silent destination is seen, and what thousands of pings cost.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::report::{self, Table};
use harness::lab::code;
use harness::{Config, Crowd, Dns, Kamailio, Module, Name, Request, Step, Uac, wait_for};

/// Destinations that fall silent, at different moments of the interval.
const FALLING: usize = 10;
/// Destinations of the large list.
const MANY: usize = 5_000;
/// Ping interval of the large list.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long the large list is watched: three intervals.
const WATCH: Duration = Duration::from_secs(30);
/// Turns of selections with pings and without.
const TURNS: usize = 2;
/// Shares of the processor below this are left out. Unit: percent.
const SHOWN: f64 = 0.5;

const METHOD: &str = "\
Detection: ten destinations that answer fall silent at different moments;
interval 3 s, tm's own timers, our `ds_ping_fr_timeout` 1000; time from that moment until
`dispatcher.list` says inactive. Load: 5,000 destinations in one set at an interval of 10 s, one in
ten silent, and one whose name stops to resolve after the start; new pings, without retransmissions, as
the destinations see them for 30 s, with the time that processes of one kind spent then, in percent of one
core. Selections: one client asks two workers, which take the replies to pings too, for
`ds_select_dst(\"1\", \"4\", \"3\")`, one after the other, for 20 s with pings and 20 s without in turn.";

const ROUTES: &str = r#"
request_route {
    ds_select_dst("1", "4", "3");
    append_to_reply("X-Rc: $rc\r\n");
    sl_send_reply("200", "OK");
}
"#;

/// The part of the page.
pub fn part() -> String {
    let mut lines = Vec::new();
    let (c, ours) = std::thread::scope(|scope| {
        let c = scope.spawn(|| detection(Module::C));
        let ours = detection(Module::Rust);
        (c.join().expect("the C module was measured"), ours)
    });
    for (n, what) in ["fastest", "mean", "slowest"].iter().enumerate() {
        let figure = |times: [f64; 3]| format!("{:.1}", times[n]);
        lines.push((format!("detection, {what}, s"), figure(c), figure(ours)));
    }
    let (c, ours) = (load(Module::C), load(Module::Rust));
    for ((what, c), (_, ours)) in c.into_iter().zip(ours) {
        lines.push((what.to_owned(), c, ours));
    }
    let mut table = Table::new(&["what"], &["C", "ours"]);
    for (what, c, ours) in lines {
        table.row([what, c, ours]);
    }
    report::part(super::page::PARTS[5], "bench-ping", METHOD, &[&table])
}

/// What both benches have: all destinations are pinged, the first failure counts.
fn config(module: Module, interval: Duration) -> Config {
    let seconds = i64::try_from(interval.as_secs()).expect("seconds");
    let config = Config::routes(ROUTES)
        .children(2)
        .list("")
        .param("flags", 2)
        .param("reload_delta", 0)
        .modparam("jsonrpcs", "pretty_format", 0)
        .global("debug=0")
        .param("ds_probing_mode", 1)
        .param("ds_ping_interval", seconds);
    match module {
        Module::C => config,
        _ => config.param("ds_ping_fr_timeout", 1_000),
    }
}

fn start(module: Module, config: Config) -> Kamailio {
    let server = Kamailio::start(module, config);
    if module == Module::C {
        server.ignore_log();
    }
    server
}

/// Seconds from a destination's silence until it is inactive: fastest, mean, slowest.
fn detection(module: Module) -> [f64; 3] {
    let server = start(module, config(module, Duration::from_secs(3)));
    let (crowd, lister) = (Crowd::start(), server.lister());
    let names: Vec<String> = (0..FALLING).map(|n| format!("d{n}")).collect();
    let line = |name: &String| format!("1 {}\n", crowd.uri(name));
    crowd.load(&server, &names.iter().map(line).collect::<String>());
    for name in &names {
        crowd.wait_count(name, 2, Duration::from_secs(30));
    }
    // One every 300 ms, so that they are spread over the interval.
    let mut since: BTreeMap<String, Instant> = BTreeMap::new();
    let (begin, mut times) = (Instant::now(), Vec::new());
    wait_for("all are inactive", Duration::from_secs(90), || {
        let due = begin.elapsed().as_millis() / 300;
        for (n, name) in names.iter().enumerate() {
            if n as u128 <= due && !since.contains_key(name) {
                crowd.script(name, &[Step::Silent]);
                since.insert(name.clone(), Instant::now());
            }
        }
        let flags = lister.flags();
        since
            .iter()
            .filter(|(name, _)| flags[&crowd.uri(name)].starts_with('I'))
            .for_each(|(name, at)| {
                if !times.iter().any(|(seen, _)| seen == name) {
                    times.push((name.clone(), at.elapsed().as_secs_f64()));
                }
            });
        std::thread::sleep(Duration::from_millis(20));
        (times.len() == FALLING).then_some(())
    });
    let seconds: Vec<f64> = times.into_iter().map(|(_, seconds)| seconds).collect();
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    let fastest = seconds.iter().copied().fold(f64::MAX, f64::min);
    let slowest = seconds.iter().copied().fold(0.0, f64::max);
    [fastest, mean, slowest]
}

/// Figures of the large list.
fn load(module: Module) -> Vec<(&'static str, String)> {
    let (crowd, dns) = (Crowd::start(), Dns::start());
    dns.set("gone.test", Name::Is(Ipv4Addr::LOCALHOST));
    let config = config(module, INTERVAL)
        .shm_mb(256)
        .memory_manager(&super::machine::allocator())
        .resolver(&dns)
        .allow_log("resolve");
    let server = start(module, config);
    let mut list = format!(
        "1 {}\n",
        crowd.uri("gone").replace("127.0.0.1", "gone.test")
    );
    for n in 1..MANY {
        let name = format!("d{n}");
        if n % 10 == 0 {
            crowd.script(&name, &[Step::Silent]);
        }
        list += &format!("1 {}\n", crowd.uri(&name));
    }
    server.write_list(list);
    ping_active(&server, 0);
    let limit = Duration::from_secs(60);
    let reloaded = server.jsonrpc_within("dispatcher.reload", json!([]), limit);
    reloaded.expect("the list loads");
    dns.set("gone.test", Name::Silent);
    ping_active(&server, 1);
    // Until the silent ones are out and the first rush is over.
    pause(INTERVAL + Duration::from_secs(12));
    let processes = processes(&server);
    let before: Vec<u64> = processes.iter().map(|(pid, _)| ticks(*pid)).collect();
    let begin = Instant::now();
    pause(WATCH);
    let spent = processes.iter().zip(before).map(|((pid, name), before)| {
        let percent = ticks(*pid).saturating_sub(before) as f64 / WATCH.as_secs_f64();
        (name.as_str(), percent)
    });
    let shares = shares(spent);
    let end = begin + WATCH;
    let times = crowd.arrivals();
    let seen: Vec<Instant> = times
        .into_iter()
        .filter(|at| (begin..end).contains(at))
        .collect();
    // In turn, so that what else the machine does is in both.
    let (mut with, mut alone) = (Selections::default(), Selections::default());
    for _ in 0..TURNS {
        selections(&server, &mut with);
        ping_active(&server, 0);
        selections(&server, &mut alone);
        ping_active(&server, 1);
    }
    if module == Module::C {
        // It may be in the middle of a burst, or of a name.
        server.abandon();
    }
    let mean = seen.len() as f64 / WATCH.as_secs_f64();
    let peak = |bin| busiest(&seen, begin, bin);
    let (second, tenth) = (
        peak(Duration::from_secs(1)),
        peak(Duration::from_millis(100)),
    );
    vec![
        ("pings per second, mean", format!("{mean:.0}")),
        ("busiest second: pings", format!("{second}")),
        (
            "busiest second to mean",
            format!("{:.2}", second as f64 / mean),
        ),
        ("busiest 100 ms: pings", format!("{tenth}")),
        (
            "busiest 100 ms to mean",
            format!("{:.2}", tenth as f64 * 10.0 / mean),
        ),
        ("share of the processor for pings, %", shares),
        ("selections per second, pings off", alone.rate()),
        ("selections per second, pings on", with.rate()),
        ("slowest in a thousand, pings off, ms", alone.slow()),
        ("slowest in a thousand, pings on, ms", with.slow()),
    ]
}

fn pause(time: Duration) {
    let begin = Instant::now();
    wait_for("time to pass", time * 2, || {
        (begin.elapsed() >= time).then_some(())
    });
}

fn ping_active(server: &Kamailio, on: i32) {
    let set = server.jsonrpc("dispatcher.ping_active", json!([on]));
    set.expect("pings are switched");
}

/// Most pings in one of the bins that follow each other.
fn busiest(times: &[Instant], begin: Instant, bin: Duration) -> usize {
    let mut bins: BTreeMap<u128, usize> = BTreeMap::new();
    for at in times {
        *bins
            .entry((*at - begin).as_micros() / bin.as_micros())
            .or_default() += 1;
    }
    bins.into_values().max().unwrap_or(0)
}

/// Processes by what they are for, in percent of one core; those of one kind together.
fn shares<'n>(spent: impl Iterator<Item = (&'n str, f64)>) -> String {
    let mut kinds: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, percent) in spent {
        let kind = name.split(" child=").next().unwrap_or(name);
        *kinds.entry(kind).or_default() += percent;
    }
    let shown = kinds.iter().filter(|(_, percent)| **percent >= SHOWN);
    let texts: Vec<String> = shown.map(|(kind, p)| format!("{kind} {p:.1}")).collect();
    texts.join(", ")
}

/// How long each selection took. Unit: seconds.
#[derive(Default)]
struct Selections(Vec<f64>);

impl Selections {
    fn rate(&self) -> String {
        format!("{:.0}", self.0.len() as f64 / self.0.iter().sum::<f64>())
    }

    /// What one in a thousand exceeds. Unit: ms.
    fn slow(&self) -> String {
        let mut times = self.0.clone();
        times.sort_unstable_by(f64::total_cmp);
        format!("{:.1}", times[times.len() - 1 - times.len() / 1_000] * 1e3)
    }
}

/// Selects for one interval, one after the other.
fn selections(server: &Kamailio, into: &mut Selections) {
    let (uac, request) = (Uac::new(), Request::new("OPTIONS", "sip:x@bench.test"));
    let begin = Instant::now();
    while begin.elapsed() < INTERVAL {
        let asked = Instant::now();
        let reply = uac.request(server.addr(), &request);
        assert_eq!(code(&reply), Some(1), "no selection fails");
        into.0.push(asked.elapsed().as_secs_f64());
    }
}

/// Process ids and what they are for.
fn processes(server: &Kamailio) -> Vec<(u64, String)> {
    let list = server.jsonrpc("core.ps", json!([])).expect("core.ps");
    let items = list.as_array().expect("an array");
    let pairs = items.chunks(2).filter_map(|pair| {
        let pid = pair.first()?;
        let pid = pid.as_u64().or_else(|| pid.as_str()?.parse().ok())?;
        Some((pid, pair.get(1)?.as_str()?.to_owned()))
    });
    pairs.collect()
}

/// Time on the processor. Unit: hundredths of a second (proc(5), USER_HZ).
fn ticks(pid: u64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // What follows the name, which may hold spaces.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |n: usize| fields.get(n).and_then(|f| f.parse().ok()).unwrap_or(0_u64);
    field(11) + field(12)
}
