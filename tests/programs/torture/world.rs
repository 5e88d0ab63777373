//! The surroundings of every life: the config, the lists, the destinations that answer.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ledger::{CLOCK, DISK, Ledger};
use harness::lab::with_commands;
use harness::{Answer, Clock, Config, TempDir, Uas};

/// The set whose calls are counted and not relayed. Commands change the states of all but its first two destinations.
pub const CALLED: i64 = 1;
/// The set whose calls are counted and relayed to destinations that answer, sometimes with an error, or stay silent.
pub const RELAYED: i64 = 2;
/// The set in which only commands change states, of all but the first destination.
pub const TOLD: i64 = 3;
/// The sets in which edits add and remove destinations beside lasting ones.
pub const EDITED: [i64; 2] = [4, 5];
/// The set in which only the list changes states.
pub const LISTED: i64 = 7;
/// The set in which only pings change states.
pub const PINGED: i64 = 8;
/// The set whose destinations report overload.
pub const OVERLOADED: i64 = 9;
/// The first of the sets that make the list long.
pub const BALLAST: i64 = 20;

/// The sets whose states commands change, with the number of destinations that each has.
pub const COMMANDED: [(i64, usize); 2] = [(CALLED, 8), (TOLD, 40)];
/// The number of destinations of an edited set that are in every file.
pub const LASTING: usize = 8;
/// The number of destinations of an edited set that are in no file.
pub const PASSING: usize = 12;
/// The number of destinations of the listed set.
pub const IN_LIST: usize = 10;
/// The number of destinations that report overload.
pub const REPORTING: usize = 6;
/// The most calls of a called destination that has a limit.
pub const MAXLOAD: usize = 6;

/// How hard the torture is.
pub struct Scale {
    /// The length of a round. Unit: milliseconds.
    pub round_ms: u64,
    /// The most rounds of a life.
    pub rounds: usize,
    /// The longest time that a process is stopped. Unit: milliseconds.
    pub stop_ms: u64,
    /// The time for which tm remembers a transaction, which is longer than any process is stopped. Unit: milliseconds.
    pub wait_ms: i64,
    /// The number of destinations that only make the list long.
    pub ballast: usize,
}

impl Scale {
    /// Returns a small scale for a run of less than a minute, as in `make test`.
    pub fn of(seconds: u64) -> Self {
        if seconds < 60 {
            return Self {
                round_ms: 3_000,
                rounds: 1,
                stop_ms: 1_500,
                wait_ms: 4_000,
                ballast: 8_000,
            };
        }
        Self {
            round_ms: 8_000,
            rounds: 5,
            stop_ms: 12_500,
            wait_ms: 26_000,
            ballast: 20_000,
        }
    }
}

/// The surroundings of every life.
pub struct World {
    /// How hard the torture is.
    pub scale: Scale,
    /// Destinations of the relayed set; the first one always answers well.
    pub relayed: Vec<Uas>,
    /// Destinations of the pinged set.
    pub pinged: Vec<Uas>,
    /// The wall clock that the servers see, where this machine can build one.
    pub clock: Option<Clock>,
    /// A small disk with the state file, if this machine lets us mount one.
    pub disk: Option<PathBuf>,
    folder: TempDir,
}

impl World {
    /// Makes the world, and books what this machine lacks for it.
    pub fn new(scale: Scale, ledger: &Ledger) -> Self {
        let folder = TempDir::new();
        let disk = mount(folder.path());
        if disk.is_none() {
            let why = "nobody may mount a disk here (that needs root)";
            ledger.except(DISK, "a right to mount", why);
        }
        let well = || Uas::start(Answer::Code(200));
        Self {
            scale,
            relayed: (0..4).map(|_| well()).collect(),
            pinged: (0..4).map(|_| well()).collect(),
            clock: Clock::make(folder.path())
                .map_err(|why| ledger.except(CLOCK, "cc", &why))
                .ok(),
            disk,
            folder,
        }
    }

    /// Returns the path of the state file, the same in all lives.
    pub fn state_file(&self) -> PathBuf {
        let folder = self.disk.as_deref().unwrap_or(self.folder.path());
        folder.join("states")
    }

