//! The stage of a scenario: a server with one of the modules, and its neighbours, who have names.
//!
//! A scenario is played twice, with the C module and with ours. Everything it sees is noted in words
//! that have no port and no address, so that both notes can be held against each other.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use harness::{
    Answer, Call, Config, Kamailio, Message, Module, Request, Uac, Uas, check_config, free_port,
    patience, this_server, wait_for,
};

/// A line of the notes that is meant to differ.
pub struct Meant {
    /// Name of the difference in `doc/differences.md`.
    pub name: &'static str,
    /// The text in the C module's line.
    pub c: &'static str,
    /// The text in ours.
    pub ours: &'static str,
}

/// The servers around the one that is tested, each with an address of its own.
pub struct Peers {
    uas: Vec<(&'static str, Uas)>,
    others: Vec<(String, &'static str)>,
}

impl Peers {
    /// One for each name, at 127.0.0.11 and on.
    pub fn start(names: &[&'static str]) -> Self {
        let peers = names.iter().zip(11..).map(|(&name, n)| {
            let at = SocketAddr::from((Ipv4Addr::new(127, 0, 0, n), free_port()));
            (name, Uas::start_at(at, Answer::Code(200)))
        });
        Self {
            uas: peers.collect(),
            others: Vec::new(),
        }
    }

    /// One at SIP's default port, for configs that name a host only: at an address nobody else has.
    pub fn start_at_the_default_port(&mut self, name: &'static str) {
        let [.., c, d] = std::process::id().to_be_bytes();
        let at = SocketAddr::from((Ipv4Addr::new(127, 60, c, d.max(1)), 5060));
        self.uas.push((name, Uas::start_at(at, Answer::Code(200))));
    }

    /// A name for one more address, in the notes.
    pub fn name(&mut self, address: &str, name: &'static str) {
        self.others.push((address.to_owned(), name));
    }

    /// The config with their addresses: `{{name}}` is `127.0.0.11:<port>`.
    pub fn fill(&self, config: Config) -> Config {
        self.uas.iter().fold(config, |config, (name, uas)| {
            config.define(name, uas.uri().trim_start_matches("sip:"))
        })
    }

    /// One of them.
    pub fn get(&mut self, name: &str) -> &mut Uas {
        let found = self.uas.iter_mut().find(|(n, _)| *n == name);
        &mut found.unwrap_or_else(|| panic!("no peer {name}")).1
    }

    fn refresh(&mut self) {
        for (_, uas) in &mut self.uas {
            uas.restart();
            uas.set_answer(Answer::Code(200));
            uas.clear();
        }
    }

    /// Returns the destinations that got the request of this method and Call-ID, in the order of tm's branches.
    fn tried(&self, method: &str, id: &[u8]) -> Vec<(&'static str, Message)> {
        let mut tried = Vec::new();
        for (name, uas) in &self.uas {
            let mut branches = Vec::new();
            for request in uas.requests() {
                let of_call = request.method() == method && request.header("Call-ID") == Some(id);
                if of_call && !branches.contains(&request.branch()) {
                    branches.push(request.branch());
                    tried.push((*name, request));
                }
            }
        }
        // tm ends a branch id with the number of the attempt; a later request has a higher CSeq.
        tried.sort_by_key(|(_, request)| {
            let cseq = request.text("CSeq");
            let cseq: u32 = cseq.split(' ').next().unwrap_or("").parse().unwrap_or(0);
            let attempt = request.branch();
            let attempt = attempt.rsplit('.').next().unwrap_or("").to_owned();
            (cseq, attempt)
        });
        tried
    }
}

/// A scenario in play.
pub struct Stage<'a> {
    /// The server that is tested.
    pub server: Kamailio,
    /// Who is around it.
    pub peers: RefCell<&'a mut Peers>,
    /// A caller outside.
    pub uac: Uac,
    notes: RefCell<Vec<String>>,
    calls: Cell<u32>,
}

impl Stage<'_> {
    /// Adds a line to the notes.
    pub fn note(&self, line: impl AsRef<str>) {
        let line = self.tidy(line.as_ref());
        eprintln!("{:?}: {line}", self.server.module());
        self.notes.borrow_mut().push(line);
    }

    /// `text` with names instead of addresses.
    pub fn tidy(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, uas) in &self.peers.borrow().uas {
            let at = uas.uri();
            let at = at.trim_start_matches("sip:");
            text = text.replace(at, name);
            let ip = at.split(':').next().unwrap_or(at);
            text = text.replace(ip, &format!("{name}.ip"));
        }
        for (address, name) in &self.peers.borrow().others {
            text = text.replace(address, name);
        }
        text.replace(&self.server.addr().to_string(), "proxy")
            .replace(&self.uac.local().to_string(), "caller")
    }

