//! The choices that follow one that was refused, as if that destination were out.

use crate::dispatch::balance::cost::{Key, mix};
use crate::dispatch::select::algorithm::{Choice, Start, choose};
use crate::dispatch::select::candidates::{Candidates, is_usable};
use crate::dispatch::select::failover::{Order, following};
use crate::dispatch::select::rendezvous;

/// The most destinations that are asked for one request.
pub const MOST_TRIES: usize = 1_000;

/// How many destinations a key is offered to in its own order, where loads are bounded. Behind them comes the one with
/// the fewest calls.
pub const KEY_TRIES: usize = 16;

/// Returns the choices that follow the first one: where destinations take turns or are drawn, as many turns as there
/// are destinations; then the failover order.
pub fn others<C: Candidates>(
    set: &C,
    start: Start,
    first: Choice,
) -> impl Iterator<Item = Choice> + '_ {
    let turns = match start {
        Start::Hash(_) | Start::InDialog(_) | Start::First | Start::Latency => 0,
        _ => set.candidate_count(),
    };
    let turn = move |nth| choose(set, again(start, nth));
    let order = first.order;
    let rest = following(set, order, first.at).filter(move |&at| at != first.at);
    let rest = usable(set, rest).map(move |at| Choice { at, order });
    (1..turns).map_while(turn).chain(rest)
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
/// a destination has, those behind the first [`KEY_TRIES`] come by that number.
pub fn others_by_key<C: Candidates>(
    set: &C,
    key: Key,
    first: usize,
    calls: Option<impl Fn(usize) -> u32>,
) -> impl Iterator<Item = Choice> {
    let mut sorted = rendezvous::sorted(set, key);
    if let Some(calls) = calls {
        let behind = sorted.get_mut(KEY_TRIES..).unwrap_or_default();
        behind.sort_by_key(|&at| (at >= set.candidate_count(), calls(at)));
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
