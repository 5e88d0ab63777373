//! RPC over ctl: the replies of both modules with the types that exporters read, as BINRPC has them.

use serde_json::json;

use crate::compare_lists;
use crate::pair::Pair;
use crate::report::Report;
use harness::{Config, Probe, packaged};

const LIST: &[u8] = b"\
1 sip:127.0.0.1:7001 0 5 duid=one;maxload=3;x=y
1 sip:bob@127.0.0.1:7002;transport=tcp 0 4
1 sips:127.0.0.1 1 4 weight=5;rweight=7;socket=udp:127.0.0.1:{{PORT}}
1 sip:[::1]:7006 8 3
1 sip:[2001:db8::1]:5060 9 3
1 sip:[2001:DB8:0::1];transport=tls 4 2
1 sip:[::ffff:10.0.0.1] 0 2
1 sip:[::ffff:a00:1] 0 2
1 sip:[fe80::1] 0 2
1 sip:[::] 0 2
1 sip:[::2] 0 2
1 sip:[::10.0.0.1] 0 2
1 sip:[::a00:1] 0 2
1 sip:[2001:0:0:1::] 0 2
1 sip:[2001:0:1:0:1:0:1:0] 0 2
1 sip:[1:0:0:2:0:0:0:3] 0 2
1 sip:[1:0:0:2:3:0:0:4] 0 2
1 sip:[1:2:3:4:5:6:7:8] 0 2
1 sip:[64:FF9B::1.2.3.4] 0 2
1 sip:[ABCD::00ef] 0 2
2 sip:127.0.0.1:7001 16
2 sip:127.0.0.1:7003 2 0 second=yes
2 sip:localhost 0 0 duid=named
2 sip:localhost:5070;transport=udp 0 0 duid=\"q\"
2 sip:LOCALHOST 0 0 duid=n2
2 sip:127.0.0.1;transport=sctp 0 1
2 sip:127.0.0.1;transport=ws 0 1 cc=1
2 sip:127.0.0.1;transport=wss 0 1 note=\"a b\"
2 sip:127.0.0.1;transport=TLS 0 1 rweight=50;weight=30;maxload=7
2 sip:127.0.0.1;transport=x 0 1 weight=x
2 sip:127.0.0.1:0 0 1
2 sip:127.0.0.1: 0 1
2 sip:0127.0.0.1 0 1
3 sip:gw.test 17 0 obproxy=sip:127.0.0.1:9;duid=gw
30 sip:[::1] 16 0 sockname=none
";

/// Attributes of each kind, with values and without.
const ATTRIBUTES: &[u8] = b"\
1 sip:127.0.0.1:7001 0 0 duid=d;maxload=10;weight=20;rweight=30;cc=1;socket=udp:127.0.0.1:{{PORT}};ping_from=sip:a@b
1 sip:127.0.0.1:7002 0 0 obproxy=sip:127.0.0.1:9;duid=\"e f\"
1 sip:127.0.0.1:7003 0 0 weight=;rweight=;maxload=;duid=
1 sip:127.0.0.1:7004 0 0 weight=5x;rweight=101;maxload=-1
1 sip:127.0.0.1:7005 0 0 weight=0x10;rweight=0;maxload=007
1 sip:127.0.0.1:7006 0 0 a;b;c=d;;e=
1 sip:127.0.0.1:7007 0 0 none=yes;
1 sip:127.0.0.1:7008 0 0 duid=one;duid=two;weight=1;weight=2
1 sip:127.0.0.1:7009 0 0 DUID=upper;Weight=9
1 sip:127.0.0.1:7010 0 0 \"quoted\"=x
1 sip:127.0.0.1:7011 0 0 latency=100;x='y'
1 sip:127.0.0.1:7012 0 0 text=\xc3\xa4
1 sip:127.0.0.1:7013
1 sip:127.0.0.1:7014 0
1 sip:127.0.0.1:7015 0 2147483647
";

#[test]
fn lists_and_states() {
    compare_lists(|report, _| {
        let pair = Pair::start(config(LIST));
        forms(report, &pair, "plain");
        for state in ["a", "ip", "d", "tp", "dp"] {
            for args in [
                ["dispatcher.set_state", state, "1", "all"],
                ["dispatcher.set_state", state, "2", "sip:127.0.0.1:7001"],
            ] {
                pair.typed(report, "states", &args);
            }
            forms(report, &pair, &format!("after {state}"));
        }
    });
}

#[test]
fn attributes() {
    compare_lists(|report, _| {
        let pair = Pair::start(config(ATTRIBUTES));
        forms(report, &pair, "attributes");
        let pair = Pair::start(config(ATTRIBUTES).param("ds_attrs_none", 1));
        forms(report, &pair, "attributes, ds_attrs_none");
    });
}

