//! Actors that do what operators do: set states, edit, reload, list, and replace the list file.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::actor::Actor;
use super::model::{Content, STATES};
use super::scene::{Answer, Kind, LIMIT, Scene, request};
use super::world::{CALLED, COMMANDED, EDITED, LASTING, PASSING, PINGED, TOLD, duid, uri};
use harness::lab::code;
use harness::{Fault, binrpc_within};

/// Returns the actors of this file.
pub fn cast() -> Vec<Box<dyn Actor>> {
    let mut cast: Vec<Box<dyn Actor>> = vec![
        Box::new(Reloader),
        Box::new(Reloader),
        Box::new(ScriptReloader),
        Box::new(Files),
        Box::new(Reader::Datagram),
        Box::new(Reader::Ctl),
    ];
    for part in 0..2 {
        cast.push(Box::new(Commander { part }));
    }
    for set in EDITED {
        cast.push(Box::new(Editor { set }));
    }
    cast
}

/// Sets states by commands. Each destination has one commander, so the order of its commands is known.
struct Commander {
    part: usize,
}

impl Actor for Commander {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let (set, count) = COMMANDED[random.random_range(0..COMMANDED.len())];
        let steady = if set == CALLED { 2 } else { 1 };
        let n = random.random_range(steady..count);
        if n % 2 != self.part {
            return;
        }
        let state = STATES[random.random_range(0..STATES.len())];
        let name = match set {
            TOLD => duid(n),
            _ => Some(format!("c{n}")),
        };
        let (method, address) = match name {
            Some(duid) if random.random() => ("dispatcher.set_duid_state", duid),
            _ => ("dispatcher.set_state", uri(set, n)),
        };
        let begun = Instant::now();
        scene.model.begin((set, n), state);
        let words = [json!(state.word()), json!(set), json!(address)];
        match scene.command(random, method, &words) {
            Answer::Done(text) => {
                scene.model.acknowledge((set, n));
                scene.ledger.did("states set");
                // The server tries again every two seconds.
                let since = begun.checked_sub(Duration::from_secs(5)).unwrap_or(begun);
                let is_unkept = text.contains("will not survive");
                if is_unkept {
                    scene
                        .ledger
                        .did("states set that do not survive a restart yet");
                }
                if is_unkept && !scene.weather.disturbed(Kind::Keep, since) {
                    scene.wrong(&format!("{method} {words:?}: {text}"));
                }
            }
            Answer::Refused(why) => scene.wrong(&format!("{method} {words:?}: {why}")),
            Answer::Lost => {}
        }
    }
}

/// Adds, removes and modifies destinations of one set.
struct Editor {
    set: i64,
}

impl Actor for Editor {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let (set, begun) = (self.set, Instant::now());
        let n = LASTING + random.random_range(0..PASSING);
        let address = json!(uri(set, n));
        let choice = random.random_range(0..6);
        let (method, words) = match choice {
            0 | 1 => {
                let attrs = json!(format!("weight={n};note=passing"));
                let words = vec![json!(set), address, json!(0), json!(n % 3), attrs];
                ("dispatcher.add", words)
            }
            2 | 3 => ("dispatcher.remove", vec![json!(set), address]),
            _ => {
                let lasting = json!(uri(set, random.random_range(0..LASTING)));
                let weight = json!(format!("weight={n}"));
                let words = vec![json!(set), lasting, json!("attrs"), weight];
                ("dispatcher.modify", words)
            }
        };
        match scene.command(random, method, &words) {
            Answer::Done(_) => {
                scene.ledger.did("edits");
                if choice < 4 {
                    scene.model.edited((set, n), begun, choice < 2);
                }
            }
            Answer::Refused(why) if why.contains("already") => {
                scene.ledger.did("edits refused: there already");
                scene.model.edited((set, n), begun, true);
            }
            Answer::Refused(why) if choice < 4 && why.contains("no such destination") => {
                scene.ledger.did("edits refused: not there");
                scene.model.edited((set, n), begun, false);
            }
            Answer::Refused(why) if is_excused(scene, &why, begun) => {}
            Answer::Refused(why) => scene.wrong(&format!("{method} {words:?}: {why}")),
            Answer::Lost => {}
        }
    }
}

