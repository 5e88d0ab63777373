//! Calls that all nodes count together.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::cluster::{COUNTED, Cluster, Plan};
use harness::{Request, Uac, patience, poll};
use serde_json::json;

use super::row::{Row, Scale};

/// `maxload` of the row with bursts.
const MAXLOAD: usize = 30;

/// The calls of a burst.
const BURST: usize = 100;

/// A cluster that counts calls, with these destinations.
fn counting(nodes: usize, list: &str, hold_s: i64) -> Cluster {
    let mut cluster = Plan::of(nodes).make();
    for node in 0..nodes {
        start(&mut cluster, node, list, hold_s);
    }
    cluster.wait_ready(patience(20));
    cluster
}

fn start(cluster: &mut Cluster, node: usize, list: &str, hold_s: i64) {
    let config = cluster
        .config(node, list)
        .param("ds_hash_size", 8)
        .param("ds_dmq_hello", 500)
        .param("ds_dmq_dead_time", 2_000)
        .param("ds_dmq_dead_hold", hold_s);
    cluster.start(node, config);
}

/// A destination that calls are counted for.
fn uri(number: usize) -> String {
    format!("sip:192.0.2.1:{}", 7_001 + number)
}

fn line(number: usize, attrs: &str) -> String {
    format!("{COUNTED} {} 0 0 duid=gw{number}{attrs}\n", uri(number))
}

fn lines(count: usize) -> String {
    (0..count).map(|number| line(number, "")).collect()
}

/// A request of a call.
fn request(method: &str, call: &str) -> Request {
    Request::new(method, "sip:count@service.test")
        .call_id(call)
        .from_tag("caller")
}

/// The calls of one caller: their destinations, by name.
type Taken = BTreeMap<String, String>;

/// Makes calls with these names through a node, as fast as it answers. Refused ones are not among those that are taken.
fn make(uac: &Uac, node: SocketAddr, names: &[String]) -> Taken {
    let invites: Vec<Request> = names.iter().map(|name| request("INVITE", name)).collect();
    let replies = uac.batch(node, &invites, 20);
    let taken = names.iter().zip(replies);
    let taken = taken.filter(|(_, reply)| reply.status() == Some(200));
    let dest = |start: &str| start.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
    taken
        .map(|(name, reply)| (name.clone(), dest(&reply.start)))
        .collect()
}

fn end(uac: &Uac, node: SocketAddr, names: &[String]) {
    let byes: Vec<Request> = names.iter().map(|name| request("BYE", name)).collect();
    uac.batch(node, &byes, 20);
}

fn names(what: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{what}-{number}"))
        .collect()
}

/// The calls for each destination as selections of a node see them, and those that the node itself counts.
fn counts(cluster: &Cluster, node: usize) -> Vec<(i64, i64)> {
    let full = cluster
        .server(node)
        .jsonrpc("dispatcher.list", json!(["full"]));
    let full = full.unwrap_or_else(|fault| panic!("dispatcher.list: {fault}"));
    let sets = full["RECORDS"].as_array().expect("sets");
    let set = sets.iter().find(|set| set["SET"]["ID"] == COUNTED);
    let dests = set.and_then(|set| set["SET"]["TARGETS"].as_array());
    let count = |dest: &serde_json::Value| {
        let runtime = &dest["DEST"]["RUNTIME"];
        let number = |name: &str| runtime[name].as_i64().expect("a number of calls");
        (number("DLGLOAD"), number("OWN"))
    };
    dests.into_iter().flatten().map(count).collect()
}

/// The calls of all destinations, as selections of a node see them.
fn seen(cluster: &Cluster, node: usize) -> i64 {
    counts(cluster, node).iter().map(|(all, _)| all).sum()
}

/// Waits until all nodes that run see so many calls; yields how long it took.
fn agree(cluster: &Cluster, calls: i64, begun: Instant, limit: Duration) -> Option<Duration> {
    for node in cluster.running() {
        let left = limit.saturating_sub(begun.elapsed());
        let look = || seen(cluster, node);
        if poll(Duration::from_millis(5), left, look, |seen| *seen == calls) != calls {
            return None;
        }
    }
    Some(begun.elapsed())
}

fn agreed(row: &mut Row, what: &str, cluster: &Cluster, calls: i64, limit: Duration) {
    let begun = Instant::now();
    match agree(cluster, calls, begun, row.scale.wait(limit)) {
        Some(took) => row.within(what, took, limit),
        None => {
            let seen: Vec<_> = cluster
                .running()
                .map(|node| counts(cluster, node))
                .collect();
            row.must(false, format!("{what}: {seen:?}, not {calls} calls"));
        }
    }
}

