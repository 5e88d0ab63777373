//! The soak's threads: callers, selectors, editors, reloaders, readers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{CALLED, Chance, LASTING, SELECTED, Version, duid, lasting, passing};
use super::world::{replace, version};
use harness::lab::{ask, ask_set, code, worker_rpc};
use harness::{Fault, Kamailio, Request, Uac, binrpc};

/// Longest wait for one answer.
const LIMIT: Duration = Duration::from_secs(10);

/// What all threads share.
pub struct Soak<'s> {
    /// The server.
    pub server: &'s Kamailio,
    /// URIs of the destinations that answer calls.
    pub called: &'s [String],
    /// The time is over.
    pub stop: &'s AtomicBool,
    /// How often each thing was done.
    pub counts: Mutex<BTreeMap<&'static str, u64>>,
    /// What should not have been, the first few.
    pub faults: Mutex<Vec<String>>,
}

/// A state as set_state takes it, and as the list shows it.
const STATES: [(&str, &str); 6] = [
    ("a", "AX"),
    ("ap", "AP"),
    ("i", "IX"),
    ("ip", "IP"),
    ("d", "DX"),
    ("tp", "TP"),
];

impl Soak<'_> {
    fn go_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Counts.
    pub fn did(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    /// Keeps what should not have been.
    pub fn wrong(&self, what: String) {
        self.did("wrong");
        let mut faults = self.faults.lock().unwrap();
        if faults.len() < 10 {
            faults.push(what);
        }
    }

    /// A command through ctl, jsonrpcs or a worker, by chance.
    fn command(&self, chance: &mut Chance, uac: &Uac, method: &str, params: &[Value]) -> Answer {
        let result = match chance.below(3) {
            0 => {
                let words = params.iter().map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                let words: Vec<String> = std::iter::once(method.to_owned()).chain(words).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                binrpc(self.server.dir(), &words).map(|_| ())
            }
            1 => self.server.jsonrpc(method, json!(params)).map(|_| ()),
            _ => {
                let answer = worker_rpc(uac, self.server.addr(), method, json!(params), LIMIT);
                let none = Fault {
                    code: 0,
                    text: "no answer".to_owned(),
                };
                answer.unwrap_or(Err(none)).map(|_| ())
            }
        };
        match result {
            Ok(()) => Answer::Ok,
            Err(fault) if fault.code == 500 => Answer::Refused(fault.text),
            Err(fault) => {
                self.wrong(format!("{method} {params:?}: {fault}"));
                Answer::Refused(fault.text)
            }
        }
    }

    /// Selects from a set that has an active destination at all times.
    pub fn select(&self, seed: u64) {
        let (uac, mut chance) = (Uac::new(), Chance(seed));
        while self.go_on() {
            let what = ["sel4", "sel0", "sel8", "sel9", "active", "islist"][chance.below(6)];
            let request = ask_set(what, SELECTED);
            let Some(reply) = uac.try_request(self.server.addr(), &request, LIMIT) else {
                self.wrong(format!("no reply to {what}"));
                continue;
            };
            let expected = if what == "islist" { -1 } else { 1 };
            if code(&reply) == Some(expected) {
                self.did("selections");
            } else {
                self.did("failed selections");
                self.wrong(format!("{what}: {:?}", code(&reply)));
            }
        }
    }

    /// Makes calls: INVITE, ACK, BYE.
    pub fn call(&self) {
        let uac = Uac::new();
        while self.go_on() {
            let invite = Request::new("INVITE", "sip:route@lab.test");
            let invite = invite.header("X-Set", CALLED.to_string());
            match uac.call(self.server.addr(), invite) {
                Ok(call) => match call.bye().status() {
                    Some(200) => self.did("calls"),
                    other => self.wrong(format!("a BYE ended with {other:?}")),
                },
                Err(reply) => self.wrong(format!("a call ended with {:?}", reply.status())),
            }
        }
    }

    /// Edits one set; yields the states that its lasting destinations have at the end.
    pub fn edit(&self, set: i64) -> Vec<&'static str> {
        let (uac, mut chance) = (Uac::new(), Chance(1 + set.unsigned_abs()));
        let mut states = vec!["AX"; LASTING];
        while self.go_on() {
            let n = chance.below(20);
            let uri = passing(set, n, &self.called[0]);
            let (method, params): (&'static str, Vec<Value>) = match chance.below(8) {
                0 | 1 => ("dispatcher.add", vec![json!(set), json!(uri)]),
                2 => {
                    let attrs = format!("weight={n};duid=p{n}");
                    let words = [json!(set), json!(uri), json!(0), json!(n % 3), json!(attrs)];
                    ("dispatcher.add", words.into())
                }
                3 | 4 => ("dispatcher.remove", vec![json!(set), json!(uri)]),
                5 => {
                    let attrs = format!("weight={n}");
                    let words = [json!(set), json!(uri), json!("priority"), json!(n % 4)];
                    (
                        "dispatcher.modify",
                        [&words[..], &[json!("attrs"), json!(attrs)]].concat(),
                    )
                }
                _ => {
                    self.set_state(&mut chance, &uac, set, &mut states);
                    continue;
                }
            };
            match self.command(&mut chance, &uac, method, &params) {
                Answer::Ok => self.did(&method["dispatcher.".len()..]),
                Answer::Refused(why) if expected(&why) => self.did("refused edits"),
                Answer::Refused(why) => self.wrong(format!("{method} {params:?}: {why}")),
            }
        }
        states
    }

    /// Sets the state of a lasting destination; the first of the selected set stays active.
    fn set_state(&self, chance: &mut Chance, uac: &Uac, set: i64, states: &mut [&'static str]) {
        let n = usize::from(set == SELECTED) + chance.below(LASTING - 1);
        let (state, letters) = STATES[chance.below(STATES.len())];
        let (method, address) = match duid(set, n) {
            Some(duid) => ("dispatcher.set_duid_state", duid),
            None => ("dispatcher.set_state", lasting(set, n)),
        };
        match self.command(
            chance,
            uac,
            method,
            &[json!(state), json!(set), json!(address)],
        ) {
            Answer::Ok => {
                states[n] = letters;
                self.did(&method["dispatcher.".len()..]);
            }
            Answer::Refused(why) => self.wrong(format!("{method} {address}: {why}")),
        }
    }

    /// Replaces the file and reloads it: taken where it is a list, refused where not.
    pub fn reload(&self, path: &std::path::Path) {
        let (uac, mut chance) = (Uac::new(), Chance(77));
        while self.go_on() {
            let (version, content) = version(&mut chance, self.called);
            replace(path, &content);
            let good = matches!(version, Version::Good | Version::Shorter);
            let answer = self.command(&mut chance, &uac, "dispatcher.reload", &[]);
            match (good, answer) {
                (true, Answer::Ok) => self.did("reloads"),
                (false, Answer::Refused(_)) => self.did("refused reloads"),
                (_, answer) => self.wrong(format!("a reload of a {version:?} list: {answer:?}")),
            }
        }
    }

    /// Reloads from the script whatever file is there.
    pub fn reload_by_script(&self) {
        let uac = Uac::new();
        while self.go_on() {
            let reply = uac.try_request(self.server.addr(), &ask("reload"), LIMIT);
            match reply.as_ref().and_then(code) {
                Some(1) => self.did("script reloads"),
                Some(-1) => self.did("refused script reloads"),
                other => self.wrong(format!("ds_reload: {other:?}")),
            }
        }
    }

    /// Lists and checks.
    pub fn read(&self) {
        let mut chance = Chance(5);
        while self.go_on() {
            let (method, params) = match chance.below(4) {
                0 => ("dispatcher.check", json!([])),
                1 => ("dispatcher.list", json!(["full", 10 + chance.below(4)])),
                2 => (
                    "dispatcher.list",
                    json!(["short", "all", chance.below(50), 10]),
                ),
                _ => ("dispatcher.list", json!(["short", SELECTED])),
            };
            match self.server.jsonrpc(method, params) {
                Ok(list) if list["RECORDS"].is_array() => {
                    self.did("lists");
                }
                Ok(_) => self.did("checks"),
                Err(fault) => self.wrong(format!("{method}: {fault}")),
            }
        }
    }
}

/// What came of a command.
#[derive(Debug)]
enum Answer {
    Ok,
    Refused(String),
}

/// A refusal that an editor meets because reloads bring and take what it edits.
fn expected(why: &str) -> bool {
    [
        "already",
        "no such destination",
        "no such set",
        "Adding dispatcher",
        "Removing",
        "Modifying",
    ]
    .iter()
    .any(|part| why.contains(part))
}
