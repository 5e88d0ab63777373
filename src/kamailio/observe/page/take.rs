//! Takes the parts of the running lists that the page shows: they are copied while the lists are pinned.

use crate::dispatch::list::destination::SetId;
use crate::dispatch::observe::find::{Facts, Find, Key, Sort};
use crate::dispatch::observe::page::{
    Change, Data, Has, MOST_SETS, Row, Set, Totals, concern, text,
};
use crate::dispatch::observe::shown::{Shown, Tally};
use crate::kamailio::cluster::pings::Watchers;
use crate::kamailio::cluster::states::Names;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::names;
use crate::kamailio::observe::why;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::sys;
use crate::kamailio::server::time::{now_ms, wall_of, wall_us};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::probing::Health;
use crate::shm::observe::changes::history::ENTRY_BYTES;
use crate::shm::observe::counters::{DestCounts, SetCounts};
use crate::shm::set::view::View;

/// Bytes that an answer takes besides its rows: the sets, and the text that is sent.
const ANSWER: usize = 1_000_000;
/// Bytes that the texts of a destination or of a change take, with their copies in JSON and the names there.
const ROW: usize = 8_000;
/// Bytes that an attribute takes in the same way, besides its name.
const ATTRIBUTE: usize = 1_000;

/// A set, and what is counted of it.
#[derive(Clone, Copy)]
struct Counted<'p> {
    id: SetId,
    view: &'p View,
    tally: Tally,
    up: u32,
    calls: u64,
}

/// The place of a destination in the order of listing: its set, and where it is in that.
type Place = (usize, usize);

/// Returns the sets and the destinations that are asked for.
///
/// # Errors
/// [`NoMemory`].
pub fn data(module: &Module, find: &Find) -> Result<Data, NoMemory> {
    let pinned = module.pin();
    let table = pinned.table();
    let (sets, dests) = table.map_or((0, 0), |table| (table.len(), table.dest_count()));
    let names = module.settings.metrics.attrs.iter();
    let attrs: usize = names.map(|name| ATTRIBUTE + 2 * name.len()).sum();
    heap::need(ANSWER + find.count.min(dests) * (ROW + attrs))?;
    let mut all: Vec<Counted<'_>> = Vec::new();
    heap::reserve(&mut all, sets)?;
    let mut hits: Vec<(Key<'_>, Place)> = Vec::new();
    heap::reserve(&mut hits, dests)?;
    let mut states = Tally::default();
    let (mut counters, mut weights) = (false, false);
    for (id, view) in table.into_iter().flat_map(|table| table.sets()) {
        let mut set = Counted {
            id,
            view,
            tally: Tally::default(),
            up: 0,
            calls: 0,
        };
        let is_asked = find.has_set(id);
        for (at, dest) in view.dests().enumerate() {
            let facts = facts(module, id, dest);
            set.tally.count(facts.shown);
            set.up += u32::from(facts.is_up);
            set.calls += u64::from(dest.record().whole_load());
            counters |= dest.record().counted().is_some();
            weights |= dest.weight() != 0 || dest.rweight() != 0;
            if is_asked && find.finds(&facts) {
                states.count(facts.shown);
                if find.wants(&facts) {
                    hits.push((key(find.sort, &facts, dest), (all.len(), at)));
                }
            }
        }
        all.push(set);
    }
    let matches = hits.len();
    let nodes = Names::new(module);
    let watchers = Watchers::now(module);
    let rows = find.page(hits).into_iter().filter_map(|(set, at)| {
        let dest = all.get(set)?.view.dest(at)?;
        Some(row(module, &nodes, watchers.as_ref(), dest))
    });
    Ok(Data {
        host: host(),
        server: server(),
        version: env!("CARGO_PKG_VERSION"),
        now: wall_us() / 1_000,
        source: module.settings.source.kind(),
        pings: why::switch(module).into(),
        has: Has {
            calls: module.calls.is_some(),
            counters,
            pings: module.settings.pings.is_some(),
            weights,
        },
        totals: totals(&all),
        sets_omitted: all.len().saturating_sub(MOST_SETS),
        states: states.into(),
        matches,
        offset: find.offset,
        rows: rows.collect(),
        sets: worst_sets(all),
    })
}

fn facts<'d>(module: &Module, set: SetId, dest: &'d Dest) -> Facts<'d> {
    let state = dest.record().shown_state();
    Facts {
        set,
        set_name: names::name(set).unwrap_or_default(),
        uri: dest.uri(),
        attrs: dest.attrs_body(),
        shown: Shown::of(state),
        is_up: module.store.rules().usable(state),
    }
}

fn key<'d>(sort: Sort, facts: &Facts<'d>, dest: &'d Dest) -> Key<'d> {
    let record = dest.record();
    let number = match sort {
        Sort::Uri => return (0, dest.uri()),
        Sort::State => facts.shown as i64,
        Sort::Set => facts.set.into(),
        // The destination whose state was set last has it for the shortest time.
        Sort::For => -number(record.cause().1),
        Sort::Calls => record.whole_load().into(),
        Sort::Selections => counted(dest, DestCounts::selections),
        Sort::Failovers => counted(dest, DestCounts::failovers),
        Sort::PingsFailed => number(record.health().map_or(0, Health::pings_failed)),
        Sort::RoundTrip => round_trip_us(dest).unwrap_or(0).into(),
        Sort::Priority => dest.priority.into(),
        Sort::Weight => dest.weight().max(dest.rweight()).into(),
    };
    (number, &[])
}

