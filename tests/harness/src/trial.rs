//! Programs that run for some time and choose by a seed, both of which the environment may set.

use std::fmt::Display;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// A run of such a program.
pub struct Trial {
    name: &'static str,
    /// How long it takes: `NAME_SECONDS`.
    pub seconds: u64,
    /// What all choices follow from: `NAME_SEED`, or the clock.
    pub seed: u64,
}

impl Trial {
    /// Begins a run of the program with this name, and prints its seed. `seconds` is the time where none is set.
    pub fn begin(name: &'static str, seconds: u64) -> Self {
        let by_clock = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map_or(0, |now| u64::from(now.subsec_micros()))
        };
        let upper = name.to_uppercase();
        let trial = Self {
            name,
            seconds: setting(&format!("{upper}_SECONDS")).unwrap_or(seconds),
            seed: setting(&format!("{upper}_SEED")).unwrap_or_else(by_clock),
        };
        let Self { seconds, seed, .. } = trial;
        println!("{name}: {upper}_SEED={seed} {upper}_SECONDS={seconds}");
        trial
    }

    /// Prints what went wrong, and how the run ended.
    pub fn end(&self, wrong: &[impl Display]) -> ExitCode {
        let (name, seed) = (self.name, self.seed);
        wrong.iter().for_each(|what| println!("{name}: {what}"));
        if wrong.is_empty() {
            println!("{name}: OK");
            return ExitCode::SUCCESS;
        }
        println!("{name}: FAILED with {}_SEED={seed}", name.to_uppercase());
        ExitCode::FAILURE
    }
}

/// Returns what the environment says under this name; none if that is empty. Panics on what is no such value.
pub fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let value = text.parse().ok();
    Some(value.unwrap_or_else(|| panic!("{name} is a number, not {text:?}")))
}
