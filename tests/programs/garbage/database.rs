//! A database that hangs, breaks off, is killed, has other tables, or garbage in them, while the list is read from it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::database::Database;
use harness::{Door, Fault, Request, Uac, Way, patience, poll};
use serde_json::{Value, json};

use super::canary::Canary;
use super::chance::Chance;
use super::stage::{Counts, Stage};
use super::words::word;

/// A database, and the door that the server's connections go through.
pub struct Base {
    /// The database.
    pub database: Database,
    /// The door.
    pub door: Door,
    /// The lines of the list: set, URI, flags, priority, attributes.
    pub list: Vec<[String; 5]>,
}

/// The trouble that the database is in during a reload.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Door(Way),
    Stopped,
    Killed,
    NoTable,
    NoColumn,
    OtherVersion,
    NoRows,
    Garbage,
}

impl Trouble {
    fn choose(chance: &mut Chance) -> Self {
        let most = if chance.once_in(2) { 200 } else { 3_000 };
        let bytes = chance.below(most);
        match chance.below(20) {
            0 | 1 => Trouble::Door(Way::Silent),
            2 => Trouble::Door(Way::Closed),
            3..=5 => Trouble::Door(Way::HangsAfter(bytes)),
            6..=8 => Trouble::Door(Way::BreaksAfter(bytes)),
            9 => Trouble::Stopped,
            10 => Trouble::Killed,
            11 => Trouble::NoTable,
            12 => Trouble::NoColumn,
            13 => Trouble::OtherVersion,
            14 => Trouble::NoRows,
            _ => Trouble::Garbage,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Trouble::Door(Way::Silent) => "accepts and never answers",
            Trouble::Door(Way::Closed) => "accepts and closes",
            Trouble::Door(Way::HangsAfter(_)) => "hangs in the middle",
            Trouble::Door(_) => "breaks off in the middle",
            Trouble::Stopped => "SIGSTOP",
            Trouble::Killed => "killed in the middle",
            Trouble::NoTable => "no table",
            Trouble::NoColumn => "a column with another name",
            Trouble::OtherVersion => "another version of the table",
            Trouble::NoRows => "no rows",
            Trouble::Garbage => "rows of garbage",
        }
    }
}

impl Base {
    /// Makes the table anew with the rows of the list. It takes any bytes and numbers.
    pub fn fill(&self) {
        self.database.create();
        self.database.sql(
            "ALTER TABLE dispatcher MODIFY setid BIGINT NULL, MODIFY destination VARBINARY(4000) NULL, \
             MODIFY flags BIGINT NULL, MODIFY priority BIGINT NULL, MODIFY attrs BLOB NULL;",
        );
        let rows: Vec<String> = self
            .list
            .iter()
            .map(|[set, uri, flags, priority, attrs]| {
                format!("({set}, '{uri}', {flags}, {priority}, '{attrs}')")
            })
            .collect();
        self.insert(&rows);
    }

    fn insert(&self, rows: &[String]) {
        let columns = "setid, destination, flags, priority, attrs";
        self.database.sql(&format!(
            "INSERT INTO dispatcher ({columns}) VALUES {};",
            rows.join(", ")
        ));
    }

    /// Adds rows of any values, in any set but the canaries'.
    fn add_garbage(&self, chance: &mut Chance) {
        let number = |chance: &mut Chance| match chance.below(4) {
            0 => "NULL".to_owned(),
            1 => (1 + chance.below(4)).to_string(),
            _ => chance.number().to_string(),
        };
        let bytes = |chance: &mut Chance, most| match chance.below(6) {
            0 => "NULL".to_owned(),
            // No destination of the list has this address.
            1 => format!("'sip:127.0.0.2:{}'", chance.below(70_000)),
            _ => {
                let word = word(chance, most);
                let hex: String = word.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("UNHEX('{hex}')")
            }
        };
        let rows: Vec<String> = (0..1 + chance.below(200))
            .map(|_| {
                let (set, flags, priority) = (number(chance), number(chance), number(chance));
                let (uri, attrs) = (bytes(chance, 3_900), bytes(chance, 20_000));
                format!("({set}, {uri}, {flags}, {priority}, {attrs})")
            })
            .collect();
        for rows in rows.chunks(20) {
            self.insert(rows);
        }
    }

