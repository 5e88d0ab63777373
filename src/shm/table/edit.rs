//! Changing one set: a destination is added, removed or modified while others read.
//!
//! Only the set's view is replaced; its other destinations go over to the new view as they are, so
//! the cost depends on that set alone. A set that comes or goes replaces the table by a copy of its
//! slots. All memory is taken before the first change, so that no change stops half-way.

use core::cmp::Reverse;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::SeqCst;

use parking_lot::lock_api::RawMutex;
use rand::RngCore;

use crate::dispatch::list::attrs::Attrs;
use crate::dispatch::list::destination::{Addr, DestSpec, SetId};
use crate::dispatch::state::transition::State;

use super::from_list::{Loose, come_back, new_record};
use super::slots::{Entry, Table};
use super::store::{OnChange, Store};
use super::writer::{Retired, Writer};
use crate::shm::dest::address::AddrIndex;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::page::{Draft, Page};
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record_slab::Records;
use crate::shm::memory::arena::{Arena, OutOfMemory, Owned};
use crate::shm::memory::refcount::{Counted, Hold};
use crate::shm::set::set_record::SetRecords;
use crate::shm::set::view::{Rules, View};

/// Why a set stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// Shared memory is full.
    Memory(OutOfMemory),
    /// There is no such set.
    NoSet,
    /// The set has no such destination.
    NotFound,
    /// The set has that destination already.
    Duplicate,
    /// Several destinations of the set are meant.
    Ambiguous(usize),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditError::Memory(error) => write!(f, "{error}"),
            EditError::NoSet => f.write_str("no such set"),
            EditError::NotFound => f.write_str("no such destination in the set"),
            EditError::Duplicate => f.write_str("the set has that destination already"),
            EditError::Ambiguous(count) => {
                write!(
                    f,
                    "{count} destinations of the set are meant: name one by a duid of its own"
                )
            }
        }
    }
}

impl From<OutOfMemory> for EditError {
    fn from(error: OutOfMemory) -> Self {
        EditError::Memory(error)
    }
}

/// What changes of a destination; `None` stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Revision<'r> {
    /// State bits, as a list would ask for them.
    pub flags: Option<State>,
    /// Priority.
    pub priority: Option<i32>,
    /// Attributes: their text, what it says, and the local socket that it names (0 for none).
    pub attrs: Option<(&'r [u8], Attrs<'r>, usize)>,
    /// Addresses.
    pub addrs: Option<&'r [Addr]>,
}

impl<A: Arena, L: RawMutex> Store<A, L> {
    /// Adds a destination, as a reload would with its line at the end of the list. A set that is
    /// not there is made.
    ///
    /// # Errors
    /// [`EditError::Duplicate`], [`EditError::Memory`]: nothing has changed.
    pub fn add(&self, spec: &DestSpec<'_>, random: &mut impl RngCore) -> Result<(), EditError> {
        let mut writer = self.write();
        let table = writer.table().ok_or(EditError::NoSet)?;
        let old = table.view(spec.set);
        if old.is_some_and(|view| has_same(view, spec, None)) {
            return Err(EditError::Duplicate);
        }
        let lines = old.into_iter().flat_map(View::dests).map(|dest| dest.line);
        let line = lines.max().map_or(0, |last| last.saturating_add(1));
        let kept = come_back(&writer.held().retained, spec);
        let mut loose = self.make_dest(spec, line, kept)?;
        let edit = Edit {
            table,
            set: spec.set,
            old,
            added: loose.dests.first().copied(),
            dropped: Vec::new(),
        };
        let prepared = edit.prepare(self.arena(), self.rules(), random)?;
        loose.take(1);
        let note = self.commit(&writer, &edit, prepared);
        // SAFETY: what the edit drops was just replaced.
        unsafe { writer.retire(note) };
        Ok(())
    }

