//! The parameters of pings.

use super::value::{Read, bad, bad_number, bytes, set, whole};
use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::latency::Alpha;
use crate::dispatch::state::probe::ReplyCodes;
use crate::kamailio::server::log::{log_err, log_warn};
use crate::kamailio::server::net::{self, Uri};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::Whole;

/// The settings of pings.
pub struct PingSettings {
    /// Method of the request.
    pub method: &'static [u8],
    /// URI of its From.
    pub from: &'static [u8],
    /// Milliseconds from one ping of a destination to the next.
    pub interval_ms: u64,
    /// Milliseconds that a ping waits for its reply; 0 for tm's own time.
    pub timeout_ms: u32,
    /// The URI that pings are sent to instead of the destination.
    pub outbound_proxy: Option<&'static [u8]>,
    /// Local socket of pings.
    pub socket: Option<&'static [u8]>,
}

/// The local socket of destinations that name none.
#[derive(Default)]
pub struct DefaultSocket {
    /// Its name, if it was found by that.
    pub name: Option<&'static [u8]>,
    /// Its place, if it was found by that.
    pub place: Option<&'static [u8]>,
    /// The socket as an opaque address; 0 if there is no such socket.
    pub socket: usize,
}

/// Reads the parameters. Returns `None` if destinations are not pinged.
pub(super) fn pings(raw: &sys::glue_modparams) -> Read<Option<PingSettings>> {
    let method = bytes(&raw.ds_ping_method);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(byte);
    // tm may report the end of an INVITE more than once, and a call would begin.
    let unfit = matches!(method, b"ACK" | b"CANCEL" | b"INVITE");
    if method.is_empty() || !method.iter().all(token) || unfit {
        return bad("ds_ping_method", method, "a SIP method, as OPTIONS or INFO");
    }
    let from = uri("ds_ping_from", &raw.ds_ping_from)?;
    let from = match from {
        Some(from) => from,
        None => return bad("ds_ping_from", b"", "a SIP URI"),
    };
    let outbound_proxy = uri("outbound_proxy", &raw.outbound_proxy)?;
    let socket = set(&raw.ds_ping_socket);
    if let Some(place) = socket.filter(|place| net::socket_at(place).is_none()) {
        return bad("ds_ping_socket", place, LOCAL);
    }
    let seconds = whole(
        "ds_ping_interval",
        raw.ds_ping_interval,
        "seconds, 0 (no pings) or more",
    )?;
    let timeout_ms = whole(
        "ds_ping_fr_timeout",
        raw.ds_ping_fr_timeout,
        "milliseconds, 0 (tm's fr_timer) or more",
    )?;
    Ok((seconds > 0).then_some(PingSettings {
        method,
        from,
        interval_ms: u64::from(seconds) * 1_000,
        timeout_ms,
        outbound_proxy,
        socket,
    }))
}

fn uri(name: &'static str, value: &sys::str_) -> Read<Option<&'static [u8]>> {
    match set(value) {
        Some(uri) if Uri::parse(uri).is_none() => bad(name, uri, "a SIP URI"),
        uri => Ok(uri),
    }
}

const LOCAL: &str = "a local socket of this server, as udp:192.0.2.1:5060";

/// Reads the default socket.
pub(super) fn default_socket(raw: &sys::glue_modparams) -> Read<DefaultSocket> {
    let (name, place) = (set(&raw.ds_default_sockname), set(&raw.ds_default_socket));
    let of_place = match place {
        None => 0,
        Some(place) => match net::socket_at(place) {
            Some(socket) => socket,
            None => return bad("ds_default_socket", place, LOCAL),
        },
    };
    let socket = match name {
        None => of_place,
        Some(name) => match net::socket_named(name) {
            Some(socket) => socket,
            None => {
                let expected = "the name of a local socket of this server";
                return bad("ds_default_sockname", name, expected);
            }
        },
    };
    Ok(DefaultSocket {
        name,
        place,
        socket,
    })
}

/// Reads which destinations are pinged (`ds_probing_mode`).
pub(super) fn probing_mode(raw: &sys::glue_modparams) -> Read<i32> {
    let expected = "0, 1, 2 or 3";
    match raw.ds_probing_mode {
        mode @ 0..=3 => Ok(mode),
        other => bad_number("ds_probing_mode", other, expected),
    }
}

/// Checks reply codes. Returns `None` after the message if they cannot be read.
pub(super) fn check_reply_codes(name: &str, value: &[u8]) -> Option<()> {
    let ignored = |item| {
        log_warn!(
            "{name}: \"{}\" is no status of a reply and is ignored",
            Whole(item)
        );
    };
    let error = ReplyCodes::parse_noting(value, ignored).err();
    if let Some(error) = &error {
        log_err!(
            "{name}: found \"{}\" in \"{}\", expected code=N or class=N",
            Whole(error.item),
            Whole(value)
        );
    }
    error.is_none().then_some(())
}

/// Reads the weight by which round trips are estimated. Returns `None` if they are not measured.
pub(super) fn latency(raw: &sys::glue_modparams, compat: Compat) -> Option<Alpha> {
    let default = Alpha::default_permille(compat);
    let value = match raw.ds_latency_estimator_alpha {
        sys::GLUE_UNSET => default,
        value => value,
    };
    let alpha = Alpha::new(value, compat).or_else(|| {
        log_warn!(
            "parameter ds_latency_estimator_alpha: found {value}, expected 1 to 999: {default} is \
             used"
        );
        Alpha::new(default, compat)
    });
    alpha.filter(|_| raw.ds_ping_latency_stats != 0)
}
