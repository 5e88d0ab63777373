//! Requests and replies of HTTP, through the xhttp module, which is found when a function first needs it.

use core::ffi::{CStr, c_int};
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::dispatch::observe::http_text::{path_and_query, takes_gzip};
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::log::log_err;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;
use crate::kamailio::server::tcp_room::{Shortage, shortage};
use crate::kamailio::server::text;

/// The content type of texts for people.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Room for the head of a reply, in bytes.
const HEAD: usize = 1_024;
/// A body that is shorter is sent as it is: it fits into a packet.
const WORTH_GZIP: usize = 1_400;
/// The memory of the compressor, in bytes.
const COMPRESSOR: usize = 400_000;

/// Says whether xhttp is loaded; false after a log line that names the function that needs it.
pub fn is_loaded(function: &str) -> bool {
    // SAFETY: a call without arguments that looks through the loaded modules.
    let found = unsafe { sys::glue_http_find() } != 0;
    if !found {
        log_err!("{function} needs the module xhttp: load it before");
    }
    found
}

/// A request in `event_route[xhttp:request]`.
#[derive(Clone, Copy)]
pub struct Request<'m>(&'m Message);

impl<'m> Request<'m> {
    /// Returns the request that a function works on; `None` after a log line if it cannot be answered through xhttp.
    pub fn of(msg: &'m Message, function: &str) -> Option<Self> {
        if !is_loaded(function) {
            return None;
        }
        // SAFETY: a live message, whose first line is read.
        if unsafe { sys::glue_is_http(msg.raw()) } == 0 {
            log_err!(
                "{function} answers HTTP requests only: call it in event_route[xhttp:request]"
            );
            return None;
        }
        Some(Self(msg))
    }

    /// Returns the method, such as `GET`.
    pub fn method(&self) -> &'m [u8] {
        self.0.method_and_uri().0
    }

    /// Returns the path of the URL, with its escapes.
    pub fn path(&self) -> &'m [u8] {
        path_and_query(self.0.method_and_uri().1).0
    }

    /// Returns the query of the URL, with its escapes; empty if there is none.
    pub fn query(&self) -> &'m [u8] {
        path_and_query(self.0.method_and_uri().1).1
    }

    /// Returns the value of the first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&'m [u8]> {
        self.0.header(name.as_bytes())
    }

    /// Returns true if the client takes a body in gzip.
    pub fn takes_gzip(&self) -> bool {
        self.header("Accept-Encoding").is_some_and(takes_gzip)
    }

    /// Returns true for one of these methods. Any other one is answered with 405.
    pub fn is_allowed(&self, methods: &[&str]) -> bool {
        let method = self.method();
        let allowed = methods.iter().any(|name| name.as_bytes() == method);
        if !allowed {
            let names = methods.join(", ");
            let text = format!("this page takes {names}\n");
            self.answer(&Reply {
                headers: &[("Allow", &names)],
                ..Reply::text(405, c"Method Not Allowed", &text)
            });
        }
        allowed
    }

    /// Sends a reply, packed where the client takes that. A reply that is larger than what the connection takes
    /// becomes a 503 that says so, because the server would cut it. Returns false after a log line if nothing was sent.
    pub fn answer(&self, reply: &Reply<'_>) -> bool {
        let packed = match self.packed(reply) {
            Ok(packed) => packed,
            Err(error) => {
                log_err!("no reply over HTTP: {error}");
                return false;
            }
        };
        let body = packed.as_deref().unwrap_or(reply.body);
        // Records of TLS are a little longer than what they hold.
        let size = HEAD + body.len() + body.len() / 256;
        let Some(Shortage { room, queue }) = shortage(size) else {
            return self.send(reply, body, packed.is_some());
        };
        let text = format!(
            "page of {size} bytes, tcp_conn_wq_max allows {room}: set it to {}, or {}\n",
            queue.next_power_of_two(),
            reply.smaller
        );
        let refusal = Reply::text(503, c"Service Unavailable", &text);
        self.send(&refusal, text.as_bytes(), false)
    }

    /// Returns the body in gzip; `None` if it is sent as it is.
    fn packed(&self, reply: &Reply<'_>) -> Result<Option<Vec<u8>>, NoMemory> {
        if reply.body.len() < WORTH_GZIP || !self.takes_gzip() {
            return Ok(None);
        }
        heap::need(COMPRESSOR + 2 * reply.body.len())?;
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory does not fail.
        let written = packer.write_all(reply.body);
        Ok(written.and_then(|()| packer.finish()).ok())
    }

    fn send(&self, reply: &Reply<'_>, body: &[u8], is_packed: bool) -> bool {
        let mut head = String::new();
        let packed = is_packed.then_some(&("Content-Encoding", "gzip"));
        let always = [("Cache-Control", "no-store")];
        for (name, value) in reply.headers.iter().chain(&always).chain(packed) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let mut reason = text::as_terminated_str(reply.reason);
        let mut content_type = text::as_str(reply.content_type.as_bytes());
        self.0.with_reply_lumps(head.as_bytes(), body, || {
            // SAFETY: a live message that xhttp can answer, and texts that it copies (modules/xhttp/xhttp_mod.c).
            let sent = unsafe {
                sys::glue_http_reply(
                    self.0.raw(),
                    reply.code,
                    &raw mut reason,
                    &raw mut content_type,
                )
            };
            sent >= 0
        })
    }
}

/// A reply.
#[derive(Clone, Copy)]
pub struct Reply<'r> {
    /// The status.
    pub code: c_int,
    /// The reason phrase.
    pub reason: &'r CStr,
    /// The content type.
    pub content_type: &'r str,
    /// Further headers.
    pub headers: &'r [(&'r str, &'r str)],
    /// The body.
    pub body: &'r [u8],
    /// The advice of the 503 where a reply is too large: `ask for level=set`.
    pub smaller: &'r str,
}

impl<'r> Reply<'r> {
    /// A small reply that is a text.
    pub fn text(code: c_int, reason: &'r CStr, body: &'r str) -> Self {
        Reply {
            code,
            reason,
            content_type: TEXT,
            headers: &[],
            body: body.as_bytes(),
            smaller: "ask for less",
        }
    }
}
