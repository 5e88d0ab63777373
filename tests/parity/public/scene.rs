//! One server with the gateways of a config, and what happens on it.
//!
//! The steps of a case, one a line:
//!
//! - `INVITE 100 x3 @A from=bob to=eve auth=bob hold cancel share`: a request of any method to this user, so many
//!   times, from the address of a gateway (`@A!`: from its port as well), with these users, with credentials. A call
//!   that is taken ends at once but for `hold`. `cancel` gives up before an answer comes. `share` tells only how
//!   many went where.
//! - `hangup`: ends the calls that are held.
//! - `gates B=503`: changes what gateways answer.
//! - `rpc dispatcher.set_state i 1 sip:{{A}}`, `list`.
//! - `until A=AP B=IP`: waits for these states; `pinged AB`: waits for pings; `logged 2 text`: for notes.
//!
//! Log lines with `note: ` are compared at the end, in the order of the alphabet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::case::Case;
use crate::pair::{against_itself, answer, neutral};
use harness::{
    Answer, Call, Kamailio, Message, Module, Request, Uac, Uas, check_config_as_it_is, free_port,
    patience, poll,
};

/// How long a step waits for what must come.
const LIMIT: u64 = 12;

/// What one module did with a config.
pub struct Told {
    /// `kamailio -c` takes it.
    pub checked: bool,
    pub started: bool,
    /// Why it did not start.
    pub why: String,
    /// A step, and what came of it.
    pub lines: Vec<(String, String)>,
}

struct Gate {
    letter: char,
    addr: SocketAddr,
    uas: Option<Uas>,
}

impl Gate {
    /// From `A`, `A6`, `A=503`, `A=-/404`, `A=x`.
    fn start(at: u8, text: &str) -> Self {
        let (name, answers) = text.split_once('=').unwrap_or((text, "200"));
        let letter = name.chars().next().expect("a letter");
        let ip = match name.ends_with('6') {
            true => IpAddr::from(Ipv6Addr::LOCALHOST),
            false => IpAddr::from([127, 0, 0, 11 + at]),
        };
        let addr = SocketAddr::from((ip, free_port()));
        let uas = (answers != "x").then(|| Uas::start_at(addr, Answer::Code(200)));
        let gate = Self { letter, addr, uas };
        gate.answer(answers);
        gate
    }

    fn answer(&self, answers: &str) {
        let Some(uas) = &self.uas else { return };
        let (calls, pings) = answers.split_once('/').unwrap_or((answers, "200"));
        uas.set_answer(match calls.parse() {
            Ok(code) => Answer::Code(code),
            Err(_) => Answer::Silent,
        });
        for method in ["OPTIONS", "INFO"] {
            uas.set_answer_to(method, pings.parse().unwrap_or(0));
        }
    }

    fn requests(&self) -> Vec<Message> {
        self.uas.as_ref().map(Uas::requests).unwrap_or_default()
    }

    /// What it got of a call, by the number of the branch, each transaction once.
    fn got(&self, method: &str, id: &[u8]) -> BTreeMap<String, Message> {
        let mut got = BTreeMap::new();
        for request in self.requests() {
            if request.method() == method && request.header("Call-ID") == Some(id) {
                let branch = request.branch();
                let number = branch.rsplit('.').next().unwrap_or_default().to_owned();
                got.entry(number).or_insert(request);
            }
        }
        got
    }

    fn pings(&self) -> Vec<Message> {
        let is_ping = |request: &Message| {
            ["OPTIONS", "INFO"].contains(&request.method().as_str())
                && request.header("X-Case").is_none()
        };
        self.requests().into_iter().filter(is_ping).collect()
    }
}

struct Scene {
    case: &'static Case,
    server: Kamailio,
    gates: Vec<Gate>,
    uac: Uac,
    calls: usize,
    lines: Vec<(String, String)>,
}

