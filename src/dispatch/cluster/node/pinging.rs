//! The rule by which the good word of another node spares this one a ping.
//!
//! A node believes another one's good word, and looks itself before it believes a bad one. So nothing has to be agreed on.

use std::collections::HashMap;

use super::action::{Action, PeerId};
use super::machine::Cluster;
use super::peer::Life;
use super::settings::{SUSPECT_HELLOS, Settings};
use crate::dispatch::balance::cost::mix;
use crate::dispatch::cluster::state::key::{Key, NodeHash};
use crate::dispatch::cluster::state::pings::{Pings, Relied, Told};
use crate::dispatch::cluster::state::rules::Rules;
use crate::dispatch::cluster::state::view::{FoundElsewhere, View, is_good};
use crate::dispatch::state::transition::State;

/// How much later than it should have come a ping of another node is missed: what a message and a busy process take.
const GRACE_MS: u64 = 500;

/// The member that watches a destination for this node, and its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watcher {
    /// The member.
    pub peer: PeerId,
    /// Its view.
    pub view: View,
    /// By its view, and then by this, one watches and not another.
    weight: u64,
}

impl Watcher {
    /// Returns the failures in a row by its word; 0 if that is good.
    #[must_use]
    pub fn row(&self) -> u32 {
        if self.view.is_good() {
            0
        } else {
            self.view.row().max(1)
        }
    }

    /// Returns the one of two that watches: of those with a good word, or else of all, the one with the greatest weight.
    fn of_two(one: Self, other: Self) -> Self {
        let rank = |watcher: &Self| (watcher.view.is_good(), watcher.weight);
        if rank(&other) > rank(&one) {
            other
        } else {
            one
        }
    }
}

/// The bad word of the watcher of a destination, and what has followed from it here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Failures in a row by its word; 0 if that is good.
    row: u32,
    step: Step,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Nothing is to be done.
    #[default]
    Seen,
    /// This node is to ping at once.
    Due,
    /// This node has found the destination good since.
    Refuted,
}

impl Doubt {
    /// Takes the watcher's word. The first bad one makes this node ping at once, and so does the one that says that the
    /// destination is down.
    #[must_use]
    pub const fn told(self, row: u32) -> Self {
        let step = match self.step {
            _ if row == 0 => Step::Seen,
            _ if self.row == 0 => Step::Due,
            Step::Seen if row == u32::MAX && self.row != u32::MAX => Step::Due,
            step => step,
        };
        Self { row, step }
    }

    /// Tells whether a ping is due at once.
    #[must_use]
    pub fn is_due(self) -> bool {
        self.step == Step::Due
    }

    /// Tells whether a ping that is due at once is to be sent, by what this node knows itself. Its own failures are not
    /// counted faster than one in an interval, unless the watcher has counted them all.
    #[must_use]
    pub fn looks(self, state: State, failures: u32) -> bool {
        let is_up = !state.intersects(State::INACTIVE);
        self.is_due() && (is_good(state, failures) || self.row == u32::MAX && is_up)
    }

    /// Takes notice that the ping that was due at once is sent, or need not be.
    #[must_use]
    pub fn seen(self) -> Self {
        let step = if self.is_due() { Step::Seen } else { self.step };
        Self { step, ..self }
    }

    /// Takes notice that a ping of this node has found the destination good.
    #[must_use]
    pub fn found_good(self) -> Self {
        let is_refuted = self.row > 0 && !self.is_due();
        let step = if is_refuted { Step::Refuted } else { self.step };
        Self { step, ..self }
    }

    /// Returns the failures to count before a bad ping of this node: those that the watcher has counted in this row, so
    /// that it takes no longer to find out that a destination is down than if this node had pinged it all the time.
    #[must_use]
    pub fn failures_before<R: Rules>(self, failures: u32, threshold: u32) -> u32 {
        let counts = R::counts_row(self.step == Step::Refuted);
        let row = if counts { self.row } else { 0 };
        failures.max(row.saturating_sub(1).min(threshold.saturating_sub(1)))
    }

    /// Returns it as a number; 0 if the word is good.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        let step = match self.step {
            Step::Seen => 0,
            Step::Due => 1,
            Step::Refuted => 2,
        };
        step << 32 | self.row as u64
    }

    /// Returns what a number stands for.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        let step = match bits >> 32 {
            1 => Step::Due,
            2 => Step::Refuted,
            _ => Step::Seen,
        };
        let [a, b, c, d, ..] = bits.to_le_bytes();
        let row = u32::from_le_bytes([a, b, c, d]);
        Self { row, step }
    }
}

