//! The destinations of the lists by their keys, each with what was last seen of it.

use core::ptr;

use super::pings::Pinging;
use crate::dispatch::cluster::state::key::{Identity, Key};
use crate::dispatch::cluster::state::view::View as Viewed;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::seen::{Happened, Look, Seen};
use crate::dispatch::state::transition::State;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::list_params::Keep;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::log::{log_err, log_warn};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::record::DestRecord;
use crate::shm::set::view::View;
use crate::shm::table::sets::Table;
use crate::shm::table::store::{Pinned, ReloadState};

/// Bytes of heap that a destination takes at most here while the lists are gone through.
const LISTED_HEAP: usize = 200;

/// The most destinations that one look names in the log.
const NAMED: usize = 10;

/// A set of the lists.
struct Set {
    id: SetId,
    /// The address of its view. A view that has the same one is another one only if the version of the lists has changed.
    view: usize,
    /// The place of its first destination.
    first: usize,
}

/// A destination of the lists.
pub struct Entry {
    /// Its key; `None` if another one has the same.
    pub key: Option<Key>,
    /// Its state at the last look.
    pub seen: Seen,
    /// Somebody was at it then.
    pub again: bool,
    /// The calls that were counted for it when these were last looked at.
    calls: u32,
    /// The view that the others know of this server.
    pub told: Option<Viewed>,
}

/// The destinations of the lists, as they were at one version of them.
#[derive(Default)]
pub struct Lists {
    version: u64,
    sets: Vec<Set>,
    /// Set after set, as the views have them.
    entries: Vec<Entry>,
    /// Their places by their keys.
    places: Vec<(Key, u32)>,
}

/// Something that a walk finds of a destination.
pub enum Found {
    /// Somebody has set its state.
    Act {
        /// The flags that it is to have.
        flags: State,
        /// The flags for which the list asks.
        base: u32,
    },
    /// The view of this server has changed; `None` if it pings it no longer.
    View(Option<Viewed>),
}

/// The findings of a walk.
#[derive(Default)]
pub struct Walked {
    /// The lists have changed since the last walk.
    pub are_new: bool,
    /// Destinations that are new, or whose state the list has set, or beside whose record there is no register.
    pub relisted: Vec<Key>,
    /// There are destinations at which somebody was.
    pub is_unsettled: bool,
}

/// Looks at a destination.
pub fn look_at(module: &Module, record: &DestRecord) -> Seen {
    // The cause first, as `Seen` asks for.
    let cause = record.cause();
    let (state, listed) = (record.state(), record.listed());
    // The states that this module writes into the table are no other list.
    let base = match module.settings.keep {
        Keep::Table => listed.without(State::KEPT),
        Keep::File(_) | Keep::Nowhere => listed,
    };
    Seen {
        cause,
        state,
        listed,
        base: base.bits(),
    }
}

impl Lists {
    /// Returns the lists as they are, as if everything in them were known.
    pub fn known(module: &Module) -> Result<Self, NoMemory> {
        let version = module.store.version();
        let pinned = module.pin();
        let mut lists = Lists::default();
        lists.take(module, &pinned, version, &mut Walked::default())?;
        let dests = all(pinned.table());
        for (entry, dest) in lists.entries.iter_mut().zip(dests) {
            entry.seen = look_at(module, dest.record());
        }
        lists.warn_of_repeated(&pinned);
        Ok(lists)
    }

