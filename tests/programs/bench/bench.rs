//! `make bench` and its like: what the module costs, with the packaged C module beside ours.
//!
//! The argument says which part of `doc/dev/reports/bench.md` is measured and written: `instructions` (the
//! default), `live`, `growth`, `calls` (with `million` for a million calls as well), `hostile`
//! (with the seconds of its floods), `traffic`, `ping`, `domain` (what `cargo bench` left). Figures are reported,
//! never asserted. `only KEY...` takes the instructions of single cases and writes nothing: keys are in the
//! page's tables, `alg*` means all that begin so. `print PART` writes nothing either, and has
//! `followers`, a table of `live`, and `workers`, one of `growth`, as parts, too. `compare BASE PART
//! [KEY...]` measures the build of the module at `BASE` and the one under test, without the C module, and
//! prints the rows that differ. `targets` judges the page's figures anew.
//!
//! Environment: `ALLOCATOR` (`qm`, `fm`; `tlsf` where it is not set) for the parts that measure with one
//! allocator, which are then only printed; `WITHOUT_C` leaves the C module out; `PARAMETER` (`counters=2`) sets a
//! parameter of our module, and of a comparison only that of the build under test.

mod allocators;
mod calls;
mod cases;
mod compare;
mod counter;
mod domain;
mod followers;
mod growth;
mod hostile;
mod instructions;
mod lists;
mod machine;
mod page;
mod ping;
mod report;
mod targets;
mod traffic;

use std::path::Path;
use std::time::Instant;

use page::Page;

fn main() {
    let begin = Instant::now();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["only", ..] => {
            let (tables, _) = instructions::part(&args[1..]);
            tables.iter().for_each(|table| println!("{}", table.text()));
        }
        ["targets"] => Page::read()
            .write()
            .expect("doc/dev/reports/bench.md is written"),
        ["print", what, ..] => print!("{}", part(what, &args[2..])),
        ["compare", base, what, ..] => {
            let table = compare::part(Path::new(base), what, &args[3..]);
            println!("Rows that differ by more than 3 %:\n\n{}", table.text());
        }
        _ => {
            let what = words.first().copied().unwrap_or("instructions");
            let part = part(what, args.get(1..).unwrap_or_default());
            print!("{part}");
            if machine::allocator() != machine::USUAL_ALLOCATOR || machine::parameter().is_some() {
                return;
            }
            Page::read()
                .save(&part)
                .expect("doc/dev/reports/bench.md is written");
            let seconds = begin.elapsed().as_secs_f64();
            println!("\nIn doc/dev/reports/bench.md, too. Done in {seconds:.0} s.");
        }
    }
}

/// Measures a part; its text for the page.
fn part(what: &str, rest: &[String]) -> String {
    match what {
        "instructions" => instructions::part(rest).1,
        "live" => lists::part(),
        "followers" => followers::table().markdown(),
        "calls" => {
            let million = rest.iter().any(|arg| arg == "million");
            calls::part(if million { 1_000_000 } else { 100_000 })
        }
        "growth" => growth::part(),
        "workers" => growth::workers(&machine::Floor::new()).markdown(),
        "hostile" => {
            let seconds = rest.first().and_then(|text| text.parse().ok());
            hostile::part(seconds.unwrap_or(300))
        }
        "traffic" => traffic::part(),
        "domain" => domain::part(),
        "ping" => ping::part(),
        other => panic!("no bench is called {other:?}"),
    }
}