    /// Returns the list of a version. Versions differ in the listed set alone.
    pub fn list(&self, version: u64) -> String {
        let mut list = String::new();
        for n in 0..COMMANDED[0].1 {
            let most = if n < 2 { 0 } else { MAXLOAD };
            let _ = writeln!(
                list,
                "{CALLED} {} 0 {} duid=c{n};maxload={most}",
                uri(CALLED, n),
                50 - n
            );
        }
        for (n, uas) in self.relayed.iter().enumerate() {
            let _ = writeln!(list, "{RELAYED} {} 0 0 duid=r{n}", uas.uri());
        }
        for n in 0..COMMANDED[1].1 {
            let attrs = duid(n).map_or("weight=2".to_owned(), |duid| format!("duid={duid}"));
            let _ = writeln!(list, "{TOLD} {} 0 {} {attrs}", uri(TOLD, n), 50 - n);
        }
        for set in EDITED {
            for n in 0..LASTING {
                let _ = writeln!(list, "{set} {} 0 {} weight=5", uri(set, n), 50 - n);
            }
        }
        for n in 0..IN_LIST {
            let bits = listed_state(version, n).bits();
            let _ = writeln!(
                list,
                "{LISTED} {} {bits} {} v={version}",
                uri(LISTED, n),
                50 - n
            );
        }
        for uas in &self.pinged {
            let _ = writeln!(list, "{PINGED} {} 8", uas.uri());
        }
        for n in 0..REPORTING {
            let _ = writeln!(list, "{OVERLOADED} {}", uri(OVERLOADED, n));
        }
        for n in 0..self.scale.ballast {
            let set = BALLAST + i64::try_from(n % 6).expect("a small number");
            let _ = writeln!(
                list,
                "{set} sip:10.{}.{}.{}:5060 0 0 weight={};duid=b{n}",
                n >> 16,
                n >> 8 & 255,
                n & 255,
                n % 90 + 1
            );
        }
        list
    }

    /// Returns the number of destinations, which is the same in each list.
    pub fn count(&self) -> usize {
        let commanded: usize = COMMANDED.iter().map(|(_, count)| count).sum();
        let answering = self.relayed.len() + self.pinged.len();
        commanded + answering + EDITED.len() * LASTING + IN_LIST + REPORTING + self.scale.ballast
    }

    /// Returns the config of a server with one of the server's allocators.
    pub fn config(&self, allocator: &str) -> Config {
        let state_file = self.state_file();
        let clock = self.clock.iter();
        let environment: Vec<String> = clock.flat_map(Clock::environment).collect();
        let mut under = vec!["env"];
        under.extend(environment.iter().map(String::as_str));
        Config::routes(&with_commands(ROUTES))
            .list(self.list(0))
            .under(&under)
            .children(4)
            .all_transports()
            .memory_manager(allocator)
            .shm_mb(128)
            .global("debug=0")
            .global("tcp_children=3")
            .global("tcp_rd_buf_size=65536")
            // Names that do not resolve would be kept in the memory that is measured.
            .global("use_dns_cache=off")
            .global("disable_core_dump=yes")
            .global("exit_timeout=15")
            .modparam("jsonrpcs", "pretty_format", 0)
            .modparam("tm", "fr_timer", 1_500)
            .modparam("tm", "fr_inv_timer", 5_000)
            .modparam("tm", "wt_timer", self.scale.wait_ms)
            .modparam("htable", "htable", "fill=>size=12;")
            .modparam("htable", "htable", "told=>size=6;initval=0;")
            .modparam("htable", "htable", "final=>size=4;initval=0;")
            .param("flags", 2)
            .param("reload_delta", 0)
            .param("ds_hash_size", 8)
            // Gives back what ended calls have left.
            .param("ds_hash_check_interval", 1)
            .param("ds_ping_interval", 1)
            .param("ds_ping_latency_stats", 1)
            .param("ds_probing_mode", 3)
            .param("event_callback_mode", 65_536)
            .param("state_file", state_file.to_str().expect("a path in UTF-8"))
            .only_critical()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(disk) = &self.disk {
            let _ = Command::new("umount").arg("-l").arg(disk).status();
        }
    }
}

/// Returns the URI of a destination for which nobody answers.
pub fn uri(set: i64, n: usize) -> String {
    format!("sip:127.0.{set}.{n}:7001")
}

/// Returns the duid of a destination of the told set, of which every second one has none.
pub fn duid(n: usize) -> Option<String> {
    (n % 2 == 0).then(|| format!("k{n}"))
}

/// Returns the state that a version of the list asks for.
pub fn listed_state(version: u64, n: usize) -> super::model::State {
    let n = u64::try_from(n).expect("a small number");
    let mixed = (version * 31 + n).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61;
    super::model::STATES[usize::try_from(mixed % 4).expect("below 4")]
}

