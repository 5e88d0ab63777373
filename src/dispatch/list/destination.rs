//! One destination after its line was read and resolved.

use core::fmt;
use core::net::Ipv4Addr;
use core::ops::Range;
use std::borrow::Cow;

use super::attrs::Attrs;
use crate::dispatch::state::flags::State;

/// The number of a destination set, as lists and scripts name it.
pub type SetId = i32;

/// Transport protocol numbers, as Kamailio's `sip_protos` has them (core/ip_addr.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Proto(pub u8);

impl Proto {
    /// The URI names no protocol.
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

/// One destination as the list or a command writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where it was read.
    pub origin: Origin,
    /// The set that it belongs to.
    pub set: SetId,
    /// The URI as written; see [`with_scheme`](super::file::with_scheme).
    pub uri: Cow<'a, [u8]>,
    /// The flags as written; 0 if there are none.
    pub flags: u32,
    /// The priority, the highest of which comes first; 0 if there is none.
    pub priority: i32,
    /// The attributes as written, a trailing `;` included; empty if there are none.
    pub attrs: Cow<'a, [u8]>,
}

/// The place where a [`Line`] was read. Numbers begin at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In this line of the file.
    Line(usize),
    /// In this row of the table, in the order in which the database gives them.
    Row(usize),
    /// In a command.
    Command,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Line(number) => write!(f, "line {number}"),
            Origin::Row(number) => write!(f, "row {number}"),
            Origin::Command => f.write_str("the command"),
        }
    }
}

/// One destination as a list asks for it, resolved and ready to be placed into a table. All texts are bytes as the
/// operator wrote them.
#[derive(Clone, Debug)]
pub struct DestSpec<'a> {
    /// The set that it belongs to.
    pub set: SetId,
    /// The whole URI, scheme included, parameters and user part kept.
    pub uri: Cow<'a, [u8]>,
    /// The host part of `uri`.
    pub host: Range<usize>,
    /// The port in `uri`; 0 if it has none.
    pub port: u16,
    /// The transport of `uri` as `ds_is_from_list` compares it.
    pub proto: Proto,
    /// The resolved addresses; empty if the host is not resolved (flag 16).
    pub addrs: Cow<'a, [Addr]>,
    /// The state from the list's flags.
    pub flags: State,
    /// The priority; the highest comes first.
    pub priority: i32,
    /// The attribute text as listed, without a trailing `;`.
    pub attrs_body: &'a [u8],
    /// The attributes that the module knows, out of `attrs_body`.
    pub attrs: Attrs<'a>,
    /// The server's local socket for this destination as an opaque address; 0 if none is set.
    pub socket: usize,
}

/// Reads an IPv4 address in its usual form, four decimal numbers without leading zeros; `None` for any other text, even
/// one that the server takes for an address.
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
