//! What `dispatcher.list` says, as tests ask for it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Kamailio, patience, poll, rpc};

/// How often a server is asked by [`Lister::distinct`].
const STEP: Duration = Duration::from_millis(50);

/// Asks one server for its list, from any thread.
#[derive(Clone, Debug)]
pub struct Lister {
    dir: PathBuf,
}

impl Lister {
    /// `FLAGS` by URI, of the first destination with it; empty when there are no sets.
    pub fn flags(&self) -> HashMap<String, String> {
        let limit = patience(10);
        let list = rpc::json_rpc(&self.dir, "dispatcher.list", &json!(["short"]), limit);
        let list = list.unwrap_or_default();
        let sets = list["RECORDS"].as_array().into_iter().flatten();
        let mut flags = HashMap::new();
        for set in sets {
            let targets = set["SET"]["TARGETS"].as_array();
            for (uri, letters) in targets.into_iter().flatten().map(pair) {
                flags.entry(uri).or_insert(letters);
            }
        }
        flags
    }

    /// `FLAGS` of one destination; empty when it is not there.
    pub fn flags_of(&self, uri: &str) -> String {
        self.flags().remove(uri).unwrap_or_default()
    }

    /// The distinct `FLAGS` in turn of some destinations, seen every 50 ms, until each has as
    /// many as asked for, or until `limit`. For destinations that cannot tell themselves.
    pub fn distinct(&self, asked: &[(String, usize)], limit: Duration) -> Vec<Vec<String>> {
        let mut traces = vec![Vec::<String>::new(); asked.len()];
        let look = || {
            let flags = self.flags();
            for ((uri, _), trace) in asked.iter().zip(&mut traces) {
                let now = flags.get(uri).cloned().unwrap_or_default();
                if trace.last() != Some(&now) {
                    trace.push(now);
                }
            }
            asked.iter().zip(&traces).all(|((_, n), t)| t.len() >= *n)
        };
        poll(STEP, limit, look, |whole| *whole);
        traces
    }
}

impl Kamailio {
    /// Asks for the list, from any thread.
    pub fn lister(&self) -> Lister {
        let dir = self.dir().to_owned();
        Lister { dir }
    }

    /// URI and `FLAGS` of each destination of a set, in the set's order; empty for no such set.
    /// Lists over 64 kB do not fit into the reply.
    pub fn dests(&self, set: i64) -> Vec<(String, String)> {
        let Ok(list) = self.jsonrpc("dispatcher.list", json!(["short"])) else {
            return Vec::new();
        };
        let sets = list["RECORDS"].as_array().expect("RECORDS is an array");
        let found = sets.iter().find(|record| record["SET"]["ID"] == set);
        let dests = found.and_then(|record| record["SET"]["TARGETS"].as_array());
        dests.into_iter().flatten().map(pair).collect()
    }

    /// `FLAGS` of the first destination of a set with this URI.
    pub fn flags(&self, set: i64, uri: &str) -> String {
        let dests = self.dests(set);
        let found = dests.iter().find(|(listed, _)| listed == uri);
        found
            .map(|(_, flags)| flags.clone())
            .unwrap_or_else(|| panic!("{uri} is not in set {set}: {dests:?}"))
    }

    /// Ports of a set's destinations, in the set's order.
    pub fn ports(&self, set: i64) -> Vec<String> {
        let dests = self.dests(set).into_iter();
        let port = |uri: &str| uri.rsplit(':').next().unwrap_or_default().to_owned();
        dests.map(|(uri, _)| port(&uri)).collect()
    }

    /// All that `full` says of one destination, by its place in the set.
    pub fn dest(&self, set: i64, at: usize) -> Value {
        let list = self.jsonrpc("dispatcher.list", json!(["full", set]));
        let list = list.unwrap_or_else(|fault| panic!("set {set}: {fault}"));
        list["RECORDS"][0]["SET"]["TARGETS"][at]["DEST"].clone()
    }
}

fn pair(target: &Value) -> (String, String) {
    let text = |key: &str| target["DEST"][key].as_str().expect("a text").to_owned();
    (text("URI"), text("FLAGS"))
}
