//! What the rest of the module knows of one destination after its line was read and resolved.

#![forbid(unsafe_code)]

use core::net::Ipv4Addr;

use crate::dispatch::state::transition::State;

/// The number of a destination set, as lists and scripts name it.
pub type SetId = i32;

/// Transport protocol numbers, as Kamailio's `sip_protos` has them (core/ip_addr.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Proto(pub u8);

impl Proto {
    /// Not named by the URI: matches every protocol when the other side is `NONE` too.
    pub const NONE: Proto = Proto(0);
    /// UDP.
    pub const UDP: Proto = Proto(1);
    /// TCP.
    pub const TCP: Proto = Proto(2);
    /// TLS.
    pub const TLS: Proto = Proto(3);
}

/// A destination's IP address: 4 bytes for IPv4, 16 for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Addr {
    /// IPv4, network byte order.
    V4([u8; 4]),
    /// IPv6, network byte order.
    V6([u8; 16]),
}

/// One destination as a list asks for it, resolved and ready to be placed into a table.
///
/// All texts are bytes as the operator wrote them.
#[derive(Clone, Debug)]
pub struct DestSpec<'a> {
    /// The set it belongs to.
    pub set: SetId,
    /// The whole URI, scheme included, parameters and user part kept.
    pub uri: &'a [u8],
    /// Host part of `uri`.
    pub host: &'a [u8],
    /// Port in `uri`; 0 when it names none.
    pub port: u16,
    /// Transport of `uri` as `ds_is_from_list` compares it.
    pub proto: Proto,
    /// Resolved addresses; empty when resolving is off for it (flag 16).
    pub addrs: &'a [Addr],
    /// State bits from the list's flags.
    pub flags: State,
    /// Higher is earlier.
    pub priority: i32,
    /// The attribute text as listed, without a trailing `;`.
    pub attrs_body: &'a [u8],
    /// The attributes the module knows, out of `attrs_body`.
    pub attrs: crate::dispatch::list::attrs::Attrs<'a>,
    /// The server's local socket for this destination as an opaque address; 0 when none is set.
    pub socket: usize,
}

/// One destination of a list, in whatever form the list has it.
pub trait ToSpec {
    /// What the list asks for.
    fn spec(&self) -> DestSpec<'_>;
}

impl ToSpec for DestSpec<'_> {
    fn spec(&self) -> DestSpec<'_> {
        self.clone()
    }
}

/// An IPv4 address in its usual form, four decimal numbers without leading zeros; `None` for any
/// other text, also for those that a server takes for an address besides.
#[must_use]
pub fn ipv4(text: &[u8]) -> Option<[u8; 4]> {
    let text = core::str::from_utf8(text).ok()?;
    text.parse().ok().as_ref().map(Ipv4Addr::octets)
}

#[cfg(test)]
mod tests {
    use super::ipv4;

    #[test]
    fn usual_ipv4_addresses_are_read() {
        assert_eq!(ipv4(b"192.0.2.255"), Some([192, 0, 2, 255]));
        assert_eq!(ipv4(b"0.0.0.0"), Some([0; 4]));
        let others: [&[u8]; 12] = [
            b"",
            b"1.2.3",
            b"1.2.3.4.5",
            b"1.2.3.256",
            b"01.2.3.4",
            b"1..3.4",
            b"1.2.3.4 ",
            b"1.2.3.x",
            b"a.example",
            b"[::1]",
            b"1.2.3.",
            b"1.2.3.1000",
        ];
        for text in others {
            assert_eq!(ipv4(text), None, "{text:?}");
        }
    }
}
