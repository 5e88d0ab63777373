//! Runs every target on its seeds, on mutated inputs and on long inputs, with stable Rust and without coverage.
//!
//! `FUZZ_INPUTS` is the number of mutated inputs for all targets together (1,000,000), `FUZZ_SEED` selects them (2026),
//! and `FUZZ_TARGET` selects one target. The test `one_file` runs that target on the file `FUZZ_INPUT`.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use dispatcher_fuzz::{TARGETS, Target, mutate};

/// The directory for inputs that broke a rule.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/fuzz-failures");

/// The length of long inputs. A reader whose time grows with the square of it does not finish within [`LONG_TIME`].
const LONG: usize = 1_000_000;
const LONG_TIME: Duration = Duration::from_secs(30);

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// Returns the targets to run, each with its place among all targets.
fn chosen() -> Vec<(usize, &'static Target)> {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found: Vec<_> = TARGETS
        .iter()
        .enumerate()
        .filter(|(_, target)| name.is_empty() || target.name == name)
        .collect();
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert!(!found.is_empty(), "no target {name}: {}", names.join(" "));
    found
}

/// Prints a line that the test runner does not capture.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Runs a target on an input. If the input breaks a rule, keeps it in a file and says how to run it again.
fn run(target: &Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok() {
        return;
    }
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let file = Path::new(KEPT).join(format!("{}-{:016x}", target.name, hasher.finish()));
    fs::create_dir_all(KEPT).expect("a directory for failures");
    fs::write(&file, input).expect("a file for the input");
    let start = input.get(..200).unwrap_or(input).escape_ascii();
    panic!(
        "target {} breaks a rule with b\"{start}\" ({} bytes), kept for\n  make fuzz TARGET={} INPUT={}",
        target.name,
        input.len(),
        target.name,
        file.canonicalize().expect("the file").display()
    );
}

#[test]
fn seeds() {
    for (_, target) in chosen() {
        let words: Vec<&[u8]> = target.words.iter().chain(target.seeds).copied().collect();
        run(target, b"");
        for &first in &words {
            run(target, first);
            for &second in &words {
                run(target, &[first, second].concat());
            }
        }
    }
}

#[test]
#[ignore = "runs a file that the caller names: make fuzz TARGET=name INPUT=file"]
fn one_file() {
    let file = std::env::var_os("FUZZ_INPUT").expect("FUZZ_INPUT names a file");
    let input = fs::read(file).expect("the input");
    match chosen()[..] {
        [(_, target)] => run(target, &input),
        _ => panic!("FUZZ_TARGET names the target of the input"),
    }
}

#[test]
fn mutated_inputs() {
    let (inputs, seed) = (
        setting("FUZZ_INPUTS", 1_000_000),
        setting("FUZZ_SEED", 2026),
    );
    let chosen = chosen();
    let each = inputs.div_ceil(chosen.len() as u64);
    let mut input = Vec::new();
    for (place, target) in chosen {
        let start = Instant::now();
        // No two seeds or targets share a number, and a target has the same numbers whether it runs alone or not.
        let base = (seed << 40).wrapping_add((place as u64) << 60);
        for number in 0..each {
            mutate::input(target, base.wrapping_add(number), &mut input);
            run(target, &input);
        }
        let took = start.elapsed().as_secs_f64();
        say(&format!(
            "fuzz: {}: {each} inputs in {took:.1} s, FUZZ_SEED={seed}",
            target.name
        ));
    }
}

/// No reader takes time that grows with the square of the length.
#[test]
fn long_inputs() {
    for (_, target) in chosen() {
        let (done, wait) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let start = target.seeds.first().copied().unwrap_or_default();
            for word in target.words {
                run(target, &[start, &word.repeat(LONG / word.len())].concat());
                let _ = done.send(());
            }
        });
        let ended = loop {
            match wait.recv_timeout(LONG_TIME) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => break true,
                Err(RecvTimeoutError::Timeout) => break false,
            }
        };
        assert!(
            ended,
            "{}: an input of {LONG} bytes does not end",
            target.name
        );
        assert!(reader.join().is_ok(), "{}: see above", target.name);
    }
}
