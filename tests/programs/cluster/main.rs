//! `make cluster`: several servers as one dispatcher, with faults of the network, of nodes and of clocks.
//!
//! | file | contents |
//! | --- | --- |
//! | `bus` | a bus in trouble |
//! | `calls` | calls through every node meanwhile |
//! | `changes` | changes of states: plain, over bad lines, at once, many |
//! | `clocks` | wrong clocks |
//! | `deaths` | nodes that are killed, stopped, restarted |
//! | `hostile` | old, foreign and garbled messages |
//! | `hour` | everything at random |
//! | `joins` | nodes that join, and other lists |
//! | `loads` | calls that all nodes count together |
//! | `mixed` | other modules, releases and versions, and TLS |
//! | `node` | a node that the test speaks for |
//! | `pings` | one node pings for all |
//! | `row` | a row of the table |
//! | `scene` | clusters, and how their states are looked at |
//! | `splits` | lines that are cut |
//!
//! `ROWS=plain,split` takes these rows only; `hour` is run only if it is named. The table is in `target/cluster/table.md`. A little of each row is in
//! `make test-server`, where no time is limited.

mod bus;
mod calls;
mod changes;
mod clocks;
mod deaths;
mod hostile;
mod hour;
mod joins;
mod loads;
mod mixed;
#[cfg(test)]
mod net;
mod node;
mod pings;
mod row;
mod scene;
mod splits;
#[cfg(test)]
mod switch;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use harness::{root, this_machine};
use row::{Row, Scale};

/// Name, what is done, and how.
type Entry = (&'static str, &'static str, fn(Scale) -> Row);

/// The row that takes an hour.
const LONG: &str = "hour";

/// All rows, in their order.
const ROWS: [Entry; 36] = [
    (
        "plain",
        "d, drain, a on each of 3 nodes, 200 times",
        changes::plain,
    ),
    (
        "loopback",
        "the same on loopback, without a switch",
        changes::loopback,
    ),
    (
        "lossy",
        "the same with 10 % loss, 5 % doubled, 5 % reordered",
        changes::lossy,
    ),
    (
        "at-once",
        "one destination set on 3 nodes at once, 200 times",
        changes::at_once,
    ),
    ("idle", "nothing is set for 20 s", changes::idle),
    ("hours", "clocks off by +3 h and -3 h", clocks::hours),
    ("days", "a clock off by +48 h", clocks::days),
    (
        "burst",
        "10,000 changes on one node under calls",
        changes::burst,
    ),
    ("killed", "kill -9 of each node under calls", deaths::killed),
    (
        "stopped",
        "SIGSTOP of each node for 30 s under calls",
        deaths::stopped,
    ),
    (
        "restarted",
        "restart of each node under calls",
        deaths::restarted,
    ),
    ("five", "five nodes", deaths::five),
    ("split", "cut into 1 and 2 for 60 s", splits::split),
    ("one-way", "one direction cut for 30 s", splits::one_way),
    (
        "pinger-killed",
        "kill -9 of the node that pings, 50 times",
        pings::killed,
    ),
    (
        "pinger-cut",
        "the node that pings is cut from the gateways, then from all",
        pings::cut_off,
    ),
    (
        "pinger-one-way",
        "one direction between two nodes cut for 30 s",
        pings::one_way,
    ),
    (
        "pings",
        "1,000 destinations, with 1, 3 and 5 nodes",
        pings::many,
    ),
    ("join", "a node joins 100 times", joins::plain),
    (
        "bereft",
        "a node joins while another one is killed, 20 times",
        joins::bereft,
    ),
    ("reload", "a new list on one node", joins::reload),
    (
        "maxload",
        "bursts of 100 calls to maxload 30, BYEs at other nodes",
        loads::maxload,
    ),
    (
        "load-split",
        "cut into 1 and 2, calls to maxload 30 in both parts",
        loads::split,
    ),
    (
        "orphans",
        "a node with 50 calls is killed, and started",
        loads::orphans,
    ),
    ("empty", "an empty gateway comes to 10 others", loads::empty),
    (
        "load-cost",
        "200 calls/s, 3 x 100 and 5 x 1,000 destinations",
        loads::cost,
    ),
    ("keyed", "bad messages, with a key", hostile::keyed),
    ("keyless", "bad messages, without a key", hostile::keyless),
    (
        "dropped",
        "the script drops messages of the bus",
        bus::dropped,
    ),
    ("workers", "dmq's workers are stopped", bus::workers_stopped),
    (
        "locked",
        "a name that does not resolve in dmq's list",
        bus::locked,
    ),
    ("c-module", "a node with the C module", mixed::c_module),
    ("releases", "5.6 and 6.0", mixed::releases),
    ("later", "a node that speaks 1.1", mixed::later),
    ("tls", "the bus over TLS", mixed::tls),
    (LONG, "everything at random, under calls", hour::hour),
];

/// Rows that are run: those that `ROWS` names, or all.
fn chosen() -> Vec<Entry> {
    let names = std::env::var("ROWS").unwrap_or_default();
    let names: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
    for name in &names {
        assert!(ROWS.iter().any(|row| row.0 == *name), "no row {name}");
    }
    let is_chosen = |row: &Entry| match names.is_empty() {
        true => row.0 != LONG,
        false => names.contains(&row.0),
    };
    ROWS.into_iter().filter(is_chosen).collect()
}

fn main() -> ExitCode {
    if this_machine::lacks_a_switch() {
        return ExitCode::FAILURE;
    }
    let mut table =
        "| row | done | must hold | seen | |\n| --- | --- | --- | --- | --- |\n".to_owned();
    let mut failed = Vec::new();
    for (name, done, run) in chosen() {
        println!("cluster: {name}: {done}");
        let begun = Instant::now();
        let end = catch_unwind(AssertUnwindSafe(|| run(Scale::Full)));
        let row = end.unwrap_or_else(|why| {
            let mut row = Row::new(Scale::Full, "");
            row.must(false, text(&*why));
            row
        });
        let good = row.faults.is_empty();
        let end = if good { "held" } else { "FAILED" };
        println!("cluster: {name}: {end} ({} s)", begun.elapsed().as_secs());
        for fault in row.faults.iter().take(20) {
            println!("    {fault}");
        }
        if !good {
            failed.push(name);
        }
        let seen = row.figures.join("; ").replace('|', "/");
        table += &format!("| {name} | {done} | {} | {seen} | {end} |\n", row.criterion);
        let folder = root().join("target/cluster");
        fs::create_dir_all(&folder).expect("a folder for the table");
        fs::write(folder.join("table.md"), &table).expect("the table");
    }
    println!("\n{table}");
    if failed.is_empty() {
        println!("cluster: OK");
        return ExitCode::SUCCESS;
    }
    println!("cluster: FAILED: {}", failed.join(", "));
    ExitCode::FAILURE
}

/// What a panic said.
fn text(why: &(dyn Any + Send)) -> String {
    let text = why.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| why.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}
