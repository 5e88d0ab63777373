//! Runs every target on its seeds, on mutated inputs, and on long ones, without coverage and on a stable compiler.
//!
//! `FUZZ_INPUTS` is the number of mutated inputs of all targets (1,000,000), `FUZZ_SEED` chooses them (2026),
//! `FUZZ_TARGET` takes one target, and `FUZZ_INPUT` runs one file on it instead.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use dispatcher_fuzz::{TARGETS, Target, mutate};

/// Where an input is kept that broke a rule.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/fuzz-failures");

/// The length of long inputs. What takes the square of it does not end within [`LONG_TIME`].
const LONG: usize = 1_000_000;
const LONG_TIME: Duration = Duration::from_secs(30);

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.map_or(default, |value| value.parse().expect("a number"))
}

fn chosen() -> Vec<&'static Target> {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found: Vec<_> = TARGETS
        .iter()
        .filter(|target| name.is_empty() || target.name == name)
        .collect();
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert!(!found.is_empty(), "no target {name}: {}", names.join(" "));
    found
}

/// Prints a line past the capture of the test runner.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Runs a target; keeps the input in a file, and says how to run it again, if it breaks a rule.
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
    for target in chosen() {
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
fn one_file() {
    let Some(file) = std::env::var_os("FUZZ_INPUT") else {
        return;
    };
    let input = fs::read(file).expect("the input");
    let chosen = chosen();
    assert_eq!(chosen.len(), 1, "FUZZ_INPUT needs FUZZ_TARGET");
    run(chosen[0], &input);
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
    for (nth, target) in chosen.into_iter().enumerate() {
        let start = Instant::now();
        // Numbers of a seed are far from those of the next one, and each target has its own.
        let base = (seed << 40).wrapping_add((nth as u64) << 60);
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

/// No reader takes the square of the length: a word that is repeated without end comes to an end.
#[test]
fn long_inputs() {
    for target in chosen() {
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
