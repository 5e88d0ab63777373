//! Tests of probing: traces of destinations over several pings.

use super::*;
use Compat::{V3_2, V5_6, V6_0, V6_1};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Draining.
const D: u32 = State::DRAINING.bits();

fn rules(compat: Compat, mode: i32, threshold: u32) -> MarkRules {
    MarkRules {
        compat,
        probing_threshold: threshold,
        inactive_threshold: threshold,
        probing_mode: mode,
    }
}

fn bits(letters: &str) -> State {
    let health = match &letters[..1] {
        "A" => State::ACTIVE,
        "T" => State::TRYING,
        "I" => State::INACTIVE,
        "D" => State::DISABLED,
        other => panic!("{other}"),
    };
    health.union(probing(&letters[1..] == "P"))
}

/// The states after each result: `g` good, any other letter bad. Ends with `-` where it
/// is not pinged any more, with `!` where a result is ignored. `v` and `^` are flips.
fn trace(start: State, results: &str, rules: &MarkRules, flips: bool) -> String {
    let (mut state, mut failures) = (start, 0);
    let mut steps = Vec::new();
    for result in results.chars() {
        if !is_pinged(state, rules) {
            steps.push("-".to_string());
            break;
        }
        let ping = match result {
            'g' => Ping::Good,
            _ => Ping::Bad,
        };
        let Some(next) = apply_ping(state, failures, ping, rules) else {
            steps.push("!".to_string());
            break;
        };
        let [health, pinged] = next.state.letters(rules.compat).map(char::from);
        let flip = match next.flip {
            Some(Flip::Down) if flips => "v",
            Some(Flip::Up) if flips => "^",
            _ => "",
        };
        steps.push(format!("{health}{pinged}{flip}"));
        (state, failures) = (next.state, next.failures);
    }
    steps.join(" ")
}

/// Recorded from the C module 5.6.3; 6.1 gave the same traces.
#[test]
fn table() {
    let mut rows = 0;
    for line in include_str!("recorded.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let (case, want) = line.split_once(": ").unwrap();
        let [mode, start, results] = case.split(' ').collect::<Vec<_>>().try_into().unwrap();
        for (threshold, want) in (1..).zip(want.split(" | ")) {
            for compat in [V5_6, V6_1] {
                let rules = rules(compat, mode.parse().unwrap(), threshold);
                let have = trace(bits(start), results, &rules, false);
                assert_eq!(have, want, "{compat:?} threshold {threshold}: {case}");
            }
            rows += 1;
        }
    }
    assert_eq!(rows, 3 * RECORDED);
}

/// Cases in the recording.
const RECORDED: usize = 89;

#[test]
fn a_good_ping_leads_out_of_every_state_but_disabled() {
    let health = (0..16)
        .map(State)
        .filter(|state| !state.contains(State::DISABLED));
    let beside = [0, 16, 32, D, 128, D | 16];
    let states = health.flat_map(|state| beside.map(|more| state.union(State(more))));
    for state in states.step_by(if cfg!(miri) { 11 } else { 1 }) {
        for (compat, mode) in each_compat_and_mode() {
            for (threshold, failures) in (0..4).flat_map(|up| (0..4).map(move |n| (up, n))) {
                let rules = rules(compat, mode, threshold);
                let unusable = compat.unusable_bits();
                let (mut now, mut failures) = (state, failures);
                let mut pings = 0;
                while is_pinged(now, &rules) && !now.serves_calls(unusable) && pings < 4 {
                    let next = apply_ping(now, failures, Ping::Good, &rules).unwrap();
                    (now, failures) = (next.state, next.failures);
                    pings += 1;
                }
                let back = now.serves_calls(unusable) && pings <= threshold.max(1);
                assert!(
                    back || !is_pinged(state, &rules),
                    "{compat:?} mode {mode}, up after {threshold}: {state:?}: {now:?}"
                );
            }
        }
    }
}

#[test]
fn names_of_3_2_change_one_ping() {
    let results = [Ping::Good, Ping::Bad];
    for (state, mode) in (0..64).flat_map(|bits| (0..4).map(move |mode| (State(bits), mode))) {
        for (failures, result) in (0..4).flat_map(|n| results.map(|result| (n, result))) {
            let [old, now] = [V3_2, V5_6].map(|compat| {
                let rules = rules(compat, mode, 3);
                let after = apply_ping(state, failures, result, &rules);
                (is_pinged(state, &rules), after)
            });
            let what = || format!("mode {mode}, {failures} {result:?}: {state:?}");
            // It is pinged until it answers. In 5.6 one bad ping in mode 0 is the last one.
            if mode == 0 && result == Ping::Bad && state.contains(State::OUT_AND_PINGED) {
                assert_eq!(
                    old.1.map(|next| next.state),
                    now.1.map(|_| state.without(State::TRYING)),
                    "{}",
                    what()
                );
            } else {
                assert_eq!(old, now, "{}", what());
            }
        }
    }
}

