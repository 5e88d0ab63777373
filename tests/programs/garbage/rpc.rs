//! Garbage to every command through every transport, and after each piece of it a question that must be answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

use harness::{binrpc, fifo, patience, transports};
use serde_json::{Value, json};

use super::canary::Canary;
use super::chance::Chance;
use super::frames;
use super::mutate::mutate;
use super::pages;
use super::stage::{Counts, Stage};
use super::words::{text, word};

/// The commands of doc/reference/rpc.md.
const COMMANDS: [&str; 22] = [
    "dispatcher.list",
    "dispatcher.set_state",
    "dispatcher.set_duid_state",
    "dispatcher.add",
    "dispatcher.remove",
    "dispatcher.modify",
    "dispatcher.reload",
    "dispatcher.check",
    "dispatcher.ping_active",
    "dispatcher.ping_status",
    "dispatcher.hash",
    "dispatcher.route",
    "dispatcher.oclist",
    "dispatcher.calls",
    "dispatcher.release",
    "dispatcher.stats",
    "dispatcher.history",
    "dispatcher.drain_status",
    "dispatcher.cluster",
    "ds_list",
    "ds_set_state",
    "ds_reload",
];

/// Pieces of garbage between two canaries.
const ROUND: usize = 24;

/// Sends garbage as long as `go_on` returns true. Returns the counts, or the fault.
pub fn run(stage: &Stage, seed: u64, mut go_on: impl FnMut(u64) -> bool) -> Result<Counts, String> {
    let (mut chance, mut counts, mut canary) =
        (Chance::new(seed), Counts::new(), Canary::default());
    let mut round = 0;
    while go_on(round) {
        for _ in 0..ROUND {
            let (kind, sent) = piece(stage, &mut chance);
            sent.map_err(|why| format!("{kind}, round {round} of seed {seed}: {why}"))?;
            *counts.entry(format!("RPC {kind}")).or_default() += 1;
        }
        canary.request(stage)?;
        round += 1;
    }
    // Garbage may have turned pings off and added destinations.
    for (command, arguments) in [
        ("dispatcher.ping_active", json!(["1"])),
        ("dispatcher.reload", json!([])),
    ] {
        let done = stage.server.jsonrpc(command, arguments);
        done.map_err(|fault| format!("{command}: {fault}"))?;
    }
    *counts.entry("canaries: requests".to_owned()).or_default() += canary.requests;
    Ok(counts)
}

/// Sends a piece of garbage and the question behind it. Returns the kind of the piece, and the fault. ctl's own fifo is
/// left out: in 5.6.3 a reply that is a struct ends its process, whatever module gives it.
fn piece(stage: &Stage, chance: &mut Chance) -> (&'static str, Result<(), String>) {
    let dir = stage.server.dir();
    let ctl = SocketAddr::from(([127, 0, 0, 1], stage.ctl_port));
    match chance.below(13) {
        0 => ("ctl: words of any kind", words_to_ctl(chance, dir)),
        1 => {
            let bytes = frames::broken(chance, &COMMANDS);
            ("ctl: broken frames", broken_to_ctl(chance, dir, &bytes))
        }
        2 => {
            let bytes = frames::broken(chance, &COMMANDS);
            (
                "ctl over UDP: broken frames",
                broken_by_udp(chance, ctl, &bytes),
            )
        }
        3 => ("ctl over TCP: broken frames", broken_by_tcp(chance, ctl)),
        4 => {
            let bytes = frames::broken(chance, &COMMANDS);
            (
                "ctl by datagram: broken frames",
                broken_by_datagram(dir, &bytes),
            )
        }
        5 | 6 => ("datagram: requests", request_by_datagram(stage, chance)),
        7 => ("datagram: bytes", bytes_by_datagram(stage, chance)),
        8 => ("HTTP: requests", request_by_http(stage, chance)),
        9 => ("HTTP: bytes", bytes_by_http(stage, chance)),
        10 => ("HTTP: pages", pages::ask(stage, chance)),
        11 => ("fifo: requests", request_by_fifo(stage, chance)),
        _ => ("fifo: bytes", bytes_by_fifo(stage, chance)),
    }
}

/// The size that every transport takes: jsonrpcs has a buffer of 8 kB for its fifo, the server one of 16 kB for TCP.
const MOST: usize = 8_000;

/// Returns a valid JSON-RPC request: a command with arguments of any type.
fn request(chance: &mut Chance) -> Value {
    loop {
        let request = any_request(chance);
        if request.to_string().len() < MOST {
            return request;
        }
    }
}

