//! Structures of a few atomics, most of them in all schedules that there are.

use core::cell::{Cell, RefCell};

use super::explore::{How, Model};
use super::farm::processes;
use super::world::quiet;
use crate::dispatch::cluster::state::clock::Stamp;
use crate::dispatch::cluster::state::key::{Key as ClusterKey, NodeHash};
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::list::destination::{Addr, Proto};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Flip, State};
use crate::shm::dest::next_hop::{NextHop, Resolved};
use crate::shm::dest::rate::Rate;
use crate::shm::dest::record_slab::Records;
use crate::shm::event_queue::{EventQueue, MOST_BYTES, QueuedEvent};
use crate::shm::memory::arena::Plan;
use crate::shm::memory::atomic::{AtomicPtr, AtomicU64, Ordering::SeqCst};
use crate::shm::memory::epoch::Epochs;
use crate::shm::queue::Refused;
use crate::shm::set::maxima::Maxima;
use crate::shm::set::names_due::NamesDue;
use crate::shm::set::sums::Sums;
use crate::shm::set::usable::Usable;
use crate::shm::tests::models::memory::Pieces as Pool;

fn event(number: u8, len: usize) -> QueuedEvent {
    QueuedEvent {
        set: number.into(),
        uri: vec![number; len],
        old: State::ACTIVE,
        new: State::INACTIVE,
        flip: Flip::Down,
        cause: Cause::from_number(1),
        node: Vec::new(),
    }
}

/// Two processes post events, a third one takes them.
fn events(len: usize) {
    let queue = quiet(|| EventQueue::create(Pool).unwrap());
    let (taken, refused) = (RefCell::new(vec![]), Cell::new(0));
    let run = |process: usize| match process {
        1 | 2 => {
            let number = u8::try_from(process).unwrap();
            if let Err(why) = queue.post(&event(number, len)) {
                assert_eq!(why, Refused::TooMany);
                refused.set(refused.get() + 1);
                let first = queue.count_dropped(1);
                assert!(first || refused.get() > 1);
            }
        }
        _ => taken.borrow_mut().extend(queue.take()),
    };
    processes(&[&|| run(1), &|| run(2), &|| run(3)]);
    quiet(|| {
        let mut all = taken.into_inner();
        all.extend(queue.take());
        let mut sets: Vec<i32> = all.iter().map(|event| event.set).collect();
        sets.sort_unstable();
        sets.dedup();
        assert_eq!(sets.len(), all.len(), "an event came twice");
        assert_eq!(all.len() + refused.get(), 2, "an event is lost");
        assert_eq!(queue.take_dropped(), refused.get());
        assert!(len > MOST_BYTES / 2 || refused.get() == 0);
        // What is gone takes no room: as many fit as at the start.
        if len > MOST_BYTES / 2 {
            queue.post(&event(3, MOST_BYTES - 500)).unwrap();
        }
        unsafe { queue.destroy() };
    });
}

/// Two readers follow a pointer that a writer replaces twice; what is retired is freed as soon as nobody can see it.
fn epochs(strays: bool) {
    let mut block = quiet(|| Plan::<Epochs>::of_header().alloc(&Pool).unwrap());
    quiet(|| {
        block.fill().make_slots(&Pool, 2).unwrap();
        block.fill().start();
    });
    let epochs: &Epochs = unsafe { block.header().as_ref() };
    let make = |value: u64| {
        let made = Plan::<AtomicU64>::of_header()
            .alloc(&Pool)
            .unwrap()
            .header();
        quiet(|| unsafe { made.as_ref() }.store(value, SeqCst));
        made.as_ptr()
    };
    let link = AtomicPtr::new(quiet(|| make(1)));
    let left = RefCell::new(vec![]);
    let read = |process: usize| {
        let outer = epochs.pin(if strays { 99 } else { process });
        let inner = epochs.pin(process);
        drop(outer);
        // A use after a free is seen by the load.
        let value = unsafe { &*link.load(SeqCst) }.load(SeqCst);
        assert!((1..4).contains(&value));
        drop(inner);
    };
    let write = |_: usize| {
        let mut retired: Vec<(*mut AtomicU64, u64)> = vec![];
        for value in 2..4 {
            let old = link.swap(make(value), SeqCst);
            retired.push((old, epochs.advance()));
            let oldest = epochs.oldest();
            let over = |(_, epoch): &mut (*mut AtomicU64, u64)| *epoch < oldest;
            for (piece, _) in retired.extract_if(.., over) {
                free(piece);
            }
        }
        // Who came before holds its pin, or has let it go.
        left.borrow_mut()
            .extend(retired.into_iter().map(|(piece, _)| piece));
    };
    processes(&[&|| read(0), &|| read(1), &|| write(2)]);
    quiet(|| {
        assert_eq!(epochs.oldest(), u64::MAX, "a pin is left");
        assert!(!epochs.is_pinned(0) && !epochs.is_pinned(1) && !epochs.is_pinned(99));
        left.take().into_iter().for_each(free);
        free(link.load(SeqCst));
        block.fill().free_slots(&Pool);
        unsafe { crate::shm::memory::arena::Arena::free(&Pool, block.header().cast()) };
    });
}

