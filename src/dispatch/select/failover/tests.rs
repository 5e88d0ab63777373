//! Orders that are resumed after each step, beside orders that are made at once.

use super::*;
use crate::dispatch::select::algorithm::tests::Set;
use crate::dispatch::select::algorithm::{Choice, Start, choose};
use crate::dispatch::select::ranks;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const ROUNDS: usize = if cfg!(miri) { 9 } else { 3_000 };

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

/// Makes an order step by step, each time from what is left of it.
fn by_steps(set: &Set, choice: Choice) -> Vec<usize> {
    let mut order = vec![choice.at];
    loop {
        let at = *order.last().unwrap();
        let mut rest = following(set, choice.order, at).filter(|at| !order.contains(at));
        match rest.next() {
            Some(next) => order.push(next),
            None => return order,
        }
    }
}

#[test]
fn orders_are_the_same_at_once_and_by_steps() {
    let mut random = StdRng::seed_from_u64(21);
    for round in 0..ROUNDS {
        let mut set = some_set(&mut random);
        set.use_default = random.random();
        let start = match round % 7 {
            0 => Start::Hash(random.random()),
            1 => Start::InDialog(random.random()),
            2 => Start::RoundRobin,
            3 => Start::First,
            4 => Start::RelativeWeight,
            5 => Start::Service,
            _ => Start::Latency,
        };
        let Some(choice) = choose(&set, start) else {
            continue;
        };
        let order: Vec<usize> = choice.order(&set).collect();
        if let Order::Ranks(turn) = choice.order {
            let sorted = choice.before(ranks::sorted(&set, turn).into_iter());
            assert!(sorted.eq(order.iter().copied()), "{choice:?}");
        }
        let what = format!("{start:?} {:?} {:?}", set.states, set.priorities);
        assert_eq!(by_steps(&set, choice), order, "{what} {}", set.use_default);
    }
}

/// States, `use_default`, order, where it is, what was tried, the rest.
type Case = (
    &'static [u8],
    bool,
    Order,
    usize,
    &'static [usize],
    &'static [usize],
);

#[test]
fn what_changed_meanwhile_counts_as_it_is_now() {
    let cases: [Case; 10] = [
        // Down since: passed over. Up since, behind: at the end of the round.
        (&[1, 1, 0, 1], false, Order::Around, 1, &[1], &[3, 0]),
        (&[1, 1, 1, 1], false, Order::Around, 3, &[1, 3], &[0, 2]),
        // Not tried: the set was changed, and this one came into the place.
        (&[1, 1, 1], false, Order::Around, 1, &[], &[1, 2, 0]),
        // The set has shrunk.
        (&[1, 1], false, Order::Around, 9, &[], &[0, 1]),
        (&[1, 1], true, Order::Around, 9, &[0], &[1]),
        (&[], false, Order::Around, 3, &[], &[]),
        // The default destination: once, usable or not, but not while it drains.
        (&[1, 1, 0], true, Order::Around, 0, &[0], &[1, 2]),
        (&[1, 1, 2], true, Order::Around, 0, &[0], &[1]),
        (&[1, 1, 1], true, Order::Around, 2, &[2], &[0, 1]),
        (&[0, 1, 1], false, Order::Ranks(2), 0, &[0], &[2, 1]),
    ];
    for (states, use_default, order, at, tried, expected) in cases {
        let mut set = Set::new(states);
        set.use_default = use_default;
        let rest = following(&set, order, at).filter(|at| !tried.contains(at));
        let rest: Vec<usize> = rest.collect();
        assert_eq!(
            rest, expected,
            "{states:?} {order:?} at {at}, tried {tried:?}"
        );
    }
}

/// Sets that change between steps: nobody twice, nobody who is out, and nobody is left out.
#[test]
fn changing_sets() {
    let mut random = StdRng::seed_from_u64(22);
    for round in 0..ROUNDS {
        let mut set = some_set(&mut random);
        set.use_default = random.random();
        let order = match round % 3 {
            0 => Order::Around,
            1 => Order::Priorities,
            _ => Order::Ranks(random.random_range(0..12)),
        };
        let mut tried = vec![random.random_range(0..set.len())];
        loop {
            let one = random.random_range(0..set.len());
            set.states[one] = random.random_range(0..3);
            let at = *tried.last().unwrap();
            let next = following(&set, order, at).find(|at| !tried.contains(at));
            let what = format!("{order:?} {:?} tried {tried:?}", set.states);
            let Some(next) = next else {
                let left = |&at: &usize| set.states[at] == 1 && !tried.contains(&at);
                assert_eq!((0..set.len()).find(left), None, "{what}");
                break;
            };
            assert!(!tried.contains(&next), "{next} {what}");
            let default = set.use_default && set.len() > 1 && next + 1 == set.len();
            assert!(set.states[next] == 1 || default && set.states[next] == 0);
            tried.push(next);
        }
    }
}
