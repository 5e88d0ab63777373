//! The tests: all models hold, and what is left out somewhere in the product is found.
//!
//! Each operation that changes something, and each lock that is taken, in a line that a model reaches stands in
//! `faults.tsv`: with the model that fails without it, or with the reason why none does. So an operation that is new is
//! noticed, and somebody has to say what comes of leaving it out.

use std::collections::{BTreeMap, BTreeSet};

use super::explore::Model;
use super::{calls, ejections, reloads, small, states};
use crate::shm::tests::models::place::Place;

/// By file and line: the model that finds it, and if there is none, `-` and the reason.
const FAULTS: &str = "src/shm/tests/models/interleavings/faults.tsv";

/// A line of a file of the product.
type Line = (String, String);

fn line_of(place: &Place) -> Line {
    (place.short_file().to_owned(), place.text())
}

/// Returns the lines with the name of the model that finds what is left out there.
fn faults() -> BTreeMap<Line, String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FAULTS);
    let text = std::fs::read_to_string(path).unwrap();
    let fault = |row: &str| {
        let cells: Vec<&str> = row.split('\t').collect();
        let has_reason = cells.get(3).is_some_and(|reason| !reason.is_empty());
        assert_eq!(cells[0] == "-", has_reason, "{row}");
        (
            (cells[1].to_owned(), cells[2].to_owned()),
            cells[0].to_owned(),
        )
    };
    text.lines().map(fault).collect()
}

/// True for what is done in the product, and not by a model.
fn is_product(place: &Place) -> bool {
    !place.short_file().starts_with("tests")
}

/// Explores some models as the product is, and then with each fault that they are to find.
fn explore(models: &[Model]) {
    let faults = faults();
    let (mut unknown, mut made, mut unseen) = (BTreeSet::new(), 0, vec![]);
    for model in models {
        let mut places: BTreeMap<Line, Vec<Place>> = BTreeMap::new();
        for place in model.holds().into_iter().filter(is_product) {
            places.entry(line_of(&place)).or_default().push(place);
        }
        unknown.extend(
            places
                .keys()
                .filter(|line| !faults.contains_key(line))
                .cloned(),
        );
        for (line, _) in faults.iter().filter(|(_, name)| *name == model.name) {
            made += 1;
            let places = places.get(line).map_or(&[][..], |places| places);
            if !places.iter().any(|place| model.finds(*place)) {
                unseen.push((model.name, line));
            }
        }
    }
    println!(
        "models: {made} faults, of which {} were found",
        made - unseen.len()
    );
    assert!(unknown.is_empty(), "not in {FAULTS}: {unknown:#?}");
    assert!(unseen.is_empty(), "not found: {unseen:#?}");
}

#[test]
fn small_structures() {
    explore(small::MODELS);
}

#[test]
fn states_while_others_select() {
    explore(states::MODELS);
}

#[test]
fn ejections_and_trials() {
    explore(ejections::MODELS);
}

#[test]
fn lists_that_change() {
    explore(reloads::MODELS);
}

#[test]
fn calls_that_come_and_go() {
    explore(calls::MODELS);
}

/// Prints for each place which model finds it, as `faults.tsv` has it.
#[test]
#[ignore = "makes the table anew"]
fn which_model_finds_what() {
    let all = [
        small::MODELS,
        states::MODELS,
        ejections::MODELS,
        reloads::MODELS,
        calls::MODELS,
    ];
    let mut places: BTreeMap<Place, Vec<&Model>> = BTreeMap::new();
    for model in all.into_iter().flatten() {
        for place in model.holds().into_iter().filter(is_product) {
            places.entry(place).or_default().push(model);
        }
    }
    for (place, models) in places {
        let by = models.iter().find(|model| model.finds(place));
        let by = by.map_or("-", |model| model.name);
        let (file, line) = line_of(&place);
        println!("{by}\t{file}\t{line}");
    }
}
