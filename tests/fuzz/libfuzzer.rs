//! The program that runs a target under libFuzzer. `FUZZ_TARGET` names the target; without it, the program prints the
//! names of all targets. The program writes the seeds into the directory `FUZZ_SEEDS`, and the dictionary beside it.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use dispatcher_fuzz::{TARGETS, Target, target};
use libfuzzer_sys::fuzz_target;

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(
    init: {
        let Ok(name) = std::env::var("FUZZ_TARGET") else {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            std::process::exit(0);
        };
        let chosen = target(&name).expect("a target of that name");
        if let Some(seeds) = std::env::var_os("FUZZ_SEEDS") {
            write_seeds(chosen, Path::new(&seeds));
        }
        let _ = CHOSEN.set(chosen);
    },
    |data: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            (target.run)(data);
        }
    }
);

fn write_seeds(target: &Target, seeds: &Path) {
    fs::create_dir_all(seeds).expect("a directory for the seeds");
    for (number, seed) in target.seeds.iter().enumerate() {
        fs::write(seeds.join(format!("seed-{number}")), seed).expect("a seed");
    }
    let word = |word: &&[u8]| {
        let bytes = word.iter().map(|byte| format!("\\x{byte:02x}"));
        format!("\"{}\"\n", bytes.collect::<String>())
    };
    let words: String = target.words.iter().map(word).collect();
    fs::write(seeds.with_extension("words"), words).expect("the dictionary");
}
