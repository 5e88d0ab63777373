//! One server from start to end: rounds with all actors, quiet points between them, and an end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::actor::{Actor, cast};
use super::excuses::unexplained;
use super::ledger::Ledger;
use super::machine::within;
use super::model::Model;
use super::processes::{Place, children, hunt, processes, stop_any};
use super::quiet;
use super::scene::{Kind, Scene, Weather};
use super::world::World;
use harness::{Kamailio, Module};

/// What shared memory may differ by in the end: the server's allocator leaves to each of our pieces a rest that is too
/// small for another one, and each load of the same list falls into other pieces. Unit: bytes.
const SLACK: i64 = 131_072;
/// A server that is to end does so within this time; the server's own patience with its processes is 15 seconds.
const ENDS: Duration = Duration::from_secs(40);
/// States that are older have been kept when a server dies. The promise is a second; the machine is busy.
const KEPT: Duration = Duration::from_secs(5);

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is told to stop, and its memory is measured before.
    Stop,
    /// A process is killed, wherever it is.
    KillAny,
    /// A process is killed that reads the lists.
    KillReader,
    /// A process is killed that changes the lists.
    KillWriter,
}

impl End {
    /// Each kind comes soon; then chance decides.
    pub fn choose(life: usize, random: &mut StdRng) -> Self {
        const ALL: [End; 4] = [End::KillWriter, End::Stop, End::KillReader, End::KillAny];
        match ALL.get(life) {
            Some(end) => *end,
            None => ALL[random.random_range(0..ALL.len())],
        }
    }
}

/// What outlives a server.
pub struct Run {
    /// What is there in every life.
    pub world: World,
    /// What must hold.
    pub model: Model,
    /// What was done.
    pub ledger: Ledger,
    past: Option<Past>,
    lives: usize,
}

/// The end of the server before: when, and whether states could not be kept for a while.
struct Past {
    died: Instant,
    disturbed: bool,
}

impl Run {
    /// A run before its first server.
    pub fn new(world: World, ledger: Ledger) -> Self {
        Self {
            world,
            model: Model::new(),
            ledger,
            past: None,
            lives: 0,
        }
    }

    /// Lets a server live, at most until `end` and then what its end takes.
    pub fn live(&mut self, how: End, random: &mut StdRng, end: Instant) {
        let violations = self.ledger.violations();
        self.lives += 1;
        let allocator = ["qm", "fm", "tlsf"][random.random_range(0..3)];
        let config = self.world.config(allocator);
        let server = match Kamailio::try_start(Module::Rust, config) {
            Ok(server) => server,
            Err(why) => return self.ledger.wrong(&format!("no start: {why}")),
        };
        server.ignore_log();
        self.model.forget_life();
        self.model.list_is(0);
        let scene = Scene {
            processes: processes(&server),
            children: children(&server),
            server: &server,
            world: &self.world,
            model: &self.model,
            ledger: &self.ledger,
            weather: Weather::default(),
            going: AtomicBool::new(true),
            dying: Arc::default(),
            memory: RwLock::default(),
        };
        quiet::make_counters(&scene);
        if let Some(past) = self.past.take() {
            quiet::restarted(&scene, past.died, KEPT, past.disturbed);
        }
        let past = rounds(&scene, how, random, end);
        let weather = scene.weather;
        let mut log = File::open(server.dir().join("log")).expect("the server's log");
        let before = fs::metadata(server.dir().join("log")).map_or(0, |log| log.len());
        match how {
            End::Stop => {
                let stopped = server.ends();
                self.ledger.did("servers stopped");
                self.check_log(&mut log, before, &weather, stopped);
            }
            _ => {
                server.abandon();
                self.ledger.fault(&format!("servers ended: {how:?}"));
                self.check_log(&mut log, past.log.min(before), &weather, true);
            }
        }
        self.past = Some(past.past);
        if self.ledger.violations() > violations {
            let mut text = String::new();
            let _ = std::io::Seek::rewind(&mut log);
            let _ = log.read_to_string(&mut text);
            self.ledger
                .keep_log(&format!("{}-{how:?}", self.lives), &text);
        }
    }

