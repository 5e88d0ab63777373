//! Tests of the state changes.

use super::*;
use Compat::{V3_2, V5_6, V6_0, V6_1};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::collections::BTreeSet;

/// Draining.
const D: u32 = State::DRAINING.bits();

fn rules(compat: Compat, mode: i32, probing: u32, inactive: u32) -> MarkRules {
    MarkRules {
        compat,
        probing_threshold: probing,
        inactive_threshold: inactive,
        probing_mode: mode,
    }
}

/// Marks four times and writes each step as the list's letters, `v` down, `^` up, `!` refused.
fn four(start: u32, text: &str, rules: &MarkRules) -> String {
    let Some(mark) = Mark::parse(text.as_bytes(), rules.compat) else {
        return "!".into();
    };
    let (mut state, mut failures) = (State::from_list_flags(start, rules.compat), 0);
    let mut steps = Vec::new();
    for _ in 0..4 {
        let next = apply_mark(state, failures, mark, rules);
        let [health, pinged] = next.state.letters(rules.compat).map(char::from);
        let flip = match next.flip {
            Some(Flip::Down) => "v",
            Some(Flip::Up) => "^",
            None => "",
        };
        steps.push(format!("{health}{pinged}{flip}"));
        (state, failures) = (next.state, next.failures);
    }
    steps.join(" ")
}

fn check(rules: &MarkRules, start: u32, rows: &[(&str, &str)]) {
    for (texts, want) in rows {
        for text in texts.split('|') {
            assert_eq!(
                four(start, text, rules),
                *want,
                "{rules:?} from {start}: {text:?}"
            );
        }
    }
}

/// Recorded from the C module 5.6.3, where the comment does not say otherwise.
#[test]
fn marks_of_an_active_destination() {
    let rows = [
        ("|i|I|0|ai|ti|it|ii", "IXv IX IX IX"),
        ("ip|pi|IP|itp", "IPv IP IP IP"),
        ("a|1|A|ia|da|ta|pa|tpa|aa", "AX AX AX AX"),
        ("p|ap|iap|pp", "AP AP AP AP"),
        ("d|D|ad|id|di|dd|dp|pd", "DXv DX DX DX"),
        // The C module makes it inactive at the threshold.
        ("dt|td|dtp", "DXv DX DX DX"),
        ("t|T|at|tt", "TX TX IXv IX"),
        ("tp|pt|atp|2", "TP TP IPv IP"),
        ("x|ix|3|00|ip | i|q|i,p", "!"),
    ];
    for start in [0, 2, 8, 10] {
        check(&rules(V5_6, 0, 3, 3), start, &rows);
    }
}

#[test]
fn marks_of_an_inactive_destination() {
    let rows = [
        ("|i|0|it|t|ti|at|tt", "IX IX IX IX"),
        ("ip|tp|2|itp", "IP IP IP IP"),
        ("a|1|ia|tpa", "IX IX AX^ AX"),
        ("p|ap|iap", "IP IP AP^ AP"),
        // The C module needs as many marks as for `a`.
        ("d|di|dp|dt", "DX DX DX DX"),
    ];
    for start in [1, 3, 5] {
        check(&rules(V5_6, 0, 3, 3), start, &rows);
    }
    let rows = [
        ("a", "IP IP AX^ AX"),
        ("p|ap", "IP IP AP^ AP"),
        ("t", "IX IX IX IX"),
        ("tp|ip", "IP IP IP IP"),
        // The C module keeps probing until the threshold.
        ("|i", "IX IX IX IX"),
    ];
    for start in [9, 11, 13] {
        check(&rules(V5_6, 0, 3, 3), start, &rows);
    }
}

#[test]
fn marks_of_a_disabled_destination() {
    let rows = [
        ("|i", "IX IX IX IX"),
        ("a", "AX^ AX AX AX"),
        ("t", "TX^ TX IXv IX"),
        ("tp", "TP^ TP IPv IP"),
        ("p", "AP^ AP AP AP"),
        ("d|dp", "DX DX DX DX"),
    ];
    for start in [4, 6, 12] {
        check(&rules(V5_6, 0, 3, 3), start, &rows);
    }
}

#[test]
fn thresholds_of_one_act_at_once() {
    let rules = rules(V5_6, 0, 1, 1);
    check(
        &rules,
        0,
        &[("t|it", "IXv IX IX IX"), ("tp|2", "IPv IP IP IP")],
    );
    check(&rules, 1, &[("a", "AX^ AX AX AX"), ("d", "DX DX DX DX")]);
    check(
        &rules,
        9,
        &[
            ("a", "AX^ AX AX AX"),
            ("p", "AP^ AP AP AP"),
            ("i", "IX IX IX IX"),
        ],
    );
}

