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

    /// Returns its port; 0 if it names none.
    pub fn port(&self) -> u16 {
        self.parts.port_no
    }

    /// Returns true if it names a port.
    pub fn names_port(&self) -> bool {
        self.parts.port.len > 0
    }

    /// Returns its transport's number; 0 if it names none.
    pub fn proto(&self) -> u8 {
        u8::try_from(self.parts.proto).unwrap_or(0)
    }

    /// Returns true for `sips:`.
    pub fn is_secure(&self) -> bool {
        self.parts.type_ == sys::SIPS_URI_T
    }
}

/// Returns an address of the server's; `None` if it is neither IPv4 nor IPv6.
pub fn addr(ip: &sys::ip_addr) -> Option<Addr> {
    // SAFETY: all members of the union are plain bytes.
    let bytes = unsafe { ip.u.addr };
    match (ip.len, bytes) {
        (4, [a, b, c, d, ..]) => Some(Addr::V4([a, b, c, d])),
        (16, bytes) => Some(Addr::V6(bytes)),
        _ => None,
    }
}

/// Returns an address of the server's as a key to look up; `None` if it is neither IPv4 nor IPv6.
pub fn key(ip: &sys::ip_addr) -> Option<Key> {
    // SAFETY: all members of the union are plain bytes.
    let bytes = unsafe { ip.u.addr };
    match (ip.len, bytes) {
        (4, [a, b, c, d, ..]) => Some(Key::v4([a, b, c, d])),
        (16, bytes) => Some(Key::v6(bytes)),
        _ => None,
    }
}

/// Returns the address that a text spells out; `None` for a name.
pub fn literal(host: &[u8]) -> Option<Addr> {
    // Most names end with a letter, and have no colon.
    if !host.last().is_some_and(u8::is_ascii_digit) && !host.contains(&b':') {
        return None;
    }
    if let Some(bytes) = destination::ipv4(host) {
        return Some(Addr::V4(bytes));
    }
    let mut host = text::as_str(host);
    // SAFETY: the server only reads the text (core/resolve.h, str2ip and str2ip6).
    let ip = unsafe { sys::glue_literal(&raw mut host) };
    // SAFETY: null, or the server's own buffer, which stays until the next such call.
    addr(unsafe { ip.as_ref() }?)
}

/// Returns true for an IPv6 address in brackets while the server is not to use IPv6.
pub fn is_unwanted_ipv6(host: &[u8]) -> bool {
    // SAFETY: a call without arguments that reads the core's config of this process.
    host.first() == Some(&b'[') && unsafe { sys::glue_dns_try_ipv6() } == 0
}

