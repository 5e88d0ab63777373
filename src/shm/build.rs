//! Building a table from a list, over what runs: who stays, who is new, who is gone.

use core::ptr::NonNull;
use std::collections::{HashMap, HashSet, VecDeque};

use rand::RngCore;

use crate::dispatch::dest::{DestSpec, SetId};
use crate::dispatch::latency::Latency;
use crate::dispatch::order;

use super::addr::AddrIndex;
use super::arena::{Arena, OutOfMemory};
use super::counted::{Counted, Hold};
use super::dest::Dest;
use super::orphans::Orphans;
use super::record::{DestRecord, SetRecord};
use super::table::{Entry, Table};
use super::view::{Rules, View};

/// The destinations of one set, as positions in the list, in index order.
struct SetPlan {
    id: SetId,
    members: Vec<usize>,
}

/// Groups a list by sets, in the order in which they come.
fn plan_sets(specs: &[DestSpec<'_>]) -> Vec<SetPlan> {
    let mut sets: Vec<SetPlan> = Vec::new();
    let mut by_id: HashMap<SetId, usize> = HashMap::new();
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
    for set in &mut sets {
        let in_list = core::mem::take(&mut set.members);
        let priority = |&line: &usize| specs.get(line).map_or(0, |spec| spec.priority);
        let priorities: Vec<i32> = in_list.iter().map(priority).collect();
        let ordered = order::order_set(&priorities).into_iter();
        set.members = ordered.filter_map(|at| in_list.get(at).copied()).collect();
    }
    sets
}

/// What makes a destination the same over a reload.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Duid(SetId, Vec<u8>),
    Uri(SetId, Vec<u8>, usize),
}

impl Identity {
    fn new(set: SetId, uri: &[u8], duid: Option<&[u8]>, socket: usize) -> Self {
        match duid {
            Some(duid) => Identity::Duid(set, duid.to_ascii_lowercase()),
            None => Identity::Uri(set, uri.to_vec(), socket),
        }
    }
}

/// The destinations of the running table by identity, each list in the order of the running list.
struct Running<'t>(HashMap<Identity, VecDeque<&'t Dest>>);

impl<'t> Running<'t> {
    fn new(table: Option<&'t Table>) -> Self {
        let mut dests: Vec<&Dest> = table
            .into_iter()
            .flat_map(Table::sets)
            .flat_map(|(_, view)| view.dests())
            .collect();
        dests.sort_by_key(|dest| dest.line);
        let mut running = HashMap::<Identity, VecDeque<&Dest>>::with_capacity(dests.len());
        for dest in dests {
            let identity = Identity::new(dest.set, dest.uri(), dest.duid(), dest.socket);
            running.entry(identity).or_default().push_back(dest);
        }
        Running(running)
    }

    /// The running destination that a new one goes on with, if there is one.
    fn take(&mut self, spec: &DestSpec<'_>) -> Option<&'t Dest> {
        let identity = Identity::new(spec.set, spec.uri, spec.attrs.duid, spec.socket);
        self.0.get_mut(&identity)?.pop_front()
    }

    /// Number of those that nobody took.
    fn left(&self) -> usize {
        self.0.values().map(VecDeque::len).sum()
    }
}

/// Destinations that are not yet part of a view: freed when they do not become one.
pub(super) struct Loose<'a, A: Arena> {
    pub(super) dests: Vec<NonNull<Dest>>,
    pub(super) arena: &'a A,
}

impl<A: Arena> Drop for Loose<'_, A> {
    fn drop(&mut self) {
        for dest in self.dests.drain(..) {
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
            Some(dest) if dest.is_as(spec) => self.kept += 1,
            Some(_) => self.changed += 1,
        }
    }
}

