//! `ds_is_from_list`: whom it finds.

use std::net::IpAddr;

use harness::{Config, Kamailio, Module, Probe, Uac, free_port};

/// The code of the last question.
fn code(server: &Kamailio, uac: &Uac, question: &str) -> i32 {
    let lines = Probe::run(uac, server.addr(), question);
    code_of(lines.last().unwrap())
}

fn code_of(line: &str) -> i32 {
    let code = line.split(" rc=").nth(1).unwrap();
    code.split(' ').next().unwrap().parse().unwrap()
}

/// #848, b3f6392d12, #1235, 1c58b8e0ed: a search over all sets looks at each, whatever their order.
#[test]
fn a_search_over_all_sets_goes_to_the_end() {
    let mut list = String::new();
    for set in [50, 20, 70, 10, 30, 60, 80, 40] {
        list += &format!("{set} sip:127.0.1.{set}:5060\n{set} sip:127.0.2.{set}\n");
    }
    let server = Kamailio::start(Module::Rust, Probe::new().config().list(list));
    for set in [10, 20, 30, 40, 50, 60, 70, 80] {
        for net in [1, 2] {
            let ip: IpAddr = format!("127.0.{net}.{set}").parse().unwrap();
            let caller = Uac::at(ip, 0);
            let all = if net == 2 { 1 } else { -1 };
            assert_eq!(code(&server, &caller, "from"), all, "{ip}");
            assert_eq!(code(&server, &caller, "from,-1,3"), 1, "{ip}");
            assert_eq!(code(&server, &caller, &format!("from,{set},3")), 1, "{ip}");
            assert_eq!(code(&server, &caller, &format!("from,{},3", set + 1)), -1);
        }
    }
    let stranger = Uac::at("127.0.3.1".parse().unwrap(), 0);
    assert_eq!(code(&server, &stranger, "from"), -1);
}

/// #4765: a URI is found with and without `;transport=udp`, as the version's rules have it.
#[test]
fn a_uri_is_found_with_and_without_its_transport() {
    let list = "1 sip:127.0.5.1\n2 sip:127.0.5.2;transport=udp\n3 sip:127.0.5.3;transport=tcp\n";
    for compat in ["5.6", "6.1"] {
        let config = Probe::new().config().list(list).param("compat", compat);
        let server = Kamailio::start(Module::Rust, config);
        let uac = Uac::new();
        let ask = |uri: &str| code(&server, &uac, &format!("from,-1,1,{uri}"));
        // By 6.1 a numeric host without a transport is UDP on both sides; by 5.6 it is neither.
        let filled_in = if compat == "6.1" { 1 } else { -1 };
        assert_eq!(ask("sip:127.0.5.1"), 1, "{compat}");
        assert_eq!(ask("sip:127.0.5.1;transport=udp"), filled_in, "{compat}");
        assert_eq!(ask("sip:127.0.5.2"), filled_in, "{compat}");
        assert_eq!(ask("sip:127.0.5.2;transport=udp"), 1, "{compat}");
        assert_eq!(ask("sip:127.0.5.3"), -1, "{compat}");
        assert_eq!(ask("sip:127.0.5.3;transport=tcp"), 1, "{compat}");
    }
}

/// 17536b1064, #4236: one peer behind two listeners is two destinations (mode 8), and of several
/// with one address the best is found (mode 16).
#[test]
fn the_local_socket_tells_destinations_apart() {
    let second = free_port();
    let peer: IpAddr = "127.0.6.1".parse().unwrap();
    let caller = Uac::at(peer, 0);
    let port = caller.local().port();
    let list = format!(
        "1 sip:127.0.6.1:{port};transport=udp 0 0 socket=udp:127.0.0.1:{{{{PORT}}}}\n\
         2 sip:127.0.6.1:{port};transport=udp 0 0 socket=udp:127.0.0.1:{second}\n\
         3 sip:127.0.6.1;transport=udp\n\
         4 sip:127.0.6.2:9;transport=tcp\n\
         4 sip:127.0.6.2;transport=tcp\n\
         5 sip:127.0.6.2:9;transport=udp\n"
    );
    let config: Config = Probe::new().config().list(list);
    let config = config.global(&format!("listen=udp:127.0.0.1:{second}"));
    let server = Kamailio::start(Module::Rust, config);
    let other = std::net::SocketAddr::from(([127, 0, 0, 1], second));
    let ask = |to, question: &str| {
        let lines = Probe::run(&caller, to, question);
        code_of(lines.last().unwrap())
    };
    // Without the bit the socket does not count.
    for set in ["1", "2", "3"] {
        assert_eq!(ask(server.addr(), &format!("from,{set},0")), 1, "set {set}");
    }
    for (to, ours, theirs) in [(server.addr(), "1", "2"), (other, "2", "1")] {
        assert_eq!(ask(to, &format!("from,{ours},8")), 1);
        assert_eq!(ask(to, &format!("from,{theirs},8")), -1);
        assert_eq!(ask(to, "from,3,8"), 1, "it has no socket: any will do");
        assert_eq!(from_set(&caller, to, "from,-1,16"), ours);
    }
    // Port and transport count less than the socket, and nothing is left out for them.
    let far = Uac::at("127.0.6.2".parse().unwrap(), 0);
    assert_eq!(from_set(&far, server.addr(), "from,-1,0"), "-1");
    assert_eq!(
        from_set(&far, server.addr(), "from,-1,16"),
        "5",
        "the transport agrees"
    );
    assert_eq!(
        from_set(&far, server.addr(), "from,-1,18"),
        "4",
        "its port fits"
    );
}

/// The set that was found, or the code.
fn from_set(uac: &Uac, to: std::net::SocketAddr, question: &str) -> String {
    let lines = Probe::run(uac, to, question);
    let line = lines.last().unwrap();
    match line.split(" setid=").nth(1) {
        Some(set) if line.contains(" rc=1 ") => set.split(' ').next().unwrap().to_owned(),
        _ => "-1".to_owned(),
    }
}