    /// Removes all destinations of a set with exactly that URI; returns how many there were. A set
    /// without destinations disappears.
    ///
    /// # Errors
    /// [`EditError::NoSet`], [`EditError::NotFound`], [`EditError::Memory`]: nothing has changed.
    pub fn remove(
        &self,
        set: SetId,
        uri: &[u8],
        random: &mut impl RngCore,
    ) -> Result<usize, EditError> {
        let mut writer = self.write();
        let table = writer.table().ok_or(EditError::NoSet)?;
        let view = table.view(set).ok_or(EditError::NoSet)?;
        let dropped: Vec<usize> = view
            .find_uri(uri)
            .filter(|&at| view.dest(at).is_some_and(|dest| dest.uri() == uri))
            .collect();
        if dropped.is_empty() {
            return Err(EditError::NotFound);
        }
        let count = dropped.len();
        let edit = Edit {
            table,
            set,
            old: Some(view),
            added: None,
            dropped,
        };
        let prepared = edit.prepare(self.arena(), self.rules(), random)?;
        let note = self.commit(&writer, &edit, prepared);
        // SAFETY: what the edit drops was just replaced.
        unsafe { writer.retire(note) };
        Ok(count)
    }

    /// Modifies the one destination of a set that `wanted` takes; with `uri` only those whose URI
    /// equals it but for letter case are asked. Its state changes only with
    /// `flags`; failures, load and cursors stay.
    ///
    /// # Errors
    /// All of [`EditError`]: nothing has changed.
    pub fn modify(
        &self,
        set: SetId,
        uri: Option<&[u8]>,
        wanted: impl Fn(&Dest) -> bool,
        revision: Revision<'_>,
        random: &mut impl RngCore,
    ) -> Result<(), EditError> {
        self.modify_and_tell(set, uri, wanted, revision, random, &mut |_, _| {})
    }

    /// As [`Store::modify`]; `on_change` hears, while the lock is held, of the destination if its state
    /// was set, with the state before.
    ///
    /// # Errors
    /// As [`Store::modify`].
    pub fn modify_and_tell(
        &self,
        set: SetId,
        uri: Option<&[u8]>,
        wanted: impl Fn(&Dest) -> bool,
        revision: Revision<'_>,
        random: &mut impl RngCore,
        on_change: &mut OnChange<'_>,
    ) -> Result<(), EditError> {
        let mut writer = self.write();
        let table = writer.table().ok_or(EditError::NoSet)?;
        let view = table.view(set).ok_or(EditError::NoSet)?;
        let fitting = |&at: &usize| view.dest(at).is_some_and(&wanted);
        let dropped: Vec<usize> = match uri {
            Some(uri) => view.find_uri(uri).filter(fitting).collect(),
            None => (0..view.dest_count()).filter(fitting).collect(),
        };
        let dest = match dropped.as_slice() {
            [] => return Err(EditError::NotFound),
            &[at] => view.dest(at).ok_or(EditError::NotFound)?,
            several => return Err(EditError::Ambiguous(several.len())),
        };
        let spec = revise(dest, revision);
        if !dest.is_same(&spec) && has_same(view, &spec, Some(dest)) {
            return Err(EditError::Duplicate);
        }
        let mut loose = self.make_dest(&spec, dest.line, Some(dest.counted()))?;
        let made = *loose.dests.first().ok_or(OutOfMemory)?;
        let edit = Edit {
            table,
            set,
            old: Some(view),
            added: Some(made),
            dropped,
        };
        let prepared = edit.prepare(self.arena(), self.rules(), random)?;
        loose.take(1);
        let note = self.commit(&writer, &edit, prepared);
        // SAFETY: what the edit drops was just replaced.
        unsafe { writer.retire(note) };
        if let Some(flags) = revision.flags {
            // SAFETY: it is in the running table, which only the holder of the lock replaces.
            self.relist_one(&writer, unsafe { made.as_ref() }, flags, on_change);
        }
        Ok(())
    }