/// Starts a module with a config, and plays the steps.
pub fn play(case: &'static Case, module: Module, as_it_is: bool) -> Told {
    let letters = case.gates.split_whitespace().zip(0..);
    let gates: Vec<Gate> = letters.map(|(text, at)| Gate::start(at, text)).collect();
    let mut config = case.config(as_it_is);
    for gate in &gates {
        let name = gate.letter.to_string();
        config = config
            .define(&name, gate.addr)
            .define(&format!("{name}_IP"), gate.addr.ip())
            .define(&format!("{name}_PORT"), gate.addr.port());
    }
    let checked = as_it_is && check_config_as_it_is(module, &config).is_ok();
    let server = match Kamailio::try_start(module, config) {
        Ok(server) => server,
        Err(why) => {
            let why = why.lines().filter(|line| line.contains("ERROR"));
            return Told {
                checked,
                started: false,
                why: why.take(3).collect::<Vec<_>>().join("\n"),
                lines: Vec::new(),
            };
        }
    };
    if module == Module::C || against_itself() {
        server.ignore_log();
    }
    let mut scene = Scene {
        case,
        server,
        gates,
        uac: Uac::new(),
        calls: 0,
        lines: Vec::new(),
    };
    scene.all();
    Told {
        checked,
        started: true,
        why: String::new(),
        lines: scene.lines,
    }
}

impl Scene {
    fn all(&mut self) {
        if self.case.pings_seldom() {
            // Ours has the first pings spread over the interval.
            let stopped = self
                .server
                .jsonrpc_text("dispatcher.ping_active", json!([0]));
            self.say("no pings", &answer(&self.server, stopped));
        }
        if !self.case.pings_often() {
            // A first ping may have had its effect in ours.
            let letters = if self.case.pings_seldom() { 0 } else { 2 };
            self.say("list at the start", &self.list_with(letters));
        }
        let uac = Uac::new();
        let mut held = Vec::new();
        for step in self.case.play.lines().map(str::trim) {
            if step == "hangup" {
                for call in held.drain(..) {
                    let end = self.hang_up(call);
                    self.say(step, &end);
                }
            } else if !step.is_empty() {
                self.step(step, &uac, &mut held);
            }
        }
        self.say("list at the end", &self.list());
        if self.case.pings_often() {
            self.say("pings", &self.pings());
        }
        self.say("notes", &self.notes().join("\n"));
    }

    fn say(&mut self, step: &str, text: &str) {
        let text = self.neutral(text);
        self.lines.push((step.to_owned(), text));
    }

    /// A text without what differs between two servers.
    fn neutral(&self, text: &str) -> String {
        let ports = self.gates.iter().fold(text.to_owned(), |text, gate| {
            text.replace(
                &format!(":{}", gate.addr.port()),
                &format!(":{}", gate.letter),
            )
        });
        neutral(&self.server, &ports)
    }

    fn gate(&self, letter: char) -> &Gate {
        let found = self.gates.iter().find(|gate| gate.letter == letter);
        found.unwrap_or_else(|| panic!("{}: no gateway {letter}", self.case.name))
    }

    /// A text with addresses in the places for gateways.
    fn fill(&self, text: &str) -> String {
        self.gates.iter().fold(text.to_owned(), |text, gate| {
            text.replace(&format!("{{{{{}}}}}", gate.letter), &gate.addr.to_string())
        })
    }