/// Makes a burst through all nodes, with a pause between two calls of a node; yields the names by node, and the time.
fn burst(cluster: &Cluster, number: usize, pause: Duration) -> (Vec<Vec<String>>, Duration) {
    let begun = Instant::now();
    let callers = (0..cluster.size()).map(|node| {
        let (uac, addr) = (cluster.caller(), cluster.addr(node));
        let share = BURST / cluster.size() + usize::from(node < BURST % cluster.size());
        std::thread::spawn(move || {
            let mut taken = Vec::new();
            for name in names(&format!("b{number}-{node}"), share) {
                taken.extend(make(&uac, addr, &[name]).into_keys());
                std::thread::sleep(pause);
            }
            taken
        })
    });
    let callers: Vec<_> = callers.collect();
    let taken = callers
        .into_iter()
        .map(|caller| caller.join().expect("a caller"));
    (taken.collect(), begun.elapsed())
}

/// Bursts to one destination with `maxload`, and BYEs that come to other nodes.
pub fn maxload(scale: Scale) -> Row {
    let criterion = "at most 30 and the bound of calls up; all see the sum within 1 s; BYEs at other nodes: 0 within 1 s";
    let mut row = Row::new(scale, criterion);
    let cluster = counting(3, &line(0, &format!(";maxload={MAXLOAD}")), 300);
    let uac = cluster.caller();
    // Within a second, and all at once.
    for (what, pause) in [("in a second", 30), ("at once", 0)] {
        let (mut most, mut worst_over) = (0, i64::MIN);
        for number in 0..scale.times(20, 2) {
            let (taken, took) = burst(&cluster, number, Duration::from_millis(pause));
            let up: usize = taken.iter().map(Vec::len).sum();
            // Calls that begin at the others within a period and the way.
            let rate = BURST as f64 / took.as_secs_f64().max(0.001);
            let bound = scale.times(1, 2) as f64 * (rate * 0.15 * 2.0 / 3.0).ceil();
            let over = up as i64 - (MAXLOAD as f64 + bound) as i64;
            most = most.max(up);
            worst_over = worst_over.max(over);
            // A burst at once is over before anybody hears of the others.
            let held = up >= MAXLOAD && (over <= 0 || pause == 0);
            row.must(
                held,
                format!("{up} calls up {what}, and not 30 and {bound}"),
            );
            agreed(
                &mut row,
                "all see the sum",
                &cluster,
                up as i64,
                Duration::from_secs(1),
            );
            for node in 0..3 {
                let more = make(&uac, cluster.addr(node), &["more".to_owned()]);
                row.must(more.is_empty(), format!("lb{} takes one more", node + 1));
            }
            for (node, names) in taken.iter().enumerate() {
                end(&uac, cluster.addr((node + 1) % 3), names);
            }
            agreed(
                &mut row,
                "0 after BYEs at other nodes",
                &cluster,
                0,
                Duration::from_secs(1),
            );
            if row.has_failed() {
                return row;
            }
        }
        row.say(format!(
            "{BURST} calls {what}: at most {most} up, {worst_over} above the bound"
        ));
    }
    row.figures.retain(|figure| figure.starts_with("100"));
    row
}

/// One node is cut from two, and calls come to both parts, for a destination that both reach.
pub fn split(scale: Scale) -> Row {
    let criterion = "no part has more than maxload of its own; two parts have twice that in the end; all see the sum \
                     within 2 s after healing";
    let mut row = Row::new(scale, criterion);
    let hold_s = scale.times(20, 4);
    let cluster = counting(3, &line(0, &format!(";maxload={MAXLOAD}")), hold_s);
    let uac = cluster.caller();
    let mut taken = [Vec::new(), Vec::new()];
    let mut fill = |what: &str, parts: &[usize]| {
        for &part in parts {
            let names = names(&format!("{what}-{part}"), BURST);
            let more = make(&uac, cluster.addr(part), &names);
            taken[part].extend(more.into_keys());
        }
        [taken[0].len(), taken[1].len()]
    };
    let before = fill("before", &[0]);
    agreed(
        &mut row,
        "all see them",
        &cluster,
        MAXLOAD as i64,
        Duration::from_secs(1),
    );
    cluster.cut(0, 1);
    cluster.cut(0, 2);
    let limit = patience(20);
    for (seer, node) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
        let step = Duration::from_millis(20);
        let look = || cluster.state_of(seer, node);
        let state = poll(step, limit, look, |state| state == "dead");
        row.must(state == "dead", format!("lb{} sees no cut", seer + 1));
    }
    // The calls of the other part count for less and less.
    let seen_as = fill("at-first", &[0, 1]);
    let faded = || counts(&cluster, 1).iter().all(|(all, own)| all == own);
    let hold = Duration::from_secs(hold_s.unsigned_abs());
    let is_over = poll(Duration::from_millis(50), hold + limit, faded, |over| *over);
    row.must(is_over, "the calls of the other part count for ever");
    let in_the_end = fill("later", &[0, 1]);
    row.say(format!(
        "up in both parts: before {before:?}, when the cut is seen {seen_as:?}, {hold_s} s later {in_the_end:?}"
    ));
    row.must(before == [MAXLOAD, 0], "not all places are taken");
    row.must(in_the_end == [MAXLOAD; 2], "not twice maxload");
    let healed = Instant::now();
    cluster.heal();
    match agree(&cluster, 2 * MAXLOAD as i64, healed, limit) {
        Some(took) => row.within(
            "all see the sum after healing",
            took,
            Duration::from_secs(2),
        ),
        None => row.must(false, "never the sum after healing"),
    }
    let more = fill("more", &[0, 1]);
    row.must(more == in_the_end, "a call more is taken");
    for (part, names) in taken.iter().enumerate() {
        end(&uac, cluster.addr(1 - part), names);
    }
    agreed(
        &mut row,
        "0 after BYEs at other nodes",
        &cluster,
        0,
        Duration::from_secs(1),
    );
    row
}

