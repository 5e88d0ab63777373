//! A table: all sets of a list, with their index by number and by address. Built whole.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::collections::{HashMap, VecDeque};

use rand::RngCore;

use crate::dispatch::dest::{DestSpec, SetId};
use crate::dispatch::order;

use super::addr::{AddrIndex, AddrPlan, Match, Source};
use super::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use super::counted::Counted;
use super::record::{DestRecord, SetRecord};
use super::view::{Dest, Rules, View};

/// One set of a table: its number and its published view.
struct SetSlot {
    id: SetId,
    view: AtomicPtr<View>,
}

// SAFETY: an integer and an arena pointer; zeroed it is set 0 without a view.
unsafe impl ShmSafe for SetSlot {}

/// All sets, as one load left them.
pub struct Table {
    /// In the order in which sets are listed.
    slots: ShmSlice<SetSlot>,
    /// By set number: 1 + position in `slots`, or 0.
    buckets: ShmSlice<u32>,
    addrs: AddrIndex,
}

// SAFETY: shared slices; zeroed it is a table without sets.
unsafe impl ShmSafe for Table {}

impl Table {
    /// Position of a set in the order of listing.
    fn rank(&self, id: SetId) -> Option<usize> {
        let buckets = self.buckets.get();
        let mut at = home(id, buckets.len());
        loop {
            let slot = buckets.get(at).copied()?.checked_sub(1)? as usize;
            if self.slots.get().get(slot)?.id == id {
                return Some(slot);
            }
            at = (at + 1) & buckets.len().wrapping_sub(1);
        }
    }

    /// The view of a set.
    pub fn view(&self, id: SetId) -> Option<&View> {
        self.slots.get().get(self.rank(id)?)?.view()
    }

    /// All sets, in the order in which they are listed.
    pub fn sets(&self) -> impl Iterator<Item = (SetId, &View)> {
        self.slots
            .get()
            .iter()
            .filter_map(|slot| Some((slot.id, slot.view()?)))
    }

    /// Number of sets.
    pub fn len(&self) -> usize {
        self.slots.get().len()
    }

    /// True when there is no set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first destination, in the order of listing, that a source is from.
    pub fn find_source(
        &self,
        source: Source,
        want: Match,
        accept: impl Fn(&Dest) -> bool,
    ) -> Option<&Dest> {
        let place = |dest: &Dest| {
            (
                self.rank(dest.set),
                core::cmp::Reverse(dest.priority),
                core::cmp::Reverse(dest.line),
            )
        };
        self.addrs
            .find(source, want, accept, |one, other| place(one) < place(other))
    }

    /// Frees a table with its views and destinations; records that others hold stay.
    ///
    /// # Safety
    /// The table came from [`build`] with this arena, and no reader can reach it any more.
    pub unsafe fn free(table: NonNull<Table>, arena: &impl Arena) {
        // SAFETY: still ours to read.
        let slots = unsafe { table.as_ref() }.slots.get();
        for slot in slots {
            if let Some(view) = NonNull::new(slot.view.load(Ordering::Acquire)) {
                // SAFETY: a published view belongs to its table alone.
                unsafe { View::free(view, arena) };
            }
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(table.cast()) };
    }
}

impl SetSlot {
    fn view(&self) -> Option<&View> {
        // SAFETY: views live as long as their table, or are retired like it when replaced.
        unsafe { self.view.load(Ordering::Acquire).as_ref() }
    }
}

/// The first bucket to look at for a set.
fn home(id: SetId, buckets: usize) -> usize {
    let mixed = u32::from_ne_bytes(id.to_ne_bytes()).wrapping_mul(0x9e37_79b1);
    (mixed ^ mixed >> 15) as usize & buckets.wrapping_sub(1)
}

/// The destinations of one set, as positions in the list, in index order.
struct SetPlan {
    id: SetId,
    members: Vec<usize>,
}

/// Groups a list by sets, in the order in which sets are listed.
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
    let ids: Vec<SetId> = sets.iter().map(|set| set.id).collect();
    let mut sets: Vec<Option<SetPlan>> = sets.into_iter().map(Some).collect();
    let ordered = order::post_order(&ids);
    ordered
        .into_iter()
        .filter_map(|at| sets.get_mut(at)?.take())
        .collect()
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

/// The records of the running table by identity, each list in the order of the running list.
type Records = HashMap<Identity, VecDeque<NonNull<Counted<DestRecord>>>>;

fn running_records(table: Option<&Table>) -> Records {
    let mut dests: Vec<&Dest> = table
        .into_iter()
        .flat_map(Table::sets)
        .flat_map(|(_, view)| view.dests())
        .collect();
    dests.sort_by_key(|dest| dest.line);
    let mut records = Records::new();
    for dest in dests {
        let identity = Identity::new(dest.set, dest.uri(), dest.duid(), dest.socket);
        records
            .entry(identity)
            .or_default()
            .push_back(dest.counted());
    }
    records
}

/// Holds a counted thing while it is not yet part of anything.
struct Hold<'a, A: Arena, T: ShmSafe> {
    counted: NonNull<Counted<T>>,
    arena: &'a A,
}