#[test]
fn plain_mark_asks_for_pings_in_mode_1_only() {
    for (mode, want) in [
        (0, "IXv IX IX IX"),
        (1, "IPv IP IP IP"),
        (2, "IXv IX IX IX"),
    ] {
        check(&rules(V5_6, mode, 3, 2), 0, &[("", want)]);
        check(&rules(V6_1, mode, 3, 2), 8, &[("", want)]);
    }
    check(&rules(V5_6, 1, 3, 2), 0, &[("i", "IXv IX IX IX")]);
    check(&rules(V3_2, 1, 3, 2), 0, &[("", "IPv IP IP IP")]);
}

#[test]
fn version_6_1_does_not_count() {
    let rules = rules(V6_1, 0, 3, 3);
    check(
        &rules,
        0,
        &[
            ("t", "IXv IX IX IX"),
            ("tp|2", "IPv IP IP IP"),
            ("p", "AP AP AP AP"),
        ],
    );
    check(
        &rules,
        1,
        &[
            ("a", "AX^ AX AX AX"),
            ("p", "AP^ AP AP AP"),
            ("t", "IX IX IX IX"),
        ],
    );
}

#[test]
fn version_3_2_counts_to_probing() {
    let rules = rules(V3_2, 0, 3, 1);
    check(
        &rules,
        0,
        &[("p|P|2", "AX AX IPv IP"), ("i|0|", "IXv IX IX IX")],
    );
    check(&rules, 0, &[("ap", "AP AP AP AP"), ("t", "TX TX IXv IX")]);
    check(&rules, 1, &[("p", "IP IP IP IP")]);
    check(&rules, 2, &[("a|1", "AX^ AX AX AX"), ("p", "IP IP IP IP")]);
    check(&rules, 8, &[("p", "AP AP IPv IP")]);
    check(&rules, 4, &[("p", "DX DX DX DX")]);
}

#[test]
fn only_marks_that_count_are_in_a_row() {
    let in_row = |compat, texts: &[&str]| {
        let rules = rules(compat, 0, 3, 2);
        let (mut state, mut failures) = (State::ACTIVE, 0);
        let rows = texts.iter().map(|text| {
            let mark = Mark::parse(text.as_bytes(), compat).unwrap();
            let next = apply_mark(state, failures, mark, &rules);
            (state, failures) = (next.state, next.failures);
            next.in_row
        });
        rows.collect::<Vec<_>>()
    };
    for end in ["d", "i", "a", ""] {
        assert_eq!(in_row(V5_6, &["t", "t", end]), [1, 2, 0], "{end:?}");
    }
    let there_and_back = ["t", "t", "t", "t", "a", "a", "a"];
    assert_eq!(in_row(V6_0, &there_and_back), [1, 2, 3, 0, 1, 2, 0]);
    assert_eq!(in_row(V6_1, &there_and_back), [0; 7]);
    assert_eq!(in_row(V3_2, &["p", "p", "p", "p"]), [1, 2, 3, 0]);
}

#[test]
fn counter_starts_anew_after_any_other_mark() {
    let rules = rules(V5_6, 0, 3, 3);
    for between in ["a", "i", "p", "d", ""] {
        let mut values = (State::ACTIVE, 0);
        for text in ["t", "t", between, "a", "a", "a", "t", "t"] {
            let mark = Mark::parse(text.as_bytes(), V5_6).unwrap();
            let next = apply_mark(values.0, values.1, mark, &rules);
            values = (next.state, next.failures);
        }
        assert_eq!(values, (State::TRYING, 2), "{between:?}");
    }
}

#[test]
fn set_state_letters() {
    let states: &[(&str, u32)] = &[
        ("a|A|1|active|aX|ax|ai", 0),
        ("ap|1p|aP|apx", 8),
        ("i|I|0|iap", 1),
        ("ip|0P", 9),
        ("d|D|2|dp", 4),
        ("t|T|3", 2),
        ("tp|3p", 10),
        ("r|R|drain|DRAIN|Draining|rx", D),
        ("rp|RP|drainp|drainP", D | 8),
        ("dr|drai|d rain", 4),
    ];
    for (texts, want) in states {
        for text in texts.split('|') {
            assert_eq!(
                State::parse_rpc(text.as_bytes()),
                Ok(State(*want)),
                "{text}"
            );
        }
    }
    for text in ["p", "x", "4", "5", " a", "-"] {
        assert_eq!(
            State::parse_rpc(text.as_bytes()),
            Err(RpcStateError::Unknown),
            "{text}"
        );
    }
    assert_eq!(State::parse_rpc(b""), Err(RpcStateError::Empty));
    assert_eq!(RpcStateError::Empty.to_string(), "Invalid State Parameter");
    assert_eq!(RpcStateError::Unknown.to_string(), "Unknown State Value");
}