fn any_request(chance: &mut Chance) -> Value {
    let command = *chance.pick(&COMMANDS);
    let params = match chance.below(8) {
        0 => json!({ text(chance, 20): argument(chance) }),
        1 => argument(chance),
        _ => {
            let count = chance.below(8);
            let list: Vec<Value> = (0..count).map(|_| argument(chance)).collect();
            json!(list)
        }
    };
    json!({"jsonrpc": "2.0", "method": command, "params": params, "id": 1})
}

fn argument(chance: &mut Chance) -> Value {
    match chance.below(14) {
        0 => Value::Null,
        1 => json!(chance.once_in(2)),
        2 | 3 => json!(chance.number()),
        4 => json!(chance.number() as f64 / 7.0),
        5 => json!([argument(chance), text(chance, 10)]),
        6 => json!({ "a": argument(chance) }),
        _ => json!(text(chance, 6_000)),
    }
}

/// Checks that a text is a reply of JSON-RPC, with a result or an error.
fn is_answer(text: &[u8]) -> Result<(), String> {
    let start = || String::from_utf8_lossy(&text[..text.len().min(300)]).into_owned();
    let reply: Value = serde_json::from_slice(text).map_err(|why| format!("{why}: {}", start()))?;
    match reply.get("result").or(reply.get("error")) {
        Some(_) => Ok(()),
        None => Err(format!("neither result nor error: {}", start())),
    }
}

/// Removes backslashes: a broken escape such as `"\u"` makes the server's reader of JSON (5.6.3) corrupt memory.
fn without_escapes(bytes: &mut Vec<u8>) {
    bytes.retain(|&byte| byte != b'\\');
}

/// The fields that jsonrpcs (5.6.3) reads as texts, whatever they are, in a request from its datagram socket or its fifo.
const TEXTS: [&[u8]; 3] = [b"jsonrpc", b"method", b"reply_name"];

/// Returns mutated bytes of a valid request that leave the process alive which reads them from the datagram socket or
/// the fifo. A field of [`TEXTS`] with a number, for instance, ends it, whatever modules the server has.
fn mutated_request(chance: &mut Chance) -> Vec<u8> {
    loop {
        let mut bytes = request(chance).to_string().into_bytes();
        mutate(chance, &mut bytes);
        without_escapes(&mut bytes);
        if !TEXTS.iter().any(|name| is_no_text(&bytes, name)) {
            return bytes;
        }
    }
}

/// Returns true if a field of this name, in any case, has a value that is no text.
pub fn is_no_text(json: &[u8], name: &[u8]) -> bool {
    (1..json.len()).any(|at| {
        let field = json[at..].split_at_checked(name.len());
        let Some((field, [b'"', rest @ ..])) = field.filter(|_| json[at - 1] == b'"') else {
            return false;
        };
        // What the server's reader of JSON takes for white space.
        let mut rest = rest.iter().skip_while(|&&byte| byte <= b' ');
        field.eq_ignore_ascii_case(name)
            && rest.next() == Some(&b':')
            && rest.find(|&&byte| byte > b' ') != Some(&b'"')
    })
}

fn question() -> Value {
    json!({"jsonrpc": "2.0", "method": "dispatcher.hash", "params": ["8", "alice", "a.example"], "id": 7})
}

/// Checks that a text is the answer to [`question`].
fn is_right(text: &[u8]) -> Result<(), String> {
    let reply: Value = serde_json::from_slice(text).unwrap_or_default();
    if reply["result"]["hashid"] == json!(1_201_249_320) && reply["id"] == json!(7) {
        return Ok(());
    }
    Err(format!(
        "the question got {}",
        String::from_utf8_lossy(text)
    ))
}

fn ask_ctl(dir: &Path) -> Result<(), String> {
    let reply = binrpc(dir, &["dispatcher.hash", "8", "alice", "a.example"]);
    let reply = reply.map_err(|fault| format!("the question behind it: {fault}"))?;
    let text = format!("{reply:?}");
    match text.contains("1201249320") {
        true => Ok(()),
        false => Err(text),
    }
}

