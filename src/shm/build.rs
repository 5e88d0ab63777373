//! Building a table from a list, over what runs: who stays, who is new, who is gone.

use core::cmp::Reverse;
use core::hash::{BuildHasherDefault, Hasher};
use core::ptr::NonNull;
use std::collections::{HashMap, HashSet};

use rand::RngCore;

use crate::dispatch::dest::{DestSpec, SetId};
use crate::dispatch::latency::Latency;
use crate::dispatch::order;

use super::addr::AddrIndex;
use super::arena::{Arena, OutOfMemory};
use super::batch::Records;
use super::counted::{Counted, Hold};
use super::dest::Dest;
use super::orphans::Orphans;
use super::page::{Draft, Page, fitting};
use super::record::DestRecord;
use super::set_record::SetRecords;
use super::table::{Entry, Table};
use super::view::{Rules, View};

/// The destinations of one set, as positions in the list, in index order.
pub struct SetPlan {
    /// The set.
    pub id: SetId,
    /// Its destinations.
    pub members: Vec<usize>,
}

/// Hashes a set's number: they are small, and nobody else chooses them.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_i32(&mut self, id: i32) {
        let mixed = (self.0 ^ u64::from(u32::from_ne_bytes(id.to_ne_bytes())))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// Groups a list by sets, in the order in which they come.
pub fn plan_sets(specs: &[DestSpec<'_>]) -> Vec<SetPlan> {
    let mut sets: Vec<SetPlan> = Vec::new();
    let mut by_id = HashMap::<SetId, usize, BuildHasherDefault<IdHasher>>::default();
    for (line, spec) in specs.iter().enumerate() {
        let at = *by_id.entry(spec.set).or_insert_with(|| {
            sets.push(SetPlan {
                id: spec.set,
                members: Vec::new(),
            });
            sets.len() - 1
        });
        if let Some(set) = sets.get_mut(at) {
            set.members.push(line);
        }
    }
    let priority = |line: usize| specs.get(line).map_or(0, |spec| spec.priority);
    for set in &mut sets {
        let mut priorities = set.members.iter().map(|&line| priority(line));
        let first = priorities.next();
        if priorities.all(|priority| Some(priority) == first) {
            // Equal priorities: the last line is the first.
            set.members.reverse();
            continue;
        }
        let in_list = core::mem::take(&mut set.members);
        let priorities: Vec<i32> = in_list.iter().map(|&line| priority(line)).collect();
        let ordered = order::order_set(&priorities).into_iter();
        set.members = ordered.filter_map(|at| in_list.get(at).copied()).collect();
    }
    sets
}

/// The destinations of the running table by what makes one the same over a reload: its unique id,
/// or its URI and socket where it has none. Of several alike the first of the running list is the
/// first to be taken.
struct Running<'t> {
    table: Option<&'t Table>,
    /// By unique id in small letters, the last of the list first.
    by_duid: HashMap<(SetId, Vec<u8>), Vec<&'t Dest>>,
    /// Those that share URI and socket with others, by the number of the first one that the set
    /// finds; the last of the list first.
    alike: HashMap<usize, Vec<&'t Dest>>,
    /// How many there are in the sets that are listed before each set.
    bases: Vec<usize>,
    /// By number, whether it was taken, of those that share their URI with nobody.
    taken: Vec<bool>,
    /// Number of those that nobody took.
    left: usize,
}

impl<'t> Running<'t> {
    fn new(table: Option<&'t Table>) -> Self {
        let views = || {
            table
                .into_iter()
                .flat_map(Table::sets)
                .map(|(_, view)| view)
        };
        let mut left = 0;
        let bases = views().map(|view| {
            let base = left;
            left += view.dest_count();
            base
        });
        let bases = bases.collect();
        let mut running = Running {
            table,
            by_duid: HashMap::new(),
            alike: HashMap::new(),
            bases,
            taken: vec![false; left],
            left,
        };
        for dest in views().filter(|view| view.duids > 0).flat_map(View::dests) {
            if let Some(duid) = dest.duid() {
                let id = (dest.set, duid.to_ascii_lowercase());
                running.by_duid.entry(id).or_default().push(dest);
            }
        }
        let several = running.by_duid.values_mut().filter(|dests| dests.len() > 1);
        several.for_each(|dests| dests.sort_by_key(|dest| Reverse(dest.line)));
        running
    }

