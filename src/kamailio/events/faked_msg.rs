//! A SIP message of our own, for event routes that run without one: `$ru` is the destination.
//!
//! The server has a message for this (`core/fmsg.h`), but all its users share one buffer, which
//! functions of scripts write to, and one Call-ID, so that for tm each request that an event route
//! sends would be the same one again. Nothing of ours lies in shared memory: a script may change
//! and free all of it (field report C4).

use core::ffi::{c_int, c_uint};
use core::mem::MaybeUninit;
use core::net::Ipv4Addr;

use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;

/// Where the message seems to come from, and its port.
const SOURCE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 5060);

/// A message in this process's memory; freed with all that a script hung on it.
pub struct OwnMessage {
    msg: Box<sys::sip_msg>,
    /// What `msg` points into. As large as the server's own receive buffer: functions that apply
    /// changes to a message write the new text over the old one.
    _text: Vec<u8>,
}

/// The text of a request to `uri`, unlike any other one of this server.
fn request(uri: &[u8], process: c_int, number: c_uint) -> Vec<u8> {
    let id = format!("{process}-{number}");
    // Port 9 throws away what it gets: replies to a request that the route sends on.
    let head = format!(
        " SIP/2.0\r\n\
         Via: SIP/2.0/UDP {}:9;branch=z9hG4bK-event-{id}\r\n\
         From: <sip:you@kamailio.org>;tag={id}\r\n\
         To: <sip:you@kamailio.org>\r\n\
         Call-ID: event-{id}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n",
        SOURCE.0
    );
    [b"OPTIONS ", uri, head.as_bytes()].concat()
}

fn address() -> sys::ip_addr {
    let mut address = sys::ip_addr {
        af: libc::AF_INET.unsigned_abs(),
        len: 4,
        ..Default::default()
    };
    let [a, b, c, d] = SOURCE.0.octets();
    address.u.addr = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    address
}

impl OwnMessage {
    /// A request whose R-URI is `uri`; `None` where the server cannot parse it.
    pub fn to(uri: &[u8]) -> Option<Self> {
        // SAFETY: a counter of this process. A number of its own keeps apart what the server and
        // its modules know of each message.
        let number = unsafe { sys::inc_msg_no() };
        // SAFETY: reads this process's id.
        let process = unsafe { sys::my_pid() };
        let mut text = request(uri, process, number);
        let len = c_uint::try_from(text.len()).ok()?;
        let room = usize::try_from(sys::BUF_SIZE).ok()?;
        if text.len() >= room {
            return None;
        }
        text.resize(room + 1, 0);
        let msg = MaybeUninit::<sys::sip_msg>::zeroed();
        // SAFETY: integers, pointers and unions of them; the server too starts with zeroes
        // (core/receive.c).
        let mut msg = Box::new(unsafe { msg.assume_init() });
        msg.buf = text.as_mut_ptr().cast();
        msg.len = len;
        // SAFETY: the core's variables, which a config sets once.
        msg.set_global_address = unsafe { sys::default_global_address };
        // SAFETY: as above.
        msg.set_global_port = unsafe { sys::default_global_port };
        let mut own = OwnMessage { msg, _text: text };
        // SAFETY: a text of that length, and a message that is freed when `own` is.
        let parsed = unsafe { sys::parse_msg(own.msg.buf, own.msg.len, &raw mut *own.msg) };
        if parsed != 0 {
            return None;
        }
        own.msg.id = number;
        own.msg.pid = process;
        let rcv = &mut own.msg.rcv;
        rcv.src_ip = address();
        rcv.dst_ip = address();
        rcv.src_port = SOURCE.1;
        rcv.dst_port = SOURCE.1;
        rcv.proto = core::ffi::c_char::try_from(sys::PROTO_UDP).unwrap_or(1);
        // SAFETY: a socket of the server's list.
        rcv.bind_address = unsafe { sys::glue_first_socket() };
        Some(own)
    }

    /// The message, for as long as this lives.
    pub fn message(&mut self) -> &mut Message {
        // SAFETY: it lives as long as `self`, which the result borrows.
        unsafe { Message::at(&raw mut *self.msg) }
    }
}

impl Drop for OwnMessage {
    fn drop(&mut self) {
        // SAFETY: parsed by the server, and not used any more. It frees what hangs on the message,
        // not the text.
        unsafe { sys::free_sip_msg(&raw mut *self.msg) };
    }
}
