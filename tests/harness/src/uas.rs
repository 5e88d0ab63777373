//! SIP destinations over UDP with scripted answers.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::sip::Message;
use super::{free_port, patience, wait_for};

/// The answer of a destination to a new transaction.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This code, always.
    Code(u16),
    /// One code per transaction in turn; the last one repeats.
    Codes(Vec<u16>),
    /// These codes one after the other, in each transaction.
    Each(Vec<u16>),
    /// Nothing.
    Silent,
}

#[derive(Default)]
struct Seen {
    /// Codes of each transaction.
    answers: Vec<Vec<u16>>,
    /// A header of all answers, or nothing.
    header: String,
    /// The time that an answer takes.
    delay: Duration,
    /// Answers to one method, before all others. 0: none.
    of_method: HashMap<String, u16>,
    requests: Vec<Message>,
    transactions: HashSet<(String, String)>,
    replies: HashMap<(String, String), Vec<Vec<u8>>>,
    turn: usize,
    running: bool,
}

/// A destination on its own port. BYE and CANCEL always get 200; ACK gets nothing.
/// Every reply names the destination in `X-Uas`.
pub struct Uas {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    /// The thread, and its socket, which wakes it: it may be in another network than who stops it.
    serving: Option<(JoinHandle<()>, UdpSocket)>,
}

impl Uas {
    /// Starts one on 127.0.0.1.
    pub fn start(answer: Answer) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], free_port())), answer)
    }

    /// Starts one at a given address.
    pub fn start_at(addr: SocketAddr, answer: Answer) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut uas = Self {
            addr,
            seen,
            serving: None,
        };
        uas.set_answer(answer);
        uas.restart();
        uas
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Its address as a destination of a list: `sip:127.0.0.1:<port>`.
    pub fn uri(&self) -> String {
        format!("sip:{}", self.addr)
    }

    /// Changes what new transactions get, of all methods.
    pub fn set_answer(&self, answer: Answer) {
        let mut seen = self.seen.lock().unwrap();
        seen.turn = 0;
        seen.of_method.clear();
        seen.answers = match answer {
            Answer::Code(code) => vec![vec![code]],
            Answer::Codes(codes) => codes.into_iter().map(|code| vec![code]).collect(),
            Answer::Each(codes) => vec![codes],
            Answer::Silent => Vec::new(),
        };
    }

    /// Sets a header of all answers from now on; an empty one for none.
    pub fn set_header(&self, header: &str) {
        self.seen.lock().unwrap().header = header.to_owned();
    }

    /// Sets the time that each answer takes from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.seen.lock().unwrap().delay = delay;
    }

    /// Sets the answer to requests of one method, whatever others get; 0 is silence.
    pub fn set_answer_to(&self, method: &str, code: u16) {
        let mut seen = self.seen.lock().unwrap();
        seen.of_method.insert(method.to_owned(), code);
    }

    /// Closes the socket: from now on nobody is there.
    pub fn stop(&mut self) {
        let Some((thread, waker)) = self.serving.take() else {
            return;
        };
        self.seen.lock().unwrap().running = false;
        waker.send_to(b"", self.addr).expect("wake the destination");
        thread
            .join()
            .expect("the destination's thread did not panic");
    }

    /// Opens the socket again on the same port, in the network of this thread.
    pub fn restart(&mut self) {
        if self.serving.is_some() {
            return;
        }
        let socket = wait_for("the destination's port", patience(5), || {
            UdpSocket::bind(self.addr).ok()
        });
        self.seen.lock().unwrap().running = true;
        let waker = socket.try_clone().expect("a second handle of the socket");
        let seen = Arc::clone(&self.seen);
        let thread = std::thread::spawn(move || serve(&socket, &seen));
        self.serving = Some((thread, waker));
    }

    /// Every message that came, retransmissions included.
    pub fn requests(&self) -> Vec<Message> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// Number of transactions of a method.
    pub fn count(&self, method: &str) -> usize {
        self.seen
            .lock()
            .unwrap()
            .transactions
            .iter()
            .filter(|(_, m)| m == method)
            .count()
    }

    /// Number of transactions of a method with this Call-ID.
    pub fn count_call(&self, method: &str, call_id: &[u8]) -> usize {
        let seen = self.seen.lock().unwrap();
        let of_call = seen
            .requests
            .iter()
            .filter(|r| r.method() == method && r.header("Call-ID") == Some(call_id));
        of_call.map(Message::branch).collect::<HashSet<_>>().len()
    }

    /// Forgets what came so far.
    pub fn clear(&self) {
        let mut seen = self.seen.lock().unwrap();
        seen.requests.clear();
        seen.transactions.clear();
        seen.replies.clear();
    }
}

impl Drop for Uas {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(socket: &UdpSocket, seen: &Mutex<Seen>) {
    let mut buffer = vec![0; 65_535];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let mut seen = seen.lock().unwrap();
        if !seen.running {
            return;
        }
        let Some(message) = Message::parse(&buffer[..length]) else {
            continue;
        };
        if message.status().is_some() {
            continue;
        }
        let replies = answer(&mut seen, message, socket);
        let delay = seen.delay;
        if delay.is_zero() {
            replies
                .iter()
                .for_each(|reply| _ = socket.send_to(reply, peer));
            continue;
        }
        let socket = socket.try_clone().expect("a second handle of the socket");
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            replies
                .iter()
                .for_each(|reply| _ = socket.send_to(reply, peer));
        });
    }
}

/// Books the request and yields the replies, the same ones for a retransmission.
fn answer(seen: &mut Seen, message: Message, socket: &UdpSocket) -> Vec<Vec<u8>> {
    let key = (message.branch(), message.method());
    seen.requests.push(message.clone());
    if message.method() == "ACK" {
        seen.transactions.insert(key);
        return Vec::new();
    }
    if !seen.transactions.insert(key.clone()) {
        return seen.replies.get(&key).cloned().unwrap_or_default();
    }
    let codes = match message.method().as_str() {
        method if seen.of_method.contains_key(method) => {
            let code = seen.of_method.get(method).copied();
            code.into_iter().filter(|&code| code > 0).collect()
        }
        "BYE" | "CANCEL" => vec![200],
        _ => {
            let last = seen.answers.len().saturating_sub(1);
            let codes = seen.answers.get(seen.turn.min(last)).cloned();
            seen.turn += 1;
            codes.unwrap_or_default()
        }
    };
    let local = socket.local_addr().expect("the destination's own address");
    let mut extra = format!("Contact: <sip:{local}>\r\nX-Uas: {local}\r\n");
    if !seen.header.is_empty() {
        extra += &format!("{}\r\n", seen.header);
    }
    let tag = format!("u{}", local.port());
    let reply = |code| message.reply(code, &tag, &extra);
    let replies: Vec<Vec<u8>> = codes.into_iter().map(reply).collect();
    seen.replies.insert(key, replies.clone());
    replies
}