fn free(piece: *mut AtomicU64) {
    let piece = core::ptr::NonNull::new(piece).unwrap();
    unsafe { crate::shm::memory::arena::Arena::free(&Pool, piece.cast()) };
}

/// The time of a name is set back while another process looks at the names.
fn names_due() {
    let due: NamesDue = unsafe { core::mem::zeroed() };
    let [asked, other] = [1_000, 1_000].map(AtomicU64::new);
    let any = || {
        due.any(
            1_000,
            100,
            [&asked, &other].into_iter().map(|asked| asked.load(SeqCst)),
        )
    };
    let run = |process: usize| match process {
        1 => {
            asked.store(0, SeqCst);
            due.forget();
            assert!(any(), "it is due from now on");
        }
        _ => _ = any(),
    };
    processes(&[&|| run(1), &|| run(2), &|| run(3)]);
    quiet(|| assert!(any(), "it is forgotten that it is due"));
}

/// Processes that are the first to need what lies beside a record, and its number.
fn vitals_and_numbers() {
    {
        let record = quiet(|| Records::new(&Pool, 1, false).make().unwrap());
        let next = AtomicU64::new(7);
        let number = || record.number(|| u32::try_from(next.fetch_add(1, SeqCst)).unwrap());
        let first = Cell::new(None);
        let run = |process: usize| {
            let vitals = record.need_vitals(&Pool).unwrap();
            vitals.overload.begin(u32::try_from(process).unwrap());
            let drawn = number();
            assert_eq!(
                *first.get().get_or_insert(drawn),
                drawn,
                "it has two numbers"
            );
            first.set(Some(drawn));
        };
        processes(&[&|| run(1), &|| run(2)]);
        quiet(|| {
            assert!(record.overload().unwrap().rate() > 0);
            assert_eq!(Some(record.drawn_number()), first.get());
            drop(record);
        });
    }
}

/// A reader while two processes keep what they found of a name.
fn next_hops() {
    {
        let record = quiet(|| Records::new(&Pool, 1, true).make().unwrap());
        let hop = &record.health().unwrap().hop;
        let at = |byte: u8| {
            Resolved::At(NextHop {
                addr: Addr::V6([byte; 16]),
                port: 5060,
                proto: Proto::UDP,
            })
        };
        let run = |process: usize| match process {
            1 | 2 => hop.set(hop.stamp(), b"name", at(u8::try_from(process).unwrap())),
            _ => {
                let found = hop.get(b"name");
                assert!(
                    [Resolved::Unknown, at(1), at(2)].contains(&found),
                    "a mixture: {found:?}"
                );
            }
        };
        processes(&[&|| run(1), &|| run(2), &|| run(3)]);
        quiet(|| {
            assert_ne!(hop.get(b"name"), Resolved::Unknown);
        });
        quiet(|| drop(record));
    }
}

/// What the cluster decides on a destination is written while somebody reads it: he reads one decision, and no mixture.
fn registers() {
    let record = quiet(|| Records::new(&Pool, 1, false).shared(true).make().unwrap());
    let cell = record.register().unwrap();
    let decided = |number: u64| {
        let small = u32::try_from(number).unwrap();
        let register = Register {
            stamp: Stamp(number),
            node: NodeHash(number),
            bits: small,
            base: small,
        };
        (ClusterKey(number), register)
    };
    processes(&[
        &|| (1..=2).for_each(|number| cell.set(decided(number).0, decided(number).1)),
        &|| {
            let found = cell.get();
            assert!(
                [None, Some(decided(1)), Some(decided(2))].contains(&found),
                "a mixture: {found:?}"
            );
        },
    ]);
    quiet(|| assert_eq!(cell.get(), Some(decided(2))));
    quiet(|| drop(record));
}

/// Reports of a destination's load come out of order: the number is that of the newest one. What they say is written
/// after it, and may be of either until the next one comes.
fn overload_reports() {
    {
        let record = quiet(|| Records::new(&Pool, 1, true).make().unwrap());
        let overload = record.overload().unwrap();
        let run = |number: usize| {
            let number = i32::try_from(number).unwrap();
            overload.report(number, number.unsigned_abs(), number.unsigned_abs().into());
        };
        processes(&[&|| run(1), &|| run(2)]);
        quiet(|| {
            assert_eq!(overload.seq(), 2);
            assert!([1, 2].contains(&overload.rate()) && [1, 2].contains(&overload.until_us()));
            assert!(!overload.report(1, 9, 9), "it is older");
        });
        quiet(|| drop(record));
    }
}