/// A node with 50 calls is killed, and then started again.
pub fn orphans(scale: Scale) -> Row {
    let criterion = "fall linearly to 0 in ds_dmq_dead_hold; after a restart nothing counts twice";
    let mut row = Row::new(scale, criterion);
    let hold_s = scale.times(20, 4);
    let list = lines(1);
    let mut cluster = counting(3, &list, hold_s);
    let uac = cluster.caller();
    let made = make(&uac, cluster.addr(2), &names("a", 50)).len() as i64;
    row.must(made == 50, format!("{made} calls"));
    agreed(
        &mut row,
        "the others see 50",
        &cluster,
        50,
        Duration::from_secs(1),
    );
    cluster.kill(2);
    let limit = patience(20);
    let step = Duration::from_millis(5);
    poll(
        step,
        limit,
        || cluster.state_of(0, 2),
        |state| state == "dead",
    );
    let (begun, hold) = (Instant::now(), hold_s as f64);
    let (mut worst, mut last) = (0.0_f64, 50);
    while begun.elapsed() < Duration::from_secs_f64(hold) + limit && last > 0 {
        let before = begun.elapsed().as_secs_f64();
        let left = seen(&cluster, 0);
        let right = |at: f64| 50.0 * (1.0 - at / hold).clamp(0.0, 1.0);
        let (low, high) = (right(begun.elapsed().as_secs_f64()), right(before));
        let off = (low - left as f64).max(left as f64 - high);
        worst = worst.max(off);
        row.must(left <= last, format!("{left} calls after {last}"));
        last = left;
        std::thread::sleep(Duration::from_millis(50));
    }
    row.must(last == 0, format!("{last} calls are left"));
    row.say(format!("{hold_s} s: at most {worst:.1} calls off the line"));
    row.must(
        scale == Scale::Short || worst <= 3.0,
        "they do not fall linearly",
    );
    // Killed and started at once: what it counts now, and what is left of its last life.
    start(&mut cluster, 2, &list, hold_s);
    cluster.wait_ready(limit);
    make(&uac, cluster.addr(2), &names("b", 50));
    agreed(&mut row, "50 again", &cluster, 50, Duration::from_secs(1));
    cluster.kill(2);
    start(&mut cluster, 2, &list, hold_s);
    cluster.wait_ready(limit);
    make(&uac, cluster.addr(2), &names("c", 10));
    let (begun, mut most) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs_f64(hold) {
        most = most.max(seen(&cluster, 0));
    }
    row.must(
        most <= 60,
        format!("{most} calls, though there were 50 and 10"),
    );
    agreed(
        &mut row,
        "only the new ones are left",
        &cluster,
        10,
        Duration::from_secs(2),
    );
    row.say(format!("after a restart at most {most} of 50 and 10"));
    row
}