#[test]
fn set_state_replaces_health_and_keeps_the_rest() {
    let next = apply_set(State(9 | 16 | 32 | 128), 2, State::TRYING, V5_6);
    assert_eq!(
        next,
        Outcome {
            state: State(2 | 176),
            failures: 2,
            flip: Some(Flip::Up),
            in_row: 0,
        }
    );
    let next = apply_set(State::ACTIVE, 0, State::INACTIVE, V6_1);
    assert_eq!(
        next,
        Outcome {
            state: State(1),
            failures: 0,
            flip: Some(Flip::Down),
            in_row: 0,
        }
    );
    let next = apply_set(State::DISABLED, 0, State::INACTIVE, V6_1);
    assert_eq!(next.flip, None);
    assert_eq!(apply_set(State::ACTIVE, 0, State(8), V3_2).flip, None);
    assert_eq!(
        apply_set(State::ACTIVE, 0, State(48), V6_1).state,
        State::ACTIVE
    );
}

#[test]
fn draining_is_beside_the_measured_bits() {
    // before, asked, after
    let rows = [
        (0, D, D),
        (1, D, D | 1),
        (10, D, D | 10),
        (2, D | 8, D | 10),
        (4 | 8, D, D | 8),
        (16 | 32, D, D | 48),
        (D, D, D),
        (D, 0, 0),
        (D | 9, 0, 0),
        (D | 2, 1, 1),
        (D, 4, 4),
        (D | 16, 2, 18),
    ];
    for (old, asked, want) in rows {
        for compat in [V3_2, V5_6, V6_0, V6_1] {
            let next = apply_set(State(old), 3, State(asked), compat);
            assert_eq!(
                (next.state, next.failures),
                (State(want), 3),
                "{old} {asked}"
            );
            assert_eq!(next.flip, Flip::between(State(old), State(want), compat));
        }
    }
    for compat in [V3_2, V5_6, V6_0, V6_1] {
        for text in ["a", "i", "t", "d", ""] {
            let mark = Mark::parse(text.as_bytes(), compat).unwrap();
            let next = apply_mark(State(D), 0, mark, &rules(compat, 1, 1, 1));
            assert!(next.state.contains(State::DRAINING), "{text}");
            assert_eq!(next.flip, None);
        }
        assert!(!State(D).usable(compat) && !State(D | 2).usable(compat));
        let serves = |bits| State(bits).serves_calls(compat.unusable_bits());
        assert!(serves(D) && serves(0) && !serves(D | 1) && !serves(D | 4));
        assert!(serves(D | 8));
        for number in [64, D, D | 64] {
            assert_eq!(State::from_list_flags(number, compat), State::DRAINING);
            assert_eq!(State::from_kept(number | 4, compat), State(D | 4));
        }
    }
}

#[test]
fn list_flags() {
    let rows: &[(Compat, u32, u32)] = &[
        (V3_2, 0, 0),
        (V3_2, 2, 9),
        (V3_2, 3, 9),
        (V3_2, 8, 8),
        (V3_2, 10 | 64, 9 | D),
        (V5_6, 2, 2),
        (V5_6, 10, 10),
        (V6_1, 63 | 256, 63 | 256),
    ];
    for (compat, flags, want) in rows {
        assert_eq!(
            State::from_list_flags(*flags, *compat),
            State(*want),
            "{compat:?} {flags}"
        );
    }
}