/// Every version with every probing mode, and with modes that there are not.
fn each_compat_and_mode() -> impl Iterator<Item = (Compat, i32)> {
    let compats = [V3_2, V5_6, V6_0, V6_1];
    (-1..6).flat_map(move |mode| compats.map(|compat| (compat, mode)))
}

#[test]
fn flips_are_of_use_and_disuse() {
    let rules = rules(V5_6, 1, 2);
    assert_eq!(
        trace(State(0), "bbgbggb", &rules, true),
        "TP IPv IP IP IP AP^ TP"
    );
}

#[test]
fn who_is_pinged() {
    // bits, compat 5.6 by mode 0-3, compat 6.1 by mode 0-3
    let rows = [
        (0, "-+--", "-+--"),
        (1, "-+--", "-+--"),
        (2, "-+--", "-+--"),
        (8, "++-+", "++-+"),
        (9, "++++", "++++"),
        (10, "++-+", "++-+"),
        (4, "----", "----"),
        (13, "----", "----"),
        (9 | 32, "----", "----"),
        (9 | 16, "++++", "----"),
        (16, "-+--", "----"),
        (9 | D, "++++", "++++"),
        (D, "-+--", "-+--"),
    ];
    for (bits, old, new) in rows {
        for (compat, want) in [(V3_2, old), (V5_6, old), (V6_0, new), (V6_1, new)] {
            for (mode, want) in (0..).zip(want.chars()) {
                let pinged = is_pinged(State(bits), &rules(compat, mode, 1));
                assert_eq!(pinged, want == '+', "{compat:?} mode {mode}: {bits}");
            }
        }
    }
}

#[test]
fn late_results_are_ignored() {
    for (compat, result) in [V3_2, V5_6, V6_1]
        .into_iter()
        .zip([Ping::Good, Ping::Bad, Ping::Bad])
    {
        for mode in 0..4 {
            let rules = rules(compat, mode, 1);
            for bits in [4, 5, 12, 4 | D] {
                assert_eq!(apply_ping(State(bits), 1, result, &rules), None);
            }
            for bits in [0, 1, 2] {
                let ignored = apply_ping(State(bits), 1, result, &rules).is_none();
                assert_eq!(ignored, mode == 3, "{compat:?} {bits}");
            }
        }
    }
}

#[test]
fn thresholds_of_0_act_at_once_and_counters_end() {
    for compat in [V3_2, V5_6, V6_1] {
        let rules = rules(compat, 1, 0);
        assert_eq!(trace(State(0), "bgb", &rules, true), "IPv AP^ IPv");
    }
    let rules = rules(V5_6, 1, u32::MAX);
    let next = apply_ping(State(0), u32::MAX, Ping::Bad, &rules).unwrap();
    assert_eq!(next.state, State(9));
}

#[test]
fn only_results_that_count_are_in_a_row() {
    for compat in [V3_2, V5_6, V6_0, V6_1] {
        let rules = MarkRules {
            inactive_threshold: 2,
            ..rules(compat, 1, 3)
        };
        let (mut state, mut failures) = (State::ACTIVE, 0);
        let rows = "bbgbbbbgbgg".chars().map(|result| {
            let ping = if result == 'g' { Ping::Good } else { Ping::Bad };
            let next = apply_ping(state, failures, ping, &rules).unwrap();
            (state, failures) = (next.state, next.failures);
            next.in_row
        });
        let rows: Vec<u32> = rows.collect();
        assert_eq!(rows, [1, 2, 0, 1, 2, 3, 0, 1, 0, 1, 2], "{compat:?}");
    }
}

#[test]
fn other_bits_stay() {
    let mut random = StdRng::seed_from_u64(12);
    for _ in 0..if cfg!(miri) { 100 } else { 5_000 } {
        let compat = [V3_2, V5_6, V6_0, V6_1][random.random_range(0..4)];
        let rules = rules(compat, random.random_range(0..4), random.random_range(0..4));
        let old = State(random.random::<u32>()).without(State::DISABLED);
        let ping = [Ping::Good, Ping::Bad][random.random_range(0..2)];
        if let Some(next) = apply_ping(old, random.random_range(0..4), ping, &rules) {
            assert_eq!(next.state.0 & !15, old.0 & !15);
            assert_eq!(next.flip, Flip::between(old, next.state, compat));
        }
    }
}
