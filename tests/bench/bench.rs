//! `make bench`: what calls, a reload and the memory cost, with the packaged C module beside ours.
//!
//! Prints one table and writes it to `doc/bench.md`. Figures are reported, never asserted. With the
//! argument `live` (`make bench-live`) it takes the figures of large lists, and writes that part only;
//! with `calls` (`make bench-calls`) those of call load, with `million` for a million calls as well;
//! with `ping` (`make bench-ping`) those of pings.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "test code: a failure here is a failed measurement"
)]

#[path = "../server/mod.rs"]
mod server;

mod calls;
mod cases;
mod counter;
mod live;
mod load;
mod ping;
mod report;

use std::time::Instant;

use cases::CASES;
use report::Row;
use server::Module;

const METHOD: &str = "\
Calls: instructions of one call in one worker, by callgrind in the real server (`-x tlsf -X tlsf`). A
script loop makes the call 20 and 60 times in one message; the empty loop is subtracted. Both modules
get the same lists and messages.

- The first two rows are the server's own: what any module function and what setting the destination
  by hand cost.
- Where no parameter is named, `flags` is 0 and `xavp_ctx_mode` 1, so that nothing but the message's
  destination is written. The server's memory manager makes most of the rest.
- All destinations are usable where nothing else is said. The destinations are in one set, with a
  `weight` where `flags` is 0.
- Reload: the fastest of seven, less the time of an RPC that does nothing.
- Memory: `real_used` of `core.shmmem`, with and without the list.";

fn main() {
    let begin = Instant::now();
    if std::env::args().any(|arg| arg == "live") {
        let table = live::table();
        print!("{table}");
        report::save_part(live::HEAD, &table).expect("doc/bench.md is written");
        return;
    }
    if std::env::args().any(|arg| arg == "ping") {
        let table = ping::table();
        print!("{table}");
        report::save_part(ping::HEAD, &table).expect("doc/bench.md is written");
        return;
    }
    if std::env::args().any(|arg| arg == "calls") {
        let million = std::env::args().any(|arg| arg == "million");
        let table = calls::table(if million { 1_000_000 } else { 100_000 });
        print!("{table}");
        report::save_part(calls::HEAD, &table).expect("doc/bench.md is written");
        return;
    }
    let (c, ours) = std::thread::scope(|scope| {
        let c = scope.spawn(|| counter::measure(Module::C));
        let ours = counter::measure(Module::Rust);
        (c.join().expect("the C module was measured"), ours)
    });
    let mut rows = Vec::new();
    for (index, case) in CASES.iter().enumerate() {
        for (n, &size) in case.sizes.iter().enumerate() {
            rows.push(Row {
                what: case.name.to_owned(),
                list: format!("{size}"),
                c: c[index][n],
                ours: ours[index][n],
                digits: 0,
            });
        }
    }
    rows.extend([1, 100].map(|sets| compare("reload, ms", sets, 1, load::reload_ms)));
    rows.extend([1, 100].map(|sets| {
        compare(
            "shared memory per destination, bytes",
            sets,
            0,
            load::shm_per_destination,
        )
    }));
    print!("{}", report::text(&rows));
    report::save(&report::markdown(&rows, METHOD)).expect("doc/bench.md is written");
    println!(
        "\nIn doc/bench.md, too. Done in {:.0} s.",
        begin.elapsed().as_secs_f64()
    );
}

/// One figure of both modules.
fn compare(what: &str, sets: usize, digits: usize, figure: fn(Module, usize) -> f64) -> Row {
    Row {
        what: what.to_owned(),
        list: format!(
            "{} in {sets} set{}",
            load::DESTINATIONS,
            if sets == 1 { "" } else { "s" }
        ),
        c: figure(Module::C, sets),
        ours: figure(Module::Rust, sets),
        digits,
    }
}
