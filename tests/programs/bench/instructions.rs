//! The part "Instructions per call": its table.

use super::allocators;
use super::cases::{self, Case};
use super::counter::{self, Figure};
use super::machine;
use super::report::{self, Table};
use harness::Module;

const METHOD: &str = "\
Instructions of one call in one worker, by callgrind in the real server. A script loop makes the call a few
times and many times in one message; the difference counts, the empty loop is subtracted. Both modules get
the same lists and messages. The first table is of servers with `-x tlsf -X tlsf`, the second one of servers
with each allocator, of which `qm` is the server's default.

- `floor` is a module of the bench (`tests/programs/bench/floor.c`) whose function takes a set and an algorithm as
  `ds_select_dst` does and only sends the message to one fixed destination. *Above the floor* is what a
  selection costs besides.
- Where no parameter is named, `flags` is 0 and `xavp_ctx_mode` 1, so that nothing but the message's
  destination is written.
- All destinations are usable where nothing else is said. They are in one set where nothing else is said,
  and all URIs are equally long, as those of real lists mostly are: the C module compares texts of one length
  only. The rows *of many lengths* have IPv4 addresses as they come.
- Names of two addresses: all count with `ds_dns_match_all`, which is ours; the C module knows the first.
- A dash: the C module needs minutes for it, or refuses.
- With each allocator: a call gives its lists back, as a request does at its end. *Fresh* is a server that has
  started with its list of 110 destinations in two sets; *after a reload* is the server that has made 10,000
  calls before.";

/// Takes the figures of the cases with these keys, or of all: the tables with rows, and the part of the page.
pub fn part(keys: &[String]) -> (Vec<Table>, String) {
    let chosen = |mut cases: Vec<Case>| {
        cases.retain(|case| keys.is_empty() || wanted(case.key, keys));
        cases
    };
    let (cases, allocating) = (chosen(cases::all()), chosen(cases::of_allocators()));
    let measure = |module| {
        let figures = counter::measure(module, &cases);
        (figures, allocators::measure(module, &allocating))
    };
    let (c, ours) = std::thread::scope(|scope| {
        let c = machine::c_too().then(|| scope.spawn(|| measure(Module::C)));
        let ours = measure(Module::Rust);
        let c = c.map(|c| c.join().expect("the C module was measured"));
        (c.unwrap_or_default(), ours)
    });
    let mut tables = vec![
        table(&cases, &c.0, &ours.0),
        allocators::table(&allocating, &c.1, &ours.1),
    ];
    tables.retain(|table| !table.is_empty());
    let all: Vec<&Table> = tables.iter().collect();
    let part = report::part(super::page::PARTS[0], "bench", METHOD, &all);
    (tables, part)
}

/// The floor is always measured: the others are compared with it.
fn wanted(key: &str, keys: &[String]) -> bool {
    let named = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => key == pattern,
    };
    key == cases::FLOOR || keys.iter().any(named)
}

/// A figure of a module; none of one that was not asked.
fn figure(figures: &[Vec<Figure>], case: usize, size: usize) -> Option<f64> {
    figures.get(case)?.get(size)?.clone().ok()
}

fn table(cases: &[Case], c: &[Vec<Figure>], ours: &[Vec<Figure>]) -> Table {
    let mut table = Table::new(
        &["call", "key"],
        &[
            "n",
            "C",
            "ours",
            "ours / C",
            "above the floor: C",
            "ours above",
            "ratio above",
        ],
    );
    let place = cases.iter().position(|case| case.key == cases::FLOOR);
    let floor = |figures: &[Vec<Figure>]| figure(figures, place?, 0);
    let (c_floor, our_floor) = (floor(c), floor(ours));
    for (index, case) in cases.iter().enumerate() {
        for (at, &size) in case.sizes.iter().enumerate() {
            let (c, ours) = (figure(c, index, at), figure(ours, index, at));
            let above = |figure: Option<f64>, floor: Option<f64>| {
                let above = figure? - floor?;
                case.selects.then_some(above)
            };
            let (c_above, our_above) = (above(c, c_floor), above(ours, our_floor));
            table.row([
                case.name.to_owned(),
                format!("`{}`", case.key),
                report::number(size as f64, 0),
                report::figure(c, 0),
                report::figure(ours, 0),
                report::ratio(c, ours),
                report::figure(c_above, 0),
                report::figure(our_above, 0),
                report::ratio(c_above, our_above),
            ]);
        }
    }
    table
}
