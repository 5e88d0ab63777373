//! Orders that are resumed after each step, beside orders that are made at once.

use super::*;
use crate::dispatch::select::algorithm::tests::Set;
use crate::dispatch::select::algorithm::{Start, choose};
use crate::dispatch::select::ranked;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const ROUNDS: usize = if cfg!(miri) { 30 } else { 3_000 };

fn some_set(random: &mut StdRng) -> Set {
    let len = random.random_range(1..12);
    let states: Vec<u8> = (0..len).map(|_| random.random_range(0..3)).collect();
    let mut set = Set::new(&states);
    set.priorities = (0..len).map(|_| random.random_range(0..4)).collect();
    set.priorities
        .sort_unstable_by_key(|&p| core::cmp::Reverse(p));
    set.weights = (0..len).map(|_| random.random_range(0..3)).collect();
    set.latencies = (0..len).map(|_| random.random_range(0..20)).collect();
    set
}

/// The order of one choice, at once, and how to go on.
fn at_once(set: &Set, start: Start, use_default: bool) -> Option<(Rule, Vec<usize>)> {
    let ring = ring(set.len(), use_default);
    if start == Start::Latency {
        let taken = ranked::by_rank(set, ring)?;
        let order = ranked::order_by_rank(set, ring, taken, usize::MAX);
        return Some((Rule::Ranks(taken.1), order));
    }
    let choice = choose(set, start, use_default)?;
    Some((choice.rule(), choice.order(set).collect()))
}

/// The same, made step by step from what is left of the first one.
fn by_steps(set: &Set, rule: Rule, first: usize, use_default: bool) -> Vec<usize> {
    let mut order = vec![first];
    loop {
        let at = *order.last().unwrap();
        let tried = |at| order.contains(&at);
        match rest(set, rule, at, use_default, tried).next() {
            Some(next) => order.push(next),
            None => return order,
        }
    }
}

#[test]
fn orders_are_the_same_as_at_once() {
    let mut random = StdRng::seed_from_u64(21);
    for round in 0..ROUNDS {
        let set = some_set(&mut random);
        let use_default = random.random();
        let start = match round % 7 {
            0 => Start::Hash(random.random()),
            1 => Start::Ongoing(random.random()),
            2 => Start::RoundRobin,
            3 => Start::First,
            4 => Start::RelativeWeight,
            5 => Start::Service,
            _ => Start::Latency,
        };
        let Some((rule, order)) = at_once(&set, start, use_default) else {
            continue;
        };
        let steps = by_steps(&set, rule, order[0], use_default);
        let what = format!("{start:?} {:?} {:?}", set.states, set.priorities);
        assert_eq!(steps, order, "{what} use_default {use_default}");
        // All of one rest is the same as each rest's first.
        let tried = |at| at == order[0];
        let whole: Vec<usize> = rest(&set, rule, order[0], use_default, tried).collect();
        assert_eq!(whole, order[1..], "{what} use_default {use_default}");
    }
}

/// States, use_default, rule, where it is, what was tried, the rest.
type Case = (
    &'static [u8],
    bool,
    Rule,
    usize,
    &'static [usize],
    &'static [usize],
);

#[test]
fn what_changed_meanwhile_counts_as_it_is_now() {
    let cases: [Case; 10] = [
        // Down since: passed over. Up since, behind: at the end of the round.
        (&[1, 1, 0, 1], false, Rule::Around, 1, &[1], &[3, 0]),
        (&[1, 1, 1, 1], false, Rule::Around, 3, &[1, 3], &[0, 2]),
        // Not tried: the set was changed, and this one came into the place.
        (&[1, 1, 1], false, Rule::Around, 1, &[], &[1, 2, 0]),
        // The set has shrunk.
        (&[1, 1], false, Rule::Around, 9, &[], &[0, 1]),
        (&[1, 1], true, Rule::Around, 9, &[0], &[1]),
        (&[], false, Rule::Around, 3, &[], &[]),
        // The last resort: once, usable or not, but not while it drains.
        (&[1, 1, 0], true, Rule::Around, 0, &[0], &[1, 2]),
        (&[1, 1, 2], true, Rule::Around, 0, &[0], &[1]),
        (&[1, 1, 1], true, Rule::Around, 2, &[2], &[0, 1]),
        (&[0, 1, 1], false, Rule::Ranks(2), 0, &[0], &[2, 1]),
    ];
    for (states, use_default, rule, at, tried, expected) in cases {
        let set = Set::new(states);
        let rest = rest(&set, rule, at, use_default, |at| tried.contains(&at));
        let rest: Vec<usize> = rest.collect();
        assert_eq!(
            rest, expected,
            "{states:?} {rule:?} at {at}, tried {tried:?}"
        );
    }
}

/// Sets that change between steps: nobody twice, nobody who is out, and nobody is left out.
#[test]
fn changing_sets() {
    let mut random = StdRng::seed_from_u64(22);
    for round in 0..ROUNDS {
        let mut set = some_set(&mut random);
        let use_default = random.random();
        let rule = match round % 3 {
            0 => Rule::Around,
            1 => Rule::Priorities,
            _ => Rule::Ranks(random.random_range(0..12)),
        };
        let mut tried = vec![random.random_range(0..set.len())];
        loop {
            let one = random.random_range(0..set.len());
            set.states[one] = random.random_range(0..3);
            let at = *tried.last().unwrap();
            let next = rest(&set, rule, at, use_default, |at| tried.contains(&at)).next();
            let what = format!("{rule:?} {:?} tried {tried:?}", set.states);
            let Some(next) = next else {
                let left = |&at: &usize| set.states[at] == 1 && !tried.contains(&at);
                assert_eq!((0..set.len()).find(left), None, "{what}");
                break;
            };
            assert!(!tried.contains(&next), "{next} {what}");
            let resort = use_default && set.len() > 1 && next + 1 == set.len();
            assert!(set.states[next] == 1 || resort && set.states[next] == 0);
            tried.push(next);
        }
    }
}
