//! What the switch reads of a packet: IPv4 (RFC 791), and the first bytes behind UDP (RFC 768).

use std::net::Ipv4Addr;

/// The protocol number of UDP.
const UDP: u8 = 17;
/// Bytes of a UDP head.
const UDP_HEAD: usize = 8;

/// Where a packet goes, and whether a KDMQ request begins in it.
pub struct Head {
    /// The receiver.
    pub to: Ipv4Addr,
    /// It has the begin of a KDMQ request.
    pub is_kdmq: bool,
}

/// Reads the head of a packet; `None` for one that is not IPv4.
pub fn head(packet: &[u8]) -> Option<Head> {
    let (&first, to) = (packet.first()?, packet.get(16..20)?);
    if first >> 4 != 4 {
        return None;
    }
    let to = Ipv4Addr::new(to[0], to[1], to[2], to[3]);
    let length = usize::from(first & 0xf) * 4;
    let later_fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff != 0;
    let said = packet.get(length + UDP_HEAD..).unwrap_or_default();
    let is_kdmq = packet[9] == UDP && !later_fragment && said.starts_with(b"KDMQ ");
    Some(Head { to, is_kdmq })
}
