//! Addresses, names and sockets, as the server knows them.

use core::ffi::{c_char, c_int};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use std::ffi::CString;

use super::sys;
use super::text;
use crate::dispatch::list::destination::{self, Addr, Proto};
use crate::shm::dest::address::Key;
use crate::shm::dest::next_hop::NextHop;

/// Longest host name that the server's resolver takes (core/resolve.h, the cache's names).
const MAX_HOST: usize = 254;

/// A URI that the server has parsed; its parts lie in the text.
pub struct Uri<'u> {
    parts: sys::sip_uri,
    text: PhantomData<&'u [u8]>,
}

impl<'u> Uri<'u> {
    /// Parses a URI; `None` if the server cannot.
    pub fn parse(uri: &'u [u8]) -> Option<Self> {
        let text = text::as_str(uri);
        let mut parsed = MaybeUninit::<sys::sip_uri>::zeroed();
        // SAFETY: the server only reads the text, and fills the struct (parser/parse_uri.c).
        let done = unsafe { sys::parse_uri(text.s, text.len, parsed.as_mut_ptr()) };
        // SAFETY: a struct of integers and strings, for which zeroes are a value.
        let parts = unsafe { parsed.assume_init() };
        let text = PhantomData;
        (done == 0).then_some(Uri { parts, text })
    }

    /// Returns its host.
    pub fn host(&self) -> &'u [u8] {
        // SAFETY: a part of the text, which is borrowed for `'u`.
        unsafe { text::bytes(&self.parts.host) }
    }

    /// Its port; 0 when it names none.
    pub fn port(&self) -> u16 {
        self.parts.port_no
    }

    /// True when it names a port.
    pub fn names_port(&self) -> bool {
        self.parts.port.len > 0
    }

    /// Its transport number; 0 when it names none.
    pub fn proto(&self) -> u8 {
        u8::try_from(self.parts.proto).unwrap_or(0)
    }

    /// True for `sips:`.
    pub fn is_secure(&self) -> bool {
        self.parts.type_ == sys::SIPS_URI_T
    }
}

/// An address as the server holds it.
pub fn addr(ip: &sys::ip_addr) -> Option<Addr> {
    // SAFETY: all views of the union are plain bytes.
    let bytes = unsafe { ip.u.addr };
    match (ip.len, bytes) {
        (4, [a, b, c, d, ..]) => Some(Addr::V4([a, b, c, d])),
        (16, bytes) => Some(Addr::V6(bytes)),
        _ => None,
    }
}

/// The same, to look for.
#[inline]
pub fn key(ip: &sys::ip_addr) -> Option<Key> {
    // SAFETY: all views of the union are plain bytes.
    let bytes = unsafe { ip.u.addr };
    match (ip.len, bytes) {
        (4, [a, b, c, d, ..]) => Some(Key::v4([a, b, c, d])),
        (16, bytes) => Some(Key::v6(bytes)),
        _ => None,
    }
}

/// The address that a text is, without asking anybody; `None` for a name.
pub fn literal(host: &[u8]) -> Option<Addr> {
    if let Some(bytes) = destination::ipv4(host) {
        return Some(Addr::V4(bytes));
    }
    let mut host = text::as_str(host);
    // SAFETY: the server reads the text and answers with its own buffer, or null.
    let ip = unsafe { sys::glue_literal(&raw mut host) };
    // SAFETY: that buffer stays until the next question.
    addr(unsafe { ip.as_ref() }?)
}

/// True for an IPv6 address in a URI (in brackets) while the server leaves IPv6 out.
pub fn is_unwanted_ipv6(host: &[u8]) -> bool {
    // SAFETY: a call without arguments that reads the server's config.
    host.first() == Some(&b'[') && unsafe { sys::glue_dns_try_ipv6() } == 0
}

/// The first address of a host; asks the server's resolver, which may wait for an answer.
pub fn resolve(host: &[u8]) -> Option<Addr> {
    if host.is_empty() || host.len() > MAX_HOST {
        return None;
    }
    let name = CString::new(host).ok()?;
    // SAFETY: a text with its NUL; the server copies what it needs.
    let found = unsafe { sys::glue_resolvehost(name.as_ptr().cast_mut()) };
    first_address(found)
}

