//! The store of a model, with its lists, and the questions about them that are asked at each step.

use core::ops::Range;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::world::{Gate, Search, quiet};
use crate::dispatch::list::destination::DestSpec;
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::select::turns::Weights;
use crate::dispatch::state::transition::{Outcome, State};
use crate::shm::set::maxima::Maxima;
use crate::shm::set::view::{Rules, View};
use crate::shm::table::lock::Patience;
use crate::shm::table::store::{ReloadState, Store};
use crate::shm::tests::models::memory::Pieces as Pool;

use lock_api::RawMutex;

/// The store as each process has it.
pub type ModelStore = Store<Pool, Gate>;

/// A writer tries once: nobody waits for a clock.
pub const ONCE: Patience = Patience {
    wait_ms: 0,
    now_s: || 0,
};

pub const RULES: Rules = crate::shm::tests::store::RULES;

/// A store that is destroyed at the end of a model, when all must have been given back.
pub struct Farm(ModelStore);

impl core::ops::Deref for Farm {
    type Target = ModelStore;

    fn deref(&self) -> &ModelStore {
        &self.0
    }
}

impl Farm {
    /// Makes a store for so many processes with this list; none of this is a step.
    pub fn new(rules: Rules, processes: usize, list: &[DestSpec<'_>]) -> Self {
        quiet(|| {
            let store = Store::create(Pool, Gate::INIT, rules).unwrap();
            unsafe { store.make_slots(processes) }.unwrap();
            let farm = Farm(store);
            farm.reload(list, ReloadState::Keep);
            farm
        })
    }

    /// Loads a list; returns false if another process writes.
    pub fn reload(&self, list: &[DestSpec<'_>], states: ReloadState) -> bool {
        let random = &mut StdRng::seed_from_u64(1);
        let ticket = self.ticket();
        let loaded = self.load_and_tell(ONCE, ticket, list, states, random, &mut |_, _| {});
        loaded.is_ok()
    }

    /// Sets the state of a destination of set 1, before the processes begin.
    pub fn set(&self, uri: &str, state: State) {
        quiet(|| self.mark(0, uri, |_| state));
        quiet(|| self.forget_counts());
    }

    /// Takes a destination of set 1 from its state to another one, and counts that as a failure in a row.
    pub fn mark(&self, process: usize, uri: &str, to: impl Fn(State) -> State) -> Option<usize> {
        let change = |state: State, failures| {
            let (state, failures) = (to(state), failures + 1);
            Outcome {
                state,
                failures,
                flip: None,
                in_row: 0,
            }
        };
        self.change(
            process,
            1,
            Some(uri.as_bytes()),
            |_| true,
            change,
            |_, _, _| {},
        )
    }

    /// Takes a destination of set 1 down or up, whichever it is not.
    pub fn toggle(&self, process: usize, uri: &str) -> Option<usize> {
        self.mark(process, uri, |state| State(state.0 ^ State::INACTIVE.0))
    }

    fn forget_counts(&self) {
        let change = |state, _| Outcome {
            state,
            failures: 0,
            flip: None,
            in_row: 0,
        };
        self.change(0, 1, None, |_| true, change, |_, _, _| {});
    }

    /// Returns state and failures of a destination of set 1, when all processes have ended.
    pub fn status(&self, uri: &str) -> (State, u32) {
        quiet(|| {
            let pinned = self.pin(0);
            let view = pinned.view(1).unwrap();
            let at = view.find_uri(uri.as_bytes()).next().unwrap();
            view.dest(at).unwrap().record().status()
        })
    }

    /// Gives everything back, after the last process.
    pub fn end(&self) {
        quiet(|| {
            self.agrees();
            self.collect();
            let holdings = self.holdings(0);
            assert_eq!(
                (holdings.notes, holdings.bytes),
                (0, 0),
                "what is kept is not counted"
            );
            unsafe { self.destroy() };
        });
    }

    /// Checks that bitmaps and trees of all sets agree with the records, now that nobody changes anything.
    fn agrees(&self) {
        let pinned = self.pin(0);
        for (_, view) in pinned.table().unwrap().sets() {
            assert!(view.is_quiet(), "a change has no end");
            for dest in view.dests() {
                assert_eq!(dest.record().listed(), dest.listed, "what the list says");
            }
            agrees(view);
        }
    }
}

/// Checks that bitmaps and trees agree with the records.
pub fn agrees(view: &View) {
    let all = 0..view.dest_count();
    let usable: Vec<usize> = all.clone().filter(|&at| view.is_usable(at)).collect();
    let draining: Vec<usize> = all.clone().filter(|&at| view.is_draining(at)).collect();
    assert!(
        view.usable
            .set_in(0, view.dest_count())
            .eq(usable.iter().copied()),
        "usable"
    );
    assert_eq!(
        view.usable.last(view.dest_count()),
        usable.last().copied(),
        "last usable"
    );
    assert!(
        view.draining
            .set_in(0, view.dest_count())
            .eq(draining.iter().copied()),
        "draining"
    );
    assert_eq!(view.draining.any(), !draining.is_empty(), "any draining");
    let room = |at: usize| {
        let dest = view
            .usable_dest(at)
            .filter(|dest| dest.duid().is_some() && dest.has_room());
        dest.filter(|_| at < view.candidate_count())
            .map_or(0, |dest| u32::MAX - dest.record().whole_load())
    };
    if view.rooms.at_least(0, 0, 1).next().is_some() {
        tree_agrees(&view.rooms, all.clone(), room, "rooms");
    }
    let rank = |at: usize| view.rank(at).unwrap_or(0);
    tree_agrees(view.ranks.best(), all.clone(), rank, "ranks");
    for by in [Weights::Relative, Weights::Service] {
        let sums = view.ranks.weights(by);
        for to in all
            .clone()
            .filter(|_| !sums.is_empty())
            .chain([view.dest_count()])
        {
            let exact = all
                .clone()
                .take(to)
                .map(|at| view.ranks.share(view, by, at))
                .sum::<u32>();
            assert_eq!(sums.below(to), exact, "{by:?}");
        }
    }
}

fn tree_agrees(tree: &Maxima, all: Range<usize>, value: impl Fn(usize) -> u32, name: &str) {
    let mut best = (0, None);
    for at in all {
        let value = value(at);
        assert_eq!(
            tree.at_least(value, at, at + 1).next(),
            Some(at),
            "{name}: too small at {at}"
        );
        let more = value
            .checked_add(1)
            .and_then(|more| tree.at_least(more, at, at + 1).next());
        assert_eq!(more, None, "{name}: too great at {at}");
        if value > best.0 {
            best = (value, Some(at));
        }
    }
    assert_eq!((tree.greatest(), tree.first_of_greatest()), best, "{name}");
}

/// Returns the bits of some positions.
pub fn bits(all: impl Iterator<Item = usize>) -> u128 {
    all.fold(0, |seen, at| seen | 1 << at)
}

/// Asks at each step which destinations of a view `fit`.
pub fn look_on(view: &View, fit: fn(&View, usize) -> bool) -> Search {
    let view: *const View = view;
    Search::begin(move || {
        // It stays as long as its execution, freed or not.
        let view = unsafe { &*view };
        let all = 0..view.dest_count();
        bits(all.filter(|&at| fit(view, at)))
    })
}

/// Runs processes until the last one has ended.
pub fn processes(all: &[&dyn Fn()]) {
    /// All processes of a model are of one OS thread.
    struct Process<'p>(&'p dyn Fn());
    unsafe impl Send for Process<'_> {}
    shuttle::thread::scope(|scope| {
        for process in all {
            let process = Process(*process);
            scope.spawn(move || {
                let Process(run) = { process };
                run();
            });
        }
    });
}
