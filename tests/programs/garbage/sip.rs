//! SIP garbage over UDP and TCP for every function, with canaries in between.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::canary::Canary;
use super::chance::Chance;
use super::forms::{FORMS, message};
use super::stage::{Counts, Stage};

/// Messages between two canaries.
const ROUND: usize = 20;

/// Sends rounds of garbage as long as `go_on` returns true. Returns the counts, or the fault.
pub fn run(stage: &Stage, seed: u64, mut go_on: impl FnMut(u64) -> bool) -> Result<Counts, String> {
    let (mut chance, mut counts, mut canary) =
        (Chance::new(seed), Counts::new(), Canary::default());
    let (dest, socket) = (stage.server.addr(), UdpSocket::bind(("127.0.0.1", 0)));
    let socket = socket.map_err(|error| error.to_string())?;
    let local = socket.local_addr().map_err(|error| error.to_string())?;
    let mut place = seed << 20;
    let mut round = 0;
    while go_on(round) {
        for _ in 0..ROUND {
            place += 1;
            let (name, form) = *chance.pick(&FORMS);
            let over_tcp = chance.once_in(5);
            let transport = if over_tcp { "TCP" } else { "UDP" };
            let (changed, bytes) = message(&mut chance, form, place, local, transport);
            if over_tcp {
                send_by_tcp(&mut chance, dest, &bytes);
            } else {
                let _ = socket.send_to(&bytes, dest);
            }
            *counts
                .entry(format!("SIP {transport}: {name}"))
                .or_default() += 1;
            if changed {
                *counts
                    .entry(format!("SIP {transport}: then mutated"))
                    .or_default() += 1;
            }
        }
        let text = |why| format!("after message {place} of seed {seed}: {why}");
        canary.request(stage).map_err(text)?;
        if round % 5 == 0 {
            canary.call(stage).map_err(text)?;
        }
        round += 1;
    }
    counts.insert("canaries: requests".to_owned(), canary.requests);
    counts.insert("canaries: calls".to_owned(), canary.calls);
    counts.insert(
        "canaries: slowest, ms".to_owned(),
        u64::try_from(canary.slowest.as_millis()).unwrap_or(u64::MAX),
    );
    Ok(counts)
}

/// Sends bytes over a connection of their own: after a broken length, the rest would become a part of another message.
fn send_by_tcp(chance: &mut Chance, dest: SocketAddr, bytes: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(dest) else {
        return;
    };
    let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
    match chance.below(6) {
        // Half a message.
        0 => drop(stream.write_all(&bytes[..bytes.len() / 2])),
        // In pieces.
        1 => {
            for piece in bytes.chunks(1 + chance.below(400)) {
                if stream.write_all(piece).is_err() {
                    return;
                }
            }
        }
        // Two messages at once.
        2 => drop(stream.write_all(&[bytes, bytes].concat())),
        _ => drop(stream.write_all(bytes)),
    }
}
