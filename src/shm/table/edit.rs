//! Edits of one set: a destination is added, removed or modified while others read.
//!
//! An edit builds the view of its set anew over the same destinations, and leaves the other sets as they are. A set
//! that is added or removed replaces the table by a copy of its slots. All memory is taken before the first change, so
//! no edit stops half-way.

use core::cmp::Reverse;
use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use std::borrow::Cow;

use lock_api::RawMutex;
use rand::RngCore;

use crate::dispatch::list::attrs::Attrs;
use crate::dispatch::list::destination::{Addr, DestSpec, Proto, SetId};
use crate::dispatch::state::transition::State;

use super::lock::{Patience, Refusal};
use super::new_table::{KeptRate, Loose, new_record, rate, set_record};
use super::retained::Returning;
use super::sets::{SetEntry, Table, merge};
use super::store::{OnChange, Store};
use super::writer::{Retired, Writer};
use crate::shm::dest::address::AddrIndex;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::page::{Draft, Page};
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record_slab::Records;
use crate::shm::memory::arena::{Arena, OutOfMemory, Owned};
use crate::shm::memory::atomic::Ordering::{Relaxed, SeqCst};
use crate::shm::memory::refcount::{Counted, Hold};
use crate::shm::set::view::{Rules, View};

/// Why a set stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// Nothing was tried, or shared memory is full.
    Refused(Refusal),
    /// There is no such set.
    NoSet,
    /// The set has no such destination.
    NotFound,
    /// The set has that destination already.
    Duplicate,
    /// Several destinations of the set are meant.
    Ambiguous(usize),
    /// The attributes are others than those that the revision was made of.
    Changed,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditError::Refused(why) => write!(f, "{why}"),
            EditError::NoSet => f.write_str("no such set"),
            EditError::NotFound => f.write_str("no such destination in the set"),
            EditError::Duplicate => f.write_str("the set has that destination already"),
            EditError::Changed => f.write_str("its attributes keep changing"),
            EditError::Ambiguous(count) => {
                write!(
                    f,
                    "{count} destinations of the set are meant: name one by a duid of its own"
                )
            }
        }
    }
}

impl<R: Into<Refusal>> From<R> for EditError {
    fn from(why: R) -> Self {
        EditError::Refused(why.into())
    }
}

/// A change of a destination; a field that is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Revision<'r> {
    /// The state bits, as a list asks for them.
    pub flags: Option<State>,
    /// The priority.
    pub priority: Option<i32>,
    /// The attributes: their text, their values, and the local socket that they name (0 for none).
    pub attrs: Option<(&'r [u8], Attrs<'r>, usize)>,
    /// The text of the attributes that the revision was made of, if it goes for no other.
    pub made_of: Option<&'r [u8]>,
    /// The addresses, and port and transport as `ds_is_from_list` compares them.
    pub peer: Option<(&'r [Addr], u16, Proto)>,
}

impl<A: Arena, L: RawMutex> Store<A, L> {
    /// Adds a destination, as a reload would with its line at the end of the list. Makes the set if it is not there.
    ///
    /// # Errors
    /// [`EditError::Duplicate`], [`EditError::Refused`]: nothing has changed.
    pub fn add(
        &self,
        patience: Patience,
        spec: &DestSpec<'_>,
        random: &mut impl RngCore,
    ) -> Result<(), EditError> {
        let mut writer = self.write(patience)?;
        let table = writer.table().ok_or(EditError::NoSet)?;
        let old = table.view(spec.set);
        if old.is_some_and(|view| has_same(view, spec, None)) {
            return Err(EditError::Duplicate);
        }
        let lines = old.into_iter().flat_map(View::dests).map(|dest| dest.line);
        let line = lines.max().map_or(0, |last| last.saturating_add(1));
        let mut retained = Returning::new(&writer.held().retained);
        let kept = spec
            .attrs
            .duid
            .and_then(|duid| retained.take(spec.set, duid));
        let made = self.make_dest(spec, line, kept, None)?;
        if old.is_some_and(View::any_usable) {
            made.begin_ramps();
        }
        let edit = Edit {
            table,
            set: spec.set,
            old,
            added: made.dests.clone(),
            dropped: Vec::new(),
        };
        // A record that comes back is in no view yet, so nobody selects it before the edit is published.
        let relist = || {
            // SAFETY: the retained counters hold it, and the writer lock is held.
            let kept = kept.map(|kept| unsafe { kept.as_ref() });
            kept.into_iter()
                .for_each(|kept| _ = kept.relist(spec.flags));
        };
        let note = self.apply(&writer, &edit, made, random, relist)?;
        // SAFETY: the edit is published, and drops nothing.
        unsafe { writer.retire(note) };
        // SAFETY: the destination that was added holds it.
        unsafe { writer.ask_again(kept.as_slice()) };
        Ok(())
    }

