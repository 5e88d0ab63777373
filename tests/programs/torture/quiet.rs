//! The comparison of the server with the model at a quiet point: no actor acts, and no process is stopped.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::excuses::unexplained;
use super::machine::within;
use super::model::State;
use super::operators::put_list;
use super::processes::{children, figures_by_datagram};
use super::scene::{Scene, Weather};
use super::world::{
    CALLED, COMMANDED, EDITED, IN_LIST, LASTING, LISTED, MAXLOAD, PINGED, RELAYED, TOLD,
};
use super::world::{listed_state, uri};
use harness::patience;

/// The time that the server may take to end all that was under way.
const CALM: Duration = Duration::from_secs(30);

/// A destination as `dispatcher.list` shows it.
struct Shown {
    uri: String,
    flags: String,
    attrs: String,
    load: i64,
}

/// Compares everything, before and after a list of `version` is loaded.
pub fn compare(scene: &Scene<'_>, version: u64) {
    calm(scene);
    let quiet_from = scene.server.log().len();
    lives(scene);
    for (set, _) in COMMANDED {
        states(scene, set);
    }
    calls(scene);
    list(scene);
    events(scene);
    kept(scene);
    pings(scene);
    load(scene, version);
    for (set, _) in COMMANDED {
        states(scene, set);
    }
    calls(scene);
    list(scene);
    log(scene, quiet_from);
    scene.ledger.did("comparisons with the model");
}

/// Checks that the log has no error since the quiet point began: no fault is under way that could explain one.
fn log(scene: &Scene<'_>, quiet_from: usize) {
    let log = scene.server.log();
    let quiet = log.get(quiet_from..).unwrap_or_default();
    for line in unexplained(quiet, &Weather::default()).iter().take(5) {
        scene.wrong(&format!("log at a quiet point: {line}"));
    }
}

/// Loads a list when nothing else is under way.
pub fn load(scene: &Scene<'_>, version: u64) {
    put_list(scene, version);
    match scene.ask("dispatcher.reload", json!([])) {
        Some(_) => scene.model.list_is(version),
        None => scene.wrong("the list is not loaded when nothing is under way"),
    }
}

/// Waits until nothing is under way.
fn calm(scene: &Scene<'_>) {
    let mut last = None;
    let is_calm = within(CALM, || {
        last = figures_by_datagram(scene.server, CALM);
        last.is_some_and(|figures| {
            figures.replaced == 0 && figures.writer == 0 && figures.reader == 0
        })
    });
    if !is_calm {
        scene.wrong(&format!("not all is given back: {last:?}"));
    }
}

/// Checks that no process has ended and none was started.
fn lives(scene: &Scene<'_>) {
    let now = children(scene.server);
    if now != scene.children {
        scene.wrong(&format!("processes were {:?}, are {now:?}", scene.children));
    }
}

