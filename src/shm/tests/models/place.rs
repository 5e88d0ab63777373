//! Places of operations in the source: which of them a model reaches, and what it does differently at one of them.

use core::panic::Location;
use core::sync::atomic::Ordering;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Load,
    Store,
    /// A swap, or a sum of old and new.
    Rmw,
    /// A `compare_exchange`, with a second ordering for its failure. Also the step of a `fetch_update`.
    Exchange,
    Fence,
}

/// What is done differently at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has this ordering.
    To(Ordering),
    /// Its failure has this ordering.
    FailureTo(Ordering),
    /// It does not take place; one that returns something says that it did.
    LeftOut,
}

/// A place where a model does something differently: a deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The file, from `src/shm` on.
    pub file: &'static str,
    /// The text of the line, as [`Place::text`] has it.
    pub line: &'static str,
    /// The kind of the operation in that line.
    pub kind: Kind,
    /// What becomes of it.
    pub change: Change,
}

/// A place that a model has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as the compiler has it.
    pub file: &'static str,
    /// Its line.
    pub line: u32,
    /// What is done there.
    pub kind: Kind,
    /// Its orderings: the second is that of a failure.
    pub orders: [Strength; 2],
}

/// An [`Ordering`] that can be sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    Relaxed,
    Acquire,
    Release,
    AcqRel,
    SeqCst,
}

impl From<Ordering> for Strength {
    fn from(order: Ordering) -> Self {
        match order {
            Ordering::Relaxed => Strength::Relaxed,
            Ordering::Acquire => Strength::Acquire,
            Ordering::Release => Strength::Release,
            Ordering::AcqRel => Strength::AcqRel,
            _ => Strength::SeqCst,
        }
    }
}

/// The source of the layer, relative to the package.
const SOURCE: &str = "src/shm";

fn text_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap()
}

impl Place {
    /// Returns the file from `src/shm` on.
    pub fn short_file(&self) -> &'static str {
        let at = self.file.find(SOURCE).map_or(0, |at| at + SOURCE.len() + 1);
        &self.file[at..]
    }

    /// Returns the text of the line, without indentation; with its number in brackets where others of the file have it
    /// too.
    pub fn text(&self) -> String {
        let text = text_of(self.file);
        let lines = names(&text).find(|(number, _)| *number == self.line);
        lines.map(|(_, name)| name).unwrap_or_default()
    }
}

/// Returns the lines of a file, with a name for each that no other has.
fn names(text: &str) -> impl Iterator<Item = (u32, String)> {
    let all: Vec<&str> = text.lines().map(str::trim).collect();
    (1..).zip(text.lines()).map(move |(number, line)| {
        let line = line.trim();
        let same = |lines: &[&str]| lines.iter().filter(|other| **other == line).count();
        let name = match same(&all) {
            1 => line.to_owned(),
            _ => format!("{line} [{}]", same(&all[..number as usize])),
        };
        (number, name)
    })
}

/// Returns the lines of a file, which is named from `src/shm` on, each with its number and its [`Place::text`].
pub fn lines_of(file: &str) -> Vec<(u32, String)> {
    names(&text_of(&format!("{SOURCE}/{file}"))).collect()
}

impl Mutation {
    /// Returns the number of its line.
    fn number(&self) -> u32 {
        let mut lines = lines_of(self.file).into_iter();
        let line = lines.find(|(_, name)| name == self.line);
        line.unwrap_or_else(|| panic!("no line of {self:?}")).0
    }
}

#[derive(Default)]
struct Watched {
    /// What is different, and in which line.
    mutation: Option<(Mutation, u32)>,
    reached: BTreeSet<Place>,
    /// True once the place of the mutation was reached.
    mutated: bool,
    on: bool,
}

thread_local! {
    static WATCHED: RefCell<Watched> = RefCell::default();
}

/// Begins to note places, and to do what the mutation says.
pub fn watch(mutation: Option<Mutation>) {
    let mutation = mutation.map(|mutation| (mutation, mutation.number()));
    let on = true;
    WATCHED.set(Watched {
        mutation,
        on,
        ..Watched::default()
    });
}

/// Begins to note places, and to leave out what is done at this one, or nothing.
pub fn watch_place(left_out: Option<Place>) {
    let mutation = left_out.map(|place| {
        let mutation = Mutation {
            file: place.file,
            line: "",
            kind: place.kind,
            change: Change::LeftOut,
        };
        (mutation, place.line)
    });
    let on = true;
    WATCHED.set(Watched {
        mutation,
        on,
        ..Watched::default()
    });
}

/// Notes nothing and changes nothing, or does so again.
pub fn pause(pause: bool) {
    WATCHED.with_borrow_mut(|watched| watched.on = !pause);
}

/// Ends that. Returns the places, and whether that of the mutation is among them.
pub fn unwatch() -> (BTreeSet<Place>, bool) {
    let watched = WATCHED.take();
    (watched.reached, watched.mutated)
}

/// Notes that an operation takes place; returns the orderings that it has, or `None` if it is left out.
#[track_caller]
pub fn step(kind: Kind, orders: [Ordering; 2]) -> Option<[Ordering; 2]> {
    let caller = Location::caller();
    WATCHED.with_borrow_mut(|watched| {
        if !watched.on {
            return Some(orders);
        }
        watched.reached.insert(Place {
            file: caller.file(),
            line: caller.line(),
            kind,
            orders: orders.map(Strength::from),
        });
        match watched.mutation {
            Some((mutation, line))
                if caller.line() == line
                    && mutation.kind == kind
                    && caller.file().ends_with(mutation.file) =>
            {
                watched.mutated = true;
                match mutation.change {
                    Change::To(order) => Some([order, orders[1]]),
                    Change::FailureTo(order) => Some([orders[0], order]),
                    Change::LeftOut => None,
                }
            }
            _ => Some(orders),
        }
    })
}