    /// Removes all destinations of a set with exactly that URI, and the set with the last of them. Returns how many
    /// there were.
    ///
    /// # Errors
    /// [`EditError::NoSet`], [`EditError::NotFound`], [`EditError::Refused`]: nothing has changed.
    pub fn remove(
        &self,
        patience: Patience,
        set: SetId,
        uri: &[u8],
        random: &mut impl RngCore,
    ) -> Result<usize, EditError> {
        let mut writer = self.write(patience)?;
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
            added: Vec::new(),
            dropped,
        };
        let none = Loose::new(self.arena());
        let note = self.apply(&writer, &edit, none, random, || {})?;
        // SAFETY: the edit is published, so only readers of before reach what it drops.
        unsafe { writer.retire(note) };
        Ok(count)
    }

    /// Modifies a destination as [`Store::modify_and_tell`] does, and tells nobody.
    ///
    /// # Errors
    /// As [`Store::modify_and_tell`].
    #[cfg(any(test, feature = "internals"))]
    pub fn modify(
        &self,
        patience: Patience,
        set: SetId,
        uri: Option<&[u8]>,
        wanted: impl Fn(&Dest) -> bool,
        revision: Revision<'_>,
        random: &mut impl RngCore,
    ) -> Result<(), EditError> {
        self.modify_and_tell(
            patience,
            (set, uri),
            wanted,
            revision,
            random,
            &mut |_, _| {},
        )
    }

    /// Modifies the one destination of a set that `wanted` takes; with a URI, only destinations whose URI equals it but
    /// for letter case are asked. Its state changes only with `flags`: then it calls `on_change` with the destination
    /// and the state before, while the lock is held. Failures, load and cursors stay.
    ///
    /// # Errors
    /// All of [`EditError`]: nothing has changed.
    pub fn modify_and_tell(
        &self,
        patience: Patience,
        (set, uri): (SetId, Option<&[u8]>),
        wanted: impl Fn(&Dest) -> bool,
        revision: Revision<'_>,
        random: &mut impl RngCore,
        on_change: &mut OnChange<'_>,
    ) -> Result<(), EditError> {
        let mut writer = self.write(patience)?;
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
        if revision
            .made_of
            .is_some_and(|text| text != dest.attrs_body())
        {
            return Err(EditError::Changed);
        }
        let spec = revise(dest, revision);
        if !dest.is_same(&spec) && has_same(view, &spec, Some(dest)) {
            return Err(EditError::Duplicate);
        }
        let (record, rate) = (dest.counted(), dest.counted_rate());
        let made = self.make_dest(&spec, dest.line, Some(record), rate)?;
        let edit = Edit {
            table,
            set,
            old: Some(view),
            added: made.dests.clone(),
            dropped,
        };
        let note = self.apply(&writer, &edit, made, random, || {})?;
        if let Some((flags, view)) = revision.flags.zip(table.view(set)) {
            relist(view, dest.record(), flags, on_change);
        }
        let has_addrs = revision.peer.is_none_or(|(addrs, ..)| !addrs.is_empty());
        let unanswered = (!has_addrs).then(|| dest.counted());
        // SAFETY: the edit is published, so only readers of before reach what it drops.
        unsafe { writer.retire(note) };
        // SAFETY: the destination that was modified holds it.
        unsafe { writer.ask_again(unanswered.as_slice()) };
        Ok(())
    }

    /// Makes a destination over the record `kept`, or over a new one, with the admissions that it had.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    fn make_dest(
        &self,
        spec: &DestSpec<'_>,
        line: u32,
        kept: Option<NonNull<Counted<DestRecord>>>,
        kept_rate: Option<KeptRate>,
    ) -> Result<Loose<'_, A>, OutOfMemory> {
        let (arena, rules) = (self.arena(), self.rules());
        let record = match kept {
            // SAFETY: the running table or the retained counters hold it; the writer lock is held.
            Some(record) => unsafe { Hold::new(record, arena) },
            None => {
                let mut records = Records::new(arena, 1, rules.watched)
                    .counted(rules.counted)
                    .shared(rules.shared)
                    .pinged(rules.ping_words);
                new_record(&mut records, arena, spec)?
            }
        };
        let mut loose = Loose::new(arena);
        let kept_rate = kept_rate.map(|kept| {
            // SAFETY: the running table holds it; the writer lock is held.
            unsafe { Hold::new(kept, arena) }
        });
        let rate = rate(arena, rules, spec, kept_rate)?;
        let draft = Draft {
            spec,
            line,
            record,
            rate,
        };
        Page::create(arena, vec![draft], &mut loose.dests)?;
        Ok(loose)
    }

    /// Publishes an edited set, of which `made` is a part from then on. Returns the note of what it replaces. Calls
    /// `before` once all memory is taken, and nothing can fail any more.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing has changed.
    pub(super) fn apply<'s>(
        &'s self,
        writer: &Writer<'_, A, L>,
        edit: &Edit<'_>,
        made: Loose<'_, A>,
        random: &mut impl RngCore,
        before: impl FnOnce(),
    ) -> Result<ManuallyDrop<Owned<'s, A, Retired>>, OutOfMemory> {
        let retained = Returning::new(&writer.held().retained);
        let Prepared {
            note,
            view,
            addrs,
            table,
        } = edit.prepare(self.arena(), self.rules(), &retained, random)?;
        // Nothing can fail from here on. Readers may still see what the note is about: a panic leaks it.
        let mut note = ManuallyDrop::new(note);
        made.publish();
        before();
        if let Some(view) = &view {
            // From here on, until the view is settled, readers ask the records.
            view.record().begin_change();
            view.tell_positions();
        }
        let view = view.map(Owned::into_raw);
        // SAFETY: the note is ours alone, and in no list yet.
        let dropped = unsafe { note.dests.fill() };
        for (slot, dest) in dropped.iter_mut().zip(edit.dropped_dests()) {
            *slot = dest.as_ptr();
        }
        if let Some(slot) = edit.table.slot(edit.set) {
            note.view = match view.filter(|_| table.is_none()) {
                Some(new) => slot.view.swap(new.as_ptr(), SeqCst),
                None => slot.view.load(Relaxed),
            };
        }
        if let Some(table) = table {
            // SAFETY: it is whole, and belongs to the root from here on.
            note.table = unsafe { writer.publish(table) };
        }
        if let Some(addrs) = addrs {
            // SAFETY: it is whole, and belongs to the table from here on.
            note.addrs = unsafe { edit.table.replace_addrs(addrs.into_raw()) };
        }
        edit.old.into_iter().for_each(View::set_replaced);
        if let Some(view) = view {
            // SAFETY: it is published, and only the holder of the writer lock, which is this process, replaces it.
            let view = unsafe { view.as_ref() };
            view.settle();
            view.record().end_change();
        }
        Ok(note)
    }
}