/// Returns the destinations of a set.
fn shown(scene: &Scene<'_>, set: i64) -> Vec<Shown> {
    let list = scene.ask("dispatcher.list", json!(["full", set]));
    let list = list.unwrap_or_default();
    let targets = list["RECORDS"][0]["SET"]["TARGETS"].as_array().cloned();
    let show = |target: Value| {
        let dest = &target["DEST"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Shown {
            uri: text(&dest["URI"]),
            flags: text(&dest["FLAGS"]),
            attrs: text(&dest["ATTRS"]["BODY"]),
            load: dest["RUNTIME"]["DLGLOAD"].as_i64().unwrap_or(-1),
        }
    };
    targets.into_iter().flatten().map(show).collect()
}

/// Checks that the states that only commands change are those that were acknowledged.
fn states(scene: &Scene<'_>, set: i64) {
    let model = scene.model.states(set);
    let shown = shown(scene, set);
    let expected: Vec<(String, &str)> = model
        .iter()
        .enumerate()
        .map(|(n, state)| (uri(set, n), state.letters()))
        .collect();
    let found: Vec<(String, &str)> = shown
        .iter()
        .map(|dest| (dest.uri.clone(), dest.flags.as_str()))
        .collect();
    if found != expected {
        let differ: Vec<_> = found
            .iter()
            .zip(&expected)
            .filter(|(is, must)| is != must)
            .collect();
        scene.wrong(&format!(
            "states of set {set}, as they are and must be: {differ:?}, {} and {}",
            found.len(),
            expected.len()
        ));
    }
}

/// Checks that exactly those calls are counted that are up.
fn calls(scene: &Scene<'_>) {
    let known = scene.model.calls();
    let mut loads = vec![0_i64; COMMANDED[0].1];
    known.values().for_each(|n| loads[*n] += 1);
    let found: Vec<i64> = shown(scene, CALLED).iter().map(|dest| dest.load).collect();
    if found != loads {
        scene.wrong(&format!("loads are {found:?}, must be {loads:?}"));
    }
    let most = i64::try_from(MAXLOAD).expect("a small number");
    if found.iter().skip(2).any(|load| *load > most) {
        scene.wrong(&format!("more calls than maxload: {found:?}"));
    }
    let relayed: i64 = shown(scene, RELAYED).iter().map(|dest| dest.load).sum();
    if relayed != 0 {
        scene.wrong(&format!(
            "{relayed} calls are counted that have ended: {}",
            traces(scene)
        ));
    }
    let asked = json!([format!("set={CALLED}"), 0, known.len() + 5]);
    let reply = scene.ask("dispatcher.calls", asked).unwrap_or_default();
    let all = reply["CALLS"].as_array().cloned().unwrap_or_default();
    let found: BTreeMap<String, usize> = all
        .iter()
        .filter_map(|call| {
            let text = |name: &str| call["CALL"][name].as_str();
            let n = text("DUID")?.strip_prefix('c')?.parse().ok()?;
            Some((text("CALLID")?.to_owned(), n))
        })
        .collect();
    if found != known {
        scene.wrong(&format!("calls are {found:?}, must be {known:?}"));
    }
}

/// Returns what the destinations have seen of the relayed calls that are counted.
fn traces(scene: &Scene<'_>) -> String {
    let asked = json!([format!("set={RELAYED}"), 0, 5]);
    let reply = scene.ask("dispatcher.calls", asked).unwrap_or_default();
    let calls = reply["CALLS"].as_array().cloned().unwrap_or_default();
    let trace = |call: &Value| {
        let id = call["CALL"]["CALLID"].as_str().unwrap_or_default();
        let seen = scene.world.relayed.iter().enumerate().flat_map(|(n, uas)| {
            let requests = uas.requests().into_iter();
            let of_call = requests.filter(|request| request.text("Call-ID") == id);
            of_call
                .map(move |request| format!("r{n}: {} {}", request.method(), request.text("From")))
        });
        format!("{} {:?}", call["CALL"], seen.collect::<Vec<String>>())
    };
    calls.iter().map(trace).collect::<Vec<String>>().join("; ")
}

/// Checks that the running list is that of a file that was loaded, with the edits since.
fn list(scene: &Scene<'_>) {
    let (versions, passing) = scene.model.list();
    let listed = shown(scene, LISTED);
    let is_version = |version: u64| {
        let dests = listed.iter().enumerate();
        listed.len() == IN_LIST
            && dests.into_iter().all(|(n, dest)| {
                dest.attrs == format!("v={version}")
                    && dest.uri == uri(LISTED, n)
                    && dest.flags == listed_state(version, n).letters()
            })
    };
    if !versions.iter().any(|version| is_version(*version)) {
        let found = listed
            .iter()
            .map(|dest| format!("{} {} {}", dest.uri, dest.flags, dest.attrs));
        scene.wrong(&format!(
            "the list is none of the versions {versions:?}: {:?}",
            found.collect::<Vec<_>>()
        ));
    }
    let mut count = 0;
    for set in EDITED {
        let shown = shown(scene, set);
        count += shown.len();
        let is_there = |n: usize| shown.iter().any(|dest| dest.uri == uri(set, n));
        let lost: Vec<usize> = (0..LASTING).filter(|n| !is_there(*n)).collect();
        if !lost.is_empty() {
            scene.wrong(&format!("set {set} has lost {lost:?}"));
        }
        for ((_, n), (may, may_not)) in passing.iter().filter(|((in_set, _), _)| *in_set == set) {
            let there = is_there(*n);
            if (there && !may) || (!there && !may_not) {
                scene.wrong(&format!("{} of set {set}: there: {there}", uri(set, *n)));
            }
        }
    }
    let expected = scene.world.count() - EDITED.len() * LASTING + count;
    let found = figures_by_datagram(scene.server, CALM).map(|figures| figures.destinations);
    if found != i64::try_from(expected).ok() {
        scene.wrong(&format!("{found:?} destinations, must be {expected}"));
    }
}

/// Checks that each change by a command that makes a destination usable or unusable has run its event route once,
/// except for as many as the log counts as dropped for lack of memory. That number includes events of reloads.
fn events(scene: &Scene<'_>) {
    let expected = scene.model.events();
    let (mut found, mut missing) = (BTreeMap::new(), 0);
    let told = within(CALM, || {
        found = expected
            .keys()
            .map(|(set, event)| {
                let key = json!(["told", format!("{event}{set}")]);
                let item = scene.server.jsonrpc("htable.get", key).unwrap_or_default();
                ((*set, *event), item["item"]["value"].as_i64().unwrap_or(0))
            })
            .collect();
        missing = expected.values().sum::<i64>() - found.values().sum::<i64>();
        let none_twice = expected.iter().all(|(key, count)| found[key] <= *count);
        none_twice && missing <= dropped(&scene.server.log())
    });
    if told {
        let more = scene.model.heard(found.values().sum());
        scene.ledger.did_times("events", more);
    } else {
        scene.wrong(&format!("events are {found:?}, must be {expected:?}"));
    }
}

/// Returns the number of events that the log counts as dropped.
fn dropped(log: &str) -> i64 {
    let is_count = |line: &&str| {
        line.ends_with(" events were dropped")
            || line.ends_with(" events are dropped: out of memory")
    };
    let count = |line: &str| {
        let (before, _) = line.split_once(" events ")?;
        before.rsplit(' ').next()?.parse::<i64>().ok()
    };
    log.lines().filter(is_count).filter_map(count).sum()
}

/// Makes the counters of events while there is memory for them.
pub fn make_counters(scene: &Scene<'_>) {
    for (set, _) in COMMANDED {
        for event in ["down", "up"] {
            scene.ask("htable.seti", json!(["told", format!("{event}{set}"), 0]));
        }
    }
    scene.ask("htable.seti", json!(["told", "failed", 0]));
}

/// Checks that the state file has each state that is not what the list asks for.
fn kept(scene: &Scene<'_>) {
    let mut expected: Vec<String> = COMMANDED
        .iter()
        .flat_map(|(set, _)| {
            let states = scene.model.states(*set).into_iter().enumerate();
            states
                .filter(|(_, state)| *state != State::Active)
                .map(move |(n, state)| format!("{set} 0 {} {}", state.bits(), uri(*set, n)))
        })
        .collect();
    expected.sort();
    let path = scene.world.state_file();
    let mut found = Vec::new();
    let kept = within(CALM, || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        // A destination that was inactive when it was set to drain has both bits.
        found = lines
            .map(|line| line.replace(" 65537 ", " 65536 "))
            .collect();
        found.sort();
        found == expected
    });
    if kept {
        scene.model.are_kept();
    } else {
        scene.wrong(&format!("kept states are {found:?}, must be {expected:?}"));
    }
}