/// Sends a valid packet, which must be answered with a reply or a fault.
fn words_to_ctl(chance: &mut Chance, dir: &Path) -> Result<(), String> {
    let packet = frames::packet(chance, &COMMANDS);
    let mut stream = UnixStream::connect(dir.join("ctl")).map_err(|why| why.to_string())?;
    let limit = Some(patience(15));
    stream
        .set_read_timeout(limit)
        .map_err(|why| why.to_string())?;
    let _ = stream.write_all(&packet);
    let mut start = [0; 2];
    stream.read_exact(&mut start).map_err(|why| {
        format!(
            "no answer to {:?}: {why}",
            packet.escape_ascii().to_string()
        )
    })?;
    match start[0] {
        0xA1 => Ok(()),
        _ => Err(format!("the answer begins with {start:?}")),
    }
}

fn broken_to_ctl(chance: &mut Chance, dir: &Path, bytes: &[u8]) -> Result<(), String> {
    let mut streams = Vec::new();
    for _ in 0..=chance.below(12) {
        let mut stream = UnixStream::connect(dir.join("ctl")).map_err(|why| why.to_string())?;
        let half = chance.below(bytes.len() + 1);
        let _ = stream.write_all(if chance.once_in(2) {
            &bytes[..half]
        } else {
            bytes
        });
        if chance.once_in(2) {
            streams.push(stream);
        }
    }
    ask_ctl(dir)
}

fn broken_by_udp(chance: &mut Chance, ctl: SocketAddr, bytes: &[u8]) -> Result<(), String> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).map_err(|why| why.to_string())?;
    for _ in 0..=chance.below(4) {
        let _ = socket.send_to(bytes, ctl);
    }
    let question = frames::words(&[b"dispatcher.hash", b"8", b"alice", b"a.example"]);
    answered(|limit| {
        let _ = socket.send_to(&question, ctl);
        let _ = socket.set_read_timeout(Some(limit));
        let mut buffer = vec![0; 65_536];
        let length = socket.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    })
}

/// Asks until the answer to the question comes, behind the answers to garbage.
fn answered(mut ask: impl FnMut(Duration) -> Option<Vec<u8>>) -> Result<(), String> {
    let mut last = None;
    for _ in 0..200 {
        last = ask(Duration::from_millis(500));
        let wanted = 1_201_249_320_u32.to_be_bytes();
        let is_it = |bytes: &Vec<u8>| bytes.windows(4).any(|four| four == wanted);
        if last.as_ref().is_some_and(is_it) {
            return Ok(());
        }
    }
    Err(format!("no answer to the question behind it: {last:?}"))
}

fn broken_by_tcp(chance: &mut Chance, ctl: SocketAddr) -> Result<(), String> {
    let bytes = frames::broken(chance, &COMMANDS);
    for _ in 0..=chance.below(6) {
        let mut stream = TcpStream::connect(ctl).map_err(|why| why.to_string())?;
        let half = chance.below(bytes.len() + 1);
        let _ = stream.write_all(&bytes[..half]);
    }
    let question = frames::words(&[b"dispatcher.hash", b"8", b"alice", b"a.example"]);
    answered(|limit| {
        let mut stream = TcpStream::connect(ctl).ok()?;
        stream.set_read_timeout(Some(limit)).ok()?;
        stream.write_all(&question).ok()?;
        let mut buffer = vec![0; 4_096];
        let length = stream.read(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    })
}

fn broken_by_datagram(dir: &Path, bytes: &[u8]) -> Result<(), String> {
    let own = dir.join("asker");
    let _ = std::fs::remove_file(&own);
    let socket = UnixDatagram::bind(&own).map_err(|why| why.to_string())?;
    let _ = socket.send_to(bytes, dir.join("ctl-datagram"));
    let question = frames::words(&[b"dispatcher.hash", b"8", b"alice", b"a.example"]);
    answered(|limit| {
        let _ = socket.send_to(&question, dir.join("ctl-datagram"));
        let _ = socket.set_read_timeout(Some(limit));
        let mut buffer = vec![0; 65_536];
        let length = socket.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    })
}

/// Writes bytes into a fifo of the server, as far as they fit.
fn write_fifo(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).custom_flags(libc::O_NONBLOCK);
    let mut file = options
        .open(path)
        .map_err(|why| format!("{}: {why}", path.display()))?;
    // A full pipe cuts the bytes, which is garbage as well.
    let _ = file.write_all(bytes);
    Ok(())
}

fn request_by_datagram(stage: &Stage, chance: &mut Chance) -> Result<(), String> {
    let request = request(chance);
    let command = request["method"].as_str().unwrap_or_default().to_owned();
    let reply = stage
        .server
        .jsonrpc_bytes(&command, request["params"].clone());
    let reply = reply.map_err(|fault| format!("no answer to {request:.400}: {fault}"))?;
    is_answer(&reply)
}

