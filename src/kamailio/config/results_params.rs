//! The parameters of results: where a selection writes its destinations.

use super::value::{Read, bytes, parsed, remark, remark_rest, set};
use crate::dispatch::state::compat::Compat;
use crate::kamailio::server::pv::Avp;
use crate::kamailio::server::sys;

/// All bits of `xavp_dst_mode`.
pub(super) const DST_MODES: i32 = 7 | ON_DEMAND;
/// `xavp_dst_mode` bit of our own: only the current destination is written. It is far from the bits
/// of the C module, which grow from below.
const ON_DEMAND: i32 = 1 << 16;

/// The place of a selection's results, and what is written of them.
pub struct Results {
    /// Anything is written: destinations, their count, or an AVP.
    pub any: bool,
    /// XAVP with the destinations.
    pub dst: &'static [u8],
    /// XAVP with their count.
    pub ctx: &'static [u8],
    /// Write the attributes (`xavp_dst_mode` bit 1 turns it off).
    pub attrs: bool,
    /// Write the socket's text (`xavp_dst_mode` bit 2).
    pub socket: bool,
    /// Write the socket's name (`xavp_dst_mode` bit 4).
    pub sockname: bool,
    /// Write only the current destination, and make the next one when it is asked for
    /// (`xavp_dst_mode` bit 65536).
    pub on_demand: bool,
    /// Write the place in the set.
    pub place: bool,
    /// Write the count (`xavp_ctx_mode` bit 1 turns it off).
    pub count: bool,
    /// The AVPs of old configs.
    pub avps: Avps,
}

/// The AVPs of old configs; each is filled if it is set.
#[derive(Default)]
pub struct Avps {
    /// URIs of the destinations.
    pub dst: Option<Avp>,
    /// The set.
    pub grp: Option<Avp>,
    /// Number of destinations.
    pub cnt: Option<Avp>,
    /// Their unique ids.
    pub dstid: Option<Avp>,
    /// Their attributes.
    pub attrs: Option<Avp>,
    /// Their local sockets.
    pub sock: Option<Avp>,
}

impl Avps {
    /// Returns true if there is a value for each destination.
    pub fn names_destinations(&self) -> bool {
        [self.dst, self.attrs, self.dstid, self.sock]
            .iter()
            .any(Option::is_some)
    }

    fn any(&self) -> bool {
        self.names_destinations() || self.grp.is_some() || self.cnt.is_some()
    }
}

/// Reads the parameters.
///
/// `failover` says if destinations are kept for it.
pub(super) fn results(raw: &sys::glue_modparams, failover: bool, compat: Compat) -> Read<Results> {
    let avps = Avps {
        dst: avp("dst_avp", &raw.dst_avp)?,
        grp: avp("grp_avp", &raw.grp_avp)?,
        cnt: avp("cnt_avp", &raw.cnt_avp)?,
        dstid: avp("dstid_avp", &raw.dstid_avp)?,
        attrs: avp("attrs_avp", &raw.attrs_avp)?,
        sock: avp("sock_avp", &raw.sock_avp)?,
    };
    let count = raw.xavp_ctx_mode & 1 == 0;
    Ok(Results {
        any: failover || count || avps.any(),
        dst: xavp("xavp_dst", &raw.xavp_dst),
        ctx: match xavp("xavp_ctx", &raw.xavp_ctx) {
            b"" => CTX,
            name => name,
        },
        attrs: raw.xavp_dst_mode & 1 == 0,
        socket: raw.xavp_dst_mode & 2 != 0,
        sockname: raw.xavp_dst_mode & 4 != 0,
        on_demand: raw.xavp_dst_mode & ON_DEMAND != 0,
        place: compat.writes_places(),
        count,
        avps,
    })
}

fn avp(name: &'static str, value: &sys::str_) -> Read<Option<Avp>> {
    let expected = "an AVP with a fixed name, as $avp(x)";
    let parse = |value: &'static [u8]| {
        let (avp, rest) = Avp::parse(value)?;
        remark_rest(name, value, rest, expected);
        Some(avp)
    };
    parsed(name, value, parse, expected)
}

const XAVP: &str = "the name of an XAVP, as _dsdst_";
/// The XAVP of the count where the config names none: in the C module every selection would fail.
const CTX: &[u8] = b"_dsctx_";

/// Reads the name of an XAVP. Scripts cannot read one with unusual characters, but failover can.
fn xavp(name: &'static str, value: &sys::str_) -> &'static [u8] {
    let value = bytes(value);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name == "xavp_ctx" && value.is_empty() {
        remark(name, value, XAVP, "_dsctx_ is used");
    } else if !value.iter().all(plain) {
        remark(name, value, XAVP, "scripts cannot read it");
    }
    value
}

/// Returns true if there is a name for the XAVP with the destinations. Without one there is no failover.
pub(super) fn keeps_destinations(raw: &sys::glue_modparams) -> bool {
    let named = set(&raw.xavp_dst).is_some();
    if !named {
        remark("xavp_dst", b"", XAVP, "failover is off");
    }
    named
}