    /// A request of its own call, whose Call-ID is the same with each module.
    pub fn request(&self, method: &str, uri: &str) -> Request {
        let n = self.calls.get() + 1;
        self.calls.set(n);
        Request::new(method, uri).call_id(format!("call-{n}@client.test"))
    }

    /// Calls `uri`; notes what came of it.
    pub fn call(&self, uri: &str) -> Option<Call<'_>> {
        self.call_with(self.request("INVITE", uri))
    }

    /// As [`Stage::call`], with an INVITE of the scenario's own.
    pub fn call_with(&self, invite: Request) -> Option<Call<'_>> {
        let id = invite.id().to_vec();
        let answer = self.uac.call(self.server.addr(), invite);
        let reply = answer
            .as_ref()
            .map_or_else(|reply| reply, |call| &call.reply);
        self.note_result("INVITE", &id, reply);
        answer.ok()
    }

    /// Sends a request from the caller; notes what came of it.
    pub fn send(&self, request: &Request) -> Message {
        self.send_from(&self.uac, request)
    }

    /// Sends a request from somebody else.
    pub fn send_from(&self, uac: &Uac, request: &Request) -> Message {
        let reply = uac.request(self.server.addr(), request);
        self.note_result(&reply.method(), request.id(), &reply);
        reply
    }

    fn note_result(&self, method: &str, id: &[u8], reply: &Message) {
        let tried = self.peers.borrow().tried(method, id);
        let tried = tried
            .iter()
            .map(|(name, got)| format!("; {name} got {}", got.uri()));
        let by = reply.text("X-Uas");
        let by = if by.is_empty() {
            String::new()
        } else {
            format!(" by {by}")
        };
        let answer = reply.start.trim_start_matches("SIP/2.0 ");
        self.note(format!(
            "{method}: {answer}{by}{}",
            tried.collect::<String>()
        ));
    }

    /// A request inside a call; notes what came of it.
    pub fn again(&self, call: &Call<'_>, method: &str, cseq: u32) {
        let reply = call.again(method, cseq);
        let (start, by) = (&reply.start, reply.text("X-Uas"));
        self.note(format!("inside: {method}: {start} by {by}"));
    }

    /// Hangs up; notes who heard of it.
    pub fn bye(&self, call: Call<'_>) {
        self.again(&call, "BYE", 9);
    }

    /// `n` calls, each ended; notes how many each peer answered, and what else the answers were.
    pub fn round(&self, n: usize, uri: &str) {
        let mut shares: Vec<(String, usize)> = Vec::new();
        for _ in 0..n {
            let invite = self.request("INVITE", uri);
            let result = match self.uac.call(self.server.addr(), invite) {
                Ok(call) => {
                    let by = call.answered_by();
                    call.bye();
                    by
                }
                Err(reply) => reply.start,
            };
            let result = self.tidy(&result);
            match shares.iter_mut().find(|(by, _)| *by == result) {
                Some((_, count)) => *count += 1,
                None => shares.push((result, 1)),
            }
        }
        shares.sort();
        self.note(format!("{n} calls: {shares:?}"));
    }

    /// An RPC command; notes the last line of its answer.
    pub fn rpc(&self, args: &[&str]) {
        let args: Vec<String> = args.iter().map(|arg| self.address(arg)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let answer = match self.server.kamcmd(&args) {
            Ok(text) => text.lines().last().unwrap_or("").trim().to_owned(),
            Err(fault) => fault.to_string(),
        };
        self.note(format!("{}: {answer}", args.join(" ")));
    }

    /// `{{name}}` in a text replaced by the peer's address.
    pub fn address(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, uas) in &self.peers.borrow().uas {
            let uri = uas.uri();
            text = text.replace(&format!("{{{{{name}}}}}"), uri.trim_start_matches("sip:"));
        }
        text
    }

    /// Notes the destinations of a set and their flags.
    pub fn list(&self, set: i64) {
        let dests = self.server.dests(set);
        let dests = dests.iter().map(|(uri, flags)| format!(" {uri} {flags}"));
        self.note(format!("set {set}:{}", dests.collect::<String>()));
    }

    /// Waits until the destinations of a set have these flags, in order.
    pub fn wait_flags(&self, set: i64, flags: &[&str]) {
        wait_for(
            &format!("flags {flags:?} in set {set}"),
            patience(15),
            || {
                let now = self.server.dests(set);
                now.iter()
                    .map(|(_, flags)| flags.as_str())
                    .eq(flags.iter().copied())
                    .then_some(())
            },
        );
    }

    /// Replaces the list file, in which `{{name}}` is the peer's address.
    pub fn write_list(&self, list: &str) {
        self.server.write_list(self.address(list));
    }

    /// Runs something with one of the peers.
    pub fn peer<T>(&self, name: &str, change: impl FnOnce(&mut Uas) -> T) -> T {
        change(self.peers.borrow_mut().get(name))
    }

    /// A caller at a peer's address, another port.
    pub fn caller_at(&self, name: &str) -> Uac {
        let uri = self.peer(name, |uas| uas.uri());
        let ip = uri
            .trim_start_matches("sip:")
            .split(':')
            .next()
            .unwrap_or("");
        Uac::at(ip.parse::<IpAddr>().expect("a peer's address"), 0)
    }

    /// A caller at a peer's own address and port; the peer is gone.
    pub fn caller_as(&self, name: &str) -> Uac {
        let (ip, port) = (
            self.caller_at(name).local().ip(),
            self.peer(name, |uas| uas.port()),
        );
        self.peer(name, Uas::stop);
        Uac::at(ip, port)
    }

    /// Waits until the log has `n` lines with this text; notes that.
    pub fn wait_logged(&self, n: usize, text: &str) {
        let text = self.address(text);
        wait_for(&format!("{n} log lines {text:?}"), patience(15), || {
            (self.server.log().matches(&text).count() >= n).then_some(())
        });
        self.note(format!("logged {n} times: {text}"));
    }
}

