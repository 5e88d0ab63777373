//! The model of what must hold. It knows everything that the test itself has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::operators::Bad;
use super::world::{COMMANDED, EDITED, LASTING, PASSING};

/// A state that a command sets. None of them makes a destination pinged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `a`.
    Active,
    /// `i`.
    Inactive,
    /// `d`.
    Disabled,
    /// `drain`.
    Draining,
}

/// All states, to choose from.
pub const STATES: [State; 4] = [
    State::Active,
    State::Inactive,
    State::Disabled,
    State::Draining,
];

impl State {
    /// The word of `dispatcher.set_state`.
    pub fn word(self) -> &'static str {
        match self {
            State::Active => "a",
            State::Inactive => "i",
            State::Disabled => "d",
            State::Draining => "drain",
        }
    }

    /// `FLAGS` of `dispatcher.list`.
    pub fn letters(self) -> &'static str {
        match self {
            State::Active => "AX",
            State::Inactive => "IX",
            State::Disabled => "DX",
            State::Draining => "RX",
        }
    }

    /// The list's flags that ask for it.
    pub fn bits(self) -> u32 {
        match self {
            State::Active => 0,
            State::Inactive => 1,
            State::Disabled => 4,
            State::Draining => 65_536,
        }
    }
}

/// A destination whose state only commands change: its set, and its place in the list.
pub type Key = (i64, usize);

/// The known states of a destination.
#[derive(Clone, Debug)]
struct Commanded {
    /// The state that was acknowledged last.
    state: State,
    /// The state of a command that is not answered yet.
    pending: Option<State>,
    /// Counts beginnings and ends of commands.
    turn: u64,
    /// The state that was last seen in the state file.
    kept: State,
    /// The states that were acknowledged since, and when.
    since: Vec<(Instant, State)>,
}

/// The presence of a destination that comes and goes by edits.
#[derive(Clone, Copy, Debug)]
struct Edit {
    begun: Instant,
    ended: Instant,
    there: bool,
}

/// The content of a file that was put in the place of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// A list of this version.
    List(u64),
    /// No list.
    Bad(Bad),
}

impl Content {
    /// Returns true for a list.
    pub fn is_list(self) -> bool {
        matches!(self, Content::List(_))
    }
}

/// A file that was put in the place of the list, and when it was there.
#[derive(Clone, Copy, Debug)]
struct File {
    content: Content,
    there: Option<Instant>,
}

/// A reload that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Reload {
    begun: Instant,
    ended: Instant,
}

/// The model, which all actors share.
#[derive(Default)]
pub struct Model {
    states: Mutex<BTreeMap<Key, Commanded>>,
    calls: Mutex<BTreeMap<String, usize>>,
    events: Mutex<BTreeMap<(i64, &'static str), i64>>,
    /// Events of this life that were seen at the last quiet point.
    heard: Mutex<i64>,
    edits: Mutex<BTreeMap<Key, Edit>>,
    files: Mutex<Vec<File>>,
    reloads: Mutex<Vec<Reload>>,
}

impl Model {
    /// Returns the model before the first server, with every destination as the list has it.
    pub fn new() -> Self {
        let model = Self::default();
        let fresh = Commanded {
            state: State::Active,
            pending: None,
            turn: 0,
            kept: State::Active,
            since: Vec::new(),
        };
        let keys = COMMANDED
            .iter()
            .flat_map(|(set, count)| (0..*count).map(|n| (*set, n)));
        let states = keys.map(|key| (key, fresh.clone())).collect();
        *model.states.lock().unwrap() = states;
        model
    }

    /// Notes that a command begins.
    pub fn begin(&self, key: Key, state: State) {
        let mut states = self.states.lock().unwrap();
        let dest = states.get_mut(&key).expect("a commanded destination");
        dest.pending = Some(state);
        dest.turn += 1;
    }

    /// Notes that the command was acknowledged.
    pub fn acknowledge(&self, key: Key) {
        let mut states = self.states.lock().unwrap();
        let dest = states.get_mut(&key).expect("a commanded destination");
        let state = dest.pending.take().expect("it began");
        let usable = |state| state == State::Active;
        if usable(state) != usable(dest.state) {
            let event = if usable(state) { "up" } else { "down" };
            *self
                .events
                .lock()
                .unwrap()
                .entry((key.0, event))
                .or_default() += 1;
        }
        dest.turn += 1;
        dest.state = state;
        dest.since.push((Instant::now(), state));
    }

    /// Returns the destinations of a set that must not be chosen now, and the turn of each.
    pub fn shut(&self, set: i64) -> BTreeMap<usize, u64> {
        let states = self.states.lock().unwrap();
        let of_set = states.iter().filter(|((in_set, _), _)| *in_set == set);
        of_set
            .filter(|(_, dest)| dest.pending.is_none() && dest.state != State::Active)
            .map(|((_, n), dest)| (*n, dest.turn))
            .collect()
    }

    /// Returns true if no command for a destination has begun or ended since its turn.
    pub fn is_still(&self, key: Key, turn: u64) -> bool {
        self.states.lock().unwrap()[&key].turn == turn
    }

    /// Returns the acknowledged states of a set, in the order of its list.
    pub fn states(&self, set: i64) -> Vec<State> {
        let states = self.states.lock().unwrap();
        let of_set = states.iter().filter(|((in_set, _), _)| *in_set == set);
        of_set.map(|(_, dest)| dest.state).collect()
    }

    /// Notes that all states are in the state file.
    pub fn are_kept(&self) {
        for dest in self.states.lock().unwrap().values_mut() {
            dest.kept = dest.state;
            dest.since.clear();
        }
    }

