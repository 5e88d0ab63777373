//! Models of orderings, explored with loom, and each of their orderings weakened.
//!
//! Loom takes a `SeqCst` access for one that is `AcqRel`, and its `SeqCst` fences order more than those of a processor.
//! What it cannot tell is in the tables with its argument ([`weakened`]).
//!
//! | module | contents |
//! | --- | --- |
//! | [`calls`] | Call table, calls of destinations that drain. |
//! | [`counts`] | Reference counts, slabs, what is made when it is first needed. |
//! | [`epochs`] | Pins, and what is retired meanwhile. |
//! | [`tables`] | The store: what readers find while lists are replaced and edited. |
//! | [`weakened`] | The tables of weakened orderings: what finds each, or why nothing does. |
//! | [`words`] | Event queue, next hop, watches: protocols of a few words. |

/// Makes a test of each model: its name, and its most preemptions in quick runs and in full ones.
macro_rules! models {
    ($($name:ident: $preemptions:expr,)*) => {
        /// The names of the models.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// The tests.
        mod models {
            $(
                #[test]
                fn $name() {
                    let room = module_path!().rsplit("::").nth(1).unwrap();
                    crate::shm::tests::models::orderings::Model {
                        name: format!("{room}::{}", stringify!($name)).leak(),
                        preemptions: $preemptions,
                        run: super::$name,
                    }
                    .check();
                }
            )*
        }
    };
}
use models;

mod calls;
mod counts;
mod epochs;
mod tables;
mod weakened;
mod words;

use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use super::memory::Pieces;
use super::place::{Change, Kind, Mutation, Place, Strength};
use super::run;
use crate::shm::memory::arena::{Arena, Plan, ShmSafe};

/// A value in shared memory that the threads of a model reach, and that is given back at its end.
struct Shared<T>(NonNull<T>);

unsafe impl<T> Send for Shared<T> {}
unsafe impl<T> Sync for Shared<T> {}

impl<T> From<&T> for Shared<T> {
    fn from(value: &T) -> Self {
        Shared(NonNull::from(value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        unsafe { self.0.as_ref() }
    }
}

impl<T: ShmSafe> Shared<T> {
    /// Makes a zeroed one.
    fn new() -> Self {
        let block = Plan::<T>::of_header().alloc(&Pieces).unwrap();
        Shared(block.header())
    }

    fn free(self) {
        unsafe { Pieces.free(self.0.cast()) };
    }
}

/// Starts a thread of a model.
fn thread<R: 'static>(run: impl FnOnce() -> R + Send + 'static) -> loom::thread::JoinHandle<R> {
    loom::thread::spawn(run)
}

/// A model.
struct Model {
    /// The name by which the tables know it.
    name: &'static str,
    /// The most preemptions, in quick runs and in full ones; `None` for all executions that there are.
    preemptions: [Option<usize>; 2],
    run: fn(),
}

impl Model {
    fn explore(&self, full: bool, mutation: Option<Mutation>) -> run::Report {
        run::loom(self.preemptions[usize::from(full)], mutation, self.run)
    }

    /// Explores the model, and with each ordering weakened that it is to find.
    ///
    /// In full runs (`MODELS=full`) it also tries those that no model is to find: the table of those is tight.
    fn check(&self) {
        let mode = std::env::var("MODELS").unwrap_or_default();
        let full = mode == "full";
        let sound = self.explore(full, None);
        assert_eq!(sound.failure, None, "{} is sound", self.name);
        let (mut found, mut unknown) = (0, Vec::new());
        for place in sound.places.iter().filter(|place| is_product(place)) {
            for change in weaker(place) {
                let text = place.text();
                let entry = weakened::find(place.short_file(), &text, place.kind, change);
                let mutation = Mutation {
                    file: place.short_file(),
                    line: text.leak(),
                    kind: place.kind,
                    change,
                };
                let finds = || {
                    let report = self.explore(full, Some(mutation));
                    assert!(report.mutated, "{mutation:?}");
                    report.failure
                };
                if mode == "list" {
                    println!("{}: {mutation:?} {entry:?} {:?}", self.name, finds());
                    continue;
                }
                match entry {
                    weakened::Entry::FoundBy(model) if model == self.name => {
                        assert!(finds().is_some(), "{} finds {mutation:?}", self.name);
                        found += 1;
                    }
                    weakened::Entry::FoundBy(_) => {}
                    weakened::Entry::Argued(_) if full => {
                        assert_eq!(finds(), None, "{}: {mutation:?} is argued", self.name);
                    }
                    weakened::Entry::Argued(_) => {}
                    weakened::Entry::Unknown => unknown.push(mutation),
                }
            }
        }
        println!(
            "model {}: {} executions in {:.1} s, finds {found} weakened orderings",
            self.name,
            sound.executions,
            sound.took.as_secs_f64()
        );
        assert_eq!(
            found,
            weakened::found_by(self.name),
            "{}: entries",
            self.name
        );
        assert_eq!(unknown, [], "{}: in no table", self.name);
    }
}

/// Returns true for places that are not of the models themselves.
fn is_product(place: &Place) -> bool {
    place.file.contains("src/shm/") && !place.file.contains("/tests/")
}

/// Returns what is weaker at a place by one step, as far as loom can tell.
fn weaker(place: &Place) -> Vec<Change> {
    let [order, failure] = place.orders;
    let reads = matches!(
        order,
        Strength::Acquire | Strength::AcqRel | Strength::SeqCst
    );
    let writes = matches!(
        order,
        Strength::Release | Strength::AcqRel | Strength::SeqCst
    );
    let mut weaker = Vec::new();
    match place.kind {
        Kind::Load if reads => weaker.push(Change::To(Ordering::Relaxed)),
        Kind::Store if writes => weaker.push(Change::To(Ordering::Relaxed)),
        Kind::Rmw | Kind::Exchange => match (reads, writes) {
            (true, true) => {
                weaker.extend([Change::To(Ordering::Acquire), Change::To(Ordering::Release)]);
            }
            (false, false) => {}
            _ => weaker.push(Change::To(Ordering::Relaxed)),
        },
        Kind::Fence if order == Strength::SeqCst => {
            weaker.extend([Change::To(Ordering::AcqRel), Change::LeftOut]);
        }
        Kind::Fence => weaker.push(Change::LeftOut),
        Kind::Load | Kind::Store => {}
    }
    if place.kind == Kind::Exchange && failure != Strength::Relaxed {
        weaker.push(Change::FailureTo(Ordering::Relaxed));
    }
    weaker
}