/// Returns when to look again at a destination whose ping is due, if a good word spares that ping: `relied` says how long
/// the word is believed, and `phase_ms` when in its interval the watcher pings. `None` if the ping is to be sent.
#[must_use]
pub fn spared_until<R: Rules>(
    (state, failures): (State, u32),
    relied: &Relied,
    phase_ms: u32,
    now_ms: u64,
) -> Option<u64> {
    let is_spared = is_good(state, failures) && R::believes(relied.is_fresh(now_ms));
    is_spared.then(|| relied.next_look(phase_ms, now_ms))
}

impl<R: Rules> Cluster<R> {
    /// Says how this node pings; `None` if it does not.
    pub fn set_pings(&mut self, pings: Option<Pings>) {
        self.pings = pings;
    }

    /// Returns the member that watches a destination for this node: one of greater weight that pings it.
    #[must_use]
    pub fn watcher(&self, key: Key) -> Option<Watcher> {
        let all = self.believed_lives().filter_map(|(peer, life)| {
            let view = *life.views.get(&key)?;
            self.may_watch(key, peer, life, view)
        });
        all.reduce(Watcher::of_two)
    }

    /// Returns the members that watch destinations for this node.
    #[must_use]
    pub fn watchers(&self) -> HashMap<Key, Watcher> {
        let mut watchers: HashMap<Key, Watcher> = HashMap::new();
        for (peer, life) in self.believed_lives() {
            for (&key, &view) in &life.views {
                if let Some(new) = self.may_watch(key, peer, life, view) {
                    let watcher = watchers.entry(key).or_insert(new);
                    *watcher = Watcher::of_two(*watcher, new);
                }
            }
        }
        watchers
    }

    /// Returns the members whose word is believed, and how long, by their places.
    pub fn relied(&self) -> impl Iterator<Item = (PeerId, Relied)> {
        self.believed_lives().filter_map(|(id, life)| {
            let heard = life.pings?;
            let interval_ms = heard.last.interval_ms.max(1);
            let window_ms = window_ms(&self.settings, life);
            let late_ms = i64::try_from(window_ms + GRACE_MS).unwrap_or(i64::MAX);
            let missed_ms = heard.offset_ms().saturating_add(late_ms);
            let interval = i64::try_from(interval_ms).unwrap_or(i64::MAX);
            let relied = Relied {
                until_ms: heard.true_ms().saturating_add(window_ms),
                missed_ms: missed_ms.rem_euclid(interval).unsigned_abs(),
                interval_ms,
            };
            Some((id, relied))
        })
    }

    /// Returns the view of a destination that this node has told the others.
    #[must_use]
    pub fn own_view(&self, key: Key) -> Option<View> {
        self.views.get(key)
    }

    /// Returns the destinations of which this node has told its view.
    pub fn viewed(&self) -> impl Iterator<Item = Key> {
        self.views.iter().map(|(key, _)| key)
    }

    /// Returns the members that ping a destination, each with its view.
    pub fn views_of(&self, key: Key) -> impl Iterator<Item = (PeerId, &str, View)> {
        let alive = self.peers.iter();
        alive.filter_map(move |(id, peer)| {
            let life = peer.alive()?;
            Some((id, life.name.as_str(), *life.views.get(&key)?))
        })
    }

    /// Returns how many other members that ping a destination find it up, and how many down.
    #[must_use]
    pub fn found_elsewhere(&self, key: Key) -> FoundElsewhere {
        let mut found = FoundElsewhere::default();
        self.views_of(key)
            .for_each(|(_, _, view)| found.count(view));
        found
    }

    /// Returns that of all destinations that other members ping.
    #[must_use]
    pub fn all_found_elsewhere(&self) -> HashMap<Key, FoundElsewhere> {
        let mut found: HashMap<Key, FoundElsewhere> = HashMap::new();
        for (&key, &view) in self.peers.alive().flat_map(|life| &life.views) {
            found.entry(key).or_default().count(view);
        }
        found
    }

    /// Looks whose word is believed now, and says so if that has changed.
    pub(super) fn look_whom_to_believe(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let alive = self.peers.iter();
        let alive = alive.filter_map(|(id, peer)| Some((id, peer.alive()?)));
        let own_ms = self.pings.map_or(0, |pings| pings.interval_ms);
        let is_fresh = |life: &Life| {
            life.pings.is_some_and(|heard| {
                let until_ms = heard
                    .true_ms()
                    .saturating_add(window_ms(&self.settings, life));
                // A node that pings less often would make this one find out later.
                heard.last.interval_ms <= own_ms && R::believes(now_ms < until_ms)
            })
        };
        let believed = alive.filter(|(_, life)| self.shares() && is_fresh(life));
        let believed: Vec<_> = believed.map(|(id, life)| (id, life.incarnation)).collect();
        if believed != self.believed {
            self.believed = believed;
            actions.push(Action::Believed);
        }
    }

