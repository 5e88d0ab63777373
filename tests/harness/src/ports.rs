//! Ports that are free on loopback.

use std::net::{TcpListener, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// Below the range that the kernel hands out itself, so no other socket takes the port meanwhile.
const FIRST: u32 = 10_240;
const COUNT: u32 = 20_000;

/// A port that is free for UDP and TCP on 127.0.0.1 and for UDP on ::1, and not given out before.
pub fn free_port() -> u16 {
    static START: OnceLock<u32> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = *START.get_or_init(|| {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        clock
            .map_or(0, |t| t.subsec_micros())
            .wrapping_add(std::process::id() * 101)
    });
    for _ in 0..COUNT {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + start.wrapping_add(n) % COUNT).expect("in range");
        if is_free(port) {
            return port;
        }
    }
    panic!("no free port on loopback");
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind(("0.0.0.0", port)).is_ok()
        && TcpListener::bind(("0.0.0.0", port)).is_ok()
        && UdpSocket::bind(("::1", port))
            .map_or_else(|e| e.kind() != std::io::ErrorKind::AddrInUse, |_| true)
}
