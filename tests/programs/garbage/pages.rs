//! Garbage to the functions that answer over HTTP: in the method, the path, the query and the headers of requests.

use std::io::{Read, Write};
use std::net::TcpStream;

use harness::patience;

use super::chance::Chance;
use super::mutate::mutate;
use super::stage::Stage;
use super::words::line;

/// What the query may name, in doc/reference/metrics.md and page.md.
const NAMES: [&str; 11] = [
    "set", "q", "state", "sort", "offset", "count", "every", "level", "metrics", "states", "up",
];

/// What may stand behind the last `/` of a path.
const PLACES: [&str; 5] = ["metrics", "page/", "page/data", "page/text", "page"];

/// Sends requests with garbage, and then a valid one, which must be answered.
pub fn ask(stage: &Stage, chance: &mut Chance) -> Result<(), String> {
    for _ in 0..=chance.below(3) {
        let request = request(chance);
        if let Ok(mut stream) = TcpStream::connect(stage.server.addr()) {
            let _ = stream.set_write_timeout(Some(patience(1)));
            let _ = stream.write_all(&request);
        }
    }
    for place in ["metrics?level=set", "page/data?count=1"] {
        let request = format!("GET /{place} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        let answer = answer(stage, request.as_bytes()).map_err(|why| format!("{place}: {why}"))?;
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            let start = String::from_utf8_lossy(&answer[..answer.len().min(300)]).into_owned();
            return Err(format!("{place} is answered with {start:?}"));
        }
    }
    Ok(())
}

/// Returns a request that is nearly one of those that a browser or Prometheus makes.
fn request(chance: &mut Chance) -> Vec<u8> {
    let method = *chance.pick(&["GET", "GET", "GET", "HEAD", "POST", "get"]);
    let mut request = format!("{method} /{}", chance.pick(&PLACES)).into_bytes();
    for at in 0..chance.below(5) {
        request.push(if at == 0 { b'?' } else { b'&' });
        request.extend_from_slice(chance.pick(&NAMES).as_bytes());
        request.push(b'=');
        request.extend(line(chance, 3_000));
    }
    request.extend_from_slice(b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n");
    for name in ["Accept-Encoding", "If-None-Match", "User-Agent"] {
        if chance.once_in(3) {
            request.extend_from_slice(format!("{name}: gzip, ").as_bytes());
            request.extend(line(chance, 2_000));
            request.extend_from_slice(b"\r\n");
        }
    }
    request.extend_from_slice(b"\r\n");
    if chance.once_in(2) {
        mutate(chance, &mut request);
    }
    request
}

/// Returns what comes back for a valid request, as far as the first piece of it.
fn answer(stage: &Stage, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(stage.server.addr())?;
    stream.set_read_timeout(Some(patience(15)))?;
    stream.write_all(request)?;
    let mut start = vec![0; 4_096];
    let length = stream.read(&mut start)?;
    start.truncate(length);
    Ok(start)
}