    /// Takes the state that a destination has at the start of the next server; false if it must not have it. States
    /// older than `margin` must have been kept when the server died, or at least the last ones that were seen in the
    /// file, if keeping was disturbed since.
    pub fn restart(
        &self,
        key: Key,
        died: Instant,
        margin: Duration,
        is: &str,
        disturbed: bool,
    ) -> bool {
        let mut states = self.states.lock().unwrap();
        let dest = states.get_mut(&key).expect("a commanded destination");
        let is_old = |(at, _): &&(Instant, State)| died.saturating_duration_since(*at) > margin;
        let old = dest.since.iter().filter(is_old).count();
        let first = if disturbed { 0 } else { old.saturating_sub(1) };
        let mut allowed: Vec<State> = dest.since[first..]
            .iter()
            .map(|(_, state)| *state)
            .collect();
        if disturbed || old == 0 {
            allowed.push(dest.kept);
        }
        allowed.extend(dest.pending.take());
        let Some(state) = STATES.into_iter().find(|state| state.letters() == is) else {
            return false;
        };
        let is_allowed = allowed.contains(&state);
        (dest.state, dest.kept) = (state, state);
        dest.since.clear();
        dest.turn += 1;
        is_allowed
    }

    /// Forgets the life before: a new server counts from zero, and has the list that it was started with.
    pub fn forget_life(&self) {
        self.calls.lock().unwrap().clear();
        self.events.lock().unwrap().clear();
        *self.heard.lock().unwrap() = 0;
        self.edits.lock().unwrap().clear();
        self.files.lock().unwrap().clear();
        self.reloads.lock().unwrap().clear();
    }

    /// Notes a call that is counted at a destination of the called set.
    pub fn call_up(&self, call_id: String, dest: usize) {
        self.calls.lock().unwrap().insert(call_id, dest);
    }

    /// Notes that a call has ended.
    pub fn call_down(&self, call_id: &str) {
        self.calls.lock().unwrap().remove(call_id);
    }

    /// Returns the calls that are up, with their destinations.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        self.calls.lock().unwrap().clone()
    }

    /// Returns the number of events that commands have caused, by set and direction.
    pub fn events(&self) -> BTreeMap<(i64, &'static str), i64> {
        self.events.lock().unwrap().clone()
    }

    /// Returns how many events there are more than at the quiet point before.
    pub fn heard(&self, events: i64) -> u64 {
        let before = std::mem::replace(&mut *self.heard.lock().unwrap(), events);
        u64::try_from(events - before).unwrap_or(0)
    }

    /// Notes that an edit has added or removed a destination.
    pub fn edited(&self, key: Key, begun: Instant, there: bool) {
        let ended = Instant::now();
        let edit = Edit {
            begun,
            ended,
            there,
        };
        self.edits.lock().unwrap().insert(key, edit);
    }

    /// Notes that a file begins to take the place of the list.
    pub fn file_begins(&self, content: Content) {
        let there = None;
        self.files.lock().unwrap().push(File { content, there });
    }

    /// Notes that the file before is gone, because the last one has taken its place.
    pub fn file_is_there(&self) {
        if let Some(file) = self.files.lock().unwrap().last_mut() {
            file.there = Some(Instant::now());
        }
    }

    /// Notes that a reload was acknowledged.
    pub fn reloaded(&self, begun: Instant) {
        let ended = Instant::now();
        self.reloads.lock().unwrap().push(Reload { begun, ended });
    }

    /// Returns what the file may have been since a moment. The step that replaces a file ends before the next begins.
    pub fn files_since(&self, begun: Instant) -> Vec<Content> {
        let files = self.files.lock().unwrap();
        let ends = files.iter().skip(1).map(|next| next.there).chain([None]);
        let there = files
            .iter()
            .zip(ends)
            .filter(|(_, end)| end.is_none_or(|end| end >= begun));
        there.map(|(file, _)| file.content).collect()
    }

    /// Returns the versions that the running list may be, and what each passing destination may be: there or not.
    pub fn list(&self) -> (BTreeSet<u64>, BTreeMap<Key, (bool, bool)>) {
        let reloads = self.reloads.lock().unwrap();
        let last = reloads.iter().map(|reload| reload.begun).max();
        let versions = last.map_or_else(BTreeSet::new, |begun| {
            let versions = self.files_since(begun).into_iter();
            let versions = versions.filter_map(|content| match content {
                Content::List(version) => Some(version),
                Content::Bad(_) => None,
            });
            versions.collect()
        });
        let edits = self.edits.lock().unwrap();
        let keys = EDITED
            .iter()
            .flat_map(|set| (0..PASSING).map(|n| (*set, LASTING + n)));
        let may_be = |key: &Key| {
            let Some(edit) = edits.get(key) else {
                return (false, true);
            };
            // No file has a passing destination, so each reload removes it.
            if reloads.iter().any(|reload| reload.begun >= edit.ended) {
                return (false, true);
            }
            let met = reloads.iter().any(|reload| reload.ended >= edit.begun);
            (edit.there, met || !edit.there)
        };
        (versions, keys.map(|key| (key, may_be(&key))).collect())
    }

    /// Forgets all files and edits before a list that was loaded when nothing else was under way.
    pub fn list_is(&self, version: u64) {
        self.edits.lock().unwrap().clear();
        self.reloads.lock().unwrap().clear();
        self.files.lock().unwrap().clear();
        let begun = Instant::now();
        self.file_begins(Content::List(version));
        self.file_is_there();
        self.reloads.lock().unwrap().push(Reload {
            begun,
            ended: begun,
        });
    }
}