/// Sets the state that the flags of a modified destination ask for.
fn relist(view: &View, record: &DestRecord, flags: State, on_change: &mut OnChange<'_>) {
    let Some(at) = view.position_of(record) else {
        return;
    };
    view.record().begin_change();
    let before = record.relist(flags);
    record.begin_ramp_if_back(before, flags, view.unusable);
    view.sync(at);
    view.record().end_change();
    view.dest(at)
        .into_iter()
        .for_each(|dest| on_change(dest, before));
}

/// One edit of one set.
pub(super) struct Edit<'e> {
    pub(super) table: &'e Table,
    pub(super) set: SetId,
    /// The view of the set; `None` for a new set.
    pub(super) old: Option<&'e View>,
    /// In the order of the set.
    pub(super) added: Vec<NonNull<Dest>>,
    /// Increasing positions in the old view.
    pub(super) dropped: Vec<usize>,
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
        let kept: Vec<_> = kept.map(|(_, dest)| dest).collect();
        merge(&kept, &self.added, |dest| {
            // SAFETY: it is in the running view, which the holder of the writer lock keeps, or just made.
            let dest = unsafe { dest.as_ref() };
            (Reverse(dest.priority), Reverse(dest.line))
        })
    }

    /// Takes all memory that the edit needs.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    fn prepare<'a, A: Arena>(
        &self,
        arena: &'a A,
        rules: Rules,
        retained: &Returning<'_>,
        random: &mut impl RngCore,
    ) -> Result<Prepared<'a, A>, OutOfMemory> {
        let note = Retired::note(arena, self.dropped.len())?;
        // SAFETY: the view was just made of this arena, and nobody else has it.
        let own = |view| unsafe { Owned::new(view, arena) };
        let view = self.view(arena, rules, retained, random)?.map(own);
        let (mut addrs, mut table) = (None, None);
        if view.is_some() && self.old.is_some() {
            let dropped: Vec<_> = self.dropped_dests().collect();
            // SAFETY: the destinations go with the view, which is published together with the index.
            addrs = Some(unsafe { self.table.addrs_after(arena, dropped, &self.added) }?);
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

    /// Builds the view of the set after the edit; `None` if no destination is left.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    fn view(
        &self,
        arena: &impl Arena,
        rules: Rules,
        retained: &Returning<'_>,
        random: &mut impl RngCore,
    ) -> Result<Option<NonNull<View>>, OutOfMemory> {
        let dests = self.dests();
        if dests.is_empty() {
            return Ok(None);
        }
        let record = set_record(arena, rules, self.set, self.old, retained)?;
        // SAFETY: the record is held, and the destinations go with the view.
        unsafe { View::create(arena, rules, record.counted, &dests, random) }.map(Some)
    }

    /// Makes a copy of the table with this view of the set, or without the set.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    fn table_with(
        &self,
        view: Option<NonNull<View>>,
        arena: &impl Arena,
    ) -> Result<NonNull<Table>, OutOfMemory> {
        let mut entries = self.table.entries();
        let born = entries.iter().map(|entry| entry.born).max();
        entries.retain(|entry| entry.id != self.set);
        entries.extend(view.map(|view| SetEntry {
            id: self.set,
            born: born.map_or(0, |born| born.saturating_add(1)),
            view: view.as_ptr(),
        }));
        // SAFETY: the new table replaces the running one and takes over its views; `view` belongs to no other table.
        unsafe { Table::create(arena, &entries) }
    }
}

