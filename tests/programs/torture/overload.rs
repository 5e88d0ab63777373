//! An actor that reports destinations as overloaded: reports survive reloads, and steps of the wall clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::actor::Actor;
use super::scene::{Kind, LIMIT, Scene, request};
use super::world::{OVERLOADED, REPORTING, uri};
use harness::TcpUac;
use harness::lab::code;

/// Reports overload, and selects among the destinations that have reported. A report is valid for a day.
#[derive(Default)]
pub struct Reports {
    connection: Option<TcpUac>,
    /// The rate and the number of the last report of each destination.
    last: BTreeMap<usize, (i64, i64)>,
    /// The destinations whose last report may or may not have been taken.
    unsure: BTreeSet<usize>,
}

impl Actor for Reports {
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng) {
        let (n, begun) = (random.random_range(0..REPORTING), Instant::now());
        let (rate, number) = self.last.get(&n).copied().unwrap_or((0, 0));
        let is_new = number == 0 || random.random_range(0..4) > 0;
        let (rate, number) = match is_new {
            true => (random.random_range(1..100), number + 1),
            false => (rate, number),
        };
        let report = request("OPTIONS", "report")
            .header("X-Uri", uri(OVERLOADED, n))
            .header("X-Rate", rate.to_string())
            .header("X-Number", number.to_string());
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => TcpUac::try_connect(scene.server.addr()),
        };
        let reply = connection.and_then(|mut connection| {
            let reply = connection.try_request(&report, LIMIT);
            self.connection = Some(connection);
            reply
        });
        match reply.as_ref().map(code) {
            Ok(Some(1)) if is_new => {
                self.unsure.remove(&n);
                self.last.insert(n, (rate, number));
                scene.ledger.did("overload reports");
            }
            Ok(Some(-2 | 1)) if self.unsure.contains(&n) => {}
            Ok(Some(-2)) if !is_new => scene.ledger.did("old overload reports refused"),
            // Shared memory for the first report, or for a connection.
            Ok(Some(_)) | Err(_) if scene.weather.disturbed(Kind::Pool, begun) => {
                self.connection = None;
                self.unsure.insert(n);
                self.last.insert(n, (rate, number));
            }
            other => scene.wrong(&format!("report {number} of {n}, new: {is_new}: {other:?}")),
        }
        scene.rest(std::time::Duration::from_millis(5));
    }

    fn check(&mut self, scene: &Scene<'_>) {
        self.connection = None;
        let asked = scene.ask("dispatcher.oclist", json!([OVERLOADED]));
        let all = asked
            .as_ref()
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let known = self.last.iter().filter(|(n, _)| !self.unsure.contains(n));
        for (n, (rate, number)) in known {
            let dest = all
                .iter()
                .find(|dest| dest["uri"] == uri(OVERLOADED, *n).as_str());
            let found = dest.map(|dest| (dest["ocrate"].as_i64(), dest["ocseq"].as_i64()));
            if found != Some((Some(*rate), Some(*number))) {
                scene.wrong(&format!("report {number} of {n} with {rate} is {found:?}"));
            }
        }
    }
}