#[test]
fn loads_and_latencies() {
    compare_lists(|report, _| {
        let list = b"1 sip:127.0.0.1:7001 0 0 duid=a;maxload=2\n1 sip:[::1]:7002 0 0 duid=b\n2 sip:127.0.0.1:7001";
        let calls = |config: Config| config.param("ds_hash_size", 4);
        let stats = |config: Config| config.param("ds_ping_latency_stats", 1);
        for (what, config) in [
            ("calls", calls(config(list))),
            ("latencies", stats(config(list))),
            ("both", stats(calls(config(list)))),
        ] {
            let pair = Pair::start(config);
            forms(report, &pair, what);
            pair.run(report, what, "dst,1,10|dump");
            forms(report, &pair, &format!("{what}, after a call"));
        }
    });
}

#[test]
fn numbers_of_sets() {
    compare_lists(|report, _| {
        let sets = |numbers: &[i32]| -> String {
            let line = |n: &i32| format!("{n} sip:127.0.0.1:7001\n");
            numbers.iter().map(line).collect()
        };
        let many: Vec<i32> = (1..41).map(|n| n * 7 % 41).collect();
        for (what, list) in [
            ("empty", String::new()),
            ("one set", sets(&[7])),
            ("large number", sets(&[2_147_483_647, 0, 65_536, 255, 256])),
            ("many", sets(&many)),
        ] {
            forms(report, &Pair::start(config(list.as_bytes())), what);
        }
    });
}

/// Texts that are no UTF-8: ctl shows their bytes, and JSON stays JSON.
#[test]
fn bytes() {
    compare_lists(|report, _| {
        let list = b"1 sip:a\xff\xfe@127.0.0.1:7001 0 0 note=\xe4x;duid=\xc3\xa4\n\
                     1 sip:\xc3\xa4@127.0.0.1:7002 0 0 x=\"\x01\";duid=\xe4\n\
                     1 sip:b@127.0.0.1:7003;x=\xed\xa0\x80 0 0 a=\xc3\n";
        let pair = Pair::start(config(list));
        for words in [&[][..], &["short"], &["full"]] {
            let args = [&["dispatcher.list"], words].concat();
            pair.typed(report, "bytes", &args);
            pair.kamcmd(report, "bytes", &args);
            let [c, ours] = [&pair.c, &pair.ours].map(|server| {
                let reply = server.jsonrpc_bytes("dispatcher.list", json!(words));
                reply.expect("a list")
            });
            let text = String::from_utf8(ours).expect("ours is UTF-8");
            assert!(text.contains("sip:a\u{fffd}\u{fffd}@127.0.0.1:7001"));
            report.compare("bytes in JSON", &String::from_utf8_lossy(&c), &text);
        }
    });
}

#[test]
fn commands() {
    compare_lists(|report, _| {
        let pair = Pair::start(config(LIST));
        for args in [
            &["dispatcher.reload"][..],
            &["dispatcher.set_state"],
            &["dispatcher.set_state", "i"],
            &["dispatcher.set_state", "i", "1"],
            &["dispatcher.set_state", "i", "1", "sip:[::1]:7006"],
            &["dispatcher.set_state", "i", "9", "sip:127.0.0.1:7001"],
            &["dispatcher.set_state", "zz", "1", "all"],
            &["dispatcher.set_duid_state", "i", "1", "one"],
            &["dispatcher.set_duid_state", "i", "1", "none"],
            &["dispatcher.set_duid_state", "i", "1"],
            &["dispatcher.ping_active"],
            &["dispatcher.ping_active", "0"],
            &["dispatcher.ping_active"],
            &["dispatcher.ping_active", "1"],
            &["dispatcher.hash", "3", "abc"],
            &["dispatcher.hash", "3", "abc", "def"],
            &["dispatcher.hash", "0", "abc"],
            &["dispatcher.hash", "3", ""],
            &["dispatcher.hash", "3", " abc "],
            &["dispatcher.hash", "3"],
            &["dispatcher.hash"],
        ] {
            pair.typed(report, "commands", args);
            pair.typed(
                report,
                &format!("after {}", args.join(" ")),
                &["dispatcher.list", "full"],
            );
        }
        if packaged::has("dispatcher.oclist") {
            pair.typed(report, "commands", &["dispatcher.oclist", "1"]);
        }
    });
}

fn config(list: &[u8]) -> Config {
    Probe::new()
        .config()
        .list(list)
        .ipv6()
        .tcp()
        .global("use_dns_cache=off")
        .param("flags", 2)
}

/// `dispatcher.list` in all forms, with types, as JSON and as text.
fn forms(report: &mut Report, pair: &Pair, what: &str) {
    for words in [&[][..], &["short"], &["full"], &["other"], &["Full"]] {
        let args = [&["dispatcher.list"], words].concat();
        pair.typed(report, what, &args);
        pair.kamcmd(report, what, &args);
        pair.json(report, what, "dispatcher.list", json!(words));
    }
}
