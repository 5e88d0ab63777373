//! Faults of the machine: shared memory that is full, a process without memory, a full disk, a clock that is set.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;

use super::actor::Actor;
use super::processes::Process;
use super::scene::{Kind, LIMIT, Scene, request};
use harness::TcpUac;

/// The actors of this file.
pub fn cast() -> Vec<Box<dyn Actor>> {
    vec![
        Box::new(Pool),
        Box::new(Heap),
        Box::new(Disk),
        Box::new(Steps),
    ]
}

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
        // It is there already, because a new connection needs shared memory.
        let Ok(mut uac) = TcpUac::try_connect(scene.server.addr()) else {
            return scene.wrong("no connection");
        };
        let mut ask = |what: &str, double: u32| {
            let fill = request("OPTIONS", what)
                .header("X-Double", double.to_string())
                .header("X-Count", "20000");
            uac.try_request(&fill, LIMIT)
        };
        let _disturbance = scene.weather.begin(Kind::Pool);
        // Pieces of 32 kB, 4 kB, and 512 bytes: how much is left differs.
        let sizes = [10, 7, 4];
        for double in &sizes[..random.random_range(1..=sizes.len())] {
            if let Err(error) = ask("fill", *double) {
                scene.wrong(&format!("shared memory is not filled: {error}"));
            }
        }
        scene.ledger.fault("shared memory filled");
        scene.rest(Duration::from_millis(random.random_range(20..1_500)));
        if let Err(error) = ask("empty", 0) {
            scene.wrong(&format!("shared memory is not emptied: {error}"));
        }
    }
}

/// Takes from a process all memory of the system that it does not have yet, for a moment.
struct Heap;

impl Actor for Heap {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let process = &scene.processes[random.random_range(0..scene.processes.len())];
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
        limit(process, (size + room) * 1_024);
        scene.ledger.fault("processes without more memory");
        scene.rest(Duration::from_millis(random.random_range(50..1_000)));
        limit(process, libc::RLIM_INFINITY);
        drop(disturbance);
        scene.rest(Duration::from_millis(random.random_range(0..1_000)));
    }
}

/// Lets a process have so many bytes of address space.
fn limit(process: &Process, bytes: u64) {
    // No call takes a descriptor; the id is that of the process as long as it is there.
    if !process.is_there() {
        return;
    }
    let limits = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: reads one struct that outlives the call (prlimit(2)); the process is a child of our server, and was there just now.
    let _ = unsafe {
        libc::prlimit(
            process.pid,
            libc::RLIMIT_AS,
            &raw const limits,
            std::ptr::null_mut(),
        )
    };
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
        // It ends when the disk is full.
        let _ = fs::write(&rest, vec![0; 1 << 20]);
        scene.ledger.fault("full disks");
        scene.rest(Duration::from_millis(random.random_range(100..3_000)));
        fs::remove_file(&rest).expect("what filled the disk");
    }
}

/// Sets the wall clock back and forth.
struct Steps;

impl Actor for Steps {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        scene.rest(Duration::from_millis(random.random_range(200..2_500)));
        if scene.world.clock.library.is_none() {
            return;
        }
        let most = [30, 7_200, 90_000, 40_000_000][random.random_range(0..4)];
        let _disturbance = scene.weather.begin(Kind::Clock);
        scene.world.clock.set(random.random_range(-most..=most));
        scene.ledger.fault("steps of the wall clock");
    }
}

/// A wall clock of the servers' own: a library that is loaded before all others adds an offset to it.
pub struct Clock {
    library: Option<PathBuf>,
    offset: PathBuf,
}

impl Clock {
    /// Builds the library.
    pub fn make(folder: &Path) -> Self {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        let offset = folder.join("offset");
        fs::write(&source, include_str!("clock.c")).expect("the clock's source");
        fs::write(&offset, 0_i64.to_ne_bytes()).expect("the clock's offset");
        let built = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status();
        let built = built.is_ok_and(|status| status.success());
        if !built {
            println!("torture: the clock is not set, because `cc` does not build a library here");
        }
        let library = built.then_some(library);
        Self { library, offset }
    }

    /// Variables of the environment for a server.
    pub fn environment(&self) -> Vec<String> {
        let library = self.library.iter();
        library
            .flat_map(|library| {
                [
                    format!("LD_PRELOAD={}", library.display()),
                    format!("TORTURE_CLOCK={}", self.offset.display()),
                ]
            })
            .collect()
    }

    /// Sets it. Unit: seconds beside the true time.
    fn set(&self, offset: i64) {
        let file = fs::OpenOptions::new().write(true).open(&self.offset);
        let written = file.and_then(|file| file.write_all_at(&offset.to_ne_bytes(), 0));
        written.expect("the clock's offset");
    }
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