/// Counts a refusal that a fault explains, and returns true for it.
fn is_excused(scene: &Scene<'_>, why: &str, begun: Instant) -> bool {
    let recently = begun.checked_sub(Duration::from_secs(3)).unwrap_or(begun);
    let held = scene.weather.disturbed(Kind::Stop, recently);
    let excuses = [
        // Another change of the lists may take longer than a command waits.
        ("is changing the lists", "busy", true),
        ("been changing the lists", "busy", true),
        ("cannot be freed", "too much waits to be freed", held),
        (
            "out of shared memory",
            "no shared memory",
            held || scene.weather.disturbed(Kind::Pool, begun),
        ),
        (
            "out of memory",
            "no heap",
            scene.weather.disturbed(Kind::Heap, begun),
        ),
    ];
    let excuse = excuses
        .iter()
        .find(|(text, _, true_now)| *true_now && why.contains(text));
    if let Some((_, kind, _)) = excuse {
        scene
            .ledger
            .did(&format!("changes of lists refused: {kind}"));
    }
    excuse.is_some()
}

/// Reloads by command.
struct Reloader;

impl Actor for Reloader {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let begun = Instant::now();
        match scene.command(random, "dispatcher.reload", &[]) {
            Answer::Done(_) => took(scene, begun),
            Answer::Refused(why) if is_excused(scene, &why, begun) => {}
            Answer::Refused(why) => refused(scene, begun, &why),
            Answer::Lost => {}
        }
        if random.random_range(0..3) == 0 {
            scene.rest(Duration::from_millis(random.random_range(0..300)));
        }
    }
}

/// Books a reload that was acknowledged.
fn took(scene: &Scene<'_>, begun: Instant) {
    scene.ledger.did("reloads");
    let files = scene.model.files_since(begun);
    if !files.iter().any(|content| content.is_list()) {
        scene.wrong("a reload took a file that is no list");
    }
    scene.model.reloaded(begun);
}

/// Books a reload that was refused although no fault of the machine explains it.
fn refused(scene: &Scene<'_>, begun: Instant, why: &str) {
    let files = scene.model.files_since(begun).into_iter();
    let bad: BTreeSet<Content> = files.filter(|content| !content.is_list()).collect();
    match (bad.first(), bad.len()) {
        (Some(Content::Bad(bad)), 1) => scene.ledger.hit(&bad.title()),
        (None, _) => scene.wrong(&format!("a reload of a good list was refused: {why}")),
        // Any of several may be the one that was refused.
        _ => {}
    }
    scene.ledger.did("reloads refused: the file is no list");
}

/// Reloads by a route.
struct ScriptReloader;

impl Actor for ScriptReloader {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let begun = Instant::now();
        let recently = begun.checked_sub(Duration::from_secs(3)).unwrap_or(begun);
        let reply = scene.over_tcp(&request("OPTIONS", "reload"));
        let disturbed = [Kind::Stop, Kind::Pool, Kind::Heap]
            .iter()
            .any(|kind| scene.weather.disturbed(*kind, recently));
        match reply.as_ref().map(code) {
            Ok(Some(1)) => took(scene, begun),
            Ok(Some(_)) if disturbed => scene.ledger.did("reloads by a route refused"),
            // A route waits a second for its turn.
            Ok(Some(_)) if begun.elapsed() >= Duration::from_secs(1) => {
                scene.ledger.did("changes of lists refused: busy");
            }
            Ok(Some(rc)) => refused(scene, begun, &format!("ds_reload: {rc}")),
            Ok(None) => scene.wrong("ds_reload: no return code"),
            Err(_) if scene.weather.disturbed(Kind::Pool, begun) => {}
            Err(error) => scene.wrong(&format!("ds_reload: {error}")),
        }
        scene.rest(Duration::from_millis(random.random_range(0..300)));
    }
}

/// Replaces the list file by good lists and by files that are no list.
struct Files;

impl Actor for Files {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let path = scene.server.list_path();
        let version = random.random_range(1..1_000);
        let put = |bad: &Bad, list: &str| bad.put(&path, list);
        if random.random_range(0..3) == 0 {
            let bad = &BAD[random.random_range(0..BAD.len())];
            let list = scene.world.list(version);
            let _disturbance = scene.weather.begin(Kind::File);
            scene.ledger.fault(&bad.title());
            let before = scene.ledger.effects(&bad.title());
            scene.model.file_begins(Content::Bad(*bad));
            if let Err(error) = put(bad, &list) {
                scene.wrong(&format!("{bad:?}: {error}"));
            }
            scene.model.file_is_there();
            scene.rest(Duration::from_millis(random.random_range(10..400)));
            if before == 0 || random.random() {
                // It stays until a reload has been refused because of it.
                let is_met = || scene.ledger.effects(&bad.title()) > before;
                while scene.goes_on() && !is_met() {
                    scene.rest(Duration::from_millis(20));
                }
            }
            put_list(scene, version);
        } else {
            put_list(scene, version);
        }
        scene.rest(Duration::from_millis(random.random_range(10..600)));
    }
}