    /// Makes a destination over the record `kept`, or over a new one.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    fn make_dest(
        &self,
        spec: &DestSpec<'_>,
        line: u32,
        kept: Option<NonNull<Counted<DestRecord>>>,
    ) -> Result<Loose<'_, A>, OutOfMemory> {
        let arena = self.arena();
        let record = match kept {
            // SAFETY: the running table or the retained counters hold it; the writer lock is held.
            Some(record) => unsafe { Hold::new(record, arena) },
            None => {
                let mut records = Records::new(arena, 1, self.rules().watched);
                new_record(&mut records, arena, spec)?
            }
        };
        let mut loose = Loose::new(arena);
        let spec = spec.clone();
        Page::create(arena, vec![Draft { spec, line, record }], &mut loose.dests)?;
        Ok(loose)
    }

    /// Sets the state that a changed list line asks for.
    fn relist_one(
        &self,
        writer: &Writer<'_, A, L>,
        made: &Dest,
        flags: State,
        on_change: &mut OnChange<'_>,
    ) {
        let table = writer.table();
        let Some(view) = table.and_then(|table| table.view(made.set)) else {
            return;
        };
        view.record().announce_change();
        let before = made.record().relist(flags);
        let at = view.position_of(made.record());
        at.into_iter().for_each(|at| view.sync(at));
        on_change(made, before);
    }

    /// Publishes an edited set; returns the note of what it replaces. Nothing can fail any more.
    fn commit<'a>(
        &self,
        writer: &Writer<'_, A, L>,
        edit: &Edit<'_>,
        prepared: Prepared<'a, A>,
    ) -> Owned<'a, A, Retired> {
        let Prepared {
            mut note,
            view,
            addrs,
            table,
        } = prepared;
        let view = view.map(Owned::into_raw);
        // SAFETY: the note is ours alone, and in no list yet.
        let dropped = unsafe { note.dests.fill() };
        for (slot, dest) in dropped.iter_mut().zip(edit.dropped_dests()) {
            *slot = dest.as_ptr();
        }
        let slot = edit.table.slot(edit.set);
        if let Some(slot) = slot {
            let new = view.filter(|_| table.is_none()).map(NonNull::as_ptr);
            note.view = match new {
                Some(new) => slot.view.swap(new, SeqCst),
                None => slot.view.load(SeqCst),
            };
        }
        if let Some(table) = table {
            // SAFETY: whole, and from here on it belongs to the root.
            note.table = unsafe { writer.publish(table) };
        }
        if let Some(addrs) = addrs {
            // SAFETY: whole, and from here on it belongs to the table.
            note.addrs = unsafe { edit.table.replace_addrs(addrs.into_raw()) };
        }
        if let Some(view) = view {
            // SAFETY: just published; only the holder of the lock replaces it.
            unsafe { view.as_ref() }.settle();
        }
        note
    }
}

/// One edit of one set.
struct Edit<'e> {
    table: &'e Table,
    set: SetId,
    /// The set's view; `None` for a new set.
    old: Option<&'e View>,
    added: Option<NonNull<Dest>>,
    /// Positions in the old view, going up.
    dropped: Vec<usize>,
}

