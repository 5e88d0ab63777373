//! SIP callers: single requests, pipelined batches, calls, and TCP.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::patience;
use super::sip::{Message, Request, param};

/// Returns the first retransmission interval: half a second (RFC 3261, T1), and longer where the server is slow. A script
/// without transactions selects again for a retransmission.
fn t1() -> Duration {
    patience(1) / 2
}

/// How often a caller looks whether it waits in vain.
const LOOK: Duration = Duration::from_millis(200);

/// A caller with a UDP socket of its own.
pub struct Uac {
    socket: UdpSocket,
    local: SocketAddr,
    in_vain: Arc<AtomicBool>,
}

impl Uac {
    /// A caller on 127.0.0.1.
    pub fn new() -> Self {
        Self::at("127.0.0.1".parse().unwrap(), 0)
    }

    /// A caller at any loopback address; port 0 takes a free one.
    pub fn at(ip: IpAddr, port: u16) -> Self {
        let socket = UdpSocket::bind((ip, port)).expect("the caller's socket");
        let local = socket.local_addr().expect("the caller's address");
        Self {
            socket,
            local,
            in_vain: Arc::default(),
        }
    }

    /// Waits for no reply any more once this is true.
    pub fn in_vain_once(&mut self, in_vain: &Arc<AtomicBool>) {
        self.in_vain = Arc::clone(in_vain);
    }

    /// Its own address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends without waiting.
    pub fn send(&self, dest: SocketAddr, request: &Request) {
        self.send_bytes(dest, &request.render(self.local, "UDP"));
    }

    fn send_bytes(&self, dest: SocketAddr, bytes: &[u8]) {
        // A refused earlier datagram (ICMP) surfaces here; the retransmission covers it.
        let _ = self.socket.send_to(bytes, dest);
    }

    /// The next message within `limit`.
    pub fn receive(&self, limit: Duration) -> Option<Message> {
        let end = Instant::now() + limit;
        let mut buffer = vec![0; 65_535];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket
                .set_read_timeout(Some(left))
                .expect("a read timeout");
            let Ok(length) = self.socket.recv(&mut buffer) else {
                continue;
            };
            if let Some(message) = Message::parse(&buffer[..length]) {
                return Some(message);
            }
        }
    }

    /// Sends a request and yields its final reply; retransmits, and ACKs a failed INVITE.
    pub fn request(&self, dest: SocketAddr, request: &Request) -> Message {
        self.try_request(dest, request, patience(15))
            .unwrap_or_else(|| panic!("no final reply to {} {:?}", request.method, request.call_id))
    }

    /// As [`Uac::request`]; `None` when `limit` passes.
    pub fn try_request(
        &self,
        dest: SocketAddr,
        request: &Request,
        limit: Duration,
    ) -> Option<Message> {
        let bytes = request.render(self.local, "UDP");
        let end = Instant::now() + limit;
        let (mut interval, mut answered) = (t1(), false);
        self.send_bytes(dest, &bytes);
        let mut again = Instant::now() + interval;
        while Instant::now() < end && !self.in_vain.load(Ordering::Relaxed) {
            let wait = if answered { end } else { again.min(end) };
            let wait = wait.min(Instant::now() + LOOK);
            match self.receive(wait.saturating_duration_since(Instant::now())) {
                Some(reply) if reply.branch() != request.branch => {}
                Some(reply) if reply.status().is_some_and(|code| code < 200) => answered = true,
                Some(reply) if reply.status().is_some() => {
                    if request.method == "INVITE" && reply.status() >= Some(300) {
                        self.send(dest, &request.same_transaction("ACK", Some(&reply)));
                    }
                    return Some(reply);
                }
                Some(_) => {}
                None if !answered && Instant::now() >= again => {
                    self.send_bytes(dest, &bytes);
                    interval *= 2;
                    again = Instant::now() + interval;
                }
                None => {}
            }
        }
        None
    }

    /// Cancels a pending INVITE; yields the reply to the CANCEL.
    pub fn cancel(&self, dest: SocketAddr, invite: &Request) -> Message {
        self.request(dest, &invite.same_transaction("CANCEL", None))
    }

    /// Sends INVITE and, when it is accepted, ACK.
    pub fn call(&self, dest: SocketAddr, invite: Request) -> Result<Call<'_>, Message> {
        self.try_call(dest, invite, patience(15))
            .expect("a final reply to the INVITE")
    }

    /// As [`Uac::call`]; `None` when `limit` passes without a final reply.
    pub fn try_call(
        &self,
        dest: SocketAddr,
        invite: Request,
        limit: Duration,
    ) -> Option<Result<Call<'_>, Message>> {
        let reply = self.try_request(dest, &invite, limit)?;
        if reply.status() >= Some(300) {
            return Some(Err(reply));
        }
        let call = Call {
            uac: self,
            dest,
            invite,
            reply,
        };
        call.send_ack();
        Some(Ok(call))
    }

    /// Sends all requests, at most `window` unanswered at a time, each exactly once.
    /// Yields the final replies in the order of the requests.
    pub fn batch(&self, dest: SocketAddr, requests: &[Request], window: usize) -> Vec<Message> {
        let mut replies: Vec<Option<Message>> = vec![None; requests.len()];
        let mut pending: HashMap<&str, usize> = HashMap::new();
        let mut queue: VecDeque<usize> = (0..requests.len()).collect();
        let mut done = 0;
        while done < requests.len() {
            while pending.len() < window {
                let Some(n) = queue.pop_front() else { break };
                pending.insert(&requests[n].branch, n);
                self.send(dest, &requests[n]);
            }
            let Some(reply) = self.receive(patience(10)) else {
                let lost = pending
                    .values()
                    .next()
                    .map(|&n| requests[n].render(self.local, "UDP"));
                panic!(
                    "no reply to {}",
                    String::from_utf8_lossy(&lost.unwrap_or_default())
                );
            };
            if reply.status().is_none_or(|code| code < 200) {
                continue;
            }
            if let Some(n) = pending.remove(reply.branch().as_str()) {
                replies[n] = Some(reply);
                done += 1;
            }
        }
        replies.into_iter().flatten().collect()
    }

    /// Sends requests of which some may get no answer, and one more that does; yields the final replies to those. The
    /// server must have one worker, which takes them in order.
    pub fn volley(
        &self,
        dest: SocketAddr,
        requests: &[Request],
        last: &Request,
    ) -> Vec<Option<Message>> {
        for request in requests.iter().chain([last]) {
            self.send(dest, request);
        }
        let mut replies = HashMap::new();
        while !replies.contains_key(&last.branch) {
            let reply = self.receive(patience(10)).expect("a reply to the last one");
            if reply.status().is_some_and(|code| code >= 200) {
                replies.insert(reply.branch(), reply);
            }
        }
        let reply = |request: &Request| replies.remove(&request.branch);
        requests.iter().map(reply).collect()
    }
}

