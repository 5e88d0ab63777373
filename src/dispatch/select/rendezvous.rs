//! The cheapest destination of a set for a key, and the order of the others.

use super::candidates::{Candidates, is_usable};
use crate::dispatch::balance::cost::{Cost, Key, cheapest};

/// Returns what the candidate at an index costs a key.
#[inline]
fn cost(set: &impl Candidates, key: Key, at: usize) -> Option<Cost> {
    let &identity = set.identities().get(at)?;
    let weights = set.relative_weights();
    let weight = weights.get(at).copied();
    // Without any weight in the set, all have the same.
    let weight = weight.or_else(|| weights.is_empty().then_some(1))?;
    Some(Cost::new(key, identity, weight, at))
}

/// Returns the candidate that a key falls on while all are usable; `None` in an empty set.
#[must_use]
pub fn home(set: &impl Candidates, key: Key) -> Option<usize> {
    let identities = set.identities().iter().take(set.candidate_count());
    let weights = set.relative_weights();
    let Some(&greatest) = weights.iter().max() else {
        return cheapest(key, identities.map(|&identity| (identity, 1)), 1);
    };
    let destinations = identities
        .zip(weights)
        .map(|(&identity, &weight)| (identity, weight));
    // Only the default destination may have a weight.
    cheapest(key, destinations, greatest).or_else(|| ranking(set, key).next())
}

/// Returns the cheapest usable candidate; the default destination if no candidate is usable.
#[must_use]
pub fn choose(set: &impl Candidates, key: Key) -> Option<usize> {
    let home = home(set, key)?;
    if is_usable(set, home) {
        return Some(home);
    }
    choose_but_home(set, key)
}

/// As [`choose`], where the home of the key is known to be out.
#[must_use]
pub fn choose_but_home(set: &impl Candidates, key: Key) -> Option<usize> {
    let others = usable(set).filter_map(|at| cost(set, key, at));
    // The walk knows whether the others were out at one moment.
    others
        .min()
        .map_or_else(|| set.walk(0), |cost| Some(cost.at()))
}

/// As [`choose`], but draining destinations are chosen, too.
#[must_use]
pub fn choose_in_dialog(set: &impl Candidates, key: Key) -> Option<usize> {
    let end = set.candidate_count();
    let serving = (0..end).filter(|&at| is_usable(set, at) || drains(set, at));
    let cheapest = serving.filter_map(|at| cost(set, key, at)).min();
    cheapest
        .map(|cost| cost.at())
        .or_else(|| set.walk(0))
        .or_else(|| set.next_draining(end, set.len()))
}

fn drains(set: &impl Candidates, at: usize) -> bool {
    set.next_draining(at, at + 1).is_some()
}

/// Returns the usable candidates in order.
fn usable(set: &impl Candidates) -> impl Iterator<Item = usize> {
    let end = set.candidate_count();
    let next = move |from| set.next_usable(from, end);
    core::iter::successors(next(0), move |&at| next(at + 1))
}

/// Returns the cheapest usable candidate of those that are dearer than another one.
pub fn next(set: &impl Candidates, key: Key, behind: Option<Cost>) -> Option<Cost> {
    let costs = usable(set).filter_map(|at| cost(set, key, at));
    costs.filter(|&cost| Some(cost) > behind).min()
}

/// Returns all candidates, usable or not, the cheapest first.
pub fn ranking(set: &impl Candidates, key: Key) -> impl Iterator<Item = usize> {
    let all = (0..set.candidate_count()).filter_map(|at| cost(set, key, at));
    let mut costs: Vec<_> = all.collect();
    costs.sort_unstable();
    costs.into_iter().map(|cost| cost.at())
}

/// Returns the usable candidates, the cheapest first. The default destination comes last, unless it drains.
pub fn sorted(set: &impl Candidates, key: Key) -> Vec<usize> {
    let mut costs: Vec<_> = usable(set).filter_map(|at| cost(set, key, at)).collect();
    costs.sort_unstable();
    let end = set.candidate_count();
    let default = Some(end).filter(|&at| at < set.len() && !drains(set, at));
    costs.iter().map(Cost::at).chain(default).collect()
}

#[cfg(test)]
mod tests;
