//! The table of the part "Instructions per call" that has each allocator of the server.

use std::collections::BTreeMap;

use super::cases::{Age, Case, Setting};
use super::counter::{self, Figure};
use super::machine::ALLOCATORS;
use super::report::{self, Table};
use harness::Module;

/// Figures of one module by the key of a case, an allocator, and the name of an age.
pub type Figures = BTreeMap<(&'static str, &'static str, &'static str), Figure>;

/// The figures of one module.
pub fn measure(module: Module, cases: &[Case]) -> Figures {
    let mut figures = Figures::new();
    for (setting, allocator) in Setting::ALL
        .into_iter()
        .flat_map(|s| ALLOCATORS.map(|a| (s, a)))
    {
        let mut cases = cases.to_vec();
        cases.retain(|case| case.setting == setting);
        if cases.is_empty() {
            continue;
        }
        let ages = || counter::at_ages(module, setting, allocator, &cases);
        // Twice: on a busy machine a server under callgrind may start too slowly.
        let ages = ages().or_else(|_| ages());
        let ages = ages.unwrap_or_else(|why| {
            eprintln!("{module:?}, {setting:?}, {allocator}: {why}");
            Vec::new()
        });
        for (age, of_age) in Age::ALL.into_iter().zip(ages) {
            for (case, figure) in cases.iter().zip(of_age) {
                figures.insert((case.key, allocator, age.name()), figure);
            }
        }
    }
    figures
}

/// A row for each case, allocator and age.
pub fn table(cases: &[Case], c: &Figures, ours: &Figures) -> Table {
    let texts = ["call, with each allocator", "key", "allocator", "server"];
    let mut table = Table::new(&texts, &["n", "C", "ours", "ours / C"]);
    for case in cases {
        for (allocator, age) in ALLOCATORS
            .into_iter()
            .flat_map(|a| Age::ALL.map(|age| (a, age)))
        {
            let place = (case.key, allocator, age.name());
            let figure = |figures: &Figures| figures.get(&place)?.clone().ok();
            let (c, ours) = (figure(c), figure(ours));
            table.row([
                case.name.to_owned(),
                format!("`{}`", case.key),
                allocator.to_owned(),
                age.name().to_owned(),
                report::number(case.sizes[0] as f64, 0),
                report::figure(c, 0),
                report::figure(ours, 0),
                report::ratio(c, ours),
            ]);
        }
    }
    table
}
