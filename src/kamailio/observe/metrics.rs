//! The page of metrics, and `ds_metrics`, which sends it.

use core::fmt::{self, Display};
use core::iter::once;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::collections::HashMap;

use super::counting::group;
use super::http::{Reply, Request};
use crate::dispatch::admission::refusal::Refusal;
use crate::dispatch::cluster::state::view::FoundElsewhere;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::observe::exposition::{CONTENT_TYPE, Page, add_label};
use crate::dispatch::observe::families::{FAMILIES, Id};
use crate::dispatch::observe::filter::{Filter, Wanted, Wrong};
use crate::dispatch::observe::shown::{Shown, Tally};
use crate::kamailio::cluster::pings::Watchers;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::list_params::Keep;
use crate::kamailio::config::names;
use crate::kamailio::probing::ping::pings_on;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::log::log_err;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;
use crate::kamailio::server::time::{now_us, wall_of};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::overload::Overload;
use crate::shm::dest::probing::Health;
use crate::shm::dest::traffic::Traffic;
use crate::shm::observe::counters::{DestCounts, SetCounts};
use crate::shm::set::view::View;
use crate::shm::table::sets::Table;

/// Bytes that a line takes at most besides its labels.
const LINE: usize = 100;
/// Bytes that a label takes besides its name and its value.
const LABEL: usize = ",=\"\"".len();
/// Bytes of heap that a destination takes at most besides its texts, while the page is made.
const ROW_HEAP: usize = 300;
/// Lines of a set.
const SET_LINES: usize = 16;

/// A family, and how its counter is read.
type Count<T> = (Id, fn(&T) -> u64);

/// The counters of a set.
const SET_COUNTS: [Count<SetCounts>; 3] = [
    (Id::SetSelections, SetCounts::selections),
    (Id::SetSelectionsFailed, SetCounts::selections_failed),
    (Id::SetFailovers, SetCounts::failovers),
];

/// The counters of a destination.
const DEST_COUNTS: [Count<DestCounts>; 2] = [
    (Id::DestinationSelections, DestCounts::selections),
    (Id::DestinationFailovers, DestCounts::failovers),
];

/// The counters of the pings of a destination.
const PING_COUNTS: [Count<Health>; 2] = [
    (Id::Pings, Health::pings),
    (Id::PingsFailed, Health::pings_failed),
];

/// Counts of requests to a destination.
const TRAFFIC_COUNTS: [Count<Traffic>; 3] = [
    (Id::Answered, |traffic| traffic.branches().0),
    (Id::Failed, |traffic| traffic.branches().1),
    (Id::Ejections, Traffic::ejections),
];

/// A destination of the page.
struct Row<'p> {
    dest: &'p Dest,
    /// Its labels.
    labels: String,
    up: bool,
    state: Shown,
}

/// A moment, in microseconds since 1970, as seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Reads the filter of a script; `None` after a log line if it has an unknown word.
pub fn filter(text: &[u8]) -> Option<Filter> {
    let filter = Filter::parse(text);
    filter.map_err(|wrong| log_err!("ds_metrics: {wrong}")).ok()
}

/// `ds_metrics`([filter]): answers a request of HTTP with the page.
pub fn ds_metrics(msg: &Message, script: &[u8]) -> Option<ScriptRet> {
    let request = Request::of(msg, "ds_metrics")?;
    let module = Module::get()?;
    let script = filter(script)?;
    if !request.is_allowed(&["GET"]) {
        return Some(ScriptRet::OK);
    }
    let sent = match Filter::parse(request.query()) {
        Ok(query) => send(&request, module, &Wanted { script, query })?,
        Err(wrong) => refuse(&request, &wrong),
    };
    sent.then_some(ScriptRet::OK)
}

fn send(request: &Request<'_>, module: &Module, wanted: &Wanted) -> Option<bool> {
    let page = page(module, wanted).map_err(|error| log_err!("no page of metrics: {error}"));
    Some(request.answer(&Reply {
        code: 200,
        reason: c"OK",
        content_type: CONTENT_TYPE,
        headers: &[],
        body: page.ok()?.text().as_bytes(),
        smaller: "ask for level=set",
    }))
}

fn refuse(request: &Request<'_>, wrong: &Wrong) -> bool {
    let text = format!("{wrong}\n");
    request.answer(&Reply::text(400, c"Bad Request", &text))
}

