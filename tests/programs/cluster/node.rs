//! A node that the test speaks for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use harness::cluster::Cluster;
use harness::{Message, Request};

/// Its socket, where callers are or at a place of a node, and its numbers.
pub struct Node {
    socket: UdpSocket,
    addr: SocketAddr,
    name: String,
    incarnation: u64,
    number: u64,
    /// Requests that came while something else was waited for.
    heard: RefCell<VecDeque<Message>>,
}

impl Node {
    /// Takes the place of a node that does not run.
    pub fn at(cluster: &Cluster, node: usize) -> Self {
        let addr = cluster.addr(node);
        let bind = || UdpSocket::bind(addr).expect("the node's socket");
        let socket = cluster.place(node).namespace.enter(bind);
        Self::with(socket, addr, cluster.name(node))
    }

    /// Somebody from outside who says that he is this node.
    pub fn liar(cluster: &Cluster, name: &str) -> Self {
        let socket = cluster.outside(|| UdpSocket::bind("10.99.1.1:0").expect("a socket"));
        let addr = socket.local_addr().expect("its address");
        Self::with(socket, addr, name.to_owned())
    }

    fn with(socket: UdpSocket, addr: SocketAddr, name: String) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let incarnation = now.expect("a time after 1970").as_millis();
        Self {
            socket,
            addr,
            name,
            incarnation: u64::try_from(incarnation).expect("a time"),
            number: 0,
            heard: RefCell::default(),
        }
    }

    /// The first line of a message of a version, up to its kind; each has a new number.
    pub fn head(&mut self, version: &str, kind: &str) -> String {
        self.number += 1;
        let Self {
            name,
            incarnation,
            number,
            ..
        } = self;
        format!("DSC {version} c=default n={name} i={incarnation:x} s={number:x} k={kind}")
    }

    /// A hello of this version, with a further field and line that no other version knows.
    pub fn hello(&mut self, version: &str) -> String {
        let (head, addr) = (self.head(version, "H"), self.addr);
        format!(
            "{head} u=sip:{addr} r=1 p=3e8 t=1388 w=0 d=0 zz=new\nN what a later version tells\n"
        )
    }

    /// Sends a body to a node; yields the code of its answer, and the answer's reason. Meanwhile it answers what comes.
    pub fn tell(&self, to: SocketAddr, body: &[u8]) -> Option<(u16, String)> {
        self.ask(to, "dscluster", "text/x-dscluster", body)
    }

    /// Tells a server's dmq which nodes there are.
    pub fn notify(&self, to: SocketAddr, nodes: &str) -> Option<(u16, String)> {
        self.ask(to, "notification_peer", "text/plain", nodes.as_bytes())
    }

    fn ask(&self, to: SocketAddr, peer: &str, kind: &str, body: &[u8]) -> Option<(u16, String)> {
        let request = Request::new("KDMQ", format!("sip:{peer}@{to}"))
            .from(format!("sip:{peer}@{}", self.addr))
            .header("Content-Type", kind)
            .body(body);
        let bytes = request.render(self.addr, "UDP");
        self.socket.send_to(&bytes, to).expect("a message is sent");
        let end = Instant::now() + harness::patience(5);
        while Instant::now() < end {
            if let Some(reply) = self.receive(Duration::from_millis(100)) {
                if reply.header("Call-ID") == Some(request.id()) {
                    let reason = reply.start.splitn(3, ' ').nth(2).unwrap_or_default();
                    return Some((reply.status()?, reason.to_owned()));
                }
                self.heard.borrow_mut().push_back(reply);
            }
        }
        None
    }

    /// The next request within a time. It is answered with 200.
    pub fn next(&self, limit: Duration) -> Option<Message> {
        let heard = self.heard.borrow_mut().pop_front();
        heard.or_else(|| self.receive(limit))
    }

    fn receive(&self, limit: Duration) -> Option<Message> {
        self.socket
            .set_read_timeout(Some(limit))
            .expect("a timeout");
        let mut buffer = vec![0; 65_535];
        let (length, peer) = self.socket.recv_from(&mut buffer).ok()?;
        let message = Message::parse(&buffer[..length])?;
        if message.status().is_none() {
            let reply = message.reply(200, "node", "");
            let _ = self.socket.send_to(&reply, peer);
        }
        Some(message)
    }
}
