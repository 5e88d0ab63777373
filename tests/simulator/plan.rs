//! What a seed says: nodes, lists, weather, and what happens.

use dispatcher::dispatch::cluster::node::settings::Settings;
use dispatcher::dispatch::cluster::state::key::Key;
use dispatcher::dispatch::cluster::text::hmac::HmacKey;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::network::Weather;
use crate::server::List;

/// What a seed says.
#[derive(Debug)]
pub struct Plan {
    pub settings: Vec<Settings>,
    pub lists: Vec<List>,
    pub skews_ms: Vec<i64>,
    pub keys: Vec<Key>,
    /// Destinations are pinged, in some of the seeds.
    pub gateways: bool,
    pub rounds: Vec<Round>,
}

/// Some time with trouble, after which there is a quiet end.
#[derive(Debug)]
pub struct Round {
    pub ms: u64,
    pub weather: Weather,
    /// What happens, and when, from the begin of the round.
    pub incidents: Vec<(u64, Incident)>,
    /// Who does not run at the end.
    pub absent: Option<usize>,
}

/// Something that happens. Servers are numbered from 0.
#[derive(Clone, Debug)]
pub enum Incident {
    /// An operator sets a state.
    Act(usize, Key, u32),
    /// Operators set a state of one destination on all servers at the same moment.
    Tie(Key),
    /// An operator sets a state of all destinations.
    Burst(usize, u32),
    /// Nothing passes from the first to the second one.
    Cut(usize, usize),
    /// Nothing passes between the two groups, one of which has the bits.
    Split(u128),
    /// Everything passes.
    Heal,
    Kill(usize),
    /// Starts unless it runs.
    Start(usize, Memory),
    /// Stops for some time. If only the process is stopped, the server's workers go on to answer.
    Stop {
        server: usize,
        ms: u64,
        only_process: bool,
    },
    /// The file gets what the node has now.
    Save(usize),
    /// Loads a list in which these flags are asked for; `None` takes the destination out of it.
    Reload(usize, Key, Option<u32>),
    /// All servers load such a list.
    Rollout(Key, Option<u32>),
    /// So many calls come to a server for a destination.
    Calls(usize, Key, u32),
    /// The ends of so many calls come to a server, whose calls they ever are.
    Ends(usize, u32),
    Leave(usize),
    Sync(usize),
    /// A gateway answers, or does not.
    Gateway(Key, bool),
    /// A server reaches a gateway, or does not.
    Reach(usize, Key, bool),
    /// A server reaches no gateway, or all.
    Isolate(usize, bool),
    /// The process of a server that pings is stopped for some time.
    StopPings(usize, u64),
    /// The first one forgets the second one.
    Forget(usize, usize),
}

/// What a server that starts again has of its last life.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// True if it has its file.
    pub kept: bool,
    /// True if it has another address.
    pub moved: bool,
    /// How far its clock is ahead now, if that has changed.
    pub skew_ms: Option<i64>,
}

impl Memory {
    /// It has nothing.
    pub const NONE: Self = Self {
        kept: false,
        moved: false,
        skew_ms: None,
    };
}

/// The flags that operators set: none, disabled, draining.
const FLAGS: [u32; 3] = [0, 4, 64];

/// No two clocks are further apart than 24 hours, less what stamps may be ahead of their clocks.
const MOST_SKEW_MS: i64 = 12 * 60 * 60 * 1_000 - 60_000;

impl Plan {
    /// Makes the plan of a seed, with this many servers, or 3 to 7.
    #[must_use]
    pub fn of(seed: u64, servers: Option<usize>) -> (Self, SmallRng) {
        let mut random = SmallRng::seed_from_u64(seed);
        let many = servers.is_some();
        let servers = servers.unwrap_or_else(|| random.random_range(3..=7));
        let keys: Vec<Key> = (0..random.random_range(2..=40))
            .map(|_| Key(random.random()))
            .collect();
        let mut plan = Self {
            settings: settings(servers, &mut random),
            lists: lists(servers, &keys, &mut random),
            skews_ms: vec![0; servers],
            keys,
            gateways: !many,
            rounds: Vec::new(),
        };
        if many {
            // Hellos of so many are most of the work.
            for settings in &mut plan.settings {
                (settings.hello_ms, settings.join_wait_ms) = (2_400, 1_000);
                settings.dead_ms = 3 * settings.hello_ms;
            }
        }
        if random.random_bool(0.6) {
            for skew_ms in &mut plan.skews_ms {
                *skew_ms = random.random_range(-MOST_SKEW_MS..=MOST_SKEW_MS);
            }
        }
        let rounds = if many { 1 } else { random.random_range(1..=2) };
        for _ in 0..rounds {
            let round = plan.round(&mut random);
            plan.rounds.push(round);
        }
        (plan, random)
    }

    /// Makes a plan of this many servers to which nothing happens, with this many destinations.
    #[must_use]
    pub fn calm(servers: usize, destinations: u64) -> (Self, SmallRng) {
        let (mut plan, random) = Self::of(1, Some(servers));
        plan.keys = (0..destinations)
            .map(|key| Key(key << 32 | 0xffff))
            .collect();
        let list: List = plan.keys.iter().map(|&key| (key, 0)).collect();
        plan.lists = vec![list; servers];
        plan.skews_ms = vec![0; servers];
        plan.rounds.clear();
        for (server, settings) in plan.settings.iter_mut().enumerate() {
            (settings.hello_ms, settings.dead_ms, settings.key) = (1_000, 5_000, None);
            settings.join_wait_ms = 3_000;
            settings.uri = format!("sip:{}", address(server, 0));
            settings.peers = vec![format!("sip:{}", address(0, 0))];
        }
        (plan, random)
    }

