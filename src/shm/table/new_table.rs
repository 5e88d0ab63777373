//! Building a table from a list, over the running one: which destinations stay, come and go.

use core::cmp::Reverse;
use core::hash::{BuildHasherDefault, Hasher};
use core::ptr::NonNull;
use std::collections::{HashMap, HashSet};

use rand::RngCore;

use crate::dispatch::hash::spread;
use crate::dispatch::list::destination::{DestSpec, SetId};
use crate::dispatch::list::order;
use crate::dispatch::state::latency::Latency;

use super::retained::{Retained, Returning};
use super::sets::{SetEntry, Table};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::page::{Draft, Page};
use crate::shm::dest::rate::Rate;
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record_slab::{MOST, Records};
use crate::shm::memory::arena::{Arena, OutOfMemory, Owned, to_u32};
use crate::shm::memory::refcount::{Counted, Hold};
use crate::shm::set::set_record::SetRecord;
use crate::shm::set::view::{Rules, View};

/// A list by sets: the destinations of each set, in order.
pub struct Plans {
    /// The sets as they come, and for each where its destinations end in `lines`.
    sets: Vec<(SetId, usize)>,
    /// Positions in the list, set after set, each in index order.
    lines: Vec<usize>,
}

impl Plans {
    /// Returns the sets as they come, each with the positions of its destinations in index order.
    pub fn sets(&self) -> impl Iterator<Item = (SetId, &[usize])> {
        let mut start = 0;
        self.sets.iter().map(move |&(id, end)| {
            let members = self.lines.get(start..end).unwrap_or_default();
            start = end;
            (id, members)
        })
    }
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
            self.0 = spread(self.0 ^ u64::from(byte));
        }
    }

    fn write_i32(&mut self, id: i32) {
        self.0 = spread(u64::from(u32::from_ne_bytes(id.to_ne_bytes())));
    }
}

