//! Destinations that answer calls and pings with garbage before they end the transaction.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use harness::Message;

use super::chance::Chance;
use super::mutate::mutate;
use super::words::line;

/// Two destinations, until they are dropped.
pub struct Peers {
    addrs: [SocketAddr; 2],
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Peers {
    /// Starts both.
    pub fn start(seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let addrs = [0, 1].map(|n| {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a destination's socket");
            let addr = socket.local_addr().expect("its address");
            let (chance, stop) = (Chance::new(seed ^ n), Arc::clone(&stop));
            threads.push(std::thread::spawn(move || serve(&socket, chance, &stop)));
            addr
        });
        Self {
            addrs,
            stop,
            threads,
        }
    }

    /// Returns their URIs.
    pub fn uris(&self) -> [String; 2] {
        self.addrs.map(|addr| format!("sip:{addr}"))
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, mut chance: Chance, stop: &AtomicBool) {
    let mut buffer = vec![0; 65_535];
    let nap = Duration::from_millis(100);
    socket.set_read_timeout(Some(nap)).expect("a read timeout");
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Some(request) = Message::parse(&buffer[..length]) else {
            continue;
        };
        if request.status().is_some() || request.method() == "ACK" {
            continue;
        }
        for reply in replies(&mut chance, &request) {
            let _ = socket.send_to(&reply, peer);
        }
    }
}

/// Returns replies of garbage, mostly with a correct one behind them.
fn replies(chance: &mut Chance, request: &Message) -> Vec<Vec<u8>> {
    const CODES: [u16; 10] = [100, 183, 200, 302, 404, 486, 500, 503, 604, 699];
    let mut out = Vec::new();
    for _ in 0..chance.below(3) {
        let extra: Vec<u8> = (0..3)
            .flat_map(|n| {
                [
                    [b"X-A: " as &[u8], b"X-B: ", b"X-C: "][n],
                    &line(chance, 1_000)[..],
                    b"\r\n",
                ]
                .concat()
            })
            .collect();
        let extra = String::from_utf8_lossy(&extra).into_owned();
        let mut reply = request.reply(*chance.pick(&CODES), "garbage", &extra);
        mutate(chance, &mut reply);
        reply.truncate(65_000);
        out.push(reply);
    }
    if !chance.once_in(12) {
        let code = *chance.pick(&CODES[2..]);
        out.push(request.reply(code, "peer", "Contact: <sip:127.0.0.1:9>\r\n"));
    }
    out
}