/// Mounts a small disk that only this program and its children see; returns `None` where that is not allowed.
fn mount(folder: &Path) -> Option<PathBuf> {
    // SAFETY: unshare takes a number (unshare(2)); no other thread of this program runs yet that uses paths.
    let alone = unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
    let disk = folder.join("disk");
    fs::create_dir(&disk).expect("a folder for the disk");
    let run = |words: &[&str]| {
        let status = Command::new(words[0]).args(&words[1..]).arg(&disk).status();
        status.is_ok_and(|status| status.success())
    };
    let mounted = alone
        && Command::new("mount")
            .args(["--make-rprivate", "/"])
            .status()
            .is_ok_and(|status| status.success())
        && run(&["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "none"]);
    mounted.then_some(disk)
}

/// The script. In a request with the header X-Desk, the user part names what the script does; all other requests belong
/// to calls that are relayed over UDP.
///
/// A stopped worker may hold a copy of an INVITE. When it goes on, it makes a second call of that copy if tm has
/// forgotten the first one meanwhile, because all timers of Kamailio end when the wall clock goes forward. Callers
/// therefore number their INVITEs, and the script refuses one that is not newer than the last one with a final reply,
/// which an ACK shows.
const ROUTES: &str = r#"
request_route {
    if (!is_present_hf("X-Desk")) {
        if (is_method("ACK|CANCEL|BYE")) {
            route(DIALOG);
        } else if (is_method("INVITE")) {
            route(RELAY);
        } else {
            sl_send_reply("200", "OK");
        }
        exit;
    }
    $var(rc) = 0;
    $var(id) = "";
    switch ($rU) {
    case "call":
        ds_select_dst("1", "10");
        $var(rc) = $rc;
        if ($var(rc) == 1) {
            $var(id) = $xavp(_dsdst_=>dstid);
        }
        break;
    case "end":
        ds_load_update();
        $var(rc) = $rc;
        break;
    case "sel0":
        ds_select_dst("3", "0", "1");
        $var(rc) = $rc;
        break;
    case "sel4":
        ds_select_dst("3", "4", "3");
        $var(rc) = $rc;
        break;
    case "sel8":
        ds_select_dst("3", "8");
        $var(rc) = $rc;
        break;
    case "sel9":
        ds_select_dst("3", "9", "2");
        $var(rc) = $rc;
        break;
    case "report":
        ds_oc_set_attrs("9", "$hdr(X-Uri)", "$hdr(X-Rate)", "86400000", "$hdr(X-Number)");
        $var(rc) = $rc;
        ds_select_dst("9", "64", "1");
        break;
    {{COMMANDS}}
    case "now":
        $var(id) = $TV(sn);
        break;
    case "fill":
        route(FILL);
        break;
    case "empty":
        sht_rm_name_re("fill=>.*");
        break;
    }
    append_to_reply("X-Rc: $var(rc)\r\nX-Du: $du\r\nX-Id: $var(id)\r\n");
    sl_send_reply("200", "OK");
}
route[RELAY] {
    t_check_trans();
    record_route();
    if (!t_newtran()) {
        exit;
    }
    $var(caller) = $(fU{s.select,0,-});
    $var(number) = $(fU{s.select,1,-}{s.int});
    if ($var(number) <= $sht(final=>$var(caller))) {
        t_reply("500", "A copy");
        exit;
    }
    if (!ds_select_dst("2", "10")) {
        t_reply("404", "No destination");
        exit;
    }
    t_on_reply("ANSWER");
    t_on_failure("FAIL");
    if (!t_relay()) {
        ds_load_unset();
        t_reply("500", "Not relayed");
    }
}
route[DIALOG] {
    $var(caller) = $(fU{s.select,0,-});
    $var(number) = $(fU{s.select,1,-}{s.int});
    if (!is_method("CANCEL") && $var(number) > $sht(final=>$var(caller))) {
        $sht(final=>$var(caller)) = $var(number);
    }
    if (loose_route()) {
        if (is_method("BYE")) {
            ds_load_update();
        }
        t_relay();
    } else if (t_check_trans()) {
        t_relay();
    }
}
onreply_route[ANSWER] {
    if (is_method("INVITE") && status =~ "^2") {
        ds_load_update();
    }
    return 1;
}
failure_route[FAIL] {
    $var(n) = $shtinc(told=>failed);
    if (!t_is_canceled() && ds_next_dst()) {
        t_on_failure("FAIL");
        # It fails once the transaction has lived too long, which a step of the clock brings about.
        if (t_relay()) {
            exit;
        }
    }
    # The call has failed for good, because no caller sends a second INVITE with one Call-ID. A 2xx may have confirmed
    # it nonetheless, where it came while the timer was already failing the call; without the Call-ID the count stayed.
    ds_load_unset("$ci");
}
route[FILL] {
    $var(piece) = "0123456789abcdef0123456789abcdef";
    $var(i) = 0;
    while ($var(i) < $(hdr(X-Double){s.int})) {
        $var(piece) = $var(piece) + $var(piece);
        $var(i) = $var(i) + 1;
    }
    $var(i) = 0;
    while ($var(i) < $(hdr(X-Count){s.int})) {
        $var(key) = $hdr(X-Double) + "-" + $var(i);
        $sht(fill=>$var(key)) = $var(piece);
        if ($sht(fill=>$var(key)) == $null) {
            break;
        }
        $var(i) = $var(i) + 1;
    }
    $var(rc) = $var(i);
}
event_route[xhttp:request] {
    jsonrpc_dispatch();
}
event_route[dispatcher:dst-down] {
    if ($dsv(cause) == "rpc") {
        $var(key) = "down" + $dsv(setid);
        $var(n) = $shtinc(told=>$var(key));
    }
}
event_route[dispatcher:dst-up] {
    if ($dsv(cause) == "rpc") {
        $var(key) = "up" + $dsv(setid);
        $var(n) = $shtinc(told=>$var(key));
    }
}
"#;