/// Groups a list by sets, in the order in which they come.
pub fn plan_sets(list: &[DestSpec<'_>]) -> Plans {
    let mut sets: Vec<(SetId, usize)> = Vec::new();
    let mut by_id = HashMap::<SetId, usize, BuildHasherDefault<IdHasher>>::default();
    let (mut numbers, mut priorities) = (Vec::new(), Vec::new());
    numbers.reserve(list.len());
    priorities.reserve(list.len());
    for spec in list {
        let at = *by_id.entry(spec.set).or_insert_with(|| {
            sets.push((spec.set, 0));
            sets.len() - 1
        });
        if let Some((_, count)) = sets.get_mut(at) {
            *count += 1;
        }
        numbers.push(at);
        priorities.push(spec.priority);
    }
    // For now the second of a set is where its next line goes; all begin in the order of the list.
    let mut start = 0;
    for (_, count) in &mut sets {
        start += core::mem::replace(count, start);
    }
    let mut lines = vec![0; list.len()];
    for (line, &number) in numbers.iter().enumerate() {
        let Some((_, next)) = sets.get_mut(number) else {
            continue;
        };
        if let Some(place) = lines.get_mut(*next) {
            *place = line;
        }
        *next += 1;
    }
    let mut start = 0;
    for &(_, end) in &sets {
        if let Some(members) = lines.get_mut(start..end) {
            order_members(&priorities, members);
        }
        start = end;
    }
    Plans { sets, lines }
}

/// Puts the lines of a set, which are in the order of the list, into index order.
fn order_members(priorities: &[i32], members: &mut [usize]) {
    let priority = |&line: &usize| priorities.get(line).copied().unwrap_or(0);
    let first = members.first().map(priority);
    if members.iter().all(|line| Some(priority(line)) == first) {
        // Equal priorities: the last line is the first.
        members.reverse();
        return;
    }
    let priorities: Vec<i32> = members.iter().map(priority).collect();
    let ordered = order::order_set(&priorities).into_iter();
    let ordered: Vec<usize> = ordered.filter_map(|at| members.get(at).copied()).collect();
    for (member, line) in members.iter_mut().zip(ordered) {
        *member = line;
    }
}

/// The destinations of the running table by their identity over a reload: the unique id, or URI and
/// socket where there is none. Of several alike the first of the running list is the
/// first to be taken.
struct Running<'t> {
    table: Option<&'t Table>,
    /// By unique id in small letters, the last of the list first.
    by_duid: HashMap<(SetId, Vec<u8>), Vec<&'t Dest>>,
    /// The destinations that share URI and socket with others, by the number of the first one that the set
    /// finds; the last of the list first.
    alike: HashMap<usize, Vec<&'t Dest>>,
    /// How many there are in the sets that are listed before each set, and its view as it was
    /// counted: an edit may replace it meanwhile, while nothing but a check reads it.
    sets: Vec<(usize, &'t View)>,
    /// By number, whether it was taken, of those that share their URI with nobody.
    taken: Vec<bool>,
    /// Number of those that were not taken.
    left: usize,
}

impl<'t> Running<'t> {
    fn new(table: Option<&'t Table>) -> Self {
        let sets = || table.into_iter().flat_map(Table::sets);
        let mut running = Running {
            table,
            by_duid: HashMap::new(),
            alike: HashMap::new(),
            sets: Vec::with_capacity(table.map_or(0, Table::len)),
            taken: Vec::new(),
            left: 0,
        };
        for (_, view) in sets() {
            running.sets.push((running.left, view));
            running.left += view.dest_count();
            for dest in view.dests() {
                if let Some(duid) = dest.duid() {
                    let id = (dest.set, duid.to_ascii_lowercase());
                    running.by_duid.entry(id).or_default().push(dest);
                }
            }
        }
        running.taken = vec![false; running.left];
        let several = running.by_duid.values_mut().filter(|dests| dests.len() > 1);
        several.for_each(|dests| dests.sort_by_key(|dest| Reverse(dest.line)));
        running
    }

    /// Returns the running destination that a new one goes on with, if there is one.
    fn take(&mut self, spec: &DestSpec<'_>) -> Option<&'t Dest> {
        let taken = match spec.attrs.duid.filter(|duid| !duid.is_empty()) {
            Some(duid) => {
                let id = (spec.set, duid.to_ascii_lowercase());
                self.by_duid.get_mut(&id)?.pop()
            }
            None => self.take_by_uri(spec),
        };
        self.left = self.left.saturating_sub(usize::from(taken.is_some()));
        taken
    }

    fn take_by_uri(&mut self, spec: &DestSpec<'_>) -> Option<&'t Dest> {
        let (rank, _) = self.table?.ranked(spec.set)?;
        let &(base, view) = self.sets.get(rank)?;
        let found = view.find_uri(&spec.uri);
        let mut same = found
            .filter_map(|at| Some((at, view.dest(at)?)))
            .filter(|(_, dest)| {
                dest.duid().is_none() && dest.uri() == &*spec.uri && dest.socket() == spec.socket
            });
        let (at, first) = same.next()?;
        let number = base + at;
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

/// Destinations that are not yet published. They are freed when dropped.
pub(crate) struct Loose<'a, A: Arena> {
    pub(crate) dests: Vec<NonNull<Dest>>,
    arena: &'a A,
}

impl<'a, A: Arena> Loose<'a, A> {
    /// Makes an empty collection.
    pub(crate) const fn new(arena: &'a A) -> Self {
        Loose {
            dests: Vec::new(),
            arena,
        }
    }

    /// Begins their slow start.
    pub(crate) fn begin_ramps(&self) {
        for dest in &self.dests {
            // SAFETY: made here, and not yet freed.
            unsafe { dest.as_ref() }.record().begin_ramp();
        }
    }

    /// Leaves them to the views that have them.
    pub(crate) fn publish(mut self) {
        self.dests.clear();
    }
}

impl<A: Arena> Drop for Loose<'_, A> {
    fn drop(&mut self) {
        for dest in self.dests.drain(..) {
            // SAFETY: never published, so nobody else reaches it.
            unsafe { Dest::free(dest, self.arena) };
        }
    }
}

/// The changes that a list makes to the running one, counted in destinations.
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
pub fn compare(list: &[DestSpec<'_>], running: Option<&Table>) -> Changes {
    let mut dests = Running::new(running);
    let mut changes = Changes::default();
    for spec in list {
        changes.count(spec, dests.take(spec));
    }
    changes.removed = dests.left;
    changes
}

/// The result of [`build`].
pub(crate) struct Built {
    /// The table, which nobody else sees yet.
    pub table: NonNull<Table>,
    /// The changes that the list makes.
    pub changes: Changes,
    /// Positions in the list of those that are new and cannot be chosen.
    pub fresh: HashSet<usize>,
    /// True when the list asks for another state of one that stays than at its last load.
    pub relists: bool,
    /// The records that come back, each with its line of the list, which has yet to set its state.
    pub returned: Vec<(usize, KeptRecord)>,
    /// The records that go on without the answer for their name, which is to be asked for again.
    pub unanswered: Vec<KeptRecord>,
}

/// Builds a table from a list, over the records of the running table where the same destinations
/// are still there. Nothing of the running table changes.
///
/// # Errors
/// [`OutOfMemory`]: all that was taken is given back.
pub(crate) fn build(
    arena: &impl Arena,
    rules: Rules,
    list: &[DestSpec<'_>],
    running: Option<&Table>,
    retained: &Retained,
    random: &mut impl RngCore,
) -> Result<Built, OutOfMemory> {
    let mut build = Build {
        arena,
        rules,
        list,
        running,
        changes: Changes::default(),
        fresh: HashSet::new(),
        relists: false,
        returned: Vec::new(),
        unanswered: Vec::new(),
    };
    let mut retained = Returning::new(retained);
    let kept = build.kept(&mut retained);
    let plans = plan_sets(list);
    let loose = build.dests(&plans, &kept)?;
    let views = build.views(&plans, &loose.dests, &retained, random)?;
    let sets = plans.sets().map(|(id, _)| id).zip(&views);
    let entries: Vec<SetEntry> = (0..)
        .zip(sets)
        .map(|(born, (id, view))| SetEntry {
            id,
            born,
            view: view.as_ptr().as_ptr(),
        })
        .collect();
    // SAFETY: the views are filled, and belong to the table from here on.
    let table = unsafe { Table::create(arena, &entries) }?;
    views.into_iter().for_each(|view| _ = view.into_raw());
    loose.publish();
    Ok(Built {
        table,
        changes: build.changes,
        fresh: build.fresh,
        relists: build.relists,
        returned: build.returned,
        unanswered: build.unanswered,
    })
}

/// Returns the record of a set: that of its running view, else that which the set had when it left the lists, as long
/// as records of its destinations are retained, else a new one.
///
/// # Errors
/// [`OutOfMemory`]: nothing was taken.
pub(crate) fn set_record<'a, A: Arena>(
    arena: &'a A,
    rules: Rules,
    id: SetId,
    running: Option<&View>,
    retained: &Returning<'_>,
) -> Result<Hold<'a, A, SetRecord>, OutOfMemory> {
    let known = running.map(View::counted);
    match known.or_else(|| retained.set_record(id)) {
        // SAFETY: the running view or the retained counters hold it; the writer lock is held.
        Some(record) => Ok(unsafe { Hold::new(record, arena) }),
        None => SetRecord::create(arena, rules.counted),
    }
}

/// Makes a new record for a destination of a list.
///
/// # Errors
/// [`OutOfMemory`]: nothing was taken.
pub(crate) fn new_record<'a, A: Arena>(
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
pub(crate) type KeptRecord = NonNull<Counted<DestRecord>>;

/// The admissions of a destination that goes on.
pub(crate) type KeptRate = NonNull<Counted<Rate>>;

/// Returns the admissions of a destination of a list: those that it had, if its limit is the same, else new ones; none
/// without a limit.
///
/// # Errors
/// [`OutOfMemory`]: nothing was taken.
pub(crate) fn rate<'a, A: Arena>(
    arena: &'a A,
    rules: Rules,
    spec: &DestSpec<'_>,
    kept: Option<Hold<'a, A, Rate>>,
) -> Result<Option<Hold<'a, A, Rate>>, OutOfMemory> {
    let Some(most) = usize::try_from(spec.attrs.cps)
        .ok()
        .filter(|&most| rules.rates && most > 0)
    else {
        return Ok(None);
    };
    match kept.filter(|kept| kept.most() == most) {
        Some(kept) => Ok(Some(kept)),
        None => Rate::create(arena, most).map(Some),
    }
}

/// The parts of a running destination that go on.
#[derive(Clone, Copy, Default)]
struct Kept {
    record: Option<KeptRecord>,
    rate: Option<KeptRate>,
    /// It is new in a set that has a usable one, so it begins slowly.
    joins: bool,
}

/// The building of one table.
struct Build<'a, A: Arena> {
    arena: &'a A,
    rules: Rules,
    list: &'a [DestSpec<'a>],
    running: Option<&'a Table>,
    changes: Changes,
    fresh: HashSet<usize>,
    relists: bool,
    returned: Vec<(usize, KeptRecord)>,
    unanswered: Vec<KeptRecord>,
}