/// Checks that destinations that answer pings are usable again.
fn pings(scene: &Scene<'_>) {
    let mut found = Vec::new();
    let up = within(CALM, || {
        found = shown(scene, PINGED)
            .into_iter()
            .map(|dest| dest.flags)
            .collect();
        found.len() == scene.world.pinged.len() && found.iter().all(|flags: &String| flags == "AP")
    });
    if !up {
        scene.wrong(&format!("pinged destinations answer, and are {found:?}"));
    }
}

/// Checks that a server starts with the states that were kept. These are at least all that were older than `margin`
/// when the server before died; one that the tests run slowly has more time.
pub fn restarted(scene: &Scene<'_>, died: std::time::Instant, margin: Duration, disturbed: bool) {
    let margin = patience(margin.as_secs());
    for (set, count) in [(CALLED, COMMANDED[0].1), (TOLD, COMMANDED[1].1)] {
        let shown = shown(scene, set);
        if shown.len() != count {
            scene.wrong(&format!(
                "set {set} starts with {} destinations",
                shown.len()
            ));
        }
        for (n, dest) in shown.iter().enumerate() {
            if !scene
                .model
                .restart((set, n), died, margin, &dest.flags, disturbed)
            {
                scene.wrong(&format!(
                    "{} starts as {}, which was not kept",
                    dest.uri, dest.flags
                ));
            }
        }
    }
}
