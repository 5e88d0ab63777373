//! Actors that make calls and selections, and the moods of the destinations.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use super::actor::Actor;
use super::ledger::MOODS;
use super::scene::{Kind, LIMIT, Scene, request};
use super::world::{CALLED, TOLD};
use harness::lab::code;
use harness::{Answer, Message, Request, TcpUac, Uac};

/// The number of calls that one desk keeps up at most.
const MOST_UP: usize = 14;

/// Returns the actors of this file.
pub fn cast() -> Vec<Box<dyn Actor>> {
    vec![
        Box::new(Desk::default()),
        Box::new(Desk::default()),
        Box::new(Relay::new("a")),
        Box::new(Relay::new("b")),
        Box::new(Selector(Uac::new())),
        Box::new(Selector(Uac::new())),
        Box::new(Moods::default()),
    ]
}

/// Makes calls that are counted and not relayed. Requests go over TCP, so each one that is answered was executed once.
#[derive(Default)]
struct Desk {
    connection: Option<TcpUac>,
    up: Vec<String>,
}

impl Desk {
    /// Sends a request until it is answered; returns `None` when the server was killed. Clears `sure` if the request
    /// was sent more than once.
    fn ask(&mut self, scene: &Scene<'_>, request: &Request, sure: &mut bool) -> Option<Message> {
        let begun = Instant::now();
        while !scene.is_dying() {
            if self.connection.is_none() {
                self.connection = TcpUac::try_connect(scene.server.addr()).ok();
            }
            let connection = self.connection.as_mut();
            if let Some(Ok(reply)) = connection.map(|to| to.try_request(request, LIMIT)) {
                return Some(reply);
            }
            (self.connection, *sure) = (None, false);
            if begun.elapsed() > LIMIT {
                scene.wrong("no answer over TCP");
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    fn begin(&mut self, scene: &Scene<'_>) {
        let (shut, begun) = (scene.model.shut(CALLED), Instant::now());
        let invite = request("INVITE", "call").from_tag("caller");
        let call = String::from_utf8_lossy(invite.id()).into_owned();
        let mut sure = true;
        let Some(reply) = self.ask(scene, &invite, &mut sure) else {
            return;
        };
        let place = reply.text("X-Id");
        let place = place.strip_prefix('c').and_then(|n| n.parse().ok());
        match (code(&reply), place) {
            (Some(1), Some(n)) => {
                let turn = shut.get(&n);
                if sure && turn.is_some_and(|turn| scene.model.is_still((CALLED, n), *turn)) {
                    scene.wrong(&format!("a call is sent to c{n}, which is not usable"));
                }
                scene.model.call_up(call.clone(), n);
                self.up.push(call);
                scene.ledger.did("calls counted");
            }
            (Some(_), _) if scene.weather.disturbed(Kind::Pool, begun) => {
                scene.ledger.did("calls refused for lack of memory");
                self.end(scene, &call);
            }
            (rc, _) => scene.wrong(&format!("a call is not sent though two have room: {rc:?}")),
        }
    }

    fn end(&mut self, scene: &Scene<'_>, call: &str) {
        let bye = request("BYE", "end").from_tag("caller").call_id(call);
        let reply = self.ask(scene, &bye, &mut true);
        let Some(reply) = reply else { return };
        if code(&reply) != Some(1) {
            scene.wrong(&format!("a BYE did {:?}", code(&reply)));
        }
        scene.model.call_down(call);
        scene.ledger.did("calls ended");
    }
}

impl Actor for Desk {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        if random.random_range(0..MOST_UP) >= self.up.len() {
            self.begin(scene);
        } else {
            let call = self.up.swap_remove(random.random_range(0..self.up.len()));
            self.end(scene, &call);
        }
    }

    fn check(&mut self, _: &Scene<'_>) {
        self.connection = None;
    }

    fn leave(&mut self, scene: &Scene<'_>) {
        for call in std::mem::take(&mut self.up) {
            self.end(scene, &call);
        }
        self.connection = None;
    }
}

/// Makes calls that are relayed over UDP and fail over. All of them end before the next act.
struct Relay {
    name: &'static str,
    uac: Uac,
    /// The number of the last INVITE.
    number: u64,
}

impl Relay {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            uac: Uac::new(),
            number: 0,
        }
    }
}