fn bytes_by_datagram(stage: &Stage, chance: &mut Chance) -> Result<(), String> {
    let bytes = mutated_request(chance);
    let own = stage.server.dir().join("json-asker");
    let _ = std::fs::remove_file(&own);
    let socket = UnixDatagram::bind(&own).map_err(|why| why.to_string())?;
    let _ = socket.set_read_timeout(Some(patience(15)));
    let mut buffer = vec![0; 1 << 20];
    for bytes in [&bytes, question().to_string().as_bytes()] {
        let _ = socket.send_to(bytes, stage.server.dir().join("rpc"));
    }
    // The garbage may have an answer before it.
    for _ in 0..2 {
        let length = socket
            .recv(&mut buffer)
            .map_err(|why| format!("no answer: {why}"))?;
        if is_right(&buffer[..length]).is_ok() {
            return Ok(());
        }
    }
    is_right(&buffer)
}

fn request_by_http(stage: &Stage, chance: &mut Chance) -> Result<(), String> {
    let request = request(chance);
    let command = request["method"].as_str().unwrap_or_default().to_owned();
    let text = transports::http_text(stage.server.addr(), &command, &request["params"]);
    match text {
        Ok(text) => is_answer(text.as_bytes()),
        Err(fault) => Err(format!("{request:.400}: {fault}")),
    }
}

fn bytes_by_http(stage: &Stage, chance: &mut Chance) -> Result<(), String> {
    let body = request(chance).to_string();
    let mut bytes = format!(
        "POST /RPC HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes();
    if chance.once_in(4) {
        bytes = word(chance, 4_000);
    }
    mutate(chance, &mut bytes);
    without_escapes(&mut bytes);
    for _ in 0..=chance.below(3) {
        if let Ok(mut stream) = TcpStream::connect(stage.server.addr()) {
            let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
            let _ = stream.write_all(&bytes);
        }
    }
    let text = transports::http_text(
        stage.server.addr(),
        "dispatcher.hash",
        &json!(["8", "alice", "a.example"]),
    );
    let text = text.map_err(|fault| format!("the question behind it: {fault}"))?;
    match text.contains("1201249320") {
        true => Ok(()),
        false => Err(text),
    }
}

fn by_fifo(stage: &Stage, request: &str, limit: Duration) -> Result<Vec<u8>, String> {
    let dir = stage.server.dir();
    let (fifo, answer) = ([dir.join("fifo")], dir.join("json-answer"));
    let _ = std::fs::remove_file(&answer);
    let whole = |text: &[u8]| serde_json::from_slice::<Value>(text).is_ok();
    let text = fifo::ask(&fifo, &answer, request, limit, whole);
    text.map(String::into_bytes).map_err(|why| why.to_string())
}

fn request_by_fifo(stage: &Stage, chance: &mut Chance) -> Result<(), String> {
    let mut request = request(chance);
    request["reply_name"] = json!("json-answer");
    // jsonrpcs looks for the end of a request there, and takes a quote behind a backslash for a part of the text.
    let text = request.to_string().replace("\\\\", "");
    let reply = by_fifo(stage, &text, patience(15)).map_err(|why| format!("{text}: {why}"))?;
    is_answer(&reply)
}

fn bytes_by_fifo(stage: &Stage, chance: &mut Chance) -> Result<(), String> {
    let mut bytes = mutated_request(chance);
    bytes.truncate(40_000);
    write_fifo(&stage.server.dir().join("fifo"), &bytes)?;
    // jsonrpcs waits for the brackets that are still to come, and gives up only when its buffer is full. What is left
    // of the filling may be the start of what it reads next, so the question needs a filling of its own each time.
    let filling = vec![b' '; 16_384];
    let mut question = question();
    question["reply_name"] = json!("json-answer");
    let question = question.to_string();
    let mut last = Ok(Vec::new());
    for _ in 0..40 {
        write_fifo(&stage.server.dir().join("fifo"), &filling)?;
        last = by_fifo(stage, &question, Duration::from_millis(500));
        if last.as_ref().is_ok_and(|text| is_right(text).is_ok()) {
            return Ok(());
        }
    }
    let last = last.and_then(|text| is_right(&text));
    last.map_err(|why| format!("{why}, behind {}", bytes.escape_ascii()))
}
