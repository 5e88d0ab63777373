//! The shared memory that a server has when nothing is under way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::actor::Actor;
use super::quiet;
use super::scene::Scene;
use harness::Kamailio;

/// The allocator of the server that gives a piece what was asked for, and a rest only where that is too small for another
/// piece. `qm` and `fm` may give a piece all of the free one that they find: with them, the same list of 8,000
/// destinations takes from 3.47 to 3.73 MB.
pub const EXACT: &str = "tlsf";
/// What our pieces may differ by: those rests, which differ by less than 500 bytes. Unit: bytes.
const OURS: i64 = 1_024;
/// What all pieces may differ by: the server has a buffer of 64 kB for each TCP connection, and some kB for each
/// transaction that it remembers. Unit: bytes.
const ALL: i64 = 262_144;

/// The least shared memory in use, of several times.
#[derive(Debug)]
pub struct Used {
    /// Of all modules.
    all: i64,
    /// Of ours.
    ours: i64,
    /// By module and place in its code.
    places: BTreeMap<String, i64>,
}

/// Returns the least shared memory in use when no call is up and one list is loaded again and again, once it is as it
/// was before or tm has forgotten all transactions.
pub fn used(scene: &Scene<'_>, actors: &mut [Box<dyn Actor>], before: Option<&Used>) -> Used {
    actors.iter_mut().for_each(|actor| actor.leave(scene));
    let forgotten = u64::try_from(scene.scale().wait_ms).expect("a time") + 12_000;
    let forgets = Instant::now() + Duration::from_millis(forgotten);
    let mut used = Used {
        all: i64::MAX,
        ours: i64::MAX,
        places: BTreeMap::new(),
    };
    while Instant::now() < forgets && !before.is_some_and(|before| used.is_like(before)) {
        quiet::load(scene, 1);
        // What was replaced goes with the next second.
        std::thread::sleep(Duration::from_millis(2_500));
        let stats = scene.ask("core.shmmem", json!([])).unwrap_or_default();
        let all = stats["used"].to_string();
        let all = all.trim_matches('"').parse().unwrap_or(i64::MAX);
        used.places = places(scene.server);
        let ours = used
            .places
            .iter()
            .filter(|(place, _)| place.starts_with("dispatcher "));
        let ours = ours.map(|(_, bytes)| bytes).sum();
        if ours == 0 {
            scene.wrong("the server does not say how much shared memory is ours");
        }
        used.ours = used.ours.min(ours);
        // At first tm has not as many transactions of pings yet as it keeps.
        used.all = before.map_or(all, |_| used.all.min(all));
    }
    used
}

impl Used {
    fn is_like(&self, before: &Self) -> bool {
        self.all <= before.all + ALL && self.ours <= before.ours + OURS
    }
}

/// Says what has grown since.
pub fn compare(scene: &Scene<'_>, before: &Used, after: &Used) {
    scene.ledger.grown(after.ours - before.ours);
    if after.is_like(before) {
        return;
    }
    let grown = after.places.iter().map(|(place, bytes)| {
        let before = before.places.get(place).copied().unwrap_or(0);
        (place, bytes - before)
    });
    let grown: Vec<_> = grown.filter(|(_, more)| *more != 0).collect();
    scene.wrong(&format!(
        "shared memory grew from {} to {} bytes, ours from {} to {}: {grown:?}",
        before.all, after.all, before.ours, after.ours
    ));
}

/// Returns the bytes of shared memory that each place in the server's code has, by module; nothing where the server does
/// not count them.
fn places(server: &Kamailio) -> BTreeMap<String, i64> {
    let text = server
        .kamcmd(&["mod.stats", "all", "shm"])
        .unwrap_or_default();
    let (mut module, mut places) = (String::new(), BTreeMap::new());
    for line in text.lines() {
        match line.trim().rsplit_once(": ") {
            Some(("Module", name)) => name.clone_into(&mut module),
            Some((place, bytes)) => {
                if let (true, Ok(bytes)) = (place != "Total", bytes.parse()) {
                    places.insert(format!("{module} {place}"), bytes);
                }
            }
            None => {}
        }
    }
    places
}