/// The memory of an edit, given back if the edit is not published.
struct Prepared<'a, A: Arena> {
    note: Owned<'a, A, Retired>,
    view: Option<Owned<'a, A, View>>,
    /// The index of addresses, if the table stays.
    addrs: Option<Owned<'a, A, AddrIndex>>,
    /// Nothing can fail after it was made, so it is always published.
    table: Option<NonNull<Table>>,
}

/// Returns true when a destination of the set other than `but` is the one that the list means.
fn has_same(view: &View, spec: &DestSpec<'_>, but: Option<&Dest>) -> bool {
    let is_same =
        |dest: &Dest| dest.is_same(spec) && !but.is_some_and(|but| core::ptr::eq(dest, but));
    let mut with_uri = view.find_uri(&spec.uri).filter_map(|at| view.dest(at));
    if with_uri.any(is_same) {
        return true;
    }
    // A destination with another URI is the same only by its unique id.
    spec.attrs.duid.is_some() && view.dests().any(is_same)
}

/// Returns what a list would say of a destination after a revision.
pub(super) fn revise<'r>(dest: &'r Dest, revision: Revision<'r>) -> DestSpec<'r> {
    let spec = dest.spec();
    let (addrs, port, proto) = match revision.peer {
        Some((addrs, port, proto)) => (Cow::Borrowed(addrs), port, proto),
        None => (spec.addrs, spec.port, spec.proto),
    };
    let (attrs_body, attrs, socket) =
        revision
            .attrs
            .unwrap_or((spec.attrs_body, spec.attrs, spec.socket));
    DestSpec {
        flags: revision.flags.unwrap_or(spec.flags),
        priority: revision.priority.unwrap_or(spec.priority),
        addrs,
        port,
        proto,
        attrs_body,
        attrs,
        socket,
        ..spec
    }
}
