//! What `dispatcher.list` says, as tests ask for it.

use serde_json::{Value, json};

use super::Kamailio;

impl Kamailio {
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
