//! A client of HTTP that shows the whole answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::patience;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head as it came, with the status line.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header; `None` if there is none.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as a text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }
}

/// A connection that stays open for further requests, as that of a browser or a collector.
#[derive(Debug)]
pub struct Http(TcpStream);

impl Http {
    /// Connects.
    pub fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the server takes connections");
        stream
            .set_read_timeout(Some(patience(10)))
            .expect("a timeout");
        Http(stream)
    }

    /// Asks for something, with these header lines and this body.
    ///
    /// # Errors
    /// How many bytes of the answer came before the connection ended.
    pub fn try_ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Result<Answer, String> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        for header in headers {
            request += &format!("{header}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.0.write_all(request.as_bytes()).expect("it is sent");
        let (mut bytes, mut chunk) = (Vec::new(), vec![0; 65_536]);
        loop {
            let read = self.0.read(&mut chunk).unwrap_or(0);
            bytes.extend_from_slice(&chunk[..read]);
            let whole = message_length(&bytes).filter(|(head, body)| bytes.len() >= head + body);
            if let Some((head, length)) = whole {
                let body = bytes[head..head + length].to_vec();
                let head = String::from_utf8_lossy(&bytes[..head]).into_owned();
                let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
                return Ok(Answer {
                    status: status.expect("a status"),
                    head,
                    body,
                });
            }
            if read == 0 {
                return Err(format!("the answer ended after {} bytes", bytes.len()));
            }
        }
    }

    /// Asks for a page.
    pub fn get(&mut self, path: &str, headers: &[&str]) -> Answer {
        self.try_ask("GET", path, headers, "")
            .unwrap_or_else(|why| panic!("{path}: {why}"))
    }
}

/// Lengths of head and body, once the head is there.
pub fn message_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))?;
    Some((end, length.trim().parse().ok()?))
}