/// Makes the page, while the lists are pinned.
///
/// # Errors
/// [`NoMemory`].
pub fn page(module: &Module, wanted: &Wanted) -> Result<Page, NoMemory> {
    let began_us = now_us();
    let pinned = module.pin();
    let table = pinned.table();
    heap::need(table.map_or(0, Table::len) * size_of::<(SetId, &View)>() * 4)?;
    let sets = table.into_iter().flat_map(Table::sets);
    let sets: Vec<_> = sets.filter(|(set, _)| wanted.has_set(*set)).collect();
    let is_up = |dest: &Dest| module.store.rules().usable(dest.record().shown_state());
    let is_shown = |dest: &&Dest| wanted.destinations() && wanted.has_up(is_up(dest));
    let shown = || {
        sets.iter()
            .flat_map(|(_, view)| view.dests())
            .filter(is_shown)
    };
    let (count, most) = (shown().count(), module.settings.metrics.destinations);
    let fits = most == 0 || count <= most;
    let rows = if fits {
        // Each byte may need an escape, or be no text.
        let text = |dest: &Dest| 3 * (dest.uri().len() + dest.attrs_body().len());
        heap::need(shown().map(|dest| ROW_HEAP + text(dest)).sum())?;
        distinct(shown().map(|dest| row(dest, is_up(dest))).collect())
    } else {
        Vec::new()
    };
    let room = room(wanted, &rows, sets.len(), &module.settings.metrics.attrs);
    let mut page = Page::with_room(|text| heap::reserve(text, room))?;
    let mut add = Adder {
        page: &mut page,
        wanted,
    };
    of_module(&mut add, module, table);
    add.one(Id::DestinationsOmitted, if fits { 0 } else { count });
    of_sets(&mut add, module, &sets);
    of_destinations(&mut add, module, &rows);
    let took_us = now_us().saturating_sub(began_us);
    add.one(Id::ScrapeDuration, Seconds(took_us));
    Ok(page)
}

/// Returns the bytes that a page takes at most.
fn room(wanted: &Wanted, rows: &[Row<'_>], sets: usize, names: &[&str]) -> usize {
    let names: usize = names.iter().map(|name| name.len() + LABEL).sum();
    let lines = rows.iter().map(|row| LINE + row.labels.len());
    let attrs = rows
        .iter()
        .map(|row| LINE + names + 3 * row.dest.attrs_body().len());
    let others = sets * SET_LINES + 10 * FAMILIES.len();
    wanted.lines_of_destination() * lines.sum::<usize>() + attrs.sum::<usize>() + others * LINE
}

/// Adds families to a page, as far as they are wanted.
struct Adder<'p> {
    page: &'p mut Page,
    wanted: &'p Wanted,
}

impl Adder<'_> {
    fn all<L: AsRef<str>, V: Display>(&mut self, id: Id, samples: impl Iterator<Item = (L, V)>) {
        if self.wanted.has(id) {
            self.page.add(id, samples);
        }
    }

    fn one(&mut self, id: Id, value: impl Display) {
        self.all(id, once(("", value)));
    }
}

/// Returns labels with one pair.
fn label(name: &str, value: &[u8]) -> String {
    let mut labels = String::new();
    add_label(&mut labels, name, value);
    labels
}