    /// Returns the keys of all destinations.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.places.iter().map(|(key, _)| *key)
    }

    /// Goes through all destinations, and tells what is found.
    ///
    /// # Errors
    /// [`NoMemory`]. Acts may be left that the next walk finds.
    pub fn walk(
        &mut self,
        module: &Module,
        pinging: Option<&Pinging>,
        mut on: impl FnMut(Key, &Dest, Found),
    ) -> Result<Walked, NoMemory> {
        // Before the pin: a view that is published after it has another address than those before, or another version.
        let version = module.store.version();
        let pinned = module.pin();
        let mut walked = Walked::default();
        if !self.are(&pinned, version) {
            self.take(module, &pinned, version, &mut walked)?;
            walked.are_new = true;
        }
        let list_sets_states =
            walked.are_new && module.settings.reload_state == ReloadState::FromList;
        for (entry, dest) in self.entries.iter_mut().zip(all(pinned.table())) {
            let now = look_at(module, dest.record());
            let look = Look {
                again: core::mem::take(&mut entry.again),
                list_sets_states,
            };
            let happened = now.since(&entry.seen, look);
            if let (Happened::Act(flags), Some(key)) = (happened, entry.key) {
                let base = now.base;
                on(key, dest, Found::Act { flags, base });
            }
            let view = pinging.and_then(|pinging| pinging.view(dest.record(), entry.told));
            if let Some(key) = entry.key.filter(|_| view != entry.told) {
                entry.told = view;
                on(key, dest, Found::View(view));
            }
            // A destination that was taken out and added again between two looks has a new record.
            let has_no_register = || {
                dest.record()
                    .register()
                    .is_some_and(|cell| cell.get().is_none())
            };
            if happened == Happened::Relisted || (walked.are_new && has_no_register()) {
                heap::reserve(&mut walked.relisted, 1)?;
                walked.relisted.extend(entry.key);
            }
            if happened == Happened::Unsettled {
                entry.again = true;
                walked.is_unsettled = true;
            } else {
                entry.seen = now;
            }
        }
        Ok(walked)
    }

    /// Returns true if the pinned lists are the ones that are known here.
    pub fn are(&self, pinned: &Pinned<'_>, version: u64) -> bool {
        let same = |(set, (id, view)): (&Set, (SetId, &View))| set.id == id && set.view == at(view);
        let sets = || pinned.table().into_iter().flat_map(Table::sets);
        self.version == version && self.sets.len() == sets().count() && {
            self.sets.iter().zip(sets()).all(same)
        }
    }

    /// Returns a destination with what is known of it. The pinned lists are those that are known here.
    pub fn find<'p>(&mut self, pinned: &'p Pinned<'_>, key: Key) -> Option<(&mut Entry, &'p Dest)> {
        let found = self
            .places
            .binary_search_by_key(&key, |(key, _)| *key)
            .ok()?;
        let place = self.places.get(found)?.1 as usize;
        let behind = self.sets.partition_point(|set| set.first <= place);
        let set = self.sets.get(behind.checked_sub(1)?)?;
        let dest = pinned.view(set.id)?.dest(place - set.first)?;
        Some((self.entries.get_mut(place)?, dest))
    }

    /// Returns the version of the lists that are known here.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Returns true if there is a destination with this key.
    pub fn has(&self, key: Key) -> bool {
        self.entry(key).is_some()
    }

    /// Returns all destinations by their keys. The pinned lists are those that are known here.
    pub fn dests<'p>(&self, pinned: &'p Pinned<'_>) -> impl Iterator<Item = (Key, &'p Dest)> {
        let entries = self.entries.iter().zip(all(pinned.table()));
        entries.filter_map(|(entry, dest)| Some((entry.key?, dest)))
    }

    /// Tells `on_change` of each destination for which another number of calls is counted than at the last time. The pinned
    /// lists are those that are known here.
    pub fn calls(&mut self, pinned: &Pinned<'_>, mut on_change: impl FnMut(Key, u32)) {
        for (entry, dest) in self.entries.iter_mut().zip(all(pinned.table())) {
            let calls = dest.record().load();
            if let Some(key) = entry.key.filter(|_| calls != entry.calls) {
                entry.calls = calls;
                on_change(key, calls);
            }
        }
    }

    /// Takes over the pinned lists. What is known of a destination stays known.
    fn take(
        &mut self,
        module: &Module,
        pinned: &Pinned<'_>,
        version: u64,
        walked: &mut Walked,
    ) -> Result<(), NoMemory> {
        let count = pinned.table().map_or(0, Table::dest_count);
        heap::need(count * LISTED_HEAP)?;
        let mut new = Lists {
            version,
            ..Lists::default()
        };
        for (id, view) in pinned.table().into_iter().flat_map(Table::sets) {
            let first = new.entries.len();
            let view_at = at(view);
            new.sets.push(Set {
                id,
                view: view_at,
                first,
            });
            for (key, dest) in keys_of(id, view).into_iter().zip(view.dests()) {
                let known = self.entry(key);
                let calls = known.map_or(0, |entry| entry.calls);
                let known = known.map(|entry| (entry.seen, entry.again, entry.told));
                if known.is_none() {
                    walked.relisted.push(key);
                }
                let now = look_at(module, dest.record());
                let (seen, again, told) = known.unwrap_or((now.as_listed(), false, None));
                new.entries.push(Entry {
                    key: Some(key),
                    seen,
                    again,
                    calls,
                    told,
                });
            }
        }
        let keys = new.entries.iter().filter_map(|entry| entry.key);
        new.places = keys.zip(0..).collect();
        new.places.sort_unstable();
        new.leave_out_alike();
        *self = new;
        Ok(())
    }

    /// Goes through all destinations of the pinned lists, which are those that are known here.
    pub fn each(&self, pinned: &Pinned<'_>, mut on: impl FnMut(Key, &Dest)) {
        for (entry, dest) in self.entries.iter().zip(all(pinned.table())) {
            if let Some(key) = entry.key {
                on(key, dest);
            }
        }
    }

    fn entry(&self, key: Key) -> Option<&Entry> {
        let found = self
            .places
            .binary_search_by_key(&key, |(key, _)| *key)
            .ok()?;
        self.entries.get(self.places.get(found)?.1 as usize)
    }

    /// Leaves out destinations with the same key: nobody could say which one is meant.
    fn leave_out_alike(&mut self) {
        let mut alike = Vec::new();
        for same in self.places.chunk_by(|one, other| one.0 == other.0) {
            if same.len() > 1 {
                alike.extend_from_slice(same);
            }
        }
        for (key, place) in alike {
            log_err!(
                "destination {:016x}: another one has the same key: its state is not shared",
                key.0
            );
            if let Some(entry) = self.entries.get_mut(place as usize) {
                entry.key = None;
            }
            self.places.retain(|(other, _)| *other != key);
        }
    }

    /// Warns of destinations that only their order tells apart.
    fn warn_of_repeated(&self, pinned: &Pinned<'_>) {
        let mut named = 0;
        for (id, view) in pinned.table().into_iter().flat_map(Table::sets) {
            let without_duid = view.dests().filter(|dest| dest.duid().is_none());
            let mut uris: Vec<&[u8]> = without_duid.map(Dest::uri).collect();
            uris.sort_unstable();
            let mut repeated: Vec<&[u8]> = uris
                .windows(2)
                .filter_map(|pair| match pair {
                    [one, other] if one == other => Some(*one),
                    _ => None,
                })
                .collect();
            repeated.dedup();
            for uri in repeated {
                named += 1;
                if named <= NAMED {
                    log_warn!(
                        "set {id}, {}: listed more than once without duid: the servers of the cluster \
                         tell these by their order in the list",
                        Escaped(uri)
                    );
                }
            }
        }
        if named > NAMED {
            log_warn!(
                "{} more destinations are listed more than once without duid",
                named - NAMED
            );
        }
    }
}

