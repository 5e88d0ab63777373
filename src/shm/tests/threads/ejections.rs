//! Ejections by traffic, and the requests that try a destination that comes back.

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Barrier;
use std::thread;

use super::{agrees, at_once, destroy, rounds, shared};
use crate::dispatch::passive::standing::News::{self, Failure, Good};
use crate::dispatch::passive::standing::most_ejected;
use crate::shm::dest::destination::Dest;
use crate::shm::tests::calls::with_duid;
use crate::shm::tests::store::WATCHED;
use crate::shm::tests::{EJECT_MS, FAILED, limits};

#[test]
fn no_more_are_ejected_than_may_be_and_one_request_tries_each() {
    let rounds = rounds(2, 100);
    let list = [
        with_duid("sip:a:1", "duid=a"),
        with_duid("sip:b:1", "duid=b"),
        with_duid("sip:c:1", "duid=c"),
    ];
    for (percent, count) in [(0, 3), (70, 3), (100, 2)] {
        let store = shared(4, WATCHED, &list[..count]);
        let most = most_ejected(percent, count).min(count - 1);
        let note = |process: usize, at: usize, news: News, now_ms: u64| {
            let pinned = store.pin(process);
            let record = pinned.view(1).unwrap().dest(at).unwrap().record();
            let times = (now_ms, now_ms);
            store.note_traffic(process, record, (news, FAILED), &limits(percent), times);
        };
        let out = || {
            let pinned = store.pin(0);
            let is_out = |dest: &&Dest| dest.record().is_out();
            pinned.view(1).unwrap().dests().filter(is_out).count()
        };
        // Each of three begins when all are there.
        let start = Barrier::new(3);
        let tried = [const { AtomicU32::new(0) }; 3];
        let try_one = |process: usize, now_ms: u64| {
            start.wait();
            let pinned = store.pin(process);
            let trial = pinned.view(1).unwrap().take_trial(now_ms);
            let Some(trial) = trial else {
                return;
            };
            let at = trial.at();
            assert_eq!(tried[at].fetch_add(1, Ordering::SeqCst), 0, "two try it");
            thread::yield_now();
            tried[at].fetch_sub(1, Ordering::SeqCst);
            if process == 1 {
                trial.leave();
                note(process, at, Good, now_ms);
            }
        };
        let mut now_ms = 0;
        for _ in 0..rounds {
            let fail = |process: usize| {
                start.wait();
                note(process, process % count, Failure, now_ms);
            };
            at_once(&[&|| fail(1), &|| fail(2), &|| fail(3)], &[]);
            assert!(out() <= most, "more than {most} of {count} are out");
            loop {
                now_ms += EJECT_MS;
                if !store.watch_ejections(0, now_ms, |_| {}) {
                    break;
                }
                let tick = || {
                    start.wait();
                    store.watch_ejections(3, now_ms, |_| {});
                };
                at_once(
                    &[&|| try_one(1, now_ms), &|| try_one(2, now_ms), &tick],
                    &[],
                );
            }
            assert_eq!(out(), 0);
        }
        agrees(store.pin(0).view(1).unwrap());
        destroy(&store);
    }
}