    /// The running destination that a new one goes on with, if there is one.
    fn take(&mut self, spec: &DestSpec<'_>) -> Option<&'t Dest> {
        let taken = match spec.attrs.duid.filter(|duid| !duid.is_empty()) {
            Some(duid) => {
                let id = (spec.set, duid.to_ascii_lowercase());
                self.by_duid.get_mut(&id)?.pop()
            }
            None => self.take_by_uri(spec),
        };
        self.left -= usize::from(taken.is_some());
        taken
    }

    fn take_by_uri(&mut self, spec: &DestSpec<'_>) -> Option<&'t Dest> {
        let (rank, view) = self.table?.ranked(spec.set)?;
        let found = view.find_uri(spec.uri);
        let mut same = found
            .filter_map(|at| Some((at, view.dest(at)?)))
            .filter(|(_, dest)| {
                dest.duid().is_none() && dest.uri() == spec.uri && dest.socket() == spec.socket
            });
        let (at, first) = same.next()?;
        let number = self.bases.get(rank)? + at;
        let Some((_, second)) = same.next() else {
            let taken = core::mem::replace(self.taken.get_mut(number)?, true);
            return (!taken).then_some(first);
        };
        let alike = self.alike.entry(number).or_insert_with(|| {
            let mut alike = vec![first, second];
            alike.extend(same.map(|(_, dest)| dest));
            alike.sort_by_key(|dest| Reverse(dest.line));
            alike
        });
        alike.pop()
    }
}

/// Destinations that are not yet part of a view: freed when they do not become one.
pub(super) struct Loose<'a, A: Arena> {
    pub(super) dests: Vec<NonNull<Dest>>,
    /// So many of them are part of one, the first ones.
    taken: usize,
    arena: &'a A,
}

impl<'a, A: Arena> Loose<'a, A> {
    /// None yet.
    pub(super) const fn new(arena: &'a A) -> Self {
        Loose {
            dests: Vec::new(),
            taken: 0,
            arena,
        }
    }

    /// The next ones that are not part of a view.
    fn next(&self, count: usize) -> &[NonNull<Dest>] {
        let end = self.taken.saturating_add(count).min(self.dests.len());
        self.dests.get(self.taken..end).unwrap_or_default()
    }

    /// Says that the next ones have become part of a view.
    pub(super) const fn take(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count);
    }
}

impl<A: Arena> Drop for Loose<'_, A> {
    fn drop(&mut self) {
        for dest in self.dests.drain(..).skip(self.taken) {
            // SAFETY: never published, so nobody else reaches it.
            unsafe { Dest::free(dest, self.arena) };
        }
    }
}

/// What a list changes of the running one, in destinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ones.
    pub added: usize,
    /// Still there, with another URI, flags, priority or attributes.
    pub changed: usize,
    /// Gone.
    pub removed: usize,
    /// Still there as they were.
    pub kept: usize,
}

impl Changes {
    /// Counts a destination of the new list, beside the running one that it goes on with.
    fn count(&mut self, spec: &DestSpec<'_>, running: Option<&Dest>) {
        match running {
            None => self.added += 1,
            Some(dest) if asks_nothing_new(dest, spec) => self.kept += 1,
            Some(_) => self.changed += 1,
        }
    }
}

/// True when a list asks for nothing else than what is known of it: flags that were written there
/// since it was loaded are nothing new.
fn asks_nothing_new(dest: &Dest, spec: &DestSpec<'_>) -> bool {
    let flags = dest.listed;
    spec.flags == dest.record().listed() && dest.is_as(&DestSpec { flags, ..*spec })
}