    fn step<'a>(&mut self, step: &str, uac: &'a Uac, held: &mut Vec<Call<'a>>) {
        let words: Vec<&str> = step.split_whitespace().collect();
        let (verb, rest) = words.split_first().expect("a verb");
        match *verb {
            "gates" => {
                for text in rest {
                    let (name, answers) = text.split_once('=').expect("a gateway's answers");
                    self.gate(name.chars().next().expect("a letter"))
                        .answer(answers);
                }
            }
            "list" => self.say(step, &self.list()),
            "rpc" => self.rpc(step, rest),
            "until" => self.until(step, rest),
            "pinged" => self.pinged(step, rest),
            "logged" => self.logged(step, rest),
            method if method.chars().all(char::is_uppercase) => {
                self.requests(step, &words, uac, held)
            }
            _ => panic!("{}: no step: {step}", self.case.name),
        }
    }

    fn rpc(&mut self, step: &str, words: &[&str]) {
        let value = |word: &&str| {
            let text = self.fill(word);
            text.parse::<i64>().map_or(Value::from(text), Value::from)
        };
        let params = Value::from(words[1..].iter().map(value).collect::<Vec<Value>>());
        let reply = self.server.jsonrpc_text(words[0], params);
        let reply = answer(&self.server, reply);
        self.say(step, &reply);
    }

    /// The list as it can be compared.
    fn list(&self) -> String {
        self.list_with(if self.case.pings_seldom() { 1 } else { 2 })
    }

    /// The list, without figures of time, and with so many letters of each `FLAGS`.
    fn list_with(&self, letters: usize) -> String {
        match self
            .server
            .jsonrpc("dispatcher.list", Value::Array(Vec::new()))
        {
            Ok(mut list) => {
                self.forget(&mut list, letters);
                list.to_string()
            }
            Err(fault) => fault.to_string(),
        }
    }

    /// Takes out of a list the figures of pings, all but so many letters of `FLAGS`, and those of destinations
    /// whose only ping may or may not have come.
    fn forget(&self, value: &mut Value, letters: usize) {
        match value {
            Value::Object(fields) => {
                let unknown = self.case.pings_seldom() && self.nobody_is_at(fields.get("URI"));
                for (name, field) in fields {
                    match (name.as_str(), field.as_str()) {
                        ("LATENCY", _) => *field = Value::from("figures"),
                        ("FLAGS", Some(_)) if unknown => *field = Value::from("any"),
                        ("FLAGS", Some(flags)) => {
                            *field = Value::from(&flags[..letters.min(flags.len())]);
                        }
                        _ => self.forget(field, letters),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.forget(item, letters)),
            _ => {}
        }
    }

    /// True if the URI is that of a gateway that only calls.
    fn nobody_is_at(&self, uri: Option<&Value>) -> bool {
        let uri = uri.and_then(Value::as_str).unwrap_or_default();
        let mut callers = self.gates.iter().filter(|gate| gate.uas.is_none());
        callers.any(|gate| uri.contains(&format!(":{}", gate.addr.port())))
    }

    /// Waits until gateways have these states in the list.
    fn until(&mut self, step: &str, wanted: &[&str]) {
        let wanted: Vec<(char, &str)> = wanted
            .iter()
            .map(|word| word.split_once('=').expect("a state"))
            .map(|(name, flags)| (name.chars().next().expect("a letter"), flags))
            .collect();
        let seen = || {
            let states = self.states();
            let of = |letter: char| {
                let port = format!(":{}", self.gate(letter).addr.port());
                let own = states.iter().filter(|(uri, _)| uri.contains(&port));
                let flags: BTreeSet<&str> = own.map(|(_, flags)| flags.as_str()).collect();
                flags.into_iter().collect::<Vec<_>>().join(",")
            };
            let of = |&(letter, _): &(char, &str)| format!("{letter}={}", of(letter));
            wanted.iter().map(of).collect::<Vec<_>>().join(" ")
        };
        let meant: Vec<String> = wanted
            .iter()
            .map(|(l, flags)| format!("{l}={flags}"))
            .collect();
        let meant = meant.join(" ");
        let last = poll(Duration::from_millis(20), patience(LIMIT), seen, |now| {
            *now == meant
        });
        self.say(step, &last);
    }

    /// URI and `FLAGS` of every destination of every set.
    fn states(&self) -> Vec<(String, String)> {
        let list = self
            .server
            .jsonrpc("dispatcher.list", Value::Array(Vec::new()));
        let list = list.unwrap_or_default();
        let sets = list["RECORDS"].as_array().into_iter().flatten();
        let targets = sets.filter_map(|set| set["SET"]["TARGETS"].as_array());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let state = |target: &Value| (text(&target["DEST"]["URI"]), text(&target["DEST"]["FLAGS"]));
        targets.flatten().map(state).collect()
    }

    fn pinged(&mut self, step: &str, letters: &[&str]) {
        let all = || {
            let left = letters[0]
                .chars()
                .filter(|&l| self.gate(l).pings().is_empty());
            left.collect::<String>()
        };
        let left = poll(
            Duration::from_millis(10),
            patience(LIMIT),
            all,
            String::is_empty,
        );
        self.say(step, &format!("not pinged: {left}"));
    }

    fn logged(&mut self, step: &str, words: &[&str]) {
        let count: usize = words[0].parse().expect("a number");
        let text = words[1..].join(" ");
        let notes = || {
            self.notes()
                .iter()
                .filter(|note| note.contains(&text))
                .count()
        };
        let found = poll(Duration::from_millis(10), patience(LIMIT), notes, |n| {
            *n >= count
        });
        self.say(step, &format!("{} of them", found.min(count)));
    }

    fn notes(&self) -> Vec<String> {
        let log = self.server.log();
        let mut notes: Vec<String> = log
            .lines()
            .filter_map(|line| line.split_once("note: "))
            .map(|(_, note)| self.neutral(note))
            .collect();
        notes.sort();
        notes
    }

    /// The kinds of pings that each gateway got.
    fn pings(&self) -> String {
        let of = |gate: &Gate| {
            let pings = gate.pings().into_iter();
            let kinds: BTreeSet<String> = pings
                .map(|ping| {
                    let from = ping.text("From");
                    let from = from.split(";tag").next().unwrap_or_default();
                    format!(
                        "{} From {from} To {} by {}",
                        ping.start,
                        ping.text("To"),
                        sent_by(&ping)
                    )
                })
                .collect();
            let kinds: Vec<String> = kinds.into_iter().collect();
            format!("{}: {}", gate.letter, kinds.join(", "))
        };
        self.gates.iter().map(of).collect::<Vec<_>>().join("\n")
    }

    /// Sends the requests of one step.
    fn requests<'a>(&mut self, step: &str, words: &[&str], uac: &'a Uac, held: &mut Vec<Call<'a>>) {
        let options = &words[2..];
        let count = options
            .iter()
            .find_map(|word| word.strip_prefix('x')?.parse().ok());
        let share = options.contains(&"share");
        let mut shares: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..count.unwrap_or(1) {
            let request = self.request(words);
            let id = request.id().to_vec();
            let end = if options.contains(&"cancel") {
                self.give_up(&request)
            } else if words[0] != "INVITE" {
                shown(&self.caller(options).request(self.server.addr(), &request))
            } else if options.contains(&"hold") {
                match uac.call(self.server.addr(), request) {
                    Ok(call) => {
                        let end = shown(&call.reply);
                        held.push(call);
                        end
                    }
                    Err(reply) => shown(&reply),
                }
            } else {
                let caller = self.caller(options);
                match caller.call(self.server.addr(), request) {
                    Ok(call) => {
                        let end = shown(&call.reply);
                        format!("{end}, {}", self.hang_up(call))
                    }
                    Err(reply) => shown(&reply),
                }
            };
            if share {
                let letters: String = self
                    .ways(words[0], &id)
                    .iter()
                    .map(|(_, l, _)| *l)
                    .collect();
                *shares.entry(format!("{end} {letters}")).or_default() += 1;
            } else {
                let ways = self.way(words[0], &id);
                self.say(step, &format!("{end}{ways}"));
            }
        }
        if share {
            self.say(step, &format!("{shares:?}"));
        }
    }

    /// The request of a step, with a Call-ID that both modules see.
    fn request(&mut self, words: &[&str]) -> Request {
        self.calls += 1;
        let name = self.case.name.replace(' ', "-");
        let uri = match words[1].contains(['@', '{']) {
            true => format!("sip:{}", self.fill(words[1])),
            false => format!("sip:{}@pbx.test", words[1]),
        };
        let mut request = Request::new(words[0], uri)
            .call_id(format!("{}-{name}@client.test", self.calls))
            .header("X-Case", &name);
        for word in &words[2..] {
            if let Some(user) = word.strip_prefix("from=") {
                request = request.from(format!("sip:{user}@client.test"));
            } else if let Some(user) = word.strip_prefix("to=") {
                request = request.to(format!("sip:{user}@service.test"));
            } else if let Some(user) = word.strip_prefix("auth=") {
                let credentials = format!(
                    "Digest username=\"{user}\", realm=\"pbx.test\", nonce=\"1\", \
                     uri=\"sip:pbx.test\", response=\"{:032}\"",
                    0
                );
                request = request.header("Proxy-Authorization", credentials);
            } else if let Some(value) = word.strip_prefix("key=") {
                request = request.header("X-Key", self.fill(value));
            }
        }
        request
    }

    fn caller(&self, options: &[&str]) -> Uac {
        let from = options.iter().find_map(|word| word.strip_prefix('@'));
        match from {
            None => Uac::new(),
            Some(name) => {
                let addr = self.gate(name.chars().next().expect("a letter")).addr;
                let port = if name.ends_with('!') { addr.port() } else { 0 };
                Uac::at(addr.ip(), port)
            }
        }
    }

    fn hang_up(&self, call: Call<'_>) -> String {
        let id = call.invite.id().to_vec();
        let status = call.bye().status().unwrap_or_default();
        let letters = self
            .gates
            .iter()
            .filter(|gate| !gate.got("BYE", &id).is_empty());
        let letters: String = letters.map(|gate| gate.letter).collect();
        format!("BYE {status} {letters}")
    }

    /// Cancels a call when a gateway has it; yields the replies to both.
    fn give_up(&self, invite: &Request) -> String {
        self.uac.send(self.server.addr(), invite);
        let there = || {
            self.gates
                .iter()
                .any(|gate| !gate.got("INVITE", invite.id()).is_empty())
        };
        poll(Duration::from_millis(5), patience(LIMIT), there, |there| {
            *there
        });
        let cancelled = self.uac.cancel(self.server.addr(), invite);
        let ended = poll(
            Duration::ZERO,
            patience(LIMIT),
            || self.uac.receive(patience(1)),
            |reply| reply.as_ref().and_then(Message::status) >= Some(200),
        );
        let ended = ended.map(|reply| shown(&reply)).unwrap_or_default();
        let letters = self
            .gates
            .iter()
            .filter(|gate| !gate.got("CANCEL", invite.id()).is_empty());
        let letters: String = letters.map(|gate| gate.letter).collect();
        format!("CANCEL {} {letters}, {ended}", shown(&cancelled))
    }

    /// Where a request went, in order: the branch, the gateway, and the request.
    fn ways(&self, method: &str, id: &[u8]) -> Vec<(String, char, Message)> {
        let of = |gate: &Gate| {
            let got = gate.got(method, id).into_iter();
            got.map(|(branch, request)| (branch, gate.letter, request))
                .collect::<Vec<_>>()
        };
        let mut ways: Vec<_> = self.gates.iter().flat_map(of).collect();
        ways.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        ways
    }

    /// As [`Scene::ways`], as a text with what the scripts have written.
    fn way(&self, method: &str, id: &[u8]) -> String {
        let of = |(branch, letter, request): &(String, char, Message)| {
            let written = request
                .headers
                .iter()
                .filter(|(name, _)| name.starts_with("X-") && name != "X-Case" && name != "X-Key");
            let written: Vec<String> = written
                .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
                .collect();
            format!(
                "\n  {branch} {letter} {} by {} {}",
                request.uri(),
                sent_by(request),
                written.join("; ")
            )
        };
        self.ways(method, id).iter().map(of).collect()
    }
}

/// Status line of a reply, and what scripts have written there.
fn shown(reply: &Message) -> String {
    let written = reply.text("X-Said");
    format!("{} {written}", reply.start.trim_start_matches("SIP/2.0 "))
        .trim_end()
        .to_owned()
}

/// Transport and address of the top Via.
fn sent_by(request: &Message) -> String {
    let via = request.text("Via");
    let end = via.find(';').unwrap_or(via.len());
    via[..end].trim_start_matches("SIP/2.0/").to_owned()
}