    /// Looks at the first bytes of a log; what comes later only must not be ours.
    fn check_log(&self, log: &mut File, first: u64, weather: &Weather, stopped: bool) {
        let mut bytes = Vec::new();
        let _ = log.read_to_end(&mut bytes);
        let cut = usize::try_from(first).map_or(bytes.len(), |first| first.min(bytes.len()));
        let [before, after] = [&bytes[..cut], &bytes[cut..]].map(String::from_utf8_lossy);
        let after: Vec<&str> = unexplained(&after, weather);
        let ours = after
            .into_iter()
            .filter(|line| line.contains(": dispatcher "));
        for line in unexplained(&before, weather)
            .into_iter()
            .chain(ours)
            .take(5)
        {
            self.ledger.wrong(&format!("log: {line}"));
        }
        let whole = String::from_utf8_lossy(&bytes);
        if !stopped && !whole.contains("Thank you for flying") {
            self.ledger.wrong("the server did not stop");
        }
        if !stopped || whole.contains("shutdown timeout triggered") {
            self.ledger.did("servers whose own locks held up their end");
        }
    }
}

/// How a life went.
struct Ended {
    past: Past,
    /// The length of the log when the server was killed.
    log: u64,
}

fn rounds(scene: &Scene<'_>, how: End, random: &mut StdRng, end: Instant) -> Ended {
    let mut actors = cast();
    let round = Duration::from_millis(scene.scale().round_ms);
    let mut base = None;
    if how == End::Stop {
        // What the server takes once, at its first calls and commands, is no leak.
        play(scene, &mut actors, random, round / 2);
        actors.iter_mut().for_each(|actor| actor.check(scene));
        quiet::compare(scene, 1);
        base = Some(used(scene, &mut actors, None));
    }
    let count = random.random_range(1..=scene.scale().rounds);
    let mut kept = Instant::now();
    for _ in 0..count {
        if base.is_none() && Instant::now() > end {
            break;
        }
        play(scene, &mut actors, random, round);
        scene.ledger.did("rounds");
        let version = random.random_range(1..1_000);
        kept = Instant::now();
        actors.iter_mut().for_each(|actor| actor.check(scene));
        quiet::compare(scene, version);
        if scene.ledger.is_full() {
            break;
        }
    }
    let mut ended = Ended {
        past: Past {
            died: Instant::now(),
            disturbed: false,
        },
        log: u64::MAX,
    };
    match base {
        Some(base) => {
            let (base, places) = base;
            let (end, after) = used(scene, &mut actors, Some(base + SLACK));
            if end > base + SLACK {
                let grown = after.iter().map(|(place, bytes)| {
                    let before = places.get(place).copied().unwrap_or(0);
                    (place, bytes - before)
                });
                let grown: Vec<_> = grown.filter(|(_, more)| *more != 0).collect();
                scene.wrong(&format!(
                    "shared memory grew from {base} to {end} bytes: {grown:?}"
                ));
            }
        }
        None => {
            let mut prey = StdRng::seed_from_u64(random.random());
            scene.going.store(true, Ordering::Relaxed);
            std::thread::scope(|scope| {
                act(scope, scene, &mut actors, random);
                ended = kill(scene, how, &mut prey);
                scene.going.store(false, Ordering::Relaxed);
            });
            ended.past.disturbed = scene.weather.disturbed(Kind::Keep, kept);
        }
    }
    ended
}

/// Lets all actors act for a while.
fn play(scene: &Scene<'_>, actors: &mut [Box<dyn Actor>], random: &mut StdRng, time: Duration) {
    scene.going.store(true, Ordering::Relaxed);
    std::thread::scope(|scope| {
        act(scope, scene, actors, random);
        std::thread::sleep(time);
        scene.going.store(false, Ordering::Relaxed);
    });
}

/// Gives each actor a thread, in which it acts until the round ends.
fn act<'s, 'e>(
    scope: &'s std::thread::Scope<'s, 'e>,
    scene: &'e Scene<'_>,
    actors: &'e mut [Box<dyn Actor>],
    random: &mut StdRng,
) {
    for actor in actors {
        let mut own = StdRng::seed_from_u64(random.random());
        scope.spawn(move || {
            while scene.goes_on() {
                actor.act(scene, &mut own);
            }
        });
    }
}