/// Returns the address of a view.
fn at(view: &View) -> usize {
    ptr::from_ref(view).addr()
}

/// Returns all destinations of a table, set after set.
fn all(table: Option<&Table>) -> impl Iterator<Item = &Dest> {
    let sets = table.into_iter().flat_map(Table::sets);
    sets.flat_map(|(_, view)| view.dests())
}

/// Returns the keys of the destinations of a set, in the order of its view.
pub fn keys_of(set: SetId, view: &View) -> Vec<Key> {
    let key_of = |dest: &Dest, number| {
        let uri = Identity::Uri(dest.uri());
        Key::of(set, dest.duid().map_or(uri, Identity::Duid), number)
    };
    let mut keys: Vec<Key> = view.dests().map(|dest| key_of(dest, 1)).collect();
    let lines = view.dests().map(|dest| dest.line);
    let places = (0..).zip(keys.iter().zip(lines));
    let mut sorted: Vec<(Key, u32, usize)> = places
        .map(|(place, (key, line))| (*key, line, place))
        .collect();
    sorted.sort_unstable();
    for alike in sorted.chunk_by(|one, other| one.0 == other.0) {
        for (number, (_, _, place)) in (1..).zip(alike).skip(1) {
            if let (Some(dest), Some(key)) = (view.dest(*place), keys.get_mut(*place)) {
                *key = key_of(dest, number);
            }
        }
    }
    keys
}
