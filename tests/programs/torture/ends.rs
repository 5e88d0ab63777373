//! The end of a server: it is told to stop, or one of its processes is killed; and what holds it up.

use std::fs;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;

use super::ledger::{KILL_ANY, KILL_READER, KILL_WRITER};
use super::life::End;
use super::machine::within;
use super::processes::{Place, Process, hunt, stop_any};
use super::scene::Scene;

/// An end that takes longer is looked into. What was stopped goes on when it begins.
const SOON: Duration = Duration::from_secs(8);
/// No end takes longer: after 15 seconds the server kills what is left, itself as well.
const ENDS: Duration = Duration::from_secs(40);

/// How a server ended.
pub struct Ended {
    /// When it was told to end, or one of its processes was killed.
    pub died: Instant,
    /// The length of its log then. Unit: bytes.
    pub log: u64,
}

impl Ended {
    fn begin(scene: &Scene<'_>) -> Self {
        let log = fs::metadata(scene.server.dir().join("log")).map_or(0, |log| log.len());
        let died = Instant::now();
        Self { died, log }
    }
}

/// Tells a server to stop, and waits for its end.
pub fn stop(scene: &Scene<'_>) -> Ended {
    let ended = Ended::begin(scene);
    let main = Process::open(main_of(scene), "main".to_owned());
    if !main.is_some_and(|main| main.signal(libc::SIGTERM)) {
        scene.wrong("the main process is gone");
    }
    scene.ledger.did("servers stopped");
    watch(scene, &ended, "end after a stop");
    ended
}

/// Kills a process while all actors act, and waits for the end of the server.
pub fn kill(scene: &Scene<'_>, how: End, random: &mut StdRng) -> Ended {
    scene.rest(Duration::from_millis(scene.scale().round_ms / 2));
    let (title, prey) = match how {
        End::KillReader => (KILL_READER, Some(Place::Pin)),
        End::KillWriter => (KILL_WRITER, Some(Place::Lock)),
        _ => (KILL_ANY, None),
    };
    scene.ledger.fault(title);
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
    let (name, at) = (&stopped.process.name, stopped.at);
    scene.ledger.did(&format!("kills of {name}: {at:?}"));
    let ended = Ended::begin(scene);
    stopped.kill();
    watch(scene, &ended, "end after a kill");
    ended
}

fn main_of(scene: &Scene<'_>) -> i32 {
    i32::try_from(scene.server.pid()).expect("a process id")
}

/// Waits until all processes are gone.
fn watch(scene: &Scene<'_>, ended: &Ended, title: &'static str) {
    let main = main_of(scene);
    let left = || -> Vec<i32> {
        let all = scene.children.iter().chain([&main]).copied();
        all.filter(|pid| !is_over(*pid)).collect()
    };
    if !within(SOON, || left().is_empty()) {
        look(scene, main, &left());
    }
    if !within(ENDS.saturating_sub(ended.died.elapsed()), || {
        left().is_empty()
    }) {
        let left = left();
        scene
            .ledger
            .wrong(&format!("the server does not end: {left:?} are left"));
    }
    scene.ledger.slowest(title, ended.died.elapsed());
}

/// Returns true if a process has ended, whether somebody has waited for it or not.
fn is_over(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // proc_pid_stat(5): the state stands behind the name, which is in parentheses.
    stat.rsplit_once(") ")
        .is_none_or(|(_, state)| state.starts_with('Z'))
}

/// Says what an end waits for. It must be neither a process nor our `destroy`.
///
/// A process that is told to end does so wherever it is, so it may leave a lock of the server's locked, or the server's
/// pool half changed. The main process then waits, or goes round in the pool, until its patience is over.
fn look(scene: &Scene<'_>, main: i32, left: &[i32]) {
    let Some(at) = frames(main) else {
        return scene
            .ledger
            .did("slow ends that are not looked into, for want of gdb");
    };
    let has = |start: &str| at.iter().any(|frame| frame.starts_with(start));
    if has("wait4") {
        let left = left.iter().filter(|pid| **pid != main);
        let left: Vec<_> = left.map(|pid| (pid, frames(*pid))).collect();
        return scene
            .ledger
            .wrong(&format!("processes do not end: {left:?}"));
    }
    // So begin the names of the functions of the server's pools.
    let in_pool = ["qm_", "fm_", "tlsf_"].into_iter().any(has);
    if has("dsr_destroy") && !in_pool {
        return scene.ledger.wrong(&format!("the end waits for us: {at:?}"));
    }
    let own = at.iter().map(String::as_str);
    let own: Vec<&str> = own.take_while(|frame| *frame != "cleanup").collect();
    scene.ledger.did(&format!("slow ends: {}", own.join(" < ")));
}

/// Returns the functions that a process is in, the innermost first; none if it has ended; `None` without gdb.
fn frames(pid: i32) -> Option<Vec<String>> {
    let output = Command::new("timeout")
        .args([
            "20",
            "gdb",
            "-batch",
            "-nx",
            "-iex",
            "set debuginfod enabled off",
        ])
        .args(["-p", &pid.to_string(), "-ex", "backtrace 60"])
        .output();
    // timeout(1): 127 where there is no such program.
    let output = output
        .ok()
        .filter(|output| output.status.code() != Some(127))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let name = |line: &str| {
        let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
        number.parse::<u32>().ok()?;
        let rest = rest.trim_start();
        let rest = rest.split_once(" in ").map_or(rest, |(_, rest)| rest);
        Some(
            rest.split(" (")
                .next()
                .unwrap_or(rest)
                .trim_start_matches("__GI_")
                .trim_start_matches("__")
                .to_owned(),
        )
    };
    Some(text.lines().filter_map(name).collect())
}