fn of_module(add: &mut Adder<'_>, module: &Module, table: Option<&Table>) {
    let settings = &module.settings;
    let mut build = label("version", env!("CARGO_PKG_VERSION").as_bytes());
    add_label(&mut build, "server", sys::KSR_VERSION.to_bytes());
    add_label(&mut build, "compat", settings.compat.name().as_bytes());
    add.all(Id::BuildInfo, once((build, 1)));
    add.one(Id::Sets, table.map_or(0, Table::len));
    add.one(Id::ListDestinations, table.map_or(0, Table::dest_count));
    let outcomes = &module.shared.outcomes;
    let read = |(labels, count): (&'static str, &AtomicU64)| (labels, count.load(Relaxed));
    add.one(Id::ListRejected, outcomes.rejected.load(Relaxed));
    let loads = [
        (r#"result="ok""#, &outcomes.loads),
        (r#"result="refused""#, &outcomes.loads_refused),
    ];
    add.all(Id::Loads, loads.into_iter().map(read));
    add.one(
        Id::LastLoadSuccess,
        1 - outcomes.last_refused.load(Relaxed).min(1),
    );
    add.one(Id::LastLoadTime, outcomes.taken_s.load(Relaxed));
    let edits = [
        (r#"op="add""#, &outcomes.added),
        (r#"op="remove""#, &outcomes.removed),
        (r#"op="modify""#, &outcomes.modified),
    ];
    add.all(Id::Edits, edits.into_iter().map(read));
    let pings = settings.pings.is_some() && pings_on(module);
    add.one(Id::PingsEnabled, u32::from(pings));
    if module.calls.is_some() {
        add.one(Id::CallsExpired, outcomes.calls_expired.load(Relaxed));
    }
    if settings.has_gates() {
        let refused = Refusal::ALL.into_iter().zip(&outcomes.refused);
        let refused =
            refused.map(|(why, count)| (format!("reason=\"{}\"", why.word()), count.load(Relaxed)));
        add.all(Id::Refusals, refused);
    }
    if let Some(dropped) = group::EVENTS_DROPPED.sum() {
        add.one(Id::EventsDropped, dropped);
    }
    if module.cluster.is_some() {
        of_cluster(add, module, table);
    }
    if settings.keep != Keep::Nowhere {
        let saved = module.shared.states_not_kept.load(Relaxed) == 0;
        add.one(Id::StatesSaved, u32::from(saved));
    }
}

fn of_cluster(add: &mut Adder<'_>, module: &Module, table: Option<&Table>) {
    let shared = module.shared;
    add.one(Id::ClusterReady, shared.cluster_ready.load(Relaxed).min(1));
    add.one(Id::ClusterNodes, shared.cluster_nodes.load(Relaxed));
    let ways = [
        (r#"direction="out""#, &group::CLUSTER_SENT),
        (r#"direction="in""#, &group::CLUSTER_RECEIVED),
    ];
    let counted = ways.into_iter();
    let counted = counted.filter_map(|(way, counter)| Some((way, counter.sum()?)));
    add.all(Id::ClusterMessages, counted);
    if let Some(refused) = group::CLUSTER_REFUSED.sum() {
        add.one(Id::ClusterRefused, refused);
    }
    if module.settings.tells_ends() {
        let results = [
            (r#"result="told""#, &group::CLUSTER_ENDS),
            (r#"result="dropped""#, &group::CLUSTER_ENDS_DROPPED),
        ];
        let counted = results.into_iter();
        let counted = counted.filter_map(|(labels, counter)| Some((labels, counter.sum()?)));
        add.all(Id::ClusterEnds, counted);
    }
    if module.settings.tells_pings() {
        let sets = table.into_iter().flat_map(Table::sets);
        let words =
            sets.flat_map(|(_, view)| view.dests().filter_map(|dest| dest.record().ping_word()));
        add.one(
            Id::ClusterWatched,
            words.filter(|word| word.is_pinged()).count(),
        );
        if let Some(spared) = group::CLUSTER_PINGS_SPARED.sum() {
            add.one(Id::ClusterPingsSpared, spared);
        }
    }
}

fn of_sets(add: &mut Adder<'_>, module: &Module, sets: &[(SetId, &View)]) {
    let of_set = |set: SetId| label("set", set.to_string().as_bytes());
    let named = sets.iter().filter_map(|&(set, _)| {
        let mut labels = of_set(set);
        add_label(&mut labels, "name", names::name(set)?.as_bytes());
        Some((labels, 1))
    });
    add.all(Id::SetInfo, named);
    let counted = sets.iter().flat_map(|&(set, view)| {
        let mut tally = Tally::default();
        view.dests()
            .for_each(|dest| tally.count(Shown::of(dest.record().shown_state())));
        Shown::ALL.map(|shown| {
            let mut labels = of_set(set);
            add_label(&mut labels, "state", shown.word().as_bytes());
            (labels, tally.of(shown))
        })
    });
    add.all(Id::SetDestinations, counted);
    for (id, count) in SET_COUNTS {
        let counts = sets.iter().filter_map(|&(set, view)| {
            let counts = view.record().counted()?;
            Some((of_set(set), count(counts)))
        });
        add.all(id, counts);
    }
    if module.calls.is_some() {
        let calls = sets.iter().map(|&(set, view)| {
            let loads = view.dests().map(|dest| u64::from(dest.record().load()));
            (of_set(set), loads.sum::<u64>())
        });
        add.all(Id::SetCalls, calls);
    }
}

fn row(dest: &Dest, up: bool) -> Row<'_> {
    let mut labels = label("set", dest.set.to_string().as_bytes());
    add_label(&mut labels, "destination", dest.uri());
    add_label(&mut labels, "duid", dest.duid().unwrap_or_default());
    let socket = dest.attribute(b"socket");
    add_label(&mut labels, "socket", socket.unwrap_or_default());
    Row {
        dest,
        labels,
        up,
        state: Shown::of(dest.record().shown_state()),
    }
}

/// Gives destinations with the same labels, from the second one on, a label that tells them apart.
fn distinct(mut rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    let mut seen = HashMap::with_capacity(rows.len());
    let copies: Vec<u32> = rows
        .iter()
        .map(|row| {
            let count = seen.entry(row.labels.as_str()).or_insert(0_u32);
            *count += 1;
            *count
        })
        .collect();
    for (row, copy) in rows.iter_mut().zip(copies).filter(|(_, copy)| *copy > 1) {
        add_label(&mut row.labels, "copy", copy.to_string().as_bytes());
    }
    rows
}

fn of_destinations(add: &mut Adder<'_>, module: &Module, rows: &[Row<'_>]) {
    let settings = &module.settings;
    let all = || rows.iter().map(|row| (row.labels.as_str(), row));
    add.all(
        Id::DestinationUp,
        all().map(|(labels, row)| (labels, u32::from(row.up))),
    );
    let states = all().flat_map(|(labels, row)| {
        Shown::ALL.map(|shown| {
            let mut labels = labels.to_owned();
            add_label(&mut labels, "state", shown.word().as_bytes());
            (labels, u32::from(row.state == shown))
        })
    });
    add.all(Id::DestinationState, states);
    let infos = all().map(|(labels, row)| {
        let mut labels = labels.to_owned();
        add_label(
            &mut labels,
            "priority",
            row.dest.priority.to_string().as_bytes(),
        );
        for name in &settings.metrics.attrs {
            let value = row.dest.attribute(name.as_bytes());
            add_label(&mut labels, name, value.unwrap_or_default());
        }
        (labels, 1)
    });
    add.all(Id::DestinationInfo, infos);
    let changed = all().filter_map(|(labels, row)| {
        let (_, at_ms) = row.dest.record().cause();
        // To the second, so that it stays the same from page to page.
        let at_s = (wall_of(at_ms * 1_000) + 500_000) / 1_000_000;
        (at_ms != 0).then_some((labels, at_s))
    });
    add.all(Id::DestinationChanged, changed);
    if module.calls.is_some() {
        let calls = all().map(|(labels, row)| (labels, row.dest.record().load()));
        add.all(Id::DestinationCalls, calls);
        if settings.shares_load() {
            let elsewhere = all().map(|(labels, row)| (labels, row.dest.record().elsewhere()));
            add.all(Id::DestinationCallsElsewhere, elsewhere);
        }
        let limits = all().filter(|(_, row)| row.dest.maxload != 0);
        let limits = limits.map(|(labels, row)| (labels, row.dest.maxload.max(0)));
        add.all(Id::DestinationCallsLimit, limits);
    }
    for (id, count) in DEST_COUNTS {
        let counts = all().filter_map(|(labels, row)| {
            let counts = row.dest.record().counted()?;
            Some((labels, count(counts)))
        });
        add.all(id, counts);
    }
    if settings.passive.is_some() {
        for (id, count) in TRAFFIC_COUNTS {
            let counts = all().filter_map(|(labels, row)| {
                let traffic = row.dest.record().traffic()?;
                Some((labels, count(traffic)))
            });
            add.all(id, counts);
        }
    }
    if settings.pings.is_some() {
        for (id, count) in PING_COUNTS {
            let counts = all().filter_map(|(labels, row)| {
                let health = row.dest.record().health()?;
                Some((labels, count(health)))
            });
            add.all(id, counts);
        }
        let trips = all().filter_map(|(labels, row)| {
            let last = row.dest.record().health().and_then(Health::last)?;
            let trip = Seconds(last.round_trip_us.into());
            (last.round_trip_us != 0).then_some((labels, trip))
        });
        add.all(Id::RoundTrip, trips);
    }
    if settings.tells_pings() {
        let pinged = all().filter_map(|(labels, row)| {
            let word = row.dest.record().ping_word()?;
            Some((labels, u32::from(word.is_pinged())))
        });
        add.all(Id::DestinationPingedHere, pinged);
        let found = all().flat_map(|(labels, row)| {
            let FoundElsewhere { up, down } = Watchers::found_elsewhere(row.dest);
            [("up", up), ("down", down)].map(|(found, servers)| {
                let mut labels = labels.to_owned();
                add_label(&mut labels, "found", found.as_bytes());
                (labels, u32::from(servers))
            })
        });
        add.all(Id::DestinationFoundElsewhere, found);
    }
    if settings.latency.is_some() {
        let latencies = all().filter_map(|(labels, row)| {
            let latency = row.dest.record().latency();
            (latency.samples > 0).then_some((labels, latency.estimate / 1_000.0))
        });
        add.all(Id::Latency, latencies);
    }
    let now_us = now_us();
    let overloads = all().filter_map(|(labels, row)| {
        let report = row.dest.record().overload();
        let report = report.filter(|report: &&Overload| report.until_us() > now_us)?;
        Some((labels, f64::from(report.rate()) / 100.0))
    });
    add.all(Id::Overload, overloads);
}