impl<'a, A: Arena> Build<'a, A> {
    /// Returns the records that go on, by position in the list. They are handed out in list order, so
    /// that the nth of several alike stays the nth.
    fn kept(&mut self, retained: &mut Returning<'_>) -> Vec<Kept> {
        let mut running = Running::new(self.running);
        let mut kept = Vec::with_capacity(self.list.len());
        for (line, spec) in self.list.iter().enumerate() {
            let dest = running.take(spec);
            self.changes.count(spec, dest);
            if dest.is_none() && !self.rules.usable(spec.flags) {
                self.fresh.insert(line);
            }
            self.relists |= dest.is_some_and(|dest| dest.record().listed_otherwise(spec.flags));
            let record = dest.map(Dest::counted).or_else(|| {
                let returned = retained.take(spec.set, spec.attrs.duid?)?;
                self.returned.push((line, returned));
                Some(returned)
            });
            let is_of_this = dest.is_some_and(|dest| dest.uri() == &*spec.uri);
            if spec.addrs.is_empty() || !is_of_this {
                self.unanswered.extend(record);
            }
            let rate = dest.and_then(Dest::counted_rate);
            let set = || self.running?.view(spec.set);
            let joins = dest.is_none() && set().is_some_and(View::any_usable);
            kept.push(Kept {
                record,
                rate,
                joins,
            });
        }
        self.changes.removed = running.left;
        kept
    }