    fn begin(&mut self, trouble: Trouble, chance: &mut Chance) {
        let daemon = self.database.daemon.as_ref();
        match trouble {
            Trouble::Door(way) => self.door.set(way),
            Trouble::Stopped => daemon.expect("a server").pause(true),
            // While it answers a reload: see `meanwhile`.
            Trouble::Killed => self.door.set(Way::HangsAfter(chance.below(300))),
            Trouble::NoTable => self.database.drop_list(),
            Trouble::NoColumn => self.database.rename_column("destination", "target"),
            Trouble::OtherVersion => self
                .database
                .set_version(Some(5 + chance.number().rem_euclid(1_000))),
            Trouble::NoRows => self.database.clear(),
            Trouble::Garbage => self.add_garbage(chance),
        }
    }

    /// Makes the trouble that begins while the reload waits.
    fn meanwhile(&mut self, trouble: Trouble) {
        if let Trouble::Killed = trouble {
            self.database.daemon.as_mut().expect("a server").kill();
        }
    }

    /// Ends the trouble.
    fn end(&mut self, trouble: Trouble) {
        self.door.set(Way::Open);
        match trouble {
            Trouble::Door(_) => {}
            Trouble::Stopped => self
                .database
                .daemon
                .as_ref()
                .expect("a server")
                .pause(false),
            Trouble::Killed => self.database.daemon.as_mut().expect("a server").restart(),
            _ => self.fill(),
        }
    }
}

/// Returns the URI and `FLAGS` of all listed destinations.
fn listed(stage: &Stage) -> BTreeMap<String, String> {
    stage.server.lister().flags().into_iter().collect()
}