impl<'a, A: Arena, T: ShmSafe> Hold<'a, A, T> {
    fn new(counted: NonNull<Counted<T>>, arena: &'a A) -> Self {
        // SAFETY: the caller just made it, or the running table holds it.
        unsafe { counted.as_ref() }.retain();
        Hold { counted, arena }
    }
}

impl<A: Arena, T: ShmSafe> Drop for Hold<'_, A, T> {
    fn drop(&mut self) {
        // SAFETY: gives up the reference that `new` counted.
        unsafe { Counted::release(self.counted, self.arena) };
    }
}

/// A table under construction: freed when it is not finished.
struct Unfinished<'a, A: Arena> {
    table: NonNull<Table>,
    arena: &'a A,
}

impl<A: Arena> Drop for Unfinished<'_, A> {
    fn drop(&mut self) {
        // SAFETY: never published, so nobody else reaches it.
        unsafe { Table::free(self.table, self.arena) };
    }
}

/// Destinations that are not yet part of a view: freed when they do not become one.
struct Loose<'a, A: Arena> {
    dests: Vec<NonNull<Dest>>,
    arena: &'a A,
}

impl<A: Arena> Drop for Loose<'_, A> {
    fn drop(&mut self) {
        for dest in self.dests.drain(..) {
            // SAFETY: never published, so nobody else reaches it.
            unsafe { Dest::free(dest, self.arena) };
        }
    }
}

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
    random: &mut impl RngCore,
) -> Result<NonNull<Table>, OutOfMemory> {
    let sets = plan_sets(specs);
    let unfinished = Unfinished {
        table: empty_table(arena, &sets, specs)?,
        arena,
    };
    // SAFETY: just made.
    let table = unsafe { unfinished.table.as_ref() };
    let mut build = Build {
        arena,
        rules,
        specs,
        running,
        records: running_records(running),
    };
    for (plan, slot) in sets.iter().zip(table.slots.get()) {
        slot.view
            .store(build.view(plan, random)?.as_ptr(), Ordering::Release);
    }
    let views: Vec<&View> = table.sets().map(|(_, view)| view).collect();
    for view in views.into_iter().rev() {
        for at in (0..view.dest_count()).rev() {
            view.dest(at)
                .into_iter()
                .for_each(|dest| table.addrs.add_first(dest));
        }
    }
    let finished = unfinished.table;
    core::mem::forget(unfinished);
    Ok(finished)
}

/// A table with its indices sized and its set numbers in place, but no view yet.
fn empty_table(
    arena: &impl Arena,
    sets: &[SetPlan],
    specs: &[DestSpec<'_>],
) -> Result<NonNull<Table>, OutOfMemory> {
    let mut plan = Plan::<Table>::of_header();
    let slots = plan.array(sets.len()).ok_or(OutOfMemory)?;
    let buckets = (sets.len() * 2).next_power_of_two();
    let buckets = plan.array(buckets).ok_or(OutOfMemory)?;
    let nodes = specs.iter().map(|spec| spec.addrs.len()).sum();
    let addrs = AddrPlan::new(&mut plan, nodes).ok_or(OutOfMemory)?;
    let block = plan.alloc(arena)?;
    let table = Table {
        slots: block.slice(&slots),
        buckets: block.slice(&buckets),
        addrs: addrs.place(&block),
    };
    // SAFETY: the block is ours alone until it is published.
    for (slot, set) in unsafe { table.slots.fill() }.iter_mut().zip(sets) {
        slot.id = set.id;
    }
    // SAFETY: as above.
    let buckets = unsafe { table.buckets.fill() };
    for (number, set) in (1u32..).zip(sets) {
        let mut at = home(set.id, buckets.len());
        while buckets.get(at).is_some_and(|&taken| taken != 0) {
            at = (at + 1) & buckets.len().wrapping_sub(1);
        }
        if let Some(bucket) = buckets.get_mut(at) {
            *bucket = number;
        }
    }
    let at = block.header();
    // SAFETY: as above; the block was planned with a `Table` as its header.
    unsafe { at.write(table) };
    Ok(at)
}

/// What the building of one table needs at each step.
struct Build<'a, A: Arena> {
    arena: &'a A,
    rules: Rules,
    specs: &'a [DestSpec<'a>],
    running: Option<&'a Table>,
    records: Records,
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
        let identity = Identity::new(spec.set, spec.uri, spec.attrs.duid, spec.socket);
        let kept = self
            .records
            .get_mut(&identity)
            .and_then(VecDeque::pop_front);
        let record = match kept {
            Some(record) => Hold::new(record, self.arena),
            None => {
                let record = Hold::new(Counted::<DestRecord>::create(self.arena)?, self.arena);
                // SAFETY: held.
                unsafe { record.counted.as_ref() }.relist(spec.flags);
                record
            }
        };
        let line = u32::try_from(line).map_err(|_| OutOfMemory)?;
        Dest::create(self.arena, spec, line, record.counted)
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