    fn round(&self, random: &mut SmallRng) -> Round {
        let servers = self.settings.len();
        let ms = random.random_range(3_000..=10_000);
        let chance =
            |choices: &[f64], random: &mut SmallRng| choices[random.random_range(0..choices.len())];
        let weather = Weather {
            loss: chance(&[0.0, 0.05, 0.2, 0.5], random),
            double: chance(&[0.0, 0.05, 0.3], random),
            slowest_ms: [5, 50, 400, 3_000][random.random_range(0..4)],
        };
        let mut incidents = Vec::new();
        for _ in 0..random.random_range(5..=40) {
            let at_ms = random.random_range(0..ms);
            let incident = self.incident(random);
            if let Incident::Kill(server) = incident {
                let away_ms = random.random_range(0..8_000);
                let mut memory = memory(random);
                // The first one may be the only one that all know of.
                memory.moved &= server > 0;
                incidents.push((at_ms + away_ms, Incident::Start(server, memory)));
            }
            incidents.push((at_ms, incident));
            let server = random.random_range(0..servers);
            let calls = random.random_range(1..=5);
            let calls = if random.random() {
                let key = self.keys[random.random_range(0..self.keys.len())];
                Incident::Calls(server, key, calls)
            } else {
                Incident::Ends(server, calls)
            };
            incidents.push((random.random_range(0..ms), calls));
        }
        if self.gateways {
            for _ in 0..random.random_range(0..=6) {
                incidents.push((random.random_range(0..ms), self.trouble(random)));
            }
        }
        let absent = random
            .random_bool(0.2)
            .then(|| random.random_range(1..servers));
        Round {
            ms,
            weather,
            incidents,
            absent,
        }
    }

    /// Returns something that happens to gateways, or to a process that pings.
    fn trouble(&self, random: &mut SmallRng) -> Incident {
        let server = random.random_range(0..self.settings.len());
        let key = self.keys[random.random_range(0..self.keys.len())];
        let answers = random.random_bool(0.6);
        match random.random_range(0..10) {
            0..4 => Incident::Gateway(key, answers),
            4..6 => Incident::Reach(server, key, answers),
            6..8 => Incident::Isolate(server, random.random()),
            _ => Incident::StopPings(server, random.random_range(500..6_000)),
        }
    }

    fn incident(&self, random: &mut SmallRng) -> Incident {
        let servers = self.settings.len();
        let server = random.random_range(0..servers);
        let other = (server + random.random_range(1..servers)) % servers;
        let key = self.keys[random.random_range(0..self.keys.len())];
        let bits = FLAGS[random.random_range(0..3)];
        let listed = random.random_bool(0.8).then_some(bits);
        match random.random_range(0..100) {
            0..40 => Incident::Act(server, key, bits),
            40..48 => Incident::Tie(key),
            48..51 => Incident::Burst(server, bits),
            51..58 => Incident::Cut(server, other),
            58..63 => Incident::Split(random.random()),
            63..70 => Incident::Heal,
            70..78 => Incident::Kill(server),
            78..82 => Incident::Stop {
                server,
                ms: random.random_range(100..7_000),
                only_process: random.random(),
            },
            82..88 => Incident::Save(server),
            88..92 => Incident::Reload(server, key, listed),
            92..95 => Incident::Rollout(key, listed),
            95..97 => Incident::Leave(server),
            97..99 => Incident::Sync(server),
            _ => Incident::Forget(server, other),
        }
    }
}

fn memory(random: &mut SmallRng) -> Memory {
    let skewed = random.random_bool(0.2);
    Memory {
        kept: random.random(),
        moved: random.random_bool(0.2),
        skew_ms: skewed.then(|| random.random_range(-MOST_SKEW_MS..=MOST_SKEW_MS)),
    }
}

/// Returns the settings of all servers. The config names all of them, the first one, or none.
fn settings(servers: usize, random: &mut SmallRng) -> Vec<Settings> {
    let key = random
        .random_bool(0.15)
        .then(|| HmacKey::new(b"secret"))
        .flatten();
    let named = [servers, servers, 1, 0][random.random_range(0..4)];
    let hello_ms = random.random_range(800..=1_600);
    let uri = |server: usize| format!("sip:{}", address(server, 0));
    let settings = (0..servers).map(|server| Settings {
        cluster: "default".to_owned(),
        node: format!("lb{server}"),
        uri: uri(server),
        peers: (0..named).map(uri).collect(),
        hello_ms,
        dead_ms: 4 * hello_ms,
        join_wait_ms: 3_000,
        key: key.clone(),
        dead_hold_ms: 3_000,
        share_states: true,
    });
    settings.collect()
}

/// Returns the address of a server after it has moved some times.
#[must_use]
pub fn address(server: usize, moves: u64) -> String {
    format!("10.{moves}.0.{server}:5060")
}

/// Returns the lists of all servers. They differ in some destinations, and in what they ask for.
fn lists(servers: usize, keys: &[Key], random: &mut SmallRng) -> Vec<List> {
    let common: List = keys
        .iter()
        .map(|&key| (key, FLAGS[random.random_range(0..3)]))
        .collect();
    let alike = random.random_bool(0.5);
    let mut own = || {
        let mut list = common.clone();
        if !alike {
            list.retain(|_, _| random.random_bool(0.9));
            for flags in list.values_mut() {
                if random.random_bool(0.1) {
                    *flags = FLAGS[random.random_range(0..3)];
                }
            }
        }
        list
    };
    (0..servers).map(|_| own()).collect()
}