/// Makes trouble as long as `go_on` returns true. Returns the counts, or the fault.
pub fn run(
    stage: &Stage,
    base: &mut Base,
    seed: u64,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<Counts, String> {
    let (mut chance, mut counts, mut canary) =
        (Chance::new(seed), Counts::new(), Canary::default());
    let mut slowest = Duration::ZERO;
    let mut round = 0;
    // Pings would change states.
    let _ = stage.server.jsonrpc("dispatcher.ping_active", json!(["0"]));
    let waiting = || {
        let pings = stage.server.jsonrpc("dispatcher.ping_status", json!([]));
        let pings = pings.unwrap_or_default();
        let targets = pings["TARGETS"].as_array().cloned().unwrap_or_default();
        targets
            .iter()
            .any(|target| !target["DEST"]["WAITING_MS"].is_null())
    };
    poll(
        Duration::from_millis(50),
        patience(10),
        waiting,
        |waiting| !*waiting,
    );
    let disabled = stage
        .server
        .jsonrpc("dispatcher.set_state", json!(["d", 3, "all"]));
    disabled.map_err(|fault| format!("set_state: {fault}"))?;
    let before = listed(stage);
    while go_on(round) {
        let trouble = Trouble::choose(&mut chance);
        let by_worker = chance.once_in(4);
        let text = |why: String| format!("{trouble:?}, round {round} of seed {seed}: {why}");
        base.begin(trouble, &mut chance);
        let begun = Instant::now();
        let said = std::thread::scope(|scope| {
            let reload = scope.spawn(|| reload(stage, by_worker));
            // Calls go on, however long it takes.
            let mut first = true;
            while first || !reload.is_finished() {
                canary.request(stage)?;
                canary.call(stage)?;
                if first {
                    base.meanwhile(trouble);
                }
                first = false;
            }
            reload.join().expect("an end")
        });
        slowest = slowest.max(begun.elapsed());
        let said = said.map_err(text);
        base.end(trouble);
        match said? {
            Said::Refused(why) => {
                let reason = match (trouble, by_worker) {
                    (Trouble::NoRows, _) => "has no destination left",
                    (_, true) => "no dispatching list loaded from ",
                    (_, false) => {
                        "Reload Failed: cannot read table dispatcher of mysql://kam@127.0.0.1"
                    }
                };
                if !why.contains(reason) {
                    return Err(text(format!("refused with {why:?}")));
                }
                if listed(stage) != before {
                    return Err(text(format!("after a refused reload: {:?}", listed(stage))));
                }
                *counts
                    .entry(format!("database, refused: {}", trouble.name()))
                    .or_default() += 1;
            }
            Said::Ok => {
                let may = match trouble {
                    // Rows of garbage may add destinations, and change none of the others.
                    Trouble::Garbage => {
                        let now = listed(stage);
                        before
                            .iter()
                            .all(|(uri, flags)| now.get(uri) == Some(flags))
                    }
                    // The answer came whole after all.
                    Trouble::Stopped | Trouble::Door(_) | Trouble::OtherVersion => {
                        listed(stage) == before
                    }
                    _ => false,
                };
                if !may {
                    return Err(text(format!("a reload was taken: {:?}", listed(stage))));
                }
                *counts
                    .entry(format!("database, taken: {}", trouble.name()))
                    .or_default() += 1;
            }
        }
        // As soon as the trouble is over, a reload is taken, and the states are as before.
        let again = stage
            .server
            .jsonrpc_within("dispatcher.reload", json!([]), patience(30));
        again.map_err(|fault| text(format!("when all was well again: {fault}")))?;
        if listed(stage) != before {
            return Err(text(format!(
                "when all was well again: {:?}, not {before:?}",
                listed(stage)
            )));
        }
        round += 1;
    }
    for (command, arguments) in [
        ("dispatcher.set_state", json!(["a", 3, "all"])),
        ("dispatcher.ping_active", json!(["1"])),
    ] {
        let done = stage.server.jsonrpc(command, arguments);
        done.map_err(|fault| format!("{command}: {fault}"))?;
    }
    *counts.entry("canaries: requests".to_owned()).or_default() += canary.requests;
    *counts.entry("canaries: calls".to_owned()).or_default() += canary.calls;
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    counts.insert(
        "canaries beside the database: slowest, ms".to_owned(),
        milliseconds(canary.slowest),
    );
    counts.insert(
        "database: longest reload, ms".to_owned(),
        milliseconds(slowest),
    );
    Ok(counts)
}

/// The result of a reload.
enum Said {
    Ok,
    /// The fault of the command, or the errors that a worker has logged.
    Refused(String),
}

/// Reloads by a command, or by the script in a worker.
fn reload(stage: &Stage, by_worker: bool) -> Result<Said, String> {
    let limit = patience(60);
    if by_worker {
        let before = stage.server.log().len();
        let request =
            Request::new("OPTIONS", "sip:reload@garbage.test").from("sip:reload@garbage.test");
        let reply = Uac::new().try_request(stage.server.addr(), &request, limit);
        let reply = reply.ok_or("no answer to a worker's ds_reload")?;
        return match reply.text("X-Rc").as_str() {
            "1" => Ok(Said::Ok),
            "-1" => {
                let log = stage.server.log();
                let said = log.get(before..).unwrap_or_default().lines();
                let errors: Vec<_> = said.filter(|line| line.contains("ERROR:")).collect();
                Ok(Said::Refused(errors.join("\n")))
            }
            other => Err(format!("ds_reload returned {other:?}")),
        };
    }
    let said: Result<Value, Fault> =
        stage
            .server
            .jsonrpc_within("dispatcher.reload", json!([]), limit);
    match said {
        Ok(_) => Ok(Said::Ok),
        Err(fault) if fault.code == 500 => Ok(Said::Refused(fault.text)),
        Err(fault) => Err(format!("no answer: {fault}")),
    }
}