    /// Makes all destinations, set after set, each in index order.
    fn dests(&self, plans: &Plans, kept: &[Kept]) -> Result<Loose<'a, A>, OutOfMemory> {
        let missing = kept.iter().filter(|kept| kept.record.is_none()).count();
        let rules = self.rules;
        let mut records = Records::new(self.arena, missing, rules.watched)
            .counted(rules.counted)
            .shared(rules.shared)
            .pinged(rules.ping_words);
        let mut loose = Loose::new(self.arena);
        loose.dests.reserve(self.list.len());
        let mut left = plans.lines.as_slice();
        while !left.is_empty() {
            let (now, later) = left.split_at(MOST.min(left.len()));
            let specs = now
                .iter()
                .filter_map(|&line| Some((line, self.list.get(line)?)));
            let drafts = specs.map(|(line, spec)| {
                let kept = kept.get(line).copied().unwrap_or_default();
                self.draft(line, spec, kept, &mut records)
            });
            let drafts = drafts.collect::<Result<Vec<_>, _>>()?;
            Page::create(self.arena, drafts, &mut loose.dests)?;
            left = later;
        }
        Ok(loose)
    }

    /// Makes the draft of a destination for a page.
    fn draft(
        &self,
        line: usize,
        spec: &'a DestSpec<'a>,
        kept: Kept,
        records: &mut Records<'a, A>,
    ) -> Result<Draft<'a, A>, OutOfMemory> {
        let record = match kept.record {
            // SAFETY: the running table or the retained counters hold it; the writer lock is held.
            Some(record) => unsafe { Hold::new(record, self.arena) },
            None => new_record(records, self.arena, spec)?,
        };
        if kept.joins {
            record.begin_ramp();
        }
        let kept = kept.rate.map(|kept| {
            // SAFETY: the running table holds it; the writer lock is held.
            unsafe { Hold::new(kept, self.arena) }
        });
        let rate = rate(self.arena, self.rules, spec, kept)?;
        let line = to_u32(line);
        Ok(Draft {
            spec,
            line,
            record,
            rate,
        })
    }

    /// Makes the views of all sets, over the destinations of all sets.
    fn views(
        &self,
        plans: &Plans,
        dests: &[NonNull<Dest>],
        retained: &Returning<'_>,
        random: &mut impl RngCore,
    ) -> Result<Vec<Owned<'a, A, View>>, OutOfMemory> {
        let mut left = dests;
        let view = |(id, members): (SetId, &[usize])| {
            let (of_set, later) = left.split_at(members.len().min(left.len()));
            left = later;
            let running = self.running.and_then(|table| table.view(id));
            let record = set_record(self.arena, self.rules, id, running, retained)?;
            // SAFETY: the record is held, and the destinations are published with the view.
            let view =
                unsafe { View::create(self.arena, self.rules, record.counted, of_set, random) };
            // SAFETY: just made, of this arena.
            view.map(|view| unsafe { Owned::new(view, self.arena) })
        };
        plans.sets().map(view).collect()
    }
}
