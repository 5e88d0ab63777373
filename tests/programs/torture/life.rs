//! One server from start to end: rounds with all actors, quiet points between them, and an end.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::actor::{Actor, cast};
use super::ends::{self, Ended};
use super::excuses::unexplained;
use super::ledger::Ledger;
use super::memory::{self, EXACT};
use super::model::Model;
use super::processes::{children, processes};
use super::quiet;
use super::scene::{Kind, Scene, Weather};
use super::world::World;
use harness::{Kamailio, Module};

/// States that are older have been kept when a server dies. The promise is a second; the machine is busy.
const KEPT: Duration = Duration::from_secs(5);

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server is told to stop. Its memory is measured before.
    Stop,
    /// Any process is killed, wherever it is.
    KillAny,
    /// A process is killed while it reads the lists.
    KillReader,
    /// A process is killed while it changes the lists.
    KillWriter,
}

impl End {
    /// Returns each kind once in the first lives, and then a random one.
    pub fn choose(life: usize, random: &mut StdRng) -> Self {
        const ALL: [End; 4] = [End::KillWriter, End::Stop, End::KillReader, End::KillAny];
        match ALL.get(life) {
            Some(end) => *end,
            None => ALL[random.random_range(0..ALL.len())],
        }
    }
}

/// A run, which has several lives.
pub struct Run {
    /// The surroundings of every life.
    pub world: World,
    /// The model of what must hold.
    pub model: Model,
    /// The account of the run.
    pub ledger: Ledger,
    past: Option<Past>,
    lives: usize,
}

/// The end of the server before: when, and whether states could not be kept for a while before.
struct Past {
    died: Instant,
    disturbed: bool,
}

impl Run {
    /// Returns a run before its first server.
    pub fn new(world: World, ledger: Ledger) -> Self {
        Self {
            world,
            model: Model::new(),
            ledger,
            past: None,
            lives: 0,
        }
    }

    /// Lets a server live until `end` at most, and waits for its end.
    pub fn live(&mut self, how: End, random: &mut StdRng, end: Instant) {
        let violations = self.ledger.violations();
        self.lives += 1;
        let allocator = match how {
            End::Stop => EXACT,
            _ => ["qm", "fm", EXACT][random.random_range(0..3)],
        };
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
        let (ended, disturbed) = rounds(&scene, how, random, end);
        let weather = scene.weather;
        let mut log = File::open(server.dir().join("log")).expect("the server's log");
        server.abandon();
        self.check_log(&mut log, ended.log, &weather);
        let died = ended.died;
        self.past = Some(Past { died, disturbed });
        if self.ledger.violations() > violations {
            let mut text = String::new();
            let _ = std::io::Seek::rewind(&mut log);
            let _ = log.read_to_string(&mut text);
            self.ledger
                .keep_log(&format!("{}-{how:?}", self.lives), &text);
        }
    }

    /// Checks the lines of a log. Of those behind the first bytes, which come while the server ends, only ours count.
    fn check_log(&self, log: &mut File, first: u64, weather: &Weather) {
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
    }
}

/// Lets a server live. Returns how it ended, and whether states could not be kept for a while since they last were.
fn rounds(scene: &Scene<'_>, how: End, random: &mut StdRng, end: Instant) -> (Ended, bool) {
    let mut actors = cast();
    let round = Duration::from_millis(scene.scale().round_ms);
    let mut base = None;
    if how == End::Stop {
        // Memory that the server takes once, at its first calls and commands, is no leak.
        play(scene, &mut actors, random, round / 2);
        actors.iter_mut().for_each(|actor| actor.check(scene));
        quiet::compare(scene, 1);
        base = Some(memory::used(scene, &mut actors, None));
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
    let Some(base) = base else {
        let mut prey = StdRng::seed_from_u64(random.random());
        scene.going.store(true, Ordering::Relaxed);
        let ended = std::thread::scope(|scope| {
            act(scope, scene, &mut actors, random);
            let ended = ends::kill(scene, how, &mut prey);
            scene.going.store(false, Ordering::Relaxed);
            ended
        });
        return (ended, scene.weather.disturbed(Kind::Keep, kept));
    };
    let end = memory::used(scene, &mut actors, Some(&base));
    memory::compare(scene, &base, &end);
    (ends::stop(scene), false)
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
