//! `make bench` and its like: what the module costs, with the packaged C module beside ours.
//!
//! The argument says which part of `doc/dev/reports/bench.md` is measured and written: `instructions` (the
//! default), `live`, `growth`, `calls` (with `million` for a million calls as well), `traffic`,
//! `ping`, `domain` (what `cargo bench` left). Figures are reported,
//! never asserted. `only KEY...` takes the instructions of single cases and writes nothing: keys are in the
//! page's table, `alg*` means all that begin so.

mod calls;
mod cases;
mod counter;
mod domain;
mod growth;
mod instructions;
mod lists;
mod machine;
mod page;
mod ping;
mod report;
mod targets;
mod traffic;

use std::time::Instant;

use page::Page;

fn main() {
    let begin = Instant::now();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (what, rest) = args
        .split_first()
        .map_or(("instructions", &[][..]), |(what, rest)| {
            (what.as_str(), rest)
        });
    let part = match what {
        "only" => {
            print!("{}", instructions::part(rest).0.text());
            return;
        }
        "instructions" => {
            let (table, part) = instructions::part(&[]);
            print!("{}", table.text());
            part
        }
        "live" => lists::part(),
        "calls" => {
            let million = rest.iter().any(|arg| arg == "million");
            calls::part(if million { 1_000_000 } else { 100_000 })
        }
        "growth" => growth::part(),
        "traffic" => traffic::part(),
        "domain" => domain::part(),
        "ping" => ping::part(),
        other => panic!("no bench is called {other:?}"),
    };
    if what != "instructions" {
        print!("{part}");
    }
    Page::read()
        .save(&part)
        .expect("doc/dev/reports/bench.md is written");
    println!(
        "\nIn doc/dev/reports/bench.md, too. Done in {:.0} s.",
        begin.elapsed().as_secs_f64()
    );
}