/// Puts a good list in the place of the file.
pub fn put_list(scene: &Scene<'_>, version: u64) {
    let path = scene.server.list_path();
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, scene.world.list(version)).expect("a fresh list");
    scene.model.file_begins(Content::List(version));
    if path.is_dir() {
        fs::remove_dir(&path).expect("an empty directory");
    }
    fs::rename(&fresh, &path).expect("the fresh list takes its place");
    scene.model.file_is_there();
    scene.ledger.did("list files replaced");
}

/// A file that is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bad {
    /// A list that is cut inside a line, so that its last line is invalid.
    Truncated,
    /// Bytes that are no list.
    Garbage,
    /// An empty file.
    Empty,
    /// A directory.
    Directory,
    /// A FIFO to which nobody writes.
    Fifo,
    /// A link that leads nowhere.
    Dangling,
    /// A link to itself.
    Loop,
    /// A file that is larger than any memory.
    Huge,
}

const BAD: [Bad; 8] = [
    Bad::Truncated,
    Bad::Garbage,
    Bad::Empty,
    Bad::Directory,
    Bad::Fifo,
    Bad::Dangling,
    Bad::Loop,
    Bad::Huge,
];

/// The size of a huge file. Unit: bytes.
const HUGE: u64 = 1 << 43;

impl Bad {
    /// Returns the name of the fault.
    fn title(self) -> String {
        format!("list files: {self:?}")
    }

    fn put(self, path: &Path, list: &str) -> io::Result<()> {
        let fresh = path.with_extension("fresh");
        let _ = fs::remove_file(&fresh);
        match self {
            Bad::Truncated => {
                let cut = list[..list.len() / 2].rfind('\n').unwrap_or(0);
                fs::write(&fresh, format!("{}\n22", &list[..cut]))?;
            }
            Bad::Garbage => fs::write(&fresh, b"\xFF\xFE{\0 1 sip:127.0.0.1\n")?,
            Bad::Empty => fs::write(&fresh, "")?,
            Bad::Directory => {
                fs::remove_file(path)?;
                return fs::create_dir(path);
            }
            Bad::Fifo => {
                let made = std::process::Command::new("mkfifo").arg(&fresh).status()?;
                assert!(made.success(), "a FIFO");
            }
            Bad::Dangling => std::os::unix::fs::symlink("nowhere", &fresh)?,
            Bad::Loop => std::os::unix::fs::symlink(path, &fresh)?,
            Bad::Huge => fs::File::create(&fresh)?.set_len(HUGE)?,
        }
        fs::rename(&fresh, path)
    }
}

/// Asks for lists and figures, through one door, so that its process is busy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Datagram,
    Ctl,
}

impl Actor for Reader {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let (method, params): (&str, Vec<Value>) = match random.random_range(0..8) {
            0 => ("dispatcher.check", vec![]),
            1 => ("dispatcher.ping_status", vec![json!(PINGED)]),
            2 => ("dispatcher.calls", vec![json!("all"), json!(0), json!(50)]),
            3 => ("dispatcher.list", vec![json!("full"), json!(TOLD)]),
            _ => {
                let at = random.random_range(0..scene.scale().ballast);
                let words = vec![json!("short"), json!("all"), json!(at), json!(300)];
                ("dispatcher.list", words)
            }
        };
        let begun = Instant::now();
        let result = match self {
            Reader::Datagram => scene
                .server
                .jsonrpc_within(method, json!(params), LIMIT)
                .map(|_| ()),
            Reader::Ctl => {
                let words = params.iter().map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                let words: Vec<String> = std::iter::once(method.to_owned()).chain(words).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                binrpc_within(scene.server.dir(), &words, LIMIT).map(|_| ())
            }
        };
        let explained = |fault: &Fault| {
            let is = |kind: Kind| scene.weather.disturbed(kind, begun);
            let memory = fault.text.contains("memory");
            memory && (is(Kind::Heap) || is(Kind::Pool))
                || method == "dispatcher.check" && is(Kind::File)
        };
        match result {
            Ok(()) => scene.ledger.did(&format!("{method} asked")),
            Err(fault) if fault.code != 0 && explained(&fault) => {
                scene.ledger.did("questions refused");
            }
            Err(fault) => scene.wrong(&format!("{method} {params:?}: {fault}")),
        }
    }
}
