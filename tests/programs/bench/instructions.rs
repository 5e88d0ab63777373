//! The part "Instructions per call": its table.

use super::cases::{self, Case};
use super::counter::{self, Figure};
use super::report::{self, Table};
use harness::Module;

const METHOD: &str = "\
Instructions of one call in one worker, by callgrind in the real server (`-x tlsf -X tlsf`). A script loop
makes the call a few times and many times in one message; the difference counts, the empty loop is
subtracted. Both modules get the same lists and messages.

- `floor` is a module of the bench (`tests/programs/bench/floor.c`) whose function takes a set and an algorithm as
  `ds_select_dst` does and only sends the message to one fixed destination. *Above the floor* is what a
  selection costs besides.
- Where no parameter is named, `flags` is 0 and `xavp_ctx_mode` 1, so that nothing but the message's
  destination is written.
- All destinations are usable where nothing else is said. They are in one set where nothing else is said,
  and all URIs are equally long, as those of real lists mostly are: the C module compares texts of one length
  only. The rows *of many lengths* have IPv4 addresses as they come.
- Names of two addresses: all count with `ds_dns_match_all`, which is ours; the C module knows the first.
- A dash: the C module needs minutes for it, or refuses.";

/// Takes the figures of the cases with these keys, or of all.
pub fn part(keys: &[String]) -> (Table, String) {
    let mut chosen = cases::all();
    if !keys.is_empty() {
        chosen.retain(|case| wanted(case.key, keys));
    }
    let (c, ours) = std::thread::scope(|scope| {
        let c = scope.spawn(|| counter::measure(Module::C, &chosen));
        let ours = counter::measure(Module::Rust, &chosen);
        (c.join().expect("the C module was measured"), ours)
    });
    let table = table(&chosen, &c, &ours);
    let part = report::part(super::page::PARTS[0], "bench", METHOD, &[&table]);
    (table, part)
}

/// The floor is always measured: the others are compared with it.
fn wanted(key: &str, keys: &[String]) -> bool {
    let named = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => key == pattern,
    };
    key == cases::FLOOR || keys.iter().any(named)
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
    let floor = |figures: &[Vec<Figure>]| place.and_then(|place| figures[place][0].clone().ok());
    let (c_floor, our_floor) = (floor(c), floor(ours));
    for (index, case) in cases.iter().enumerate() {
        for (at, &size) in case.sizes.iter().enumerate() {
            let (c, ours) = (c[index][at].clone().ok(), ours[index][at].clone().ok());
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