/// Returns the addresses of a host, at most `most`. The server's resolver may wait for an answer.
pub fn resolve_all(host: &[u8], most: usize) -> Vec<Addr> {
    if host.is_empty() || host.len() > MAX_HOST {
        return Vec::new();
    }
    let Ok(name) = CString::new(host) else {
        return Vec::new();
    };
    // SAFETY: a text that ends with NUL, which the server only reads.
    let found = Answer(unsafe { sys::glue_resolvehost(name.as_ptr().cast_mut()) });
    let mut addrs = Vec::new();
    for addr in found.addresses().take(most) {
        // The resolver of 4.x gives the first address of a name again and again.
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    addrs
}

/// An answer of the server's resolver, or null. It stays until the next look-up, so it is used up before that.
struct Answer(*mut sys::hostent);

impl Answer {
    fn addresses(&self) -> impl Iterator<Item = Addr> {
        // SAFETY: null, or the answer of the last look-up.
        let count = unsafe { sys::glue_hostent_count(self.0) };
        (0..count).filter_map(|nr| {
            let mut ip = MaybeUninit::<sys::ip_addr>::zeroed();
            // SAFETY: the answer of the last look-up, which has that many addresses.
            unsafe { sys::glue_hostent_ip(ip.as_mut_ptr(), self.0, nr) };
            // SAFETY: a struct of integers, for which zeroes are a value.
            addr(&unsafe { ip.assume_init() })
        })
    }
}

/// Returns the server's own socket at `proto:host:port`, as an opaque address.
pub fn socket_at(place: &[u8]) -> Option<usize> {
    let place = CString::new(place).ok()?;
    let mut host = text::EMPTY;
    let (mut port, mut proto): (c_int, c_int) = (0, 0);
    // SAFETY: a text that ends with NUL, which the server only reads; the host is a part of it.
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

/// Returns the server's own socket with this name, as an opaque address.
pub fn socket_named(name: &[u8]) -> Option<usize> {
    let mut name = text::as_str(name);
    // SAFETY: the server only compares the name with those of its sockets (core/socket_info.c).
    let socket = unsafe { sys::glue_socket_named(&raw mut name) };
    (!socket.is_null()).then_some(socket as usize)
}

/// Returns the transport of requests to a URI: the one it names, else none. With `sips:` it is TLS (RFC 3261,
/// 26.2.2), but for WebSocket.
pub fn proto_of(uri: &Uri) -> Proto {
    let named = Proto(uri.proto());
    if uri.is_secure() && u32::from(named.0) != sys::PROTO_WS {
        Proto::TLS
    } else {
        named
    }
}

/// Returns the next hop of requests to a URI whose host has this address.
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

/// Returns the next hop of requests to a host by the rules of SIP (RFC 3263), with NAPTR and SRV as the server is
/// set up. The server's resolver may wait for an answer.
pub fn resolve_sip(host: &[u8], port: u16, proto: Proto) -> Option<NextHop> {
    if let Some(addr) = literal(host) {
        return Some(next_hop(addr, port, proto));
    }
    if host.is_empty() || host.len() > MAX_HOST {
        return None;
    }
    let mut name = text::as_str(host);
    let mut port = port;
    let mut proto = c_char::try_from(proto.0).unwrap_or(0);
    // SAFETY: the server only reads the name, and sets port and transport if they are 0 (core/resolve.c).
    let found = unsafe { sys::glue_sip_resolvehost(&raw mut name, &raw mut port, &raw mut proto) };
    let addr = Answer(found).addresses().next()?;
    Some(next_hop(
        addr,
        port,
        u8::try_from(proto).map_or(Proto::NONE, Proto),
    ))
}

/// Returns the name of a transport in URIs.
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

#[cfg(test)]
mod tests {
    use super::*;

    const ADDR: Addr = Addr::V4([192, 0, 2, 1]);

    #[test]
    fn the_port_of_a_next_hop_follows_its_transport() {
        let hop = |port, proto| {
            let hop = next_hop(ADDR, port, proto);
            (hop.port, hop.proto)
        };
        assert_eq!(hop(0, Proto::NONE), (5060, Proto::UDP));
        assert_eq!(hop(0, Proto::TLS), (5061, Proto::TLS));
        assert_eq!(hop(5070, Proto::TLS), (5070, Proto::TLS));
        assert_eq!(hop(5070, Proto::NONE), (5070, Proto::UDP));
    }

    #[test]
    fn transports_have_the_names_of_uris() {
        let name = |number| transport_name(Proto(u8::try_from(number).unwrap()));
        assert_eq!(name(sys::PROTO_TCP), "tcp");
        assert_eq!(name(sys::PROTO_TLS), "tls");
        assert_eq!(name(sys::PROTO_WSS), "wss");
        assert_eq!(name(sys::PROTO_UDP), "udp");
        assert_eq!(transport_name(Proto::NONE), "udp");
    }

    #[test]
    fn the_transport_is_that_of_the_uri() {
        let of = |type_, named: u32| {
            let parts = sys::sip_uri {
                type_,
                proto: named.try_into().unwrap(),
                ..Default::default()
            };
            let text = PhantomData;
            u32::from(proto_of(&Uri { parts, text }).0)
        };
        assert_eq!(of(sys::SIP_URI_T, 0), 0);
        assert_eq!(of(sys::SIP_URI_T, sys::PROTO_TCP), sys::PROTO_TCP);
        assert_eq!(of(sys::SIPS_URI_T, 0), sys::PROTO_TLS);
        assert_eq!(of(sys::SIPS_URI_T, sys::PROTO_TCP), sys::PROTO_TLS);
        assert_eq!(of(sys::SIPS_URI_T, sys::PROTO_WS), sys::PROTO_WS);
    }

    #[test]
    fn an_address_of_the_server_has_4_or_16_bytes() {
        let of_len = |len| {
            let mut ip = sys::ip_addr {
                len,
                ..Default::default()
            };
            ip.u.addr = [7; 16];
            addr(&ip)
        };
        assert_eq!(of_len(4), Some(Addr::V4([7; 4])));
        assert_eq!(of_len(16), Some(Addr::V6([7; 16])));
        assert_eq!(of_len(0), None);
    }
}