/// Returns a number that is counted of a destination.
fn counted(dest: &Dest, read: fn(&DestCounts) -> u64) -> i64 {
    number(dest.record().counted().map_or(0, read))
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the time that the last ping took, if it was answered.
fn round_trip_us(dest: &Dest) -> Option<u32> {
    let last = dest.record().health().and_then(Health::last)?;
    Some(last.round_trip_us).filter(|&time| time > 0)
}

/// Returns why a destination is in its state, without the state and its age, which have columns of their own.
fn reason(module: &Module, nodes: &Names<'_>, dest: &Dest) -> String {
    let why = why::why(module, nodes, dest);
    let state = dest.record().state().words(module.settings.compat);
    let reason = match why.strip_prefix(&state) {
        // The text begins with who drains it; the state found besides follows.
        Some(behind) if behind.starts_with(", ") => behind.trim_start_matches(", "),
        Some(behind) => behind.split_once(": ").map_or(behind, |(_, reason)| reason),
        None => &why,
    };
    text(reason.as_bytes())
}

fn row(module: &Module, nodes: &Names<'_>, watchers: Option<&Watchers<'_>>, dest: &Dest) -> Row {
    let record = dest.record();
    let compat = module.settings.compat;
    let state = record.shown_state();
    let attrs = dest.attrs();
    let attr = |name: &str| text(dest.attribute(name.as_bytes()).unwrap_or_default());
    let names = module.settings.metrics.attrs.iter();
    let shown = names.map(|&name| (name.to_owned(), attr(name)));
    let shown = shown.filter(|(name, value)| !value.is_empty() && name != "desc");
    let since_ms = Some(record.cause().1).filter(|&since| since != 0);
    Row {
        set: dest.set,
        set_name: names::name(dest.set).unwrap_or_default().into(),
        uri: text(dest.uri()),
        duid: text(attrs.duid.unwrap_or_default()),
        socket: text(attrs.sockname.or(attrs.socket).unwrap_or_default()),
        desc: attr("desc"),
        attrs: shown.collect(),
        state: Shown::of(state).word(),
        letters: text(&state.letters(compat)),
        up: module.store.rules().usable(state),
        for_s: since_ms.map(|since| now_ms().saturating_sub(since) / 1_000),
        why: reason(module, nodes, dest),
        watched_by: watchers.and_then(|watchers| watchers.of(dest)),
        elsewhere: watchers.and_then(|_| Watchers::found_elsewhere(dest).difference(state)),
        calls: record.whole_load(),
        calls_here: module.settings.shares_load().then(|| record.load()),
        maxload: dest.maxload,
        selections: record.counted().map(DestCounts::selections),
        failovers: record.counted().map(DestCounts::failovers),
        pings: record.health().map(Health::pings),
        pings_failed: record.health().map(Health::pings_failed),
        round_trip_ms: round_trip_us(dest).map(|time| f64::from(time) / 1_000.0),
        priority: dest.priority,
        weight: dest.weight(),
        rweight: dest.rweight(),
    }
}

fn totals(all: &[Counted<'_>]) -> Totals {
    Totals {
        sets: all.len(),
        down_sets: all.iter().filter(|set| set.up == 0).count(),
        destinations: all.iter().map(|set| set.tally.all()).sum(),
        up: all.iter().map(|set| set.up).sum(),
        calls: all.iter().map(|set| set.calls).sum(),
    }
}

fn worst_sets(mut all: Vec<Counted<'_>>) -> Vec<Set> {
    // Equal ones stay in the order of listing.
    all.sort_by_key(|set| concern(&set.tally, set.up));
    let sets = all.iter().take(MOST_SETS).map(|set| Set {
        id: set.id,
        name: names::name(set.id).unwrap_or_default().into(),
        states: set.tally.into(),
        total: set.tally.all(),
        up: set.up,
        calls: set.calls,
        selections: set.view.record().counted().map(SetCounts::selections),
    });
    sets.collect()
}

/// Returns the newest changes of states, at most as many as are asked for; `None` if none are kept.
///
/// # Errors
/// [`NoMemory`].
pub fn history(module: &Module, find: &Find) -> Result<Option<Vec<Change>>, NoMemory> {
    heap::need(ANSWER + find.count * (ROW + 2 * ENTRY_BYTES))?;
    let Some(history) = module.history.as_ref() else {
        return Ok(None);
    };
    // The page does not show changes of probing alone.
    let changes = history.newest().filter(|change| {
        find.has_set(change.set) && Shown::of(change.old) != Shown::of(change.new)
    });
    let shown = changes.take(find.count).map(|change| Change {
        at: wall_of(change.at_ms * 1_000) / 1_000,
        set: change.set,
        set_name: names::name(change.set).unwrap_or_default().into(),
        uri: text(&change.uri),
        from: Shown::of(change.old).word(),
        to: Shown::of(change.new).word(),
        why: why_changed(&change.who, &change.found()),
    });
    Ok(Some(shown.collect()))
}

fn why_changed(who: &[u8], found: &str) -> String {
    let who = text(who);
    if found.is_empty() {
        who
    } else {
        format!("{who}: {found}")
    }
}

/// Returns the name of this machine.
fn host() -> String {
    let name = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    text(name.trim_ascii())
}

/// Returns the name and the version of the server.
fn server() -> String {
    text(sys::KSR_VERSION.to_bytes())
}
