//! The sample config and sample list that the module has been documented with since 3.x.

use harness::{Answer, Config, Kamailio, Module, Request, Uac, Uas, patience};

/// Its statements, in its order: dispatcher is loaded before tm. Different from the sample are only
/// the paths, the address, a quieter log, a short timeout, and `ctl`, through which the harness
/// asks whether the server is up.
const SAMPLE: &str = r#"
debug=2
fork=no
log_stderror=yes

children=2
check_via=no
dns=off
rev_dns=off
port={{PORT}}
{{LISTEN}}

mpath="{{MPATH}}"
loadmodule "ctl.so"
loadmodule "maxfwd.so"
loadmodule "sl.so"
loadmodule "dispatcher.so"
loadmodule "tm.so"

modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
modparam("tm", "fr_timer", {{FR_TIMER}})

modparam("dispatcher", "list_file", "{{LIST}}")
modparam("dispatcher", "flags", 2)
modparam("dispatcher", "dst_avp", "$avp(AVP_DST)")
modparam("dispatcher", "grp_avp", "$avp(AVP_GRP)")
modparam("dispatcher", "cnt_avp", "$avp(AVP_CNT)")

route {
    if (!mf_process_maxfwd_header("10")) {
        sl_send_reply("483", "To Many Hops");
        exit;
    }
    if (!ds_select_dst("1", "4")) {
        sl_send_reply("500", "No destination available");
        exit;
    }
    t_on_failure("RTF_DISPATCH");
    if (!t_relay()) {
        sl_reply_error();
        exit;
    }
}

failure_route[RTF_DISPATCH] {
    if (t_is_canceled()) {
        exit;
    }
    if (t_branch_timeout() && !t_branch_replied()) {
        if (ds_next_dst()) {
            t_on_failure("RTF_DISPATCH");
            t_relay();
            exit;
        }
    }
}
"#;

/// The sample list, comments included.
const SAMPLE_LIST: &str = "\
# $Id$
# dispatcher destination sets
#
# line format
# setit(int) destination(sip uri) flags(int,opt) priority(int,opt) attributes(str,opt)

# proxies
2 sip:127.0.0.1:5080
2 sip:127.0.0.1:5082

# gateways
1 sip:127.0.0.1:7070
1 sip:127.0.0.1:7072
1 sip:127.0.0.1:7074

";

fn sample(list: &str) -> Config {
    Config::raw(SAMPLE)
        .define("FR_TIMER", patience(1).as_millis())
        .list(list)
        .expect_log("the config uses names of version 3.2")
        // sl, before tm as in the sample, looks for tm too early and again later.
        .allow_log("Module not initialized yet")
}

fn invite() -> Request {
    Request::new("INVITE", "sip:callee@service.test")
}

#[test]
fn the_sample_list_with_its_comments_loads() {
    let config = sample(&format!(
        "{SAMPLE_LIST}1 sip:127.0.0.1:5080 0 0 duid=abc;my=xyz\n"
    ));
    let server = Kamailio::start(Module::Rust, config);
    let list = server.kamcmd(&["dispatcher.list"]).unwrap();
    let uris: Vec<&str> = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix("URI: sip:127.0.0.1:"))
        .collect();
    let mut sorted = uris.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["5080", "5080", "5082", "7070", "7072", "7074"]);
    assert!(list.contains("NRSETS: 2"), "{list}");
    assert!(list.contains("BODY: duid=abc;my=xyz"), "{list}");
    // The last line of a set comes first.
    let gateways: Vec<&str> = uris
        .into_iter()
        .filter(|uri| uri.starts_with('7'))
        .collect();
    assert_eq!(gateways, ["7074", "7072", "7070"]);
}

#[test]
fn calls_go_round_the_gateways() {
    let gateways: Vec<Uas> = (0..3).map(|_| Uas::start(Answer::Code(200))).collect();
    let lines = gateways.iter().map(|uas| format!("1 {}\n", uas.uri()));
    let server = Kamailio::start(Module::Rust, sample(&lines.collect::<String>()));
    // One at a time, sent once, no ACK: in this config an ACK and a retransmission take a turn, too.
    let invites: Vec<Request> = (0..6).map(|_| invite()).collect();
    let replies = Uac::new().batch(server.addr(), &invites, 1);
    let round: Vec<String> = replies.iter().map(|reply| reply.text("X-Uas")).collect();
    assert_eq!(round[..3], round[3..]);
    for uas in &gateways {
        assert_eq!(uas.count("INVITE"), 2);
    }
}

#[test]
fn a_silent_gateway_is_failed_over_by_the_failure_route() {
    let (silent, alive) = (Uas::start(Answer::Silent), Uas::start(Answer::Code(200)));
    let list = format!("1 {}\n1 {}\n", alive.uri(), silent.uri());
    let server = Kamailio::start(Module::Rust, sample(&list));
    let uac = Uac::new();
    let first = invite();
    let id = first.id().to_vec();
    let call = uac.call(server.addr(), first).expect("an answered call");
    assert!(alive.uri().ends_with(&call.answered_by()));
    assert_eq!(silent.count_call("INVITE", &id), 1, "tried first");
    assert_eq!(alive.count_call("INVITE", &id), 1, "then the next");
}

#[test]
fn a_refused_call_is_not_failed_over() {
    let (busy, alive) = (Uas::start(Answer::Code(486)), Uas::start(Answer::Code(200)));
    let list = format!("1 {}\n1 {}\n", alive.uri(), busy.uri());
    let server = Kamailio::start(Module::Rust, sample(&list));
    let reply = Uac::new().request(server.addr(), &invite());
    assert_eq!(reply.status(), Some(486));
    assert_eq!(alive.count("INVITE"), 0);
}

#[test]
fn no_destination_and_too_many_hops_are_answered_as_the_sample_says() {
    let config = sample("2 sip:127.0.0.1:5080\n1 sip:127.0.0.1:7070 1\n");
    let server = Kamailio::start(Module::Rust, config);
    let uac = Uac::new();
    let reply = uac.request(server.addr(), &invite());
    assert_eq!(reply.start, "SIP/2.0 500 No destination available");
    server.write_list("2 sip:127.0.0.1:5080\n");
    server.kamcmd(&["dispatcher.reload"]).unwrap();
    server.expect_log("destination set [1] not found");
    let reply = uac.request(server.addr(), &invite());
    assert_eq!(reply.start, "SIP/2.0 500 No destination available");
}