/// An answered call.
pub struct Call<'a> {
    uac: &'a Uac,
    dest: SocketAddr,
    /// The request that made it.
    pub invite: Request,
    /// The 2xx.
    pub reply: Message,
}

impl Call<'_> {
    /// Which destination answered: its address, from `X-Uas`.
    pub fn answered_by(&self) -> String {
        self.reply.text("X-Uas")
    }

    /// Tag of the callee.
    pub fn to_tag(&self) -> String {
        param(&self.reply.text("To"), "tag")
    }

    /// Sends the ACK (once more).
    pub fn send_ack(&self) {
        self.uac
            .send(self.dest, &self.invite.in_dialog("ACK", 1, &self.reply));
    }

    /// Sends one more request inside the dialog; yields its final reply. ACKs a new 2xx.
    pub fn again(&self, method: &str, cseq: u32) -> Message {
        let request = self.invite.in_dialog(method, cseq, &self.reply);
        let reply = self.uac.request(self.dest, &request);
        if method == "INVITE" && reply.status() < Some(300) {
            let ack = self.invite.in_dialog("ACK", cseq, &self.reply);
            self.uac.send(self.dest, &ack);
        }
        reply
    }

    /// Hangs up; yields the final reply to the BYE.
    pub fn bye(self) -> Message {
        self.try_bye(patience(15))
            .expect("a final reply to the BYE")
    }

    /// As [`Call::bye`], through another server.
    pub fn bye_at(mut self, dest: SocketAddr) -> Message {
        self.dest = dest;
        self.bye()
    }

    /// As [`Call::bye`]; `None` when `limit` passes.
    pub fn try_bye(self, limit: Duration) -> Option<Message> {
        let bye = self.invite.in_dialog("BYE", 2, &self.reply);
        self.uac.try_request(self.dest, &bye, limit)
    }
}

/// A caller over one TCP connection.
pub struct TcpUac {
    stream: TcpStream,
    local: SocketAddr,
}

impl TcpUac {
    /// Connects.
    pub fn connect(dest: SocketAddr) -> Self {
        Self::try_connect(dest).expect("a TCP connection to the server")
    }

    /// As [`TcpUac::connect`].
    ///
    /// # Errors
    /// Nobody takes the connection.
    pub fn try_connect(dest: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(dest)?;
        let local = stream.local_addr()?;
        Ok(Self { stream, local })
    }

    /// Its own address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends a request and yields the first message that comes back.
    pub fn request(&mut self, request: &Request) -> Message {
        self.try_request(request, patience(10))
            .expect("a reply over TCP")
    }

    /// As [`TcpUac::request`].
    ///
    /// # Errors
    /// The connection ends, or nothing more comes for `limit`.
    pub fn try_request(&mut self, request: &Request, limit: Duration) -> std::io::Result<Message> {
        self.stream.set_read_timeout(Some(limit))?;
        self.stream.write_all(&request.render(self.local, "TCP"))?;
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let length = self.stream.read(&mut chunk)?;
            if length == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&chunk[..length]);
            let Some(message) = Message::parse(&bytes) else {
                continue;
            };
            let expected: usize = message.text("Content-Length").parse().unwrap_or(0);
            if message.body.len() >= expected {
                return Ok(message);
            }
        }
    }
}