impl Actor for Relay {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        // Without memory tm drops requests and replies, and nobody knows which calls there are.
        let Ok(_enough) = scene.memory.read() else {
            return;
        };
        let begun = Instant::now();
        // Where the wall clock goes forward, all timers of tm end, so it gives up what is under way.
        let is_excused = |status: Option<u16>| {
            scene.weather.disturbed(Kind::Stop, begun)
                || status == Some(408) && scene.weather.disturbed(Kind::Clock, begun)
        };
        self.uac.in_vain_once(&scene.dying);
        let mut up = Vec::new();
        for _ in 0..random.random_range(1..6) {
            self.number += 1;
            let from = format!("sip:{}-{}@client.test", self.name, self.number);
            let invite = Request::new("INVITE", "sip:relay@torture.test").from(from);
            match self.uac.try_call(scene.server.addr(), invite, LIMIT) {
                Some(Ok(call)) => up.push(call),
                Some(Err(reply)) if reply.status() == Some(404) => {
                    scene.wrong("no destination though one is always usable");
                }
                Some(Err(reply)) if is_excused(reply.status()) => {
                    let status = reply.status().unwrap_or(0);
                    scene
                        .ledger
                        .did(&format!("relayed calls refused under a fault: {status}"));
                }
                Some(Err(reply)) => scene.wrong(&format!("a call ended with {}", reply.start)),
                None => scene.wrong("no final reply to an INVITE"),
            }
        }
        for call in up {
            scene.ledger.did("calls relayed");
            match call.try_bye(LIMIT).map(|reply| reply.status()) {
                Some(Some(200)) => {}
                Some(Some(status)) if is_excused(Some(status)) => {
                    scene
                        .ledger
                        .did(&format!("BYEs refused under a fault: {status}"));
                }
                other => scene.wrong(&format!("a BYE ended with {other:?}")),
            }
        }
        // tm keeps each transaction for a while, in shared memory.
        scene.rest(Duration::from_millis(random.random_range(50..300)));
    }
}

/// Selects from a set with a destination that is always usable.
struct Selector(Uac);

impl Actor for Selector {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let algorithm = ["sel0", "sel4", "sel8", "sel9"][random.random_range(0..4)];
        let (shut, begun) = (scene.model.shut(TOLD), Instant::now());
        let request = request("OPTIONS", algorithm);
        self.0.in_vain_once(&scene.dying);
        let Some(reply) = self.0.try_request(scene.server.addr(), &request, LIMIT) else {
            scene.wrong(&format!("no reply to {algorithm}"));
            return;
        };
        if code(&reply) != Some(1) {
            if scene.weather.disturbed(Kind::Pool, begun) {
                scene.ledger.did("selections refused for lack of memory");
            } else {
                scene.wrong(&format!("{algorithm}: {:?}", code(&reply)));
            }
            return;
        }
        scene.ledger.did("selections");
        // sip:127.0.3.N:7001
        let chosen = reply.text("X-Du");
        let n = chosen
            .rsplit_once(':')
            .and_then(|(host, _)| host.rsplit_once('.'));
        let Some(n) = n.and_then(|(_, n)| n.parse().ok()) else {
            scene.wrong(&format!("{algorithm} chose {chosen:?}"));
            return;
        };
        let turn = shut.get(&n);
        if turn.is_some_and(|turn| scene.model.is_still((TOLD, n), *turn)) {
            scene.wrong(&format!("{algorithm} chose {chosen}, which is not usable"));
        }
    }
}

/// Changes how destinations answer: well, with an error, or not at all.
#[derive(Default)]
struct Moods {
    /// True once the destinations have forgotten the requests of the round before.
    begun: bool,
    /// Calls that have failed in this life until the last quiet point.
    failed: u64,
}

impl Actor for Moods {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        if !std::mem::replace(&mut self.begun, true) {
            let all = scene.world.relayed.iter().chain(&scene.world.pinged);
            all.for_each(harness::Uas::clear);
        }
        let moods = [
            Answer::Code(200),
            Answer::Code(200),
            Answer::Code(503),
            Answer::Codes(vec![500, 200]),
            Answer::Silent,
        ];
        let mut mood = || moods[random.random_range(0..moods.len())].clone();
        for uas in scene
            .world
            .relayed
            .iter()
            .skip(1)
            .chain(&scene.world.pinged)
        {
            uas.set_answer(mood());
        }
        scene.ledger.fault(MOODS);
        scene.rest(Duration::from_millis(random.random_range(200..2_000)));
    }

    fn check(&mut self, scene: &Scene<'_>) {
        self.begun = false;
        for uas in scene.world.relayed.iter().chain(&scene.world.pinged) {
            uas.set_answer(Answer::Code(200));
            let pings = u64::try_from(uas.count("OPTIONS")).unwrap_or(0);
            if pings > 0 {
                scene.ledger.did_times("pings", pings);
            }
        }
        let item = scene.ask("htable.get", json!(["told", "failed"]));
        let failed = item.and_then(|item| item["item"]["value"].as_u64());
        let failed = failed.unwrap_or(0);
        scene.ledger.hits(MOODS, failed.saturating_sub(self.failed));
        self.failed = failed;
    }
}
