//! A name server that lies while names are resolved: in reloads, edits, refreshes, pings and requests.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::{Name, Request, Uac, patience, poll};
use serde_json::json;

use super::canary::Canary;
use super::chance::Chance;
use super::lies::{KINDS, lie};
use super::stage::{Counts, NAMES, Stage};

/// Operations between two kinds of lies.
const ROUND: u64 = 6;

/// The true address of each name.
pub const TRUTH: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// Lies as long as `go_on` returns true, and tells the truth in the end. Returns the counts, or the fault.
pub fn run(stage: &Stage, seed: u64, mut go_on: impl FnMut(u64) -> bool) -> Result<Counts, String> {
    let (mut chance, mut counts, mut canary) =
        (Chance::new(seed), Counts::new(), Canary::default());
    // The kind of lie, and how many of each were told.
    let told = Arc::new(Mutex::new((0, vec![0; KINDS.len()])));
    let (liar, mut lies) = (Arc::clone(&told), Chance::new(seed ^ 1));
    stage.dns.lie(move |_, query| {
        let mut told = liar.lock().unwrap();
        let kind = told.0;
        told.1[kind] += 1;
        Some(lie(&mut lies, kind, query))
    });
    let (uac, mut round) = (Uac::new(), 0);
    while go_on(round) {
        told.lock().unwrap().0 = chance.below(KINDS.len());
        for _ in 0..ROUND {
            let what = operation(stage, &mut chance, &uac);
            *counts.entry(format!("DNS: {what}")).or_default() += 1;
            canary.request(stage)?;
        }
        canary.call(stage)?;
        round += 1;
    }
    stage.dns.lie(|_, _| None);
    truth(stage)?;
    for (kind, told) in KINDS.iter().zip(&told.lock().unwrap().1) {
        *counts.entry(format!("DNS answers: {kind}")).or_default() += told;
    }
    *counts.entry("canaries: requests".to_owned()).or_default() += canary.requests;
    *counts.entry("canaries: calls".to_owned()).or_default() += canary.calls;
    let slowest = u64::try_from(canary.slowest.as_millis()).unwrap_or(u64::MAX);
    counts.insert("canaries beside DNS: slowest, ms".to_owned(), slowest);
    Ok(counts)
}

/// Makes the server resolve names; that may fail. Returns the kind of operation.
fn operation(stage: &Stage, chance: &mut Chance, uac: &Uac) -> &'static str {
    let name = format!("sip:n{}.garbage.test", chance.below(2_000));
    let rpc = |command: &str, arguments: serde_json::Value| {
        let _ = stage
            .server
            .jsonrpc_within(command, arguments, patience(30));
    };
    match chance.below(6) {
        0 => {
            rpc("dispatcher.reload", json!([]));
            "reloads"
        }
        1 => {
            rpc("dispatcher.check", json!([]));
            "checks"
        }
        2 => {
            rpc("dispatcher.add", json!([5, name, "8"]));
            "adds"
        }
        3 => {
            rpc("dispatcher.remove", json!([5, name]));
            "removes"
        }
        4 => {
            rpc("dispatcher.list", json!(["full", 5]));
            "lists"
        }
        _ => {
            // One worker waits for the answers; the canaries have the others.
            let request = Request::new("OPTIONS", name).from("sip:names@garbage.test");
            uac.send(stage.server.addr(), &request);
            let _ = uac.receive(Duration::from_millis(50));
            "requests"
        }
    }
}

/// Checks that with true answers each name of the list has its address again.
fn truth(stage: &Stage) -> Result<(), String> {
    for name in NAMES {
        stage.dns.set(name, Name::Is(TRUTH));
    }
    let addresses = || {
        let _ = stage.server.jsonrpc("dispatcher.reload", json!([]));
        let list = stage.server.jsonrpc("dispatcher.list", json!(["full", 5]));
        let list = list.unwrap_or_default();
        let targets = list["RECORDS"][0]["SET"]["TARGETS"].as_array().cloned();
        let address = |target: &serde_json::Value| target["DEST"]["IPADDR"].clone();
        targets
            .unwrap_or_default()
            .iter()
            .map(address)
            .collect::<Vec<_>>()
    };
    let is_true = |found: &Vec<serde_json::Value>| {
        found.len() == NAMES.len()
            && found
                .iter()
                .all(|address| *address == json!(TRUTH.to_string()))
    };
    let begun = Instant::now();
    let found = poll(Duration::from_millis(300), patience(30), addresses, is_true);
    match is_true(&found) {
        true => Ok(()),
        false => Err(format!(
            "with true answers for {:?}: {found:?}",
            begun.elapsed()
        )),
    }
}
