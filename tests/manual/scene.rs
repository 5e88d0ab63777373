//! What is up where an example of a command runs: `scene=NAME` in the info string of the block.

use harness::{Answer, Config, Kamailio, Module, Request, Uac, Uas, patience, wait_for};

use super::{Above, config, room};

/// The list of every scene that has no other one.
pub const LIST: &str = "\
1 sip:192.0.2.10:5060 0 0 duid=gw1
1 sip:192.0.2.11:5060 0 0 duid=gw2
";

/// As [`LIST`], with a third gateway.
const THREE: &str = "\
1 sip:192.0.2.10:5060 0 0 duid=gw1
1 sip:192.0.2.11:5060 0 0 duid=gw2
1 sip:192.0.2.12:5060 0 0 duid=gw3
";

/// As [`LIST`], with one of them in a second set as well.
const SETS: &str = "\
1 sip:192.0.2.10:5060 0 0 duid=gw1
1 sip:192.0.2.11:5060 0 0 duid=gw2
2 sip:192.0.2.10:5060 0 0 duid=gw1
";

/// As [`THREE`], with a name that does not resolve and a line that is none.
const SPOILED: &str = "\
1 sip:192.0.2.10:5060 0 0 duid=gw1
1 sip:192.0.2.11:5060 0 0 duid=gw2
3 sip:gw.test
1 sip:192.0.2.12:5060 0 0 duid=gw3
# behind them:
x
";

/// A request to the server makes a call by algorithm 10.
const ROUTES: &str = r#"
request_route {
    {{BUS}}
    if (!ds_select_dst("1", "10")) { sl_send_reply("503", "No destination"); exit; }
    record_route();
    forward();
}
onreply_route {
    if (status =~ "2[0-9][0-9]" && $hdr(X-Early) == $null) ds_load_update();
}
"#;

/// A request to the server makes a call, with failover.
const FAILOVER: &str = r#"
request_route {
    if (has_totag()) { loose_route(); t_relay(); exit; }
    if (!ds_select_dst("1", "8")) { sl_send_reply("503", "No destination"); exit; }
    record_route();
    t_on_failure("NEXT");
    t_relay();
}
failure_route[NEXT] {
    if (ds_next_dst()) { t_on_failure("NEXT"); t_relay(); }
}
"#;

/// The figures over HTTP, as the guide has them.
const METRICS: &str = r#"
tcp_accept_no_cl=yes
listen=tcp:192.0.2.1:9494
event_route[xhttp:request] { ds_metrics(); }
"#;

/// A server with gateways that answer.
pub struct Scene {
    pub server: Kamailio,
    /// The second server of a cluster.
    _other: Option<Kamailio>,
    _gateways: Vec<Uas>,
}

fn gateway(last: u8, code: u16) -> Uas {
    Uas::start_at(([192, 0, 2, last], 5060).into(), Answer::Code(code))
}

/// Returns three gateways; the first one answers with this code.
pub fn gateways(code: u16) -> Vec<Uas> {
    vec![gateway(10, code), gateway(11, 200), gateway(12, 200)]
}

/// Takes the messages of the bus.
const BUS: &str = "if (is_method(\"KDMQ\")) { dmq_process_message(); exit; }";

/// A server at 192.0.2.`own` whose cluster has one at 192.0.2.`peer` besides.
fn with_bus(config: Config, name: &str, own: u8, peer: u8) -> Config {
    let uri = |last: u8| format!("sip:192.0.2.{last}:5062");
    config
        .define("BUS", BUS)
        .global(&format!("listen=udp:192.0.2.{own}:5062"))
        .load("dmq.so")
        .modparam("dmq", "server_address", uri(own))
        .modparam("dmq", "notification_address", uri(peer))
        .param("enable_dmq", 1)
        .param("ds_dmq_node", name)
        .param("ds_dmq_peer", uri(peer))
        .allow_log("ds_dmq_key is not set")
}

fn pings(config: Config) -> Config {
    config
        .param("ds_ping_interval", 1)
        .param("ds_ping_fr_timeout", 500)
        .param("ds_probing_mode", 1)
}

/// The config of every scene that does not take the one above it on its page.
fn usual(name: &str) -> Config {
    let config = match name {
        "failing" => config::assemble(FAILOVER),
        "metrics" => config::assemble(&format!("{ROUTES}{METRICS}"))
            .load("xhttp.so")
            .tcp(),
        "cluster" => config::assemble(ROUTES)
            .load("dmq.so")
            .modparam("dmq", "server_address", "sip:192.0.2.1:5060")
            .global("listen=udp:192.0.2.1:5060")
            .param("enable_dmq", 1)
            .param("ds_dmq_node", "lb1")
            .param("ds_dmq_key", "our secret")
            .param("ds_dmq_join_wait", 0),
        _ => config::assemble(ROUTES),
    };
    let config = config
        .param("flags", 2)
        .param("xavp_dst_mode", 65536)
        .param("ds_hash_size", 8)
        .param("state_file", "/var/lib/kamailio/dispatcher.states");
    let still = matches!(name, "busy" | "calls" | "longer" | "spoiled" | "still");
    let config = if still { config } else { pings(config) };
    if name == "failing" {
        config.param("counters", 2)
    } else {
        config
    }
}

