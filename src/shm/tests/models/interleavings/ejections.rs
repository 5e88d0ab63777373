//! Ejections by traffic, and the requests that try a destination that comes back.

use core::cell::Cell;

use super::explore::{How, Model};
use super::farm::{Farm, processes};
use super::states::list;
use super::world::{Search, let_others_go, quiet};
use crate::dispatch::passive::standing::News::{self, Failure, Good};
use crate::dispatch::passive::standing::most_ejected;
use crate::dispatch::select::algorithm::{Start, choose};
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::traffic::Traffic;
use crate::shm::set::view::View;
use crate::shm::table::store::Tried;
use crate::shm::tests::store::WATCHED;
use crate::shm::tests::{EJECT_MS, FAILED, limits};

/// A set with its traffic, and what the tick does about that.
struct Watch {
    farm: Farm,
    percent: u32,
    /// True if the tick has something to look at.
    looks: Cell<bool>,
    /// Destinations that were told as ejected, and not yet as back.
    told: [Cell<bool>; 3],
    /// True while a request tries a destination.
    tried: Cell<bool>,
    failed: Cell<u64>,
    ejected: Cell<u64>,
}

impl Watch {
    /// Makes a set of so many destinations. Each failure is to eject one.
    fn new(percent: u32, dests: usize) -> Self {
        Watch {
            farm: Farm::new(WATCHED, 5, &list()[..dests]),
            percent,
            looks: Cell::new(false),
            told: Default::default(),
            tried: Cell::new(false),
            failed: Cell::new(0),
            ejected: Cell::new(0),
        }
    }

    /// Takes what a branch to a destination has said.
    fn note(&self, process: usize, at: usize, news: News, now_ms: u64) {
        let pinned = self.farm.pin(process);
        let record = pinned.view(1).unwrap().dest(at).unwrap().record();
        let (limits, times) = (limits(self.percent), (now_ms, now_ms));
        let said = (news, FAILED);
        let failed = u64::from(news == Failure);
        self.failed.set(self.failed.get() + failed);
        if self
            .farm
            .note_traffic(process, record, said, &limits, times)
        {
            self.ejected.set(self.ejected.get() + 1);
            self.looks.set(true);
        }
    }

    /// Looks at ejections, if there was one since none was left.
    fn tick(&self, process: usize, now_ms: u64) {
        if !self.looks.replace(false) {
            return;
        }
        let any = self.farm.watch_ejections(process, now_ms, |dest| {
            let told = &self.told[dest.record().position()];
            told.set(!told.get());
        });
        self.looks.set(self.looks.get() || any);
    }

    /// Tries a destination that waits for it with a request, which says this of it or nothing.
    fn try_one(&self, process: usize, said: Option<News>, now_ms: u64) {
        let pinned = self.farm.pin(process);
        let Some(trial) = pinned.view(1).unwrap().take_trial(now_ms) else {
            return;
        };
        assert!(!self.tried.replace(true), "two try it at a time");
        let_others_go();
        self.tried.set(false);
        let at = trial.at();
        if let Some(news) = said {
            trial.leave();
            self.note(process, at, news, now_ms);
        }
    }

    /// Asks of each destination.
    fn each(&self, ask: impl Fn(&DestRecord, &Traffic) -> bool) -> Vec<bool> {
        quiet(|| {
            let pinned = self.farm.pin(0);
            let records = pinned.view(1).unwrap().dests().map(|dest| dest.record());
            let asked = |record: &DestRecord| ask(record, record.traffic().unwrap());
            records.map(asked).collect()
        })
    }

    /// Checks what was left, brings all back, and checks what was told and counted.
    fn end(self) {
        let out = self.each(|_, traffic| traffic.is_out());
        let most = most_ejected(self.percent, out.len()).min(out.len() - 1);
        let count = out.iter().filter(|out| **out).count();
        assert!(count <= most, "more than {most} are out: {out:?}");
        assert_eq!(self.each(|record, _| record.is_out()), out, "its bit");
        let mut now_ms = 0;
        quiet(|| self.tick(0, now_ms));
        let told = self.told.iter().map(Cell::get);
        assert!(told.take(out.len()).eq(out), "it is not told as it is");
        while self.looks.get() {
            now_ms += EJECT_MS;
            quiet(|| self.tick(0, now_ms));
            quiet(|| self.try_one(0, Some(Good), now_ms));
        }
        assert!(!self.each(|record, _| record.is_out()).contains(&true));
        assert!(!self.told.iter().any(Cell::get), "one is told as out");
        let (failed, ejected) = (Cell::new(0), Cell::new(0));
        self.each(|_, traffic| {
            failed.set(failed.get() + traffic.branches().1);
            ejected.set(ejected.get() + traffic.ejections());
            assert_eq!(traffic.last_failure() == FAILED, traffic.branches().1 > 0);
            true
        });
        assert_eq!((failed, ejected), (self.failed, self.ejected), "counted");
        self.farm.end();
    }
}