impl Edit<'_> {
    fn dropped_dests(&self) -> impl Iterator<Item = NonNull<Dest>> {
        let dropped = self.dropped.iter();
        dropped.filter_map(|&at| self.old?.raw_dest(at))
    }

    /// Returns the set's destinations after the edit, in order.
    fn dests(&self) -> Vec<NonNull<Dest>> {
        let all = self.old.into_iter().flat_map(View::raw_dests).enumerate();
        let kept = all.filter(|(at, _)| self.dropped.binary_search(at).is_err());
        let mut dests: Vec<_> = kept.map(|(_, dest)| dest).collect();
        if let Some(added) = self.added {
            let place = |dest: &NonNull<Dest>| {
                // SAFETY: of the running view, or just made.
                let dest = unsafe { dest.as_ref() };
                (Reverse(dest.priority), Reverse(dest.line))
            };
            let at = dests.partition_point(|dest| place(dest) < place(&added));
            dests.insert(at, added);
        }
        dests
    }

    /// Takes all memory that the edit needs.
    fn prepare<'a, A: Arena>(
        &self,
        arena: &'a A,
        rules: Rules,
        random: &mut impl RngCore,
    ) -> Result<Prepared<'a, A>, OutOfMemory> {
        let note = Retired::note(arena, self.dropped.len())?;
        // SAFETY: just made, of this arena.
        let own = |view| unsafe { Owned::new(view, arena) };
        let view = self.view(arena, rules, random)?.map(own);
        let (mut addrs, mut table) = (None, None);
        if view.is_some() && self.old.is_some() {
            let dropped: Vec<_> = self.dropped_dests().collect();
            // SAFETY: it goes with the view, which is published with the index.
            addrs = Some(unsafe { self.table.addrs_after(arena, &dropped, self.added) }?);
        } else {
            table = Some(self.table_with(view.as_ref().map(Owned::as_ptr), arena)?);
        }
        Ok(Prepared {
            note,
            view,
            addrs,
            table,
        })
    }

    /// The set's view after the edit; `None` where nothing is left.
    fn view(
        &self,
        arena: &impl Arena,
        rules: Rules,
        random: &mut impl RngCore,
    ) -> Result<Option<NonNull<View>>, OutOfMemory> {
        let dests = self.dests();
        if dests.is_empty() {
            return Ok(None);
        }
        let record = match self.old {
            // SAFETY: the running view holds it.
            Some(old) => unsafe { Hold::new(old.counted(), arena) },
            None => SetRecords::new(arena, 1).make()?,
        };
        // SAFETY: the record is held, and the destinations go with the view.
        unsafe { View::create(arena, rules, record.counted, &dests, random) }.map(Some)
    }

    /// A copy of the table, with this view of the set, or without the set.
    fn table_with(
        &self,
        view: Option<NonNull<View>>,
        arena: &impl Arena,
    ) -> Result<NonNull<Table>, OutOfMemory> {
        let mut entries = self.table.entries();
        let born = entries.iter().map(|entry| entry.born).max();
        entries.retain(|entry| entry.id != self.set);
        entries.extend(view.map(|view| Entry {
            id: self.set,
            born: born.map_or(0, |born| born.saturating_add(1)),
            view: view.as_ptr(),
        }));
        // SAFETY: the running views go over to the new table, with this one.
        unsafe { Table::create(arena, &entries) }
    }
}

/// The memory of an edit: given back when the edit is not committed.
struct Prepared<'a, A: Arena> {
    note: Owned<'a, A, Retired>,
    view: Option<Owned<'a, A, View>>,
    /// The index of addresses, where the table stays.
    addrs: Option<Owned<'a, A, AddrIndex>>,
    /// The last to be made: nothing can fail after it, so it is always published.
    table: Option<NonNull<Table>>,
}

/// True when another destination of the set than this one is what the list means.
fn has_same(view: &View, spec: &DestSpec<'_>, but: Option<&Dest>) -> bool {
    let is_same =
        |dest: &Dest| dest.is_same(spec) && !but.is_some_and(|but| core::ptr::eq(dest, but));
    let mut with_uri = view.find_uri(spec.uri).filter_map(|at| view.dest(at));
    if with_uri.any(is_same) {
        return true;
    }
    // What has another URI is the same only by a unique id.
    spec.attrs.duid.is_some() && view.dests().any(is_same)
}

/// A destination as it is to be.
fn revise<'r>(dest: &'r Dest, revision: Revision<'r>) -> DestSpec<'r> {
    let spec = dest.spec();
    let (attrs_body, attrs, socket) =
        revision
            .attrs
            .unwrap_or((spec.attrs_body, spec.attrs, spec.socket));
    DestSpec {
        flags: revision.flags.unwrap_or(spec.flags),
        priority: revision.priority.unwrap_or(spec.priority),
        addrs: revision.addrs.unwrap_or(spec.addrs),
        attrs_body,
        attrs,
        socket,
        ..spec
    }
}