impl Scene {
    /// Makes a scene; `above` is what is before the example on its page.
    pub fn make(name: &str, above: &Above) -> Self {
        room::tidy();
        let list = match name {
            "three" | "longer" | "spoiled" => THREE,
            "sets" => SETS,
            "busy" => &above.list,
            _ => LIST,
        };
        room::write("dispatcher.list", list);
        let code = if name == "down" { 503 } else { 200 };
        let gateways = gateways(code);
        if name == "calls" {
            gateways[0].set_answer(Answer::Silent);
        }
        if name == "failing" {
            gateways[1].set_answer_to("INVITE", 503);
        }
        let config = match name {
            "counted" | "standby" => config::assemble(&above.config),
            _ => usual(name),
        };
        let config = if name == "servers" {
            with_bus(config, "lb1", 1, 2)
        } else {
            config.define("BUS", "")
        };
        let server = config::start(config.allow_log("dispatcher.list: line"));
        let other = (name == "servers").then(|| {
            let config = Config::routes("request_route { {{BUS}} }").list(LIST);
            let config = with_bus(config, "lb2", 2, 1);
            Kamailio::start(Module::Rust, config.allow_log("ds_dmq_key"))
        });
        let scene = Self {
            server,
            _other: other,
            _gateways: gateways,
        };
        scene.prepare(name);
        scene
    }

    fn prepare(&self, name: &str) {
        match name {
            "" | "metrics" | "sets" | "standby" | "three" | "still" => {}
            "cluster" => wait_for("the node", patience(10), || {
                let nodes = room::shell("kamcmd dispatcher.cluster");
                nodes.contains("STATE: ready").then_some(())
            }),
            "counted" => (0..2).for_each(|n| self.call(&format!("{n}@192.0.2.77"))),
            "servers" => wait_for("two servers that are ready", patience(20), || {
                let seen = room::shell("kamcmd dispatcher.cluster");
                let both = seen.matches("STATE: ready").count() == 2;
                (both && seen.matches("SAME: 1").count() == 2).then_some(())
            }),
            "longer" => {
                room::write(
                    "dispatcher.list",
                    &format!("{THREE}1 sip:192.0.2.13:5060\n"),
                );
            }
            "spoiled" => room::write("dispatcher.list", SPOILED),
            // On a slow machine there may be more by the time of the answer.
            "down" => wait_for("two bad pings", patience(30), || {
                let status = room::shell("kamcmd dispatcher.ping_status 1 sip:192.0.2.10:5060");
                let bad = status
                    .split("BAD_IN_ROW: ")
                    .nth(1)?
                    .lines()
                    .next()?
                    .parse::<u32>();
                (bad.is_ok_and(|bad| bad >= 2) && status.contains("WAITING_MS: <")).then_some(())
            }),
            // The first one of the set, gw2, has the first ping as well.
            "failing" => {
                wait_for("a ping", patience(10), || {
                    let status = room::shell("kamcmd dispatcher.ping_status 1 sip:192.0.2.11:5060");
                    (status.contains("FLAGS: AP") && status.contains("WAITING_MS: <")).then_some(())
                });
                (0..3).for_each(|n| self.call(&format!("{n}@192.0.2.77")));
            }
            "busy" => {
                room::shell("kamcmd dispatcher.set_state ip 1 sip:192.0.2.10:5060");
                for n in 0..12 {
                    self.call(&format!("{n}@192.0.2.77"));
                }
            }
            "calls" => {
                // Each goes to the one with the fewest calls; gw1 does not answer.
                self.call("8f2c@192.0.2.77");
                let invite =
                    Request::new("INVITE", "sip:callee@service.test").call_id("91aa@192.0.2.78");
                Uac::new().send(self.server.addr(), &invite);
                wait_for("two calls", patience(10), || {
                    room::shell("kamcmd dispatcher.calls")
                        .contains("UP: 2")
                        .then_some(())
                });
            }
            other => panic!("no such scene: {other}"),
        }
    }

    fn call(&self, call_id: &str) {
        let invite = Request::new("INVITE", "sip:callee@service.test").call_id(call_id);
        let uac = Uac::new();
        let call = uac.call(self.server.addr(), invite);
        assert!(call.is_ok(), "the call is answered");
    }
}
