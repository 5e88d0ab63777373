//! A door before a server: it lets through what it is told to, and then hangs or breaks off.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Everything passes.
    Open,
    /// They are accepted, and nothing passes.
    Silent,
    /// They are accepted and closed.
    Closed,
    /// So many bytes pass from the server, and then nothing.
    HangsAfter(usize),
    /// So many bytes pass from the server, and then the connection ends.
    BreaksAfter(usize),
}

/// A port on loopback, until it is dropped.
pub struct Door {
    /// The port.
    pub port: u16,
    way: Arc<Mutex<Way>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens one before a port of this machine.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let (way, stop) = (
            Arc::new(Mutex::new(Way::Open)),
            Arc::new(AtomicBool::new(false)),
        );
        let (chosen, stopped) = (Arc::clone(&way), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            // What hangs is kept until the door goes another way.
            let mut held: Vec<TcpStream> = Vec::new();
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let way = *chosen.lock().unwrap();
                if held.len() > 50 {
                    held.clear();
                }
                match way {
                    Way::Closed => {}
                    Way::Silent => held.push(client),
                    _ => drop(pass(client, server, way)),
                }
            }
        });
        Self {
            port,
            way,
            stop,
            thread: Some(thread),
        }
    }

    /// Chooses what happens to connections from now on.
    pub fn set(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Passes on what both sides say, by a thread for each.
fn pass(client: TcpStream, server: u16, way: Way) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server))?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let (mut from_server, mut to_client) = (server, client);
    std::thread::spawn(move || {
        let (mut left, mut buffer) = (usize::MAX, [0; 1_024]);
        if let Way::HangsAfter(bytes) | Way::BreaksAfter(bytes) = way {
            left = bytes;
        }
        while left > 0 {
            let most = left.min(buffer.len());
            let Ok(read @ 1..) = from_server.read(&mut buffer[..most]) else {
                break;
            };
            if to_client.write_all(&buffer[..read]).is_err() {
                break;
            }
            left -= read;
        }
        if matches!(way, Way::HangsAfter(_)) {
            // Until the other side gives up, at most a minute.
            let _ = to_client.set_read_timeout(Some(Duration::from_secs(60)));
            let _ = to_client.peek(&mut [0]);
            while from_server.read(&mut buffer).is_ok_and(|read| read > 0) {}
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
    Ok(())
}
