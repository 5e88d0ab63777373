//! Probing results: what pings found of a destination, kept with its record.
//!
//! One ping is on its way to a destination at a time, and whoever got its result writes; anybody
//! reads at any time. Times are of the clock that all processes of a machine share.

use core::fmt;

use crate::dispatch::state::latency::Latency;
use crate::dispatch::state::probe::Unsent;

use super::next_hop::Hop;
use crate::shm::memory::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// How a ping ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a reply of this status.
    Reply(u16),
    /// Without a reply.
    Silence,
    /// It was not sent.
    NotSent(Unsent),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Reply(status) => status.fmt(f),
            Ended::Silence => f.write_str("no reply"),
            Ended::NotSent(why @ Unsent::NoAddress) => f.write_str(why.words()),
            Ended::NotSent(why) => write!(f, "could not be sent: {}", why.words()),
        }
    }
}

impl Ended {
    /// Returns its number, never 0.
    pub(in crate::shm) fn pack(self) -> u32 {
        match self {
            Ended::Silence => 1,
            Ended::NotSent(why) => 1 + u32::from(why.number()),
            Ended::Reply(status) => status.into(),
        }
    }

    /// Returns what has this number, if anything has.
    pub(in crate::shm) fn unpack(word: u32) -> Option<Ended> {
        match word {
            0 => None,
            1 => Some(Ended::Silence),
            word @ 2..100 => {
                let why = u8::try_from(word - 1).ok().and_then(Unsent::from_number);
                why.map(Ended::NotSent)
            }
            status => u16::try_from(status).ok().map(Ended::Reply),
        }
    }
}

/// The last result of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// How it ended.
    pub ended: Ended,
    /// When, in milliseconds.
    pub at_ms: u64,
    /// Microseconds from the sending to the reply; 0 without a reply.
    pub round_trip_us: u32,
    /// Bad results in a row, this one included.
    pub bad_in_row: u32,
}

/// The results of the pings of a destination. Zeroed, there was no ping yet.
pub struct Health {
    /// When the ping that is on its way was sent, in microseconds; 0 without one.
    sent_us: AtomicU64,
    /// Fingerprint of the URI that it is for.
    target: AtomicU64,
    /// When the next one is due, in milliseconds; 0 while that is open.
    due_ms: AtomicU64,
    last_ms: AtomicU64,
    last: AtomicU32,
    round_trip_us: AtomicU32,
    bad_in_row: AtomicU32,
    /// Why the last ping was not sent, and which URI it was for; 0 if it was sent.
    unsent: AtomicU32,
    latency: LatencyCell,
    /// When `ds_dns_mode` last asked for the name in its URI, in microseconds since 1970; 0 for never.
    asked_us: AtomicU64,
    /// Pings that have ended.
    pings: AtomicU64,
    /// Those with a bad result, or that were not sent.
    pings_failed: AtomicU64,
    /// Where the name in its URI leads, for pings.
    pub hop: Hop,
}

/// A [`Latency`] in shared memory; fractions as the bits of an `f64`.
///
/// Its fields are written one by one: a reader in between sees some of before, which is good enough for figures to look
/// at. Shares and ranks follow them as they follow states (`set/ranks.rs`), so they are of the same order: `SeqCst`.
struct LatencyCell {
    average: AtomicU64,
    deviation: AtomicU64,
    estimate: AtomicU64,
    m2: AtomicU64,
    max: AtomicU32,
    timeouts: AtomicU32,
    samples: AtomicU32,
}

impl LatencyCell {
    fn get(&self) -> Latency {
        let fraction = |bits: &AtomicU64| f64::from_bits(bits.load(SeqCst));
        Latency {
            average: fraction(&self.average),
            deviation: fraction(&self.deviation),
            estimate: fraction(&self.estimate),
            m2: fraction(&self.m2),
            max: self.max.load(SeqCst),
            timeouts: self.timeouts.load(SeqCst),
            samples: self.samples.load(SeqCst),
        }
    }

    fn set(&self, new: &Latency) {
        self.average.store(new.average.to_bits(), SeqCst);
        self.deviation.store(new.deviation.to_bits(), SeqCst);
        self.estimate.store(new.estimate.to_bits(), SeqCst);
        self.m2.store(new.m2.to_bits(), SeqCst);
        self.max.store(new.max, SeqCst);
        self.timeouts.store(new.timeouts, SeqCst);
        self.samples.store(new.samples, SeqCst);
    }
}

impl Health {
    /// Returns how long it takes to answer.
    pub fn latency(&self) -> Latency {
        self.latency.get()
    }

    /// Keeps how long it takes to answer. Whoever ended the ping, or made the record.
    pub fn set_latency(&self, latency: &Latency) {
        self.latency.set(latency);
    }

    /// Begins a ping of the URI with this fingerprint; false while another one is on its way.
    pub fn begin(&self, now_us: u64, target: u64) -> bool {
        let begun = self
            .sent_us
            .compare_exchange(0, now_us.max(1), SeqCst, SeqCst)
            .is_ok();
        if begun {
            self.target.store(target, SeqCst);
        }
        begun
    }

    /// Returns the fingerprint of the URI that the last ping was for.
    pub fn target(&self) -> u64 {
        self.target.load(SeqCst)
    }

    /// Returns when the name was last asked for, in microseconds since 1970; 0 for never.
    pub fn asked_us(&self) -> u64 {
        self.asked_us.load(SeqCst)
    }