/// All addresses of a host, but not more than `most`; asks as [`resolve`] does.
pub fn resolve_all(host: &[u8], most: usize) -> Vec<Addr> {
    if host.is_empty() || host.len() > MAX_HOST {
        return Vec::new();
    }
    let Ok(name) = CString::new(host) else {
        return Vec::new();
    };
    // SAFETY: a text with its NUL; the server copies what it needs.
    let found = unsafe { sys::glue_resolvehost(name.as_ptr().cast_mut()) };
    // SAFETY: the server's own answer, or null; it stays until the next question.
    let count = unsafe { sys::glue_hostent_count(found) };
    let mut addrs = Vec::new();
    for addr in (0..count).filter_map(|nr| address(found, nr)).take(most) {
        // The resolver of 4.x gives the first address of a name again and again.
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    addrs
}

/// The first address of the resolver's answer.
fn first_address(found: *mut sys::hostent) -> Option<Addr> {
    // SAFETY: the server's own answer, or null.
    if unsafe { sys::glue_hostent_count(found) } < 1 {
        return None;
    }
    address(found, 0)
}

/// An address of an answer that has that many.
fn address(found: *mut sys::hostent, nr: c_int) -> Option<Addr> {
    let mut ip = MaybeUninit::<sys::ip_addr>::zeroed();
    // SAFETY: the server's own answer, and it has that address (core/resolve.h).
    unsafe { sys::glue_hostent_ip(ip.as_mut_ptr(), found, nr) };
    // SAFETY: a struct of integers; zeroed is a value of it.
    addr(&unsafe { ip.assume_init() })
}

/// The server's own socket at `proto:host:port`, as an opaque address.
pub fn socket_at(place: &[u8]) -> Option<usize> {
    let place = CString::new(place).ok()?;
    let mut host = text::EMPTY;
    let (mut port, mut proto): (c_int, c_int) = (0, 0);
    // SAFETY: a text with its NUL; the host comes back as a part of it.
    let parsed = unsafe {
        sys::parse_phostport(
            place.as_ptr().cast_mut(),
            &raw mut host.s,
            &raw mut host.len,
            &raw mut port,
            &raw mut proto,
        )
    };
    let (port, proto) = (u16::try_from(port).ok()?, u16::try_from(proto).ok()?);
    if parsed != 0 {
        return None;
    }
    // SAFETY: the host lies in `place`, which is still there.
    let socket = unsafe { sys::grep_sock_info(&raw mut host, port, proto) };
    (!socket.is_null()).then_some(socket as usize)
}

/// The server's own socket with this name, as an opaque address.
pub fn socket_named(name: &[u8]) -> Option<usize> {
    let mut name = text::as_str(name);
    // SAFETY: the server only compares the name.
    let socket = unsafe { sys::glue_socket_named(&raw mut name) };
    (!socket.is_null()).then_some(socket as usize)
}

/// The transport that requests to a URI use: the one it names, else the usual one of its scheme.
/// What `sips:` names runs over TLS, WebSocket aside.
///
/// Source: `tm/ut.h`, `uri2dst2`; RFC 3261, 26.2.2.
pub fn proto_of(uri: &Uri) -> Proto {
    let named = Proto(uri.proto());
    if uri.is_secure() && u32::from(named.0) != sys::PROTO_WS {
        Proto::TLS
    } else {
        named
    }
}

/// Where requests to a URI go when its name stands for this address.
pub fn hop(uri: &Uri, addr: Addr) -> NextHop {
    next_hop(addr, uri.port(), proto_of(uri))
}

fn next_hop(addr: Addr, port: u16, proto: Proto) -> NextHop {
    let proto = if proto == Proto::NONE {
        Proto::UDP
    } else {
        proto
    };
    let usual = if proto == Proto::TLS { 5061 } else { 5060 };
    let port = if port == 0 { usual } else { port };
    NextHop { addr, port, proto }
}

/// Where requests to a name go, by the rules of SIP (RFC 3263: NAPTR and SRV as the server's
/// config asks for them). Asks the server's resolver, which may wait for an answer.
pub fn resolve_sip(host: &[u8], port: u16, proto: Proto) -> Option<NextHop> {
    if host.is_empty() || host.len() > MAX_HOST {
        return None;
    }
    let mut name = text::as_str(host);
    let mut port = port;
    let mut proto = c_char::try_from(proto.0).unwrap_or(0);
    // SAFETY: the server reads the name, and fills port and transport where they are 0.
    let found = unsafe { sys::glue_sip_resolvehost(&raw mut name, &raw mut port, &raw mut proto) };
    let addr = first_address(found)?;
    Some(next_hop(
        addr,
        port,
        u8::try_from(proto).map_or(Proto::NONE, Proto),
    ))
}

/// A transport's name in URIs.
pub fn transport_name(proto: Proto) -> &'static str {
    match u32::from(proto.0) {
        sys::PROTO_TCP => "tcp",
        sys::PROTO_TLS => "tls",
        sys::PROTO_SCTP => "sctp",
        sys::PROTO_WS => "ws",
        sys::PROTO_WSS => "wss",
        _ => "udp",
    }
}
