//! The examples of the manual, run: doc/dev/manual.md says how they are marked.
//!
//! `PAGE=doc/guide/operate.md` runs those of one page.
#![cfg(test)]

mod book;
mod config;
mod container;
mod ranges;
mod room;
mod scene;
mod session;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use harness::manual::{self, Block};
use harness::this_machine;

/// Examples run at a time. They mostly wait.
const WORKERS: usize = 4;

/// What became of the examples so far.
#[derive(Default)]
struct Results {
    /// By kind.
    counts: BTreeMap<&'static str, usize>,
    faults: Vec<String>,
}

/// The counts of one example, by kind.
type Counts = Vec<(&'static str, usize)>;

/// An example, and what is before it on its page.
struct Example {
    block: Block,
    above: Above,
}

/// The last list and the last config before an example, and all files.
#[derive(Clone, Default)]
struct Above {
    list: String,
    config: String,
    files: Vec<Block>,
}

fn examples() -> Vec<Example> {
    let only = std::env::var("PAGE").ok();
    let mut found = Vec::new();
    for (page, text) in manual::pages() {
        if only.as_ref().is_some_and(|only| *only != page) {
            continue;
        }
        let mut above = Above::default();
        for block in manual::blocks(&page, &text) {
            match block.mark.as_str() {
                "list" => above.list.clone_from(&block.text),
                "cfg" => above.config.clone_from(&block.text),
                "file" => above.files.push(block.clone()),
                _ => {}
            }
            let above = above.clone();
            found.push(Example { block, above });
        }
    }
    found
}

fn run(example: &Example) -> Counts {
    let block = &example.block;
    match block.mark.as_str() {
        "cfg" => config::starts(block, &example.above),
        "lua" => config::runs_in_lua(block),
        "list" => session::loads(block),
        "sh" | "console" => session::runs(block, &example.above),
        // Configs below it find it.
        "file" => vec![("files", 1)],
        // Compared by other tests.
        "usage" | "mi" => vec![("compared elsewhere", 1)],
        other => panic!("no such mark: {other}"),
    }
}

#[test]
fn every_example_of_the_manual_runs() {
    if this_machine::lacks_rooms() {
        return;
    }
    let examples = Mutex::new(examples().into_iter());
    let results = Mutex::new(Results::default());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                room::enter();
                loop {
                    let Some(example) = examples.lock().unwrap().next() else {
                        break;
                    };
                    let end = catch_unwind(AssertUnwindSafe(|| run(&example)));
                    let mut results = results.lock().unwrap();
                    match end {
                        Ok(counts) => {
                            *results.counts.entry("examples").or_default() += 1;
                            for (kind, count) in counts {
                                *results.counts.entry(kind).or_default() += count;
                            }
                        }
                        Err(why) => results.faults.push(fault(&example.block, &*why)),
                    }
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let counts = results.counts.iter();
    let counts: Vec<String> = counts
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let _ = writeln!(std::io::stderr(), "docs-check: {}", counts.join(", "));
    assert!(
        results.faults.is_empty(),
        "{} examples fail:\n{}",
        results.faults.len(),
        results.faults.join("\n")
    );
}

fn fault(block: &Block, why: &(dyn std::any::Any + Send)) -> String {
    let text = why
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| why.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("a panic without a text");
    format!("== {} ({})\n{text}", block.place(), block.mark)
}