    /// Says when the name was asked for.
    pub fn set_asked_us(&self, asked_us: u64) {
        self.asked_us.store(asked_us, SeqCst);
    }

    /// Keeps why a ping to the URI with this fingerprint was not sent, or that it was. Returns true if that was not
    /// known: of that URI, if it was not sent.
    pub fn note_unsent(&self, why: Option<Unsent>, target: u64) -> bool {
        let [a, b, c, ..] = target.to_le_bytes();
        let word = why.map_or(0, |why| u32::from_le_bytes([why.number(), a, b, c]));
        self.unsent.swap(word, SeqCst) != word
    }

    /// Returns why the last ping was not sent; `None` if it was.
    pub fn unsent(&self) -> Option<Unsent> {
        let [number, ..] = self.unsent.load(SeqCst).to_le_bytes();
        Unsent::from_number(number)
    }

    /// Ends the ping that is on its way, after its result was kept.
    pub fn end(&self) {
        self.sent_us.store(0, SeqCst);
    }

    /// Ends a ping that was sent before a moment and never ended; false without one.
    pub fn give_up(&self, sent_before_us: u64) -> bool {
        let sent = self.sent_us.load(SeqCst);
        sent != 0
            && sent < sent_before_us
            && self
                .sent_us
                .compare_exchange(sent, 0, SeqCst, SeqCst)
                .is_ok()
    }

    /// Returns when the ping that is on its way was sent, in microseconds.
    pub fn sent_us(&self) -> Option<u64> {
        Some(self.sent_us.load(SeqCst)).filter(|&sent| sent != 0)
    }

    /// Returns when the next ping is due, in milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        Some(self.due_ms.load(SeqCst)).filter(|&due| due != 0)
    }

    /// Says when the next ping is due.
    pub fn set_due_ms(&self, due_ms: u64) {
        self.due_ms.store(due_ms, SeqCst);
    }

    /// Keeps a result. Whoever ended the ping.
    pub fn note(&self, ended: Ended, good: bool, now_ms: u64, round_trip_us: u32) {
        let bad = if good {
            0
        } else {
            self.bad_in_row.load(SeqCst).saturating_add(1)
        };
        self.pings.fetch_add(1, SeqCst);
        self.pings_failed.fetch_add(u64::from(!good), SeqCst);
        self.bad_in_row.store(bad, SeqCst);
        self.round_trip_us.store(round_trip_us, SeqCst);
        self.last_ms.store(now_ms, SeqCst);
        self.last.store(ended.pack(), SeqCst);
    }

    /// Returns how many pings have ended.
    pub fn pings(&self) -> u64 {
        self.pings.load(SeqCst)
    }

    /// Returns how many of them had a bad result, or were not sent.
    pub fn pings_failed(&self) -> u64 {
        self.pings_failed.load(SeqCst)
    }

    /// Returns the last result; `None` before the first one.
    pub fn last(&self) -> Option<Last> {
        Some(Last {
            ended: Ended::unpack(self.last.load(SeqCst))?,
            at_ms: self.last_ms.load(SeqCst),
            round_trip_us: self.round_trip_us.load(SeqCst),
            bad_in_row: self.bad_in_row.load(SeqCst),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Ended;
    use crate::dispatch::state::probe::Unsent;
    use crate::shm::dest::record_slab::Records;
    use crate::shm::tests::Heap;

    #[test]
    fn a_ping_that_never_ends_is_given_up() {
        let heap = Heap::default();
        let record = Records::new(&heap, 1, false).make().unwrap();
        {
            assert!(record.health().is_none());
            let health = &record.need_vitals(&heap).unwrap().health;
            assert!(record.health().is_some());
            assert!(!health.give_up(1_000), "there is none");
            assert!(health.begin(500, 7) && !health.begin(600, 8));
            assert_eq!(health.target(), 7, "it is for whom it was sent");
            assert!(!health.give_up(500), "it is not that old");
            assert!(!health.begin(700, 7));
            assert!(health.give_up(501) && health.begin(700, 7));
            health.end();
            assert!(health.begin(800, 9));
        }
        drop(record);
        assert_eq!(heap.taken(), 0);
    }

    #[test]
    fn it_is_news_when_pings_begin_or_cease_to_be_sent() {
        let heap = Heap::default();
        let record = Records::new(&heap, 1, false).make().unwrap();
        let health = &record.need_vitals(&heap).unwrap().health;
        let note = |why, target| (health.note_unsent(why, target), health.unsent());
        let (no_address, no_socket) = (Some(Unsent::NoAddress), Some(Unsent::NoSocket));
        for (why, target, is_news) in [
            (None, 7, false),
            (no_address, 7, true),
            (no_address, 7, false),
            (no_address, 8, true),
            (no_socket, 8, true),
            (None, 8, true),
            (None, 9, false),
        ] {
            assert_eq!(note(why, target), (is_news, why), "{why:?} {target}");
        }
        for ended in [
            Ended::Silence,
            Ended::Reply(100),
            Ended::Reply(699),
            Ended::NotSent(Unsent::NoAddress),
            Ended::NotSent(Unsent::Dropped),
        ] {
            assert_eq!(Ended::unpack(ended.pack()), Some(ended));
        }
        assert_eq!([0, 50].map(Ended::unpack), [None; 2]);
    }
}