/// An empty gateway comes to 10 others, each with the same number of calls, while calls come through all nodes.
pub fn empty(scale: Scale) -> Row {
    let criterion = "300 calls/s: the share of the new one overshoots the mean by less than 20 %";
    let mut row = Row::new(scale, criterion);
    let (gateways, each) = (10, scale.times(200, 20));
    let cluster = counting(3, &lines(gateways), 300);
    let uac = cluster.caller();
    for node in 0..3 {
        let share = gateways * each / 3 + usize::from(node < gateways * each % 3);
        make(
            &uac,
            cluster.addr(node),
            &names(&format!("old{node}"), share),
        );
    }
    let old = (gateways * each) as i64;
    agreed(
        &mut row,
        "all see the old ones",
        &cluster,
        old,
        Duration::from_secs(1),
    );
    for node in 0..3 {
        let params = json!([COUNTED, uri(gateways), 0, 0, "duid=new"]);
        let added = cluster.server(node).jsonrpc("dispatcher.add", params);
        row.must(added.is_ok(), format!("{added:?}"));
    }
    let pace = Duration::from_millis(10);
    let begun = Instant::now();
    let callers = (0..3).map(|node| {
        let (uac, addr) = (cluster.caller(), cluster.addr(node));
        let count = scale.times(300, 30);
        std::thread::spawn(move || {
            let names = names(&format!("new{node}"), count);
            let calls = (1..).zip(names).map(|(number, name)| {
                let taken = make(&uac, addr, &[name]).into_values().next();
                std::thread::sleep((pace * number).saturating_sub(begun.elapsed()));
                (begun.elapsed(), taken.unwrap_or_default())
            });
            calls.collect::<Vec<_>>()
        })
    });
    let callers: Vec<_> = callers.collect();
    let calls = callers
        .into_iter()
        .flat_map(|caller| caller.join().expect("a caller"));
    let mut calls: Vec<_> = calls.collect();
    calls.sort();
    let (mut at_new, mut all, mut most) = (0.0_f64, old as f64, 0.0_f64);
    for (_, dest) in &calls {
        row.must(!dest.is_empty(), "a call is refused");
        all += 1.0;
        at_new += f64::from(u8::from(*dest == uri(gateways)));
        let mean = (all - at_new) / gateways as f64;
        most = most.max(at_new / mean - 1.0);
    }
    let rate = calls.len() as f64 / begun.elapsed().as_secs_f64();
    let over = most * 100.0;
    row.say(format!(
        "{rate:.0} calls/s, {each} calls each: {over:.1} % above the mean at most"
    ));
    row.must(at_new > 0.0, "the new one takes no call");
    row.must(scale == Scale::Short || over < 20.0, "it overshoots");
    row
}

/// Milliseconds of CPU of all processes of a server.
fn cpu_ms(cluster: &Cluster, node: usize) -> u64 {
    let pid = cluster.server(node).pid();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let times = processes.filter_map(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let own = stat.starts_with(&format!("{pid} ")) || number(1)? == u64::from(pid);
        own.then_some(())?;
        Some(number(11)? + number(12)?)
    });
    // A tick of the kernel's count is a hundredth of a second.
    times.sum::<u64>() * 10
}

/// The cost of calls that are counted together.
pub fn cost(scale: Scale) -> Row {
    let mut row = Row::new(
        scale,
        "200 calls/s in all: CPU of each node, and bytes/s that it sends",
    );
    for (nodes, dests) in [(3, 100), (5, 1_000)] {
        for (load, mode) in [(1, "together"), (0, "each for itself")] {
            let mut cluster = Plan::of(nodes).make();
            for node in 0..nodes {
                let config = cluster.config(node, &lines(dests));
                let config = config.param("ds_hash_size", 10).param("ds_dmq_load", load);
                cluster.start(node, config);
            }
            cluster.wait_ready(patience(20));
            let sent = || {
                let others = (1..nodes).map(|other| {
                    let (one, other) = (cluster.place(0), cluster.place(other));
                    cluster.switch().traffic(one, other)
                });
                others.fold((0, 0), |sum, one| (sum.0 + one.kdmqs, sum.1 + one.bytes))
            };
            let uac = cluster.caller();
            let seconds = scale.times(20, 1);
            let (begun, before, cpu) = (Instant::now(), sent(), cpu_ms(&cluster, 0));
            for (number, name) in (1..).zip(names("c", 200 * seconds)) {
                let node = cluster.addr(number as usize % nodes);
                make(&uac, node, std::slice::from_ref(&name));
                // A third of them end elsewhere.
                let at = if number % 3 == 0 { number + 1 } else { number };
                if number % 2 == 0 {
                    end(&uac, cluster.addr(at as usize % nodes), &[name]);
                }
                std::thread::sleep(
                    (Duration::from_millis(5) * number).saturating_sub(begun.elapsed()),
                );
            }
            let took = begun.elapsed().as_secs_f64();
            let after = sent();
            let cpu = (cpu_ms(&cluster, 0) - cpu) as f64 / 10.0 / took;
            let messages = (after.0 - before.0) as f64 / took;
            let bytes = (after.1 - before.1) as f64 / took / 1e3;
            row.say(format!(
                "{nodes} x {dests}, {mode}: {messages:.1} KDMQ/s and {bytes:.1} kB/s by each, {cpu:.1} % of a core"
            ));
        }
    }
    row
}