/// Says what a list would change of the running table.
pub fn compare(specs: &[DestSpec<'_>], running: Option<&Table>) -> Changes {
    let mut dests = Running::new(running);
    let mut changes = Changes::default();
    for spec in specs {
        changes.count(spec, dests.take(spec));
    }
    changes.removed = dests.left;
    changes
}

/// Positions in the list of those that are new and cannot be chosen.
pub type Fresh = HashSet<usize>;

/// Builds a table from a list, over the records of the running table where the same destinations
/// are still there. Nothing of the running table changes.
///
/// # Errors
/// [`OutOfMemory`]: all that was taken is given back.
pub fn build(
    arena: &impl Arena,
    rules: Rules,
    specs: &[DestSpec<'_>],
    running: Option<&Table>,
    orphans: &Orphans,
    random: &mut impl RngCore,
) -> Result<(NonNull<Table>, Changes, Fresh), OutOfMemory> {
    let mut build = Build {
        arena,
        rules,
        specs,
        running,
        changes: Changes::default(),
        fresh: Fresh::new(),
    };
    let kept = build.kept(orphans);
    let plans = plan_sets(specs);
    let mut views = build.views(&plans, &kept, random)?;
    let nodes = specs.iter().map(|spec| spec.addrs.len()).sum();
    let addrs = AddrIndex::create(arena, nodes)?;
    let table = Table::create(arena, &views.entries, addrs, true).inspect_err(|_| {
        // SAFETY: just made, and no table is over it.
        unsafe { arena.free(addrs.cast()) };
    })?;
    views.entries.clear();
    // SAFETY: just made.
    let sets: Vec<&View> = unsafe { table.as_ref() }
        .sets()
        .map(|(_, view)| view)
        .collect();
    for dest in sets
        .into_iter()
        .flat_map(View::dests)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        // SAFETY: just made.
        unsafe { table.as_ref() }.addrs().add_first(dest);
    }
    Ok((table, build.changes, build.fresh))
}

/// Views that are not yet part of a table: freed when they do not become one.
struct LooseViews<'a, A: Arena> {
    entries: Vec<Entry>,
    arena: &'a A,
}

impl<A: Arena> Drop for LooseViews<'_, A> {
    fn drop(&mut self) {
        for view in self
            .entries
            .drain(..)
            .filter_map(|entry| NonNull::new(entry.view))
        {
            // SAFETY: never published, so nobody else reaches it.
            unsafe { View::free_with_dests(view, self.arena) };
        }
    }
}

/// The record of a destination that was removed while it had calls, in the state that the list
/// asks for.
pub(super) fn come_back(
    orphans: &Orphans,
    spec: &DestSpec<'_>,
) -> Option<NonNull<Counted<DestRecord>>> {
    let record = orphans.find(spec.set, spec.attrs.duid?)?;
    // SAFETY: the orphan holds its record, and the writer lock is held.
    unsafe { record.as_ref() }.relist(spec.flags);
    Some(record)
}

/// A new record for a destination of a list.
///
/// # Errors
/// [`OutOfMemory`]: nothing was taken.
pub(super) fn new_record<'a, A: Arena>(
    records: &mut Records<'a, A>,
    arena: &A,
    spec: &DestSpec<'_>,
) -> Result<Hold<'a, A, DestRecord>, OutOfMemory> {
    let new = records.make()?;
    new.set_home(spec.set);
    if let Ok(ms @ 1..) = u32::try_from(spec.attrs.latency) {
        let health = &new.need_vitals(arena)?.health;
        health.set_latency(&Latency::initial(ms));
    }
    // Within the bounds, as a report would be.
    let rate = spec
        .attrs
        .ocrate
        .min(spec.attrs.ocmax)
        .max(spec.attrs.ocmin);
    if let Ok(rate @ 1..) = u32::try_from(rate) {
        new.need_vitals(arena)?.overload.begin(rate);
    }
    new.relist(spec.flags);
    Ok(new)
}

/// A record that goes on.
type KeptRecord = NonNull<Counted<DestRecord>>;

/// What the building of one table needs at each step.
struct Build<'a, A: Arena> {
    arena: &'a A,
    rules: Rules,
    specs: &'a [DestSpec<'a>],
    running: Option<&'a Table>,
    changes: Changes,
    fresh: Fresh,
}

