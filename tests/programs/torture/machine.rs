//! Faults of the machine: shared memory that is full, a process without memory, a full disk, a clock that is set.

use std::fs;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::rngs::StdRng;

use super::actor::Actor;
use super::ledger::{CLOCK, DISK, HEAP, POOL};
use super::processes::Process;
use super::scene::{Kind, LIMIT, Scene, request};
use harness::lab::code;
use harness::{Kamailio, TcpUac, Uac};

/// Returns the actors of this file.
pub fn cast() -> Vec<Box<dyn Actor>> {
    vec![
        Box::new(Pool),
        Box::new(Heap),
        Box::new(Disk),
        Box::new(Steps(Uac::new())),
    ]
}

/// Values that are put into shared memory at most: many more than it holds.
const MOST: i64 = 20_000;
/// The server's wall clock is rounded to seconds. Unit: seconds.
const ROUNDED: i64 = 2;

/// Fills shared memory with values of another module, for a moment.
struct Pool;

impl Actor for Pool {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        scene.rest(Duration::from_millis(random.random_range(500..6_000)));
        if !scene.goes_on() {
            return;
        }
        let Ok(_alone) = scene.memory.write() else {
            return;
        };
        // The connection is opened before, because a new one needs shared memory.
        let Ok(mut uac) = TcpUac::try_connect(scene.server.addr()) else {
            return scene.wrong("no connection");
        };
        let mut ask = |what: &str, double: u32| {
            let fill = request("OPTIONS", what)
                .header("X-Double", double.to_string())
                .header("X-Count", MOST.to_string());
            uac.try_request(&fill, LIMIT)
        };
        let _disturbance = scene.weather.begin(Kind::Pool);
        // Pieces of 32 kB, 4 kB and 512 bytes leave more or less of the memory.
        let sizes = [10, 7, 4];
        scene.ledger.fault(POOL);
        let mut is_full = true;
        for double in &sizes[..random.random_range(1..=sizes.len())] {
            match ask("fill", *double).as_ref().map(code) {
                // The script stops at the first value that does not fit.
                Ok(Some(values)) if values < MOST => {}
                other => {
                    is_full = false;
                    scene.wrong(&format!("shared memory is not filled: {other:?}"));
                }
            }
        }
        if is_full {
            scene.ledger.hit(POOL);
        }
        scene.rest(Duration::from_millis(random.random_range(20..1_500)));
        // The server may have closed the connection meanwhile, and has no memory for another one.
        let empty = request("OPTIONS", "empty");
        let by_udp = || Uac::new().try_request(scene.server.addr(), &empty, LIMIT);
        if ask("empty", 0).is_err() && by_udp().is_none() {
            scene.wrong("shared memory is not emptied");
        }
    }
}

/// Lets a process get no more memory of the system, for a moment.
struct Heap;

impl Actor for Heap {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        // Until the fault has had an effect, it meets processes that load lists, as these need memory.
        let all = scene.ledger.effects(HEAP) > 0;
        let loads =
            |process: &&Process| all || ["ctl", "datagram"].iter().any(|name| process.has(name));
        let chosen: Vec<&Process> = scene.processes.iter().filter(loads).collect();
        let process = chosen[random.random_range(0..chosen.len())];
        let room = [0, 300, 3_000, 20_000][random.random_range(0..4)];
        let status =
            fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap_or_default();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let size = size.and_then(|size| size.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let Some(size) = size else {
            return scene.wrong(&format!("{process:?} is gone"));
        };
        let disturbance = scene.weather.begin(Kind::Heap);
        let _keep = process
            .name
            .contains("dispatcher states")
            .then(|| scene.weather.begin(Kind::Keep));
        let said = log_length(scene.server);
        scene.ledger.fault(HEAP);
        if !limit(process, (size + room) * 1_024) {
            return scene.wrong(&format!("{process:?} gets no limit"));
        }
        scene.rest(Duration::from_millis(random.random_range(50..1_000)));
        if !limit(process, libc::RLIM_INFINITY) {
            scene.wrong(&format!("{process:?} keeps its limit"));
        }
        drop(disturbance);
        if log_since(scene.server, said).contains("the system refuses this process") {
            scene.ledger.hit(HEAP);
        }
        scene.rest(Duration::from_millis(random.random_range(0..1_000)));
    }
}