    /// Takes notice of since when a peer lacks views of this node.
    pub(super) fn note_lack(&mut self, id: PeerId, now_ms: u64) {
        let last = self.views.last();
        if let Some(life) = self.peers.get_mut(id).and_then(|peer| peer.life.as_mut()) {
            let lacks = life.cursor.figures.views < last;
            let since_ms = life.lacks_since_ms.filter(|_| lacks);
            life.lacks_since_ms = since_ms.or(lacks.then_some(now_ms));
        }
    }

    /// Returns what a hello to a peer says of this node's pings: nothing to one that is not known yet, which may have views
    /// of before.
    pub(super) fn pings_for(&self, id: PeerId) -> Told {
        let life = self.peers.get(id).and_then(|peer| peer.life.as_ref());
        let pings = self.pings.filter(|_| self.shares());
        let told = pings.zip(life).map(|(pings, life)| Told {
            true_ms: pings.ran_ms.min(life.lacks_since_ms.unwrap_or(u64::MAX)),
            interval_ms: pings.interval_ms,
        });
        told.unwrap_or_default()
    }

    fn believed_lives(&self) -> impl Iterator<Item = (PeerId, &Life)> {
        let lives = self.believed.iter();
        lives.filter_map(|(id, incarnation)| {
            let life = self.peers.get(*id)?.alive()?;
            (life.incarnation == *incarnation).then_some((*id, life))
        })
    }

    /// Returns a member as a watcher, if its weight is greater than that of this node.
    fn may_watch(&self, key: Key, peer: PeerId, life: &Life, view: View) -> Option<Watcher> {
        let weight = weight(key, life.node);
        (weight > weight_of(self, key)).then_some(Watcher { peer, view, weight })
    }
}

fn weight_of<R: Rules>(cluster: &Cluster<R>, key: Key) -> u64 {
    weight(key, cluster.node)
}

/// Returns the weight of a node for a destination: the one of the greatest weight pings it.
fn weight(key: Key, node: NodeHash) -> u64 {
    mix(key.0 ^ node.0)
}

/// Returns for how long the word of a member is believed after its last sign.
fn window_ms(settings: &Settings, life: &Life) -> u64 {
    SUSPECT_HELLOS * settings.hello_ms.max(life.hello_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::cluster::state::rules::Sound;

    const UP: State = State::PROBING;
    const FAILING: State = State::PROBING.union(State::TRYING);
    const DOWN: State = State::PROBING.union(State::INACTIVE);

    #[test]
    fn failures_of_a_watcher_count_until_this_node_finds_the_destination_good() {
        let before = |doubt: Doubt| doubt.failures_before::<Sound>(0, 3);
        let told = Doubt::default().told(2);
        assert!(told.looks(UP, 0));
        // A ping that was under way before does not answer the word.
        assert_eq!(told.found_good(), told);
        let seen = told.seen();
        assert!(!seen.is_due());
        assert_eq!(before(seen), 1);
        let refuted = seen.found_good();
        assert_eq!(before(refuted), 0);
        // It stays so whatever the watcher counts, until its word is good.
        let down = refuted.told(3).told(u32::MAX);
        assert_eq!((before(down), down.is_due()), (0, false));
        let anew = down.told(0).told(u32::MAX);
        assert_eq!((before(anew), anew.looks(UP, 0)), (2, true));
    }

    #[test]
    fn a_destination_is_looked_at_again_when_the_watcher_takes_it_for_down() {
        let first = Doubt::default().told(1);
        assert!(
            !first.looks(FAILING, 1),
            "its own failures go on as they do"
        );
        let seen = first.seen();
        assert!(!seen.told(2).is_due());
        let down = seen.told(2).told(u32::MAX);
        assert!(down.looks(FAILING, 1) && !down.looks(DOWN, 0));
        assert_eq!(down.seen().failures_before::<Sound>(1, 5), 4);
        assert!(!down.seen().told(u32::MAX).is_due());
    }

    #[test]
    fn a_doubt_is_read_from_its_number() {
        assert_eq!(Doubt::default().to_bits(), 0);
        let told = Doubt::default().told(u32::MAX);
        for doubt in [told, told.seen(), told.seen().found_good(), told.told(0)] {
            assert_eq!(Doubt::from_bits(doubt.to_bits()), doubt);
        }
    }
}