impl<'a, A: Arena> Build<'a, A> {
    /// The records that go on, by position in the list. They are handed out in list order, so
    /// that the nth of several alike stays the nth.
    fn kept(&mut self, orphans: &Orphans) -> Vec<Option<KeptRecord>> {
        let mut running = Running::new(self.running);
        let mut kept = Vec::with_capacity(self.specs.len());
        for (line, spec) in self.specs.iter().enumerate() {
            let dest = running.take(spec);
            self.changes.count(spec, dest);
            if dest.is_none() && !self.rules.usable(spec.flags) {
                self.fresh.insert(line);
            }
            let record = dest.map(Dest::counted);
            kept.push(record.or_else(|| come_back(orphans, spec)));
        }
        self.changes.removed = running.left;
        kept
    }

    /// Makes all destinations, set after set, each in index order.
    fn dests(
        &self,
        plans: &[SetPlan],
        kept: &[Option<KeptRecord>],
    ) -> Result<Loose<'a, A>, OutOfMemory> {
        let missing = kept.iter().filter(|kept| kept.is_none()).count();
        let mut records = Records::new(self.arena, missing, self.rules.watched);
        let mut loose = Loose::new(self.arena);
        loose.dests.reserve(self.specs.len());
        let lines: Vec<usize> = plans
            .iter()
            .flat_map(|plan| &plan.members)
            .copied()
            .collect();
        let mut left = lines.as_slice();
        while !left.is_empty() {
            let specs = left.iter().filter_map(|&line| self.specs.get(line));
            let (now, later) = left.split_at(fitting(specs).min(left.len()));
            let drafts = now.iter().map(|&line| self.draft(line, kept, &mut records));
            let drafts = drafts.collect::<Result<Vec<_>, _>>()?;
            Page::create(self.arena, &drafts, &mut loose.dests)?;
            left = later;
        }
        Ok(loose)
    }

    /// A destination for a page.
    fn draft(
        &self,
        line: usize,
        kept: &[Option<KeptRecord>],
        records: &mut Records<'a, A>,
    ) -> Result<Draft<'a, A>, OutOfMemory> {
        let spec = self.specs.get(line).ok_or(OutOfMemory)?;
        let record = match kept.get(line).copied().flatten() {
            Some(record) => Hold::new(record, self.arena),
            None => new_record(records, self.arena, spec)?,
        };
        let line = u32::try_from(line).map_err(|_| OutOfMemory)?;
        Ok(Draft { spec, line, record })
    }

    /// Makes the views of all sets, with all destinations.
    fn views(
        &self,
        plans: &[SetPlan],
        kept: &[Option<KeptRecord>],
        random: &mut impl RngCore,
    ) -> Result<LooseViews<'a, A>, OutOfMemory> {
        let mut views = LooseViews {
            entries: Vec::with_capacity(plans.len()),
            arena: self.arena,
        };
        let mut loose = self.dests(plans, kept)?;
        let running = |id| self.running.and_then(|table| table.view(id));
        let old: Vec<Option<&View>> = plans.iter().map(|plan| running(plan.id)).collect();
        let missing = old.iter().filter(|old| old.is_none()).count();
        let mut records = SetRecords::new(self.arena, missing);
        for (born, (plan, old)) in (0..).zip(plans.iter().zip(old)) {
            let view = self.view(plan, old, &mut records, &mut loose, random)?;
            let (id, view) = (plan.id, view.as_ptr());
            views.entries.push(Entry { id, born, view });
        }
        Ok(views)
    }

    fn view(
        &self,
        plan: &SetPlan,
        kept: Option<&View>,
        records: &mut SetRecords<'a, A>,
        loose: &mut Loose<'a, A>,
        random: &mut impl RngCore,
    ) -> Result<NonNull<View>, OutOfMemory> {
        let record = match kept {
            Some(view) => Hold::new(view.counted(), self.arena),
            None => records.make()?,
        };
        let dests = loose.next(plan.members.len());
        // SAFETY: the record is held, and the destinations go with the view from here on.
        let view = unsafe { View::create(self.arena, self.rules, record.counted, dests, random) }?;
        loose.take(plan.members.len());
        Ok(view)
    }
}
