//! A faked SIP message, for event routes that run without one: `$ru` is the destination.
//!
//! The server has one for this (`core/fmsg.h`), but all its users share one buffer, which script functions
//! write to, and one Call-ID, so that for tm each request that an event route sends would be the same one
//! again. Nothing of this one lies in shared memory: a script may change and free all of it.

use core::ffi::{c_int, c_uint};
use core::mem::MaybeUninit;
use core::net::Ipv4Addr;

use crate::kamailio::server::message::{Message, MessageNumber};
use crate::kamailio::server::sys;

/// The address and port that the message seems to come from.
const SOURCE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 5060);

/// A message in this process's memory. Dropping it frees all that a script has attached to it.
pub struct FakedMessage {
    msg: Box<sys::sip_msg>,
    /// The text that `msg` points into. It is as large as the server's receive buffer, because functions that
    /// apply changes to a message write the new text over the old one.
    _text: Vec<u8>,
}

/// Returns the text of a request to `uri` that is like no other one of this server.
fn request(uri: &[u8], process: c_int, number: c_uint) -> Vec<u8> {
    let id = format!("{process}-{number}");
    // Replies to a request that the route sends on go to port 9, which discards them.
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

impl FakedMessage {
    /// Makes a request whose R-URI is `uri`; `None` if the server cannot parse it.
    pub fn to(uri: &[u8]) -> Option<Self> {
        // SAFETY: counts a variable of this process (core/receive.c). Modules keep what they know of a message
        // by its number, so each gets its own.
        let number = unsafe { sys::inc_msg_no() };
        // SAFETY: a call without arguments, which reads this process's id (core/pt.c).
        let process = unsafe { sys::my_pid() };
        let mut text = request(uri, process, number);
        let len = c_uint::try_from(text.len()).ok()?;
        let room = usize::try_from(sys::BUF_SIZE).ok()?;
        if text.len() >= room {
            return None;
        }
        text.resize(room + 1, 0);
        let msg = MaybeUninit::<sys::sip_msg>::zeroed();
        // SAFETY: integers, pointers and unions of them, for which zeroes are a value; the server starts with
        // the same (core/receive.c).
        let mut msg = Box::new(unsafe { msg.assume_init() });
        msg.buf = text.as_mut_ptr().cast();
        msg.len = len;
        // SAFETY: a variable of the core, written only while the config is read.
        msg.set_global_address = unsafe { sys::default_global_address };
        // SAFETY: a variable of the core, written only while the config is read.
        msg.set_global_port = unsafe { sys::default_global_port };
        let mut own = FakedMessage { msg, _text: text };
        // SAFETY: the buffer has that many bytes and lives as long as the message, in `own`.
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
        // SAFETY: a call without arguments; the server's list of sockets stays as it is after the start.
        rcv.bind_address = unsafe { sys::glue_first_socket() };
        Some(own)
    }

    /// Gives the message another number.
    pub fn set_number(&mut self, number: MessageNumber) {
        (self.msg.id, self.msg.pid) = (number.0, number.1);
    }

    /// Returns the message.
    pub fn message(&mut self) -> &mut Message {
        // SAFETY: it lives as long as `self`, which the result borrows mutably.
        unsafe { Message::at(&raw mut *self.msg) }
    }
}

impl Drop for FakedMessage {
    fn drop(&mut self) {
        // SAFETY: the server has parsed this message, and nobody uses it any more. It frees what is attached
        // to the message, not the text (core/parser/msg_parser.c, free_sip_msg).
        unsafe { sys::free_sip_msg(&raw mut *self.msg) };
    }
}