#[test]
fn letters_of_all_states() {
    let rows: &[(u32, &[u8; 2])] = &[
        (0, b"AX"),
        (1, b"IX"),
        (2, b"TX"),
        (3, b"IX"),
        (4, b"DX"),
        (5, b"IX"),
        (8, b"AP"),
        (9, b"IP"),
        (10, b"TP"),
        (12, b"DP"),
        (16, b"AX"),
        (D, b"RX"),
        (D | 8, b"RP"),
        (D | 9, b"RP"),
        (D | 1, b"RX"),
        (D | 4, b"DX"),
        (D | 5, b"IX"),
    ];
    for (bits, want) in rows {
        assert_eq!(State(*bits).letters(V5_6), **want, "{bits}");
        assert_eq!(State(*bits).letters(V6_1), **want, "{bits}");
    }
    assert_eq!(State(32).letters(V6_0), *b"AN");
    assert_eq!(State(32).letters(V6_1), *b"AN");
    assert_eq!(State(41).letters(V6_1), *b"IP");
    assert_eq!(State(32).letters(V5_6), *b"AX");
}

#[test]
fn words_of_all_states() {
    let rows = [
        (0, "active"),
        (8, "active"),
        (2, "trying (still used)"),
        (10, "trying (still used)"),
        (1, "inactive"),
        (4, "disabled"),
        (5, "inactive and disabled"),
        (D, "draining (no new calls)"),
        (D | 8, "draining (no new calls)"),
        (D | 2, "draining and trying (no new calls)"),
        (D | 1, "draining and inactive (no calls at all)"),
        (D | 4, "disabled"),
        (16 | 32, "active"),
    ];
    for (bits, want) in rows {
        for compat in [V3_2, V5_6, V6_0, V6_1] {
            assert_eq!(State(bits).words(compat), want, "{bits}");
        }
    }
    // Words and letters name the same state, and the words say so if no calls come.
    for bits in (0..16).flat_map(|bits| [bits, bits | D]) {
        for compat in [V3_2, V5_6, V6_0, V6_1] {
            let (state, words) = (State(bits), State(bits).words(compat));
            let [letter, _] = state.letters(compat);
            let named = words.split(' ').any(|word| {
                let word = if word == "draining" { "r" } else { word };
                word.as_bytes().first() == Some(&letter.to_ascii_lowercase())
            });
            let used = words == "active" || words.ends_with("(still used)");
            assert!(named, "{bits} {compat:?}: {words}");
            assert_eq!(used, state.usable(compat), "{bits} {compat:?}: {words}");
        }
    }
}

/// All words and letters are in the tables of doc/reference/rpc.md.
#[test]
fn words_and_letters_are_documented() {
    let rpc = include_str!("../../../../doc/reference/rpc.md");
    let cells = rpc.split('`').skip(1).step_by(2);
    let words: BTreeSet<&str> = cells.flat_map(|cell| cell.split([' ', ';'])).collect();
    for bits in (0..64).flat_map(|bits| [bits, bits | D]) {
        for compat in [V3_2, V5_6, V6_0, V6_1] {
            let said = State(bits).words(compat);
            assert!(said.split(' ').all(|word| words.contains(word)), "{said}");
            for letter in State(bits).letters(compat) {
                let letter = char::from(letter).to_string();
                assert!(words.contains(letter.as_str()), "{letter}");
            }
        }
    }
}

#[test]
fn options_and_unknown_bits_survive_everything() {
    let mut random = StdRng::seed_from_u64(3);
    let texts: [&[u8]; 9] = [b"", b"a", b"i", b"d", b"t", b"p", b"tp", b"ip", b"2"];
    for round in 0..if cfg!(miri) { 100 } else { 5_000 } {
        let compat = [V3_2, V5_6, V6_0, V6_1][random.random_range(0..4)];
        let rules = rules(
            compat,
            random.random_range(0..4),
            random.random_range(0..4),
            random.random_range(0..4),
        );
        let old = State(random.random());
        let mark = Mark::parse(texts[random.random_range(0..texts.len())], compat).unwrap();
        let failures = random.random();
        for (next, kept) in [
            (apply_mark(old, failures, mark, &rules), !15),
            (
                apply_set(old, failures, State(random.random()), compat),
                !(15 | D),
            ),
        ] {
            assert_eq!(next.state.0 & kept, old.0 & kept, "round {round}");
            assert_eq!(
                next.flip,
                Flip::between(old, next.state, compat),
                "round {round}"
            );
        }
    }
}

#[test]
fn c_api_numbers() {
    let rows = [
        (0, Mark::Active(false)),
        (1, Mark::Inactive(false)),
        (2, Mark::Trying(false)),
        (4, Mark::Disabled),
        (8, Mark::Active(true)),
        (9, Mark::Inactive(true)),
        (10, Mark::Trying(true)),
    ];
    for (bits, want) in rows {
        assert_eq!(Mark::from_bits(State(bits)), want, "{bits}");
    }
}