/// Returns the length of the server's log. Unit: bytes.
fn log_length(server: &Kamailio) -> u64 {
    fs::metadata(server.dir().join("log")).map_or(0, |log| log.len())
}

/// Returns the part of the server's log that has come since it had a length.
fn log_since(server: &Kamailio, length: u64) -> String {
    let mut bytes = Vec::new();
    let log = fs::File::open(server.dir().join("log")).and_then(|mut log| {
        log.seek(SeekFrom::Start(length))?;
        log.read_to_end(&mut bytes)
    });
    log.expect("the server's log");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Lets a process have so many bytes of address space, and returns true if the system has agreed.
fn limit(process: &Process, bytes: u64) -> bool {
    // No call takes a descriptor; the id is that of the process as long as it is there.
    if !process.is_there() {
        return false;
    }
    let limits = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: reads one struct that outlives the call (prlimit(2)); the process is a child of our server, and it was
    // there just now.
    let failed = unsafe {
        libc::prlimit(
            process.pid,
            libc::RLIMIT_AS,
            &raw const limits,
            std::ptr::null_mut(),
        )
    };
    failed == 0
}

/// Fills the disk of the state file, for a moment.
struct Disk;

impl Actor for Disk {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        scene.rest(Duration::from_millis(random.random_range(500..4_000)));
        let Some(disk) = scene.world.disk.as_deref().filter(|_| scene.goes_on()) else {
            return;
        };
        let _disturbance = scene.weather.begin(Kind::Keep);
        let rest = disk.join("rest");
        let said = log_length(scene.server);
        scene.ledger.fault(DISK);
        let written = fs::write(&rest, vec![0; 1 << 20]);
        if written.as_ref().map_err(io::Error::kind) != Err(ErrorKind::StorageFull) {
            scene.wrong(&format!("the disk is not full: {written:?}"));
        }
        scene.rest(Duration::from_millis(random.random_range(100..3_000)));
        fs::remove_file(&rest).expect("what filled the disk");
        if log_since(scene.server, said).contains("states of destinations are not kept") {
            scene.ledger.hit(DISK);
        }
    }
}

/// Sets the wall clock back and forth, and asks the server for its time.
struct Steps(Uac);

impl Actor for Steps {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        scene.rest(Duration::from_millis(random.random_range(200..2_500)));
        let Some(clock) = &scene.world.clock else {
            return;
        };
        if !scene.goes_on() {
            return;
        }
        let most = [30, 7_200, 90_000, 40_000_000][random.random_range(0..4)];
        let offset = random.random_range(-most..=most);
        let _disturbance = scene.weather.begin(Kind::Clock);
        scene.ledger.fault(CLOCK);
        let begun = seconds();
        clock.set(offset);
        self.0.in_vain_once(&scene.dying);
        let reply = self
            .0
            .try_request(scene.server.addr(), &request("OPTIONS", "now"), LIMIT);
        let told = reply.and_then(|reply| reply.text("X-Id").parse::<i64>().ok());
        let true_time = begun - ROUNDED..=seconds() + ROUNDED;
        if told.is_some_and(|told| true_time.contains(&(told - offset))) {
            scene.ledger.hit(CLOCK);
        } else {
            scene.wrong(&format!(
                "the clock is set by {offset} s, and the server tells {told:?}"
            ));
        }
    }
}

/// Returns the true time. Unit: seconds since 1970.
fn seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.expect("a time after 1970").as_secs()).expect("a time")
}

/// Returns true if a condition holds within a time.
pub fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}