/// Bitmap, sums and tree of more destinations than one of their nodes holds follow what two processes change.
fn structures(places: [usize; 2]) {
    const LEN: usize = 66;
    let (usable, sums, maxima, piece) = quiet(|| {
        let mut plan = Plan::<u64>::of_header();
        let usable = Usable::plan(&mut plan, LEN);
        let sums = Sums::plan(&mut plan, LEN);
        let maxima = Maxima::plan(&mut plan, LEN);
        let block = plan.alloc(&Pool).unwrap();
        (usable(&block), sums(&block), maxima(&block), block.header())
    });
    let truths = [5, 0].map(AtomicU64::new);
    let truth = |number: usize| u32::try_from(truths[number].load(SeqCst)).unwrap();
    let sync = |number: usize| {
        let at = places[number];
        usable.sync(at, || truth(number) != 0);
        sums.sync(at, || truth(number));
        maxima.sync(at, || truth(number));
    };
    quiet(|| sync(0));
    let change = |number: usize, value: u64| {
        truths[number].store(value, SeqCst);
        sync(number);
    };
    // Two changes of one destination, and two destinations below one node.
    let one = usize::from(places[0] != places[1]);
    processes(&[&|| change(0, 0), &|| change(one, 3)]);
    quiet(|| {
        let mut values = [0; LEN];
        values[places[one]] = truth(one);
        values[places[0]] = truth(0);
        let set = (0..LEN).filter(|&at| values[at] != 0);
        assert_eq!(usable.any(), set.clone().count() > 0);
        assert!(usable.set_in(0, LEN).eq(set), "{values:?}");
        assert_eq!(usable.last(LEN), (0..LEN).rfind(|&at| values[at] != 0));
        let most = values.iter().max().copied();
        assert_eq!(Some(maxima.greatest()), most);
        let first = values
            .iter()
            .position(|value| *value != 0 && Some(*value) == most);
        assert_eq!(maxima.first_of_greatest(), first);
        (0..=LEN).for_each(|to| assert_eq!(sums.below(to), values[..to].iter().sum::<u32>()));
        unsafe { crate::shm::memory::arena::Arena::free(&Pool, piece.cast()) };
    });
}

/// Holders of a record let go at once, in a slab that goes with the last one.
fn records_and_slabs() {
    let mut records = quiet(|| Records::new(&Pool, 2, true));
    let held = quiet(|| {
        [records.make().unwrap(), records.make().unwrap()].map(|record| Cell::new(Some(record)))
    });
    quiet(|| drop(records));
    let let_go = |at: usize| {
        let record = held[at].take().unwrap();
        assert_eq!(record.load(), 0);
    };
    processes(&[&|| let_go(0), &|| let_go(1)]);
}

/// Two processes admit calls of a destination, in two seconds: no second has more than the limit, whoever is held up, and
/// the room of each is used.
fn rates(most: usize) {
    const SECOND_US: u64 = 1_000_000;
    let rate = quiet(|| Rate::create(&Pool, most).unwrap());
    let admitted = RefCell::new(vec![]);
    let offer = |times: [u64; 2]| {
        for time in times {
            if rate.admit(|| time) {
                admitted.borrow_mut().push(time);
            }
        }
    };
    processes(&[&|| offer([SECOND_US, 2 * SECOND_US]), &|| {
        offer([SECOND_US + 5, 2 * SECOND_US + 7])
    }]);
    quiet(|| {
        let mut times = admitted.into_inner();
        times.sort_unstable();
        let spans = times.windows(most + 1).map(|span| span[most] - span[0]);
        assert!(spans.into_iter().all(|span| span >= SECOND_US), "{times:?}");
        assert!(times.len() >= 2, "{times:?}");
        let later = (0..=most).filter(|_| rate.admit(|| 9 * SECOND_US)).count();
        assert_eq!((later, rate.recent(9 * SECOND_US)), (most, most));
        drop(rate);
    });
}

const QUICK: &[How] = &[How::Stops(1), How::Priorities(3, 60), How::Random(50)];
const ALL: &[How] = &[How::All];
const FULL: &[How] = &[
    How::Stops(2),
    How::Random(200_000),
    How::Priorities(5, 200_000),
];

macro_rules! model {
    ($name:literal, $run:expr, $full:expr) => {
        Model {
            name: $name,
            run: || $run,
            quick: QUICK,
            full: $full,
        }
    };
}

pub const MODELS: &[Model] = &[
    model!("events", events(10), FULL),
    Model {
        name: "events at the bound",
        run: || events(MOST_BYTES / 2 + 1),
        quick: &[How::Random(20)],
        full: &[How::Stops(1)],
    },
    model!("epochs", epochs(false), FULL),
    model!("epochs and strays", epochs(true), FULL),
    model!("names that are due", names_due(), FULL),
    model!("vitals and numbers", vitals_and_numbers(), ALL),
    model!("next hops", next_hops(), FULL),
    model!("registers", registers(), FULL),
    model!("one place, below the top", structures([65, 65]), FULL),
    model!("two places, below the top", structures([64, 65]), FULL),
    model!("overload reports", overload_reports(), ALL),
    model!("rates of one", rates(1), FULL),
    model!("rates of two", rates(2), FULL),
    model!("records and slabs", records_and_slabs(), ALL),
];
