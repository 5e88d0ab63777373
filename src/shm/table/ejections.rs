//! Ejection: a destination is out of its set's bitmap while its traffic says so, beside whatever its state is.
//!
//! The standing of the destination is the truth, and one bit of its record follows it. No lock is taken.

use lock_api::RawMutex;

use crate::dispatch::passive::standing::{News, Phase, Rules, Standing, most_ejected};
use crate::dispatch::select::candidates::Candidates;

use super::sets::Table;
use super::store::Store;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::traffic::Traffic;
use crate::shm::memory::arena::Arena;
use crate::shm::set::view::View;

/// The numbers that ejections go by.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The times and numbers.
    pub rules: Rules,
    /// The most destinations of a set that are ejected at a time, in percent.
    pub percent: u32,
}

impl View {
    /// Returns true if the destination at a position may be ejected, as it already counts: others are usable, and no
    /// more are out than may be.
    ///
    /// Others are out as soon as their standing says so, before their bit follows it. Of two that are ejected at once,
    /// one at least sees the other.
    fn can_spare(&self, at: usize, percent: u32) -> bool {
        let end = self.candidate_count();
        let is_out = |dest: &Dest| {
            dest.record()
                .traffic()
                .is_some_and(|traffic| traffic.is_out())
        };
        let out = self.dests().filter(|dest| is_out(dest)).count();
        let others = (0..end).filter(|&other| other != at);
        let mut left = others.filter_map(|other| self.usable_dest(other));
        at < end && out <= most_ejected(percent, end) && left.any(|dest| !is_out(dest))
    }

    /// Returns a destination that waits for the request that tries it, which is to be the caller's.
    pub fn take_trial(&self, now_ms: u64) -> Option<Trial<'_>> {
        if !self.record().take_probation() {
            return None;
        }
        let trial = |at| {
            let dest = self.dest(at)?;
            let is_fit = !dest.record().state().intersects(self.unusable);
            let traffic = dest.record().traffic().filter(|_| is_fit)?;
            let (before, after) =
                traffic.change(|standing| standing.tried(now_ms).unwrap_or(standing));
            (before != after).then_some(Trial {
                at,
                traffic: Some(traffic),
            })
        };
        (0..self.dest_count()).find_map(trial)
    }
}

/// A destination that a request is to try. If it is dropped before the request is watched, another one may try it.
#[must_use]
pub struct Trial<'v> {
    at: usize,
    traffic: Option<&'v Traffic>,
}

impl Trial<'_> {
    /// Returns the position of the destination.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Leaves it to the request that is watched.
    pub fn leave(mut self) {
        self.traffic = None;
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(traffic) = self.traffic {
            traffic.end_trial(u64::MAX);
        }
    }
}

impl<A: Arena, L: RawMutex> Store<A, L> {
    /// Takes what a branch to a destination that was sent at `sent_ms` has said, with the last status that it had.
    /// Returns true if the destination is ejected because of it.
    pub fn note_traffic(
        &self,
        process: usize,
        record: &DestRecord,
        (news, status): (News, u16),
        limits: &Limits,
        (sent_ms, now_ms): (u64, u64),
    ) -> bool {
        let Some(traffic) = record.traffic() else {
            return false;
        };
        traffic.count(news, status);
        let (before, after) =
            traffic.change(|standing| standing.after(news, sent_ms, now_ms, &limits.rules));
        if after.phase == before.phase {
            return false;
        }
        if !after.phase.is_out() {
            record.begin_ramp();
            self.follow_traffic(process, record);
            return false;
        }
        let is_new = before.phase == Phase::In;
        if is_new && !self.can_spare(process, record, limits.percent) {
            // Its end may be later meanwhile, and another process may have seen that it is out.
            traffic.change(|standing| {
                if standing.phase == after.phase {
                    standing.spared(before)
                } else {
                    standing
                }
            });
            self.follow_traffic(process, record);
            return false;
        }
        traffic.count_ejection();
        if is_new {
            self.follow_traffic(process, record);
        }
        true
    }

    fn can_spare(&self, process: usize, record: &DestRecord, percent: u32) -> bool {
        let pinned = self.pin(process);
        let view = pinned.view(record.set());
        let place = view.and_then(|view| Some((view, view.position_of(record)?)));
        place.is_some_and(|(view, at)| view.can_spare(at, percent))
    }

    /// Forgets what traffic said of a destination.
    pub fn forgive(&self, process: usize, record: &DestRecord) {
        if let Some(traffic) = record.traffic() {
            traffic.forgive();
            self.follow_traffic(process, record);
        }
    }

    /// Calls back the destinations of a set that has no usable one which only their traffic keeps out. Returns true if
    /// one is usable now that was out for a search under a pin of this epoch.
    #[cold]
    pub(in crate::shm) fn call_back(&self, process: usize, epoch: u64, view: &View) -> bool {
        // All records of a server have a standing, or none has.
        let is_watched = |dest: &Dest| dest.record().traffic().is_some();
        if !view.dest(0).is_some_and(is_watched) {
            return false;
        }
        if view.any_usable() {
            // Another process may have let it back since the search: while that is under way, its epoch is not noted.
            return !view.is_quiet() || view.record().traffic_epoch() >= epoch;
        }
        let records = view.dests().map(Dest::record);
        let out =
            records.filter(|record| record.is_out() && !record.state().intersects(view.unusable));
        for record in out {
            if let Some(traffic) = record.traffic() {
                traffic.change(Standing::called_back);
                self.follow_traffic(process, record);
            }
        }
        view.any_usable()
    }

    /// Ends the ejections whose time is over, and has those on probation tried. `told` gets each destination whose
    /// ejection has begun or ended since it was last called for that. Returns true while any is ejected.
    pub fn watch_ejections(
        &self,
        process: usize,
        now_ms: u64,
        mut told: impl FnMut(&Dest),
    ) -> bool {
        let pinned = self.pin(process);
        let mut any = false;
        let sets = pinned.table().into_iter().flat_map(Table::sets);
        for (_, view) in sets {
            for dest in view.dests() {
                let Some(traffic) = dest.record().traffic() else {
                    continue;
                };
                let (_, after) = traffic.change(|standing| standing.at(now_ms));
                if dest.record().is_out() != traffic.is_out() {
                    self.follow_traffic(process, dest.record());
                }
                // Looked at once: whoever is told as ejected is looked at again.
                let is_out = traffic.is_out();
                any |= is_out;
                if after.tried(now_ms).is_some() {
                    view.record().offer_probation();
                }
                if traffic.tell(is_out) {
                    told(dest);
                }
            }
        }
        any
    }
}