/// Kills a process while all actors act, and waits for the end of the server.
fn kill(scene: &Scene<'_>, how: End, random: &mut StdRng) -> Ended {
    scene.rest(Duration::from_millis(scene.scale().round_ms / 2));
    let prey = match how {
        End::KillReader => Some(Place::Pin),
        End::KillWriter => Some(Place::Lock),
        _ => None,
    };
    let tries = Instant::now() + Duration::from_secs(30);
    let mut stopped = None;
    while let (Some(prey), None, true) = (prey, &stopped, Instant::now() < tries) {
        stopped = hunt(scene, random, prey);
    }
    if prey.is_some() && stopped.is_none() {
        scene.ledger.did("hunts without prey before a kill");
    }
    let stopped = stopped.unwrap_or_else(|| stop_any(scene, random));
    scene.dying.store(true, Ordering::SeqCst);
    let log = fs::metadata(scene.server.dir().join("log")).map_or(0, |log| log.len());
    scene.ledger.fault(&format!(
        "kills of {} {:?}",
        stopped.process.name, stopped.at
    ));
    stopped.kill();
    let died = Instant::now();
    let main = i32::try_from(scene.server.pid()).expect("a process id");
    if !within(ENDS, || is_over(main)) {
        scene
            .ledger
            .wrong("the server does not end after one of its processes was killed");
    }
    let left: Vec<&i32> = scene
        .children
        .iter()
        .filter(|pid| !is_over(**pid))
        .collect();
    if !left.is_empty() {
        scene.ledger.wrong(&format!("processes are left: {left:?}"));
    }
    scene.ledger.slowest("end after a kill", died.elapsed());
    Ended {
        past: Past {
            died,
            disturbed: false,
        },
        log,
    }
}

/// Returns true if a process has ended, whether somebody has waited for it or not.
fn is_over(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // proc_pid_stat(5): the state stands behind the name, which is in parentheses.
    stat.rsplit_once(") ")
        .is_none_or(|(_, state)| state.starts_with('Z'))
}

/// Returns the least shared memory in use when no call is up and one list is loaded again and again, once it is at most
/// `limit` or tm has forgotten all transactions, and who has it.
fn used(
    scene: &Scene<'_>,
    actors: &mut [Box<dyn Actor>],
    limit: Option<i64>,
) -> (i64, BTreeMap<String, i64>) {
    actors.iter_mut().for_each(|actor| actor.leave(scene));
    let forgotten = u64::try_from(scene.scale().wait_ms).expect("a time") + 12_000;
    let forgets = Instant::now() + Duration::from_millis(forgotten);
    let mut used = i64::MAX;
    let is_enough = |used| limit.is_some_and(|limit| used <= limit);
    while Instant::now() < forgets && !is_enough(used) {
        quiet::load(scene, 1);
        // What was replaced goes with the next second.
        std::thread::sleep(Duration::from_millis(2_500));
        let stats = scene.ask("core.shmmem", json!([])).unwrap_or_default();
        let now = stats["used"].to_string();
        used = used.min(now.trim_matches('"').parse().unwrap_or(i64::MAX));
    }
    (used, places(scene.server))
}

/// Returns the bytes of shared memory that each place in the server's code has, by module; nothing where the server does
/// not count them.
fn places(server: &Kamailio) -> BTreeMap<String, i64> {
    let text = server
        .kamcmd(&["mod.stats", "all", "shm"])
        .unwrap_or_default();
    let (mut module, mut places) = (String::new(), BTreeMap::new());
    for line in text.lines() {
        match line.trim().rsplit_once(": ") {
            Some(("Module", name)) => name.clone_into(&mut module),
            Some((place, bytes)) => {
                if let (true, Ok(bytes)) = (place != "Total", bytes.parse()) {
                    places.insert(format!("{module} {place}"), bytes);
                }
            }
            None => {}
        }
    }
    places
}