/// Says what a list would change of the running table.
pub fn compare(specs: &[DestSpec<'_>], running: Option<&Table>) -> Changes {
    let mut dests = Running::new(running);
    let mut changes = Changes::default();
    for spec in specs {
        changes.count(spec, dests.take(spec));
    }
    changes.removed = dests.left();
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
        dests: Running::new(running),
        orphans,
        changes: Changes::default(),
        fresh: Fresh::new(),
    };
    let mut views = LooseViews {
        entries: Vec::new(),
        arena,
    };
    for (born, plan) in (0..).zip(plan_sets(specs)) {
        let view = build.view(&plan, random)?.as_ptr();
        let id = plan.id;
        views.entries.push(Entry { id, born, view });
    }
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
    build.changes.removed = build.dests.left();
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

/// Makes a destination over the record `kept`, or over a new one.
///
/// # Errors
/// [`OutOfMemory`]: nothing was taken.
pub(super) fn make_dest(
    arena: &impl Arena,
    spec: &DestSpec<'_>,
    line: u32,
    kept: Option<NonNull<Counted<DestRecord>>>,
) -> Result<NonNull<Dest>, OutOfMemory> {
    let record = match kept {
        Some(record) => Hold::new(record, arena),
        None => {
            let record = Hold::new(Counted::<DestRecord>::create(arena)?, arena);
            // SAFETY: held.
            let new = unsafe { record.counted.as_ref() };
            new.set_home(spec.set);
            if let Ok(ms @ 1..) = u32::try_from(spec.attrs.latency) {
                new.health.set_latency(&Latency::initial(ms));
            }
            // Within the bounds, as a report would be.
            let attrs = &spec.attrs;
            let rate = attrs.ocrate.min(attrs.ocmax).max(attrs.ocmin);
            new.overload.begin(u32::try_from(rate).unwrap_or(0));
            new.relist(spec.flags);
            record
        }
    };
    Dest::create(arena, spec, line, record.counted)
}

/// What the building of one table needs at each step.
struct Build<'a, A: Arena> {
    arena: &'a A,
    rules: Rules,
    specs: &'a [DestSpec<'a>],
    running: Option<&'a Table>,
    dests: Running<'a>,
    orphans: &'a Orphans,
    changes: Changes,
    fresh: Fresh,
}

impl<A: Arena> Build<'_, A> {
    fn view(
        &mut self,
        plan: &SetPlan,
        random: &mut impl RngCore,
    ) -> Result<NonNull<View>, OutOfMemory> {
        let mut loose = Loose {
            dests: Vec::with_capacity(plan.members.len()),
            arena: self.arena,
        };
        // Records are handed out in list order, so that the nth of several alike stays the nth.
        let mut in_list_order = plan.members.clone();
        in_list_order.sort_unstable();
        for &line in &in_list_order {
            loose.dests.push(self.dest(line)?);
        }
        let made = |line| {
            loose
                .dests
                .get(in_list_order.binary_search(line).ok()?)
                .copied()
        };
        let dests: Vec<_> = plan.members.iter().filter_map(made).collect();
        let record = self.set_record(plan.id)?;
        // SAFETY: the record is held, and the destinations go with the view from here on.
        let view = unsafe { View::create(self.arena, self.rules, record.counted, &dests, random) }?;
        loose.dests.clear();
        Ok(view)
    }

    fn dest(&mut self, line: usize) -> Result<NonNull<Dest>, OutOfMemory> {
        let spec = self.specs.get(line).ok_or(OutOfMemory)?;
        let kept = self.dests.take(spec);
        self.changes.count(spec, kept);
        if kept.is_none() && !self.rules.usable(spec.flags) {
            self.fresh.insert(line);
        }
        let line = u32::try_from(line).map_err(|_| OutOfMemory)?;
        let kept = kept.map(Dest::counted);
        make_dest(
            self.arena,
            spec,
            line,
            kept.or_else(|| come_back(self.orphans, spec)),
        )
    }

    fn set_record(&self, id: SetId) -> Result<Hold<'_, A, SetRecord>, OutOfMemory> {
        let kept = self
            .running
            .and_then(|table| table.view(id))
            .map(View::counted);
        let record = match kept {
            Some(record) => record,
            None => Counted::create(self.arena)?,
        };
        Ok(Hold::new(record, self.arena))
    }
}
