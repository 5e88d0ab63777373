//! An ingress whose list a sidecar rewrites and reloads.

use serde_json::json;

use super::stage::{Meant, Peers, Stage, both};
use harness::Config;

const SERVICE: &str = "sip:room@ingress.svc.cluster.local";

/// The list that the sidecar writes: pods of set 1, and of set 2.
fn endpoints(pods: &[&str], media: &[&str]) -> String {
    let line = |set: u8, name: &str| format!("{set} sip:{{{{{name}}}}} 0 0 duid={name}\n");
    let pods = pods.iter().map(|name| line(1, name));
    pods.chain(media.iter().map(|name| line(2, name))).collect()
}

/// The sidecar's step: new file, reload by JSON-RPC. Notes the answer.
fn deploy(stage: &Stage<'_>, list: &str) {
    stage.write_list(list);
    let answer = match stage.server.jsonrpc("dispatcher.reload", json!([])) {
        Ok(text) => text.to_string(),
        Err(fault) => fault.to_string(),
    };
    stage.note(format!("reload: {answer}"));
}

fn look(stage: &Stage<'_>) {
    for _ in 0..6 {
        stage.call(SERVICE);
    }
    stage.send(&stage.request("MESSAGE", SERVICE));
    stage.send(&stage.request("OPTIONS", "sip:ingress.svc.cluster.local"));
}

fn play(stage: &Stage<'_>) {
    look(stage);
    deploy(
        stage,
        &endpoints(&["pod1", "pod2", "pod3", "pod4"], &["media"]),
    );
    look(stage);
    // A call goes on at its pod while the pod leaves the list.
    let call = stage.call(SERVICE).expect("an answered call");
    let pod = stage.tidy(&call.answered_by());
    let others = ["pod1", "pod2", "pod3", "pod4"];
    let others: Vec<&str> = others.into_iter().filter(|name| *name != pod).collect();
    deploy(stage, &endpoints(&others, &["media"]));
    stage.again(&call, "INVITE", 2);
    stage.bye(call);
    look(stage);
    pre_stop(stage, &others);
    crashed_pod(stage, &others);
    bad_files(stage, &others);
}

/// A hook takes a pod out before it ends; the list still has it at the next reload.
fn pre_stop(stage: &Stage<'_>, pods: &[&str]) {
    stage.rpc(&["dispatcher.set_duid_state", "d", "1", pods[0]]);
    stage.list(1);
    look(stage);
    deploy(stage, &endpoints(pods, &["media"]));
    stage.list(1);
    deploy(stage, &endpoints(&pods[1..], &[]));
    look(stage);
}

/// A pod dies before the sidecar hears of it.
fn crashed_pod(stage: &Stage<'_>, pods: &[&str]) {
    for &name in &pods[1..] {
        stage.peer(name, |pod| pod.stop());
        for _ in 0..4 {
            stage.call(SERVICE);
        }
        stage.peer(name, |pod| pod.restart());
    }
}

/// The sidecar is stopped while it writes; then there are no endpoints at all.
fn bad_files(stage: &Stage<'_>, pods: &[&str]) {
    deploy(stage, &(endpoints(pods, &[]) + "1 "));
    stage.list(1);
    deploy(stage, "# no endpoints\n");
    stage.send(&stage.request("OPTIONS", "sip:ingress.svc.cluster.local"));
    deploy(stage, &endpoints(&["pod1"], &[]));
    look(stage);
}

#[test]
fn cluster_ingress_with_a_sidecar() {
    if harness::this_server::lacks_c_module() {
        return;
    }
    let mut peers = Peers::start(&["pod1", "pod2", "pod3", "pod4", "media"]);
    let config = Config::raw(include_str!("sidecar.cfg"))
        .list(endpoints(&["pod1", "pod2"], &[]))
        .allow_log("dispatcher");
    let meant = [
        Meant {
            name: "reload keeps states",
            c: "AX sip:pod",
            ours: "DX",
        },
        Meant {
            name: "text of a reload fault",
            c: "Reload Failed",
            ours: "Reload Failed: ",
        },
        Meant {
            name: "reload of an empty list",
            c: "successfully reloaded",
            ours: "Reload Failed",
        },
        Meant {
            name: "reload of an empty list",
            c: "503 No endpoints",
            ours: "200 Ready",
        },
    ];
    both(&config, &mut peers, &play, &meant);
}
