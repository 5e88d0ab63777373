//! The choices that follow one that was refused, as if that destination were out.

use crate::dispatch::balance::cost::{Key, mix};
use crate::dispatch::select::algorithm::{Choice, Start, choose, is_even};
use crate::dispatch::select::candidates::{Candidates, is_usable};
use crate::dispatch::select::failover::{Order, following};
use crate::dispatch::select::rendezvous;

/// The most destinations that are asked for one request.
pub const MOST_TRIES: usize = 1_000;

/// The most turns that are taken for one request. Turns may fall on one destination again and again.
const MOST_TURNS: usize = 16;

/// The number of destinations that a key is offered to in its own order, where loads are bounded. Behind them comes the
/// one with the fewest calls.
pub const KEY_TRIES: usize = 16;

/// Returns the choices that follow the first one: where destinations take turns or are drawn, some turns; then the
/// failover order.
pub fn others<C: Candidates>(
    set: &C,
    start: Start,
    first: Choice,
) -> impl Iterator<Item = Choice> + '_ {
    let turns = match start {
        Start::Hash(_) | Start::InDialog(_) | Start::First | Start::Latency => 0,
        Start::Priority if !is_even(set) => 0,
        _ => set.candidate_count().min(MOST_TURNS),
    };
    let turn = move |nth| choose(set, again(start, nth));
    let mut refused = first.at;
    let is_other = move |choice: &Choice| core::mem::replace(&mut refused, choice.at) != choice.at;
    let order = first.order;
    let rest = following(set, order, first.at).filter(move |&at| at != first.at);
    let rest = usable(set, rest).map(move |at| Choice { at, order });
    (1..turns).map_while(turn).filter(is_other).chain(rest)
}

/// Returns the start of the nth try: a random number is drawn anew.
fn again(start: Start, nth: usize) -> Start {
    match start {
        Start::Random(number) => {
            let drawn = mix(u64::from(number) ^ (nth as u64) << 32);
            Start::Random(u32::try_from(drawn >> 32).unwrap_or(number))
        }
        start => start,
    }
}

/// Returns the choices for a key that follow the first one, the cheapest first. With `calls`, which tells how many calls
/// a destination has, those behind the first [`KEY_TRIES`] come by that number, and those without a share last.
pub fn others_by_key<C: Candidates>(
    set: &C,
    key: Key,
    first: usize,
    calls: Option<impl Fn(usize) -> u32>,
) -> impl Iterator<Item = Choice> {
    let mut sorted = rendezvous::sorted(set, key);
    if let Some(calls) = calls {
        let behind = sorted.get_mut(KEY_TRIES..).unwrap_or_default();
        let has_share = |at| set.relative_weights().get(at) != Some(&0);
        behind.sort_by_key(|&at| (at >= set.candidate_count(), !has_share(at), calls(at)));
    }
    let order = Order::Key(key);
    let others = sorted.into_iter().filter(move |&at| at != first);
    usable(set, others).map(move |at| Choice { at, order })
}

/// Leaves out a default destination that is out.
fn usable<C: Candidates>(
    set: &C,
    order: impl Iterator<Item = usize>,
) -> impl Iterator<Item = usize> {
    order.filter(|&at| at < set.candidate_count() || is_usable(set, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::select::algorithm::tests::Set;

    fn behind_the_first(set: &Set, start: Start) -> Vec<usize> {
        let first = choose(set, start).unwrap();
        let others = others(set, start, first).take(MOST_TRIES - 1);
        others.map(|choice| choice.at).collect()
    }

    #[test]
    fn turns_of_one_destination_keep_no_other_one_away() {
        let mut set = Set::new(&[1; 3]);
        set.priorities = vec![3, 2, 1];
        assert_eq!(behind_the_first(&set, Start::Priority), [1, 2]);
        // Without weights, each turn of algorithm 9 falls on the first one.
        assert_eq!(behind_the_first(&set, Start::Weight), [1, 2]);
        let set = Set::new(&[1; MOST_TRIES]);
        let all: Vec<usize> = (1..MOST_TRIES).collect();
        assert_eq!(behind_the_first(&set, Start::Weight), all);
    }

    #[test]
    fn those_without_a_share_come_last() {
        let mut set = Set::new(&[1; 20]);
        set.relative = vec![50; 20];
        set.relative[3] = 0;
        let calls = Some(|at: usize| u32::from(at != 3));
        let others = others_by_key(&set, Key::of(b"key"), 0, calls);
        assert_eq!(others.last().map(|choice| choice.at), Some(3));
    }
}
