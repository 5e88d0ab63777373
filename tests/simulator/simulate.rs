//! Runs seeds of the simulator: `SEEDS` of them (100,000), from `FROM` on (0), with `NODES` nodes (3 to 7). With `TRACE=1`
//! it says what happens. With `DESTINATIONS` it measures instead what `NODES` nodes (100) with so many destinations send to
//! which nothing bad happens.

use std::process::ExitCode;
use std::time::Instant;

use dispatcher::dispatch::cluster::state::rules::Sound;
use dispatcher_simulator::calm::measure;
use dispatcher_simulator::many::run_all;
use dispatcher_simulator::world::run;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

fn main() -> ExitCode {
    let from = setting("FROM").unwrap_or(0);
    let seeds = setting("SEEDS").unwrap_or(100_000);
    let nodes = setting("NODES").map(|nodes| usize::try_from(nodes).expect("a number of nodes"));
    if let Some(destinations) = setting("DESTINATIONS") {
        let begin = Instant::now();
        return match measure(nodes.unwrap_or(100), destinations) {
            Ok(calm) => {
                println!("{destinations} destinations, {calm}");
                println!("{:.1} s", begin.elapsed().as_secs_f64());
                ExitCode::SUCCESS
            }
            Err(wrong) => {
                println!("{wrong}");
                ExitCode::FAILURE
            }
        };
    }
    if setting("TRACE").is_some_and(|trace| trace > 0) {
        for seed in from..from + seeds {
            println!("seed {seed}");
            match run::<Sound>(seed, nodes, true) {
                Ok(figures) => println!("{figures}"),
                Err(wrong) => {
                    println!("seed {seed}: {wrong}");
                    return ExitCode::FAILURE;
                }
            }
        }
        return ExitCode::SUCCESS;
    }
    let begin = Instant::now();
    match run_all::<Sound>(from..from + seeds, nodes) {
        Ok(figures) => {
            println!("{figures}");
            println!("{:.1} s", begin.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("seed {}: {}", failure.seed, failure.wrong);
            let nodes = nodes
                .map(|nodes| format!(" NODES={nodes}"))
                .unwrap_or_default();
            println!(
                "again, with a trace: make simulate FROM={} SEEDS=1 TRACE=1{nodes}",
                failure.seed
            );
            ExitCode::FAILURE
        }
    }
}