/// Two destinations fail at once: at no moment are more ejected than may be, nor all of them.
fn two_fail(percent: u32, dests: usize) {
    let watch = Watch::new(percent, dests);
    let pinned = quiet(|| watch.farm.pin(0));
    let view: *const View = pinned.view(1).unwrap();
    let search = Search::begin(move || {
        // The list stays.
        let records = unsafe { &*view }.dests().map(|dest| dest.record());
        1 << records.filter(|record| record.is_out()).count()
    });
    processes(&[&|| watch.note(1, 0, Failure, 0), &|| {
        watch.note(2, 1, Failure, 0);
    }]);
    let most = most_ejected(percent, dests).min(dests - 1);
    let seen = search.end();
    assert!(seen.ever < 2 << most, "more than {most} are out: {seen:?}");
    quiet(|| drop(pinned));
    watch.end();
}

/// The tick looks on meanwhile, and may see one as ejected that is then spared.
fn two_fail_and_the_tick_looks() {
    let watch = Watch::new(100, 2);
    watch.looks.set(true);
    processes(&[
        &|| watch.note(1, 0, Failure, 0),
        &|| watch.note(2, 1, Failure, 0),
        &|| watch.tick(3, 0),
    ]);
    watch.end();
}

/// One destination is ejected and the other one goes down: whoever selects then calls the first one back, or finds it
/// called back by another one, or by the tick at this time.
fn one_is_called_back(now_ms: u64) {
    let watch = Watch::new(0, 2);
    quiet(|| {
        watch.note(0, 0, Failure, 0);
        watch.farm.toggle(0, "sip:c:1");
    });
    let select = |process| {
        let choose = |view: &View| choose(view, Start::First).map(|choice| choice.at);
        let found = watch.farm.try_set(process, 1, choose);
        assert_eq!(found, Tried::Done(0), "it is the only one");
    };
    processes(&[&|| select(1), &|| select(2), &|| watch.tick(3, now_ms)]);
    quiet(|| select(0));
    quiet(|| watch.farm.toggle(0, "sip:c:1"));
    watch.end();
}

/// A destination waits for a request that tries it, and two come, while the tick offers it again. One of them says
/// this of it, the other one is not sent.
fn two_try_it(said: News) {
    let watch = Watch::new(0, 2);
    quiet(|| {
        watch.note(0, 0, Failure, 0);
        watch.tick(0, EJECT_MS);
    });
    processes(&[
        &|| watch.try_one(1, Some(said), EJECT_MS),
        &|| watch.try_one(2, None, EJECT_MS),
        &|| watch.tick(3, EJECT_MS),
    ]);
    let has_slow_start = watch.each(|_, traffic| traffic.ramp_ms(1, EJECT_MS).is_some());
    let is_good = watch.each(|_, traffic| traffic.branches().0 > 0);
    assert_eq!(has_slow_start, is_good, "its slow start");
    watch.end();
}

/// A destination has come back when two requests that were sent to it end, one well and the other one not.
fn it_comes_back_and_fails() {
    let watch = Watch::new(0, 2);
    quiet(|| {
        watch.note(0, 0, Failure, 0);
        watch.tick(0, EJECT_MS);
    });
    processes(&[
        &|| watch.note(1, 0, Good, EJECT_MS),
        &|| watch.note(2, 0, Failure, EJECT_MS),
        &|| watch.tick(3, EJECT_MS),
    ]);
    watch.end();
}

const QUICK: &[How] = &[How::Stops(1), How::Priorities(3, 200), How::Random(200)];
const FULL: &[How] = &[
    How::Stops(1),
    How::Random(100_000),
    How::Priorities(4, 100_000),
];

macro_rules! model {
    ($name:literal, $quick:expr, $run:expr) => {
        Model {
            name: $name,
            run: || $run,
            quick: $quick,
            full: FULL,
        }
    };
}

/// Without all schedules that stop one process.
const DRAWN: &[How] = &[How::Priorities(3, 300), How::Random(300)];

pub const MODELS: &[Model] = &[
    model!("ejections, one of three", QUICK, two_fail(0, 3)),
    model!("ejections, the last one", QUICK, two_fail(100, 2)),
    model!("ejections, told", DRAWN, two_fail_and_the_tick_looks()),
    model!("called back", DRAWN, one_is_called_back(0)),
    model!("called back in time", DRAWN, one_is_called_back(EJECT_MS)),
    model!("trials, a good one", DRAWN, two_try_it(Good)),
    model!("trials, a bad one", DRAWN, two_try_it(Failure)),
    model!("it is back and fails", DRAWN, it_comes_back_and_fails()),
];
