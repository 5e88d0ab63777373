//! The MI commands, asked through mi_fifo and mi_datagram, where the server has MI (4.x): their
//! transcripts, beside those of the C module where there is one.

use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU32, Ordering};

use harness::{Config, Kamailio, Module, fifo, patience, this_server};

const LIST: &str = "\
1 sip:127.0.0.1:7001 0 5 duid=a;weight=50
1 sip:127.0.0.1:7002 8
2 sip:127.0.0.1:7003;transport=udp 1 3
2 sip:127.0.0.1:7004 4 3
";

const MODULES: [&str; 2] = ["mi_fifo.so", "mi_datagram.so"];

fn config() -> Config {
    MODULES
        .iter()
        .fold(
            Config::routes("request_route { exit; }"),
            |config, module| config.load(module),
        )
        .modparam("mi_fifo", "fifo_name", "{{DIR}}/mi")
        .modparam("mi_fifo", "reply_dir", "{{DIR}}/")
        .modparam("mi_datagram", "socket_name", "{{DIR}}/mi-datagram")
        .list(LIST)
}

type Ask = fn(&Kamailio, &[&str]) -> String;
const WAYS: [(&str, Ask); 2] = [("fifo", by_fifo), ("datagram", by_datagram)];

/// A name for what an answer comes through, not used before.
fn answer_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("mi-answer-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An answer without blanks and line ends behind it. Each transport ends it in another way.
fn trimmed(answer: &str) -> String {
    answer.trim_end_matches(['\n', '\0', ' ']).to_owned()
}

fn by_fifo(server: &Kamailio, command: &[&str]) -> String {
    let name = answer_name();
    let question = format!(":{}:{name}\n{}", command[0], lines(&command[1..]));
    let answer = server.dir().join(&name);
    let whole = |text: &[u8]| text.ends_with(b"\n\n") || is_status(text);
    let text = fifo::ask(
        &[server.dir().join("mi")],
        &answer,
        &question,
        patience(10),
        whole,
    );
    trimmed(&text.unwrap())
}

/// One line of a status that is no success has nothing behind it.
fn is_status(text: &[u8]) -> bool {
    text.ends_with(b"\n")
        && !text.starts_with(b"200")
        && text.iter().filter(|&&b| b == b'\n').count() == 1
}

fn by_datagram(server: &Kamailio, command: &[&str]) -> String {
    let own = server.dir().join(answer_name());
    let socket = UnixDatagram::bind(&own).unwrap();
    socket.set_read_timeout(Some(patience(10))).unwrap();
    let question = format!(":{}:\n{}", command[0], lines(&command[1..]));
    let server_socket = server.dir().join("mi-datagram");
    harness::wait_for("the server's socket for MI", patience(10), || {
        server_socket.exists().then_some(())
    });
    socket.send_to(question.as_bytes(), &server_socket).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let length = socket.recv(&mut buffer).unwrap();
    trimmed(&String::from_utf8_lossy(&buffer[..length]))
}

fn lines(words: &[&str]) -> String {
    let line = |word: &&str| format!("{word}\n");
    words.iter().map(line).collect::<Vec<_>>().concat()
}

/// The output of `ds_list` for destinations with these flags.
macro_rules! listed {
    ($four:literal, $three:literal, $one:literal, $two:literal) => {
        concat!(
            "200 OK\nSET_NO:: 2\n",
            "SET:: 2\n",
            "\tURI:: sip:127.0.0.1:7004 flags=",
            $four,
            " priority=3 attrs=\n",
            "\tURI:: sip:127.0.0.1:7003;transport=udp flags=",
            $three,
            " priority=3 attrs=\n",
            "SET:: 1\n",
            "\tURI:: sip:127.0.0.1:7001 flags=",
            $one,
            " priority=5 attrs=duid=a;weight=50\n",
            "\tURI:: sip:127.0.0.1:7002 flags=",
            $two,
            " priority=0 attrs=",
        )
    };
}

/// A command, and what is answered.
type Line = (&'static [&'static str], &'static str);

/// Commands, with the answers that the C module gives as well.
const TRANSCRIPT: [Line; 15] = [
    (&["ds_list"], listed!("DX", "IX", "AX", "AP")),
    (&["ds_set_state"], "400 Too few or too many arguments"),
    (&["ds_set_state", "z"], "500 unknown state value"),
    (&["ds_set_state", "i"], "400 Too few or too many arguments"),
    (
        &["ds_set_state", "i", "1"],
        "400 Too few or too many arguments",
    ),
    (
        &["ds_set_state", "i", "9", "sip:127.0.0.1:7001"],
        "404 destination not found",
    ),
    (
        &["ds_set_state", "i", "1", "sip:127.0.0.1:7009"],
        "404 destination not found",
    ),
    (
        &["ds_set_state", "a", "9", "all"],
        "404 destination not found",
    ),
    (&["ds_set_state", "ip", "1", "sip:127.0.0.1:7001"], "200 OK"),
    (&["ds_set_state", "d", "1", "SIP:127.0.0.1:7002"], "200 OK"),
    (
        &["ds_set_state", "i", "2", "sip:127.0.0.1:7003;transport=udp"],
        "200 OK",
    ),
    (&["ds_set_state", "a", "2", "sip:127.0.0.1:7004"], "200 OK"),
    (&["ds_set_state", "tp", "2", "sip:127.0.0.1:7004"], "200 OK"),
    (&["ds_list"], listed!("TP", "IX", "IP", "DX")),
    (&["ds_reload"], "200 OK"),
];

/// Expects the words of the C module, which lets its line run on into what lies behind it.
const BAD_GROUP: [Line; 2] = [
    (&["ds_set_state", "i", "x"], "500 bad group value"),
    (
        &["ds_set_state", "i", "x", "sip:127.0.0.1:7001"],
        "500 bad group value",
    ),
];

fn check(server: &Kamailio, transcript: &[Line]) {
    for (command, wanted) in transcript {
        // The first changes what there is; the second must answer the same.
        for (way, ask) in WAYS {
            let said = ask(server, command);
            println!("{way}: {}\n{said}\n", command.join(" "));
            assert_eq!(said, *wanted, "{:?}, {way}: {command:?}", server.module());
        }
    }
}

#[test]
fn commands_are_answered_as_documented() {
    if this_server::lacks(&MODULES) {
        return;
    }
    let server = Kamailio::start(Module::Rust, config());
    check(&server, &TRANSCRIPT);
    check(&server, &BAD_GROUP);
}

#[test]
fn the_c_module_answers_the_same() {
    if this_server::lacks(&MODULES) || this_server::lacks(&["dispatcher.so"]) {
        return;
    }
    let server = Kamailio::start(Module::C, config());
    server.ignore_log();
    check(&server, &TRANSCRIPT);
}

/// Ours does more than the C module: it keeps states, says why a reload failed, and knows the other words of
/// the RPC command.
#[test]
fn what_is_more_than_the_c_module_answers() {
    if this_server::lacks(&MODULES) {
        return;
    }
    let server = Kamailio::start(Module::Rust, config());
    let set = |words: &[&str]| by_fifo(&server, &[&["ds_set_state"], words].concat());
    assert_eq!(set(&["2", "1", "sip:127.0.0.1:7001"]), "200 OK");
    assert_eq!(set(&["i", "2", "all"]), "200 OK");
    let said = set(&["i", "all", "host=127.0.0.1"]);
    assert_eq!(said, "200 OK\nMATCHED:: 4\nCHANGED:: 2");
    assert_eq!(
        set(&["a", "all", "host=127.0.0.9"]),
        "404 destination not found"
    );
    assert_eq!(set(&["a", "all", "host="]), "500 address not found");
    assert_eq!(set(&["d", "1", "sip:127.0.0.1:7001"]), "200 OK");
    assert_eq!(by_fifo(&server, &["ds_reload"]), "200 OK");
    assert_eq!(server.flags(1, "sip:127.0.0.1:7001"), "DX", "states stay");
    assert_eq!(server.flags(2, "sip:127.0.0.1:7004"), "IX", "states stay");
    server.write_list("1 sip:127.0.0.1:7001\n1\n");
    server.expect_log("line 2, column 2: expected a SIP URI");
    for (way, ask) in WAYS {
        let said = ask(&server, &["ds_reload"]);
        let (status, reason) = said.split_once('\n').expect("a reason");
        assert_eq!(status, "500 ERROR Reloading data", "{way}");
        let wanted = "dispatcher.list: line 2, column 2: expected a SIP URI after set id 1";
        assert!(
            reason.starts_with("REASON:: Reload Failed: "),
            "{way}: {reason}"
        );
        assert!(reason.contains(wanted), "{way}: {reason}");
    }
    assert_eq!(server.dests(2).len(), 2, "the running list stays");
}

#[test]
fn no_sets_are_an_answer_without_values() {
    if this_server::lacks(&MODULES) {
        return;
    }
    let server = Kamailio::start(Module::Rust, config().list("# none\n"));
    for (way, ask) in WAYS {
        assert_eq!(ask(&server, &["ds_list"]), "200 OK", "{way}");
    }
}