/// Holds a config against `kamailio -c`, and plays a scenario, with the C module and with ours.
pub fn both(config: &Config, peers: &mut Peers, play: &dyn Fn(&Stage<'_>), meant: &[Meant]) {
    both_with(config, config, peers, play, meant);
}

/// As [`both`], where the C module needs another config: one without names it does not know.
pub fn both_with(
    c: &Config,
    ours: &Config,
    peers: &mut Peers,
    play: &dyn Fn(&Stage<'_>),
    meant: &[Meant],
) {
    for (module, config) in [(Module::C, c), (Module::Rust, ours)] {
        let config = peers.fill(config.clone());
        if let Err(why) = check_config(module, &config) {
            panic!("kamailio -c with the {module:?} module:\n{why}");
        }
    }
    let of_ours = run(Module::Rust, ours, peers, play);
    // 5.4's answers commands without a text, reloads only later, and has no `ds_is_active`.
    if this_server::core() < (5, 5) {
        this_server::skip_part(
            "the C module",
            "ours is compared with that of 5.5 and later",
        );
        return;
    }
    let of_c = run(Module::C, c, peers, play);
    compare(&of_c, &of_ours, meant);
}

/// One performance; yields its notes.
pub fn run(
    module: Module,
    config: &Config,
    peers: &mut Peers,
    play: &dyn Fn(&Stage<'_>),
) -> Vec<String> {
    peers.refresh();
    let server = Kamailio::start(module, peers.fill(config.clone()));
    if module == Module::C {
        server.ignore_log();
    }
    let stage = Stage {
        server,
        peers: RefCell::new(peers),
        uac: Uac::new(),
        notes: RefCell::new(Vec::new()),
        calls: Cell::new(0),
    };
    play(&stage);
    stage.notes.into_inner()
}

/// Every line is the same in both, or differs as was meant; everything that was meant happens.
fn compare(c: &[String], ours: &[String], meant: &[Meant]) {
    let documented = include_str!("../../../doc/differences.md");
    for Meant { name, .. } in meant {
        assert!(
            documented.contains(&format!("\n| {name} |")),
            "not documented: {name}"
        );
    }
    let mut left: Vec<&Meant> = meant.iter().collect();
    assert_eq!(c.len(), ours.len(), "C: {c:#?}\nours: {ours:#?}");
    for (c, ours) in c.iter().zip(ours) {
        if c == ours {
            continue;
        }
        let found = left
            .iter()
            .position(|m| c.contains(m.c) && ours.contains(m.ours));
        match found {
            Some(at) => drop(left.remove(at)),
            None => panic!("not a documented difference:\n   C: {c}\nours: {ours}"),
        }
    }
    let left: Vec<&str> = left.iter().map(|m| m.name).collect();
    assert!(left.is_empty(), "announced, but both are alike: {left:?}");
}
