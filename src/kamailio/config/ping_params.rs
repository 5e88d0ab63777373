//! The parameters by which destinations are found to fail: those of pings, and those of passive health.

use super::value::{Read, bad, bad_number, bytes, remark, remark_number, set, switch, whole};
use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::latency::Alpha;
use crate::dispatch::state::probe::ReplyCodes;
use crate::dispatch::text::{Whole, bare_uri};
use crate::kamailio::server::log::{log_err, log_warn};
use crate::kamailio::server::net::{self, Uri};
use crate::kamailio::server::sys;

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

/// Reads the parameters. Returns `None` if destinations are not pinged: then none of the others is looked at.
pub(super) fn pings(raw: &sys::glue_modparams) -> Read<Option<PingSettings>> {
    let expected = "seconds, 0 (no pings) or more";
    let seconds = whole("ds_ping_interval", raw.ds_ping_interval, expected);
    if seconds == 0 {
        return Ok(None);
    }
    let socket = set(&raw.ds_ping_socket);
    if let Some(place) = socket.filter(|place| net::socket_at(place).is_none()) {
        return bad("ds_ping_socket", place, LOCAL);
    }
    let timeout_ms = raw.ds_ping_fr_timeout;
    let expected = "milliseconds, 0 (tm's fr_timer) or more";
    Ok(Some(PingSettings {
        method: method(raw)?,
        from: from(raw),
        interval_ms: u64::from(seconds) * 1_000,
        timeout_ms: whole("ds_ping_fr_timeout", timeout_ms, expected),
        outbound_proxy: outbound_proxy(raw),
        socket,
    }))
}

/// Returns true if the config asks for pings.
fn on(raw: &sys::glue_modparams) -> bool {
    raw.ds_ping_interval > 0
}

/// Reads the method of pings. What is no method is sent as it is, as the C module does.
fn method(raw: &sys::glue_modparams) -> Read<&'static [u8]> {
    let (name, expected) = ("ds_ping_method", "a SIP method, as OPTIONS or INFO");
    let method = bytes(&raw.ds_ping_method);
    // tm may report the end of an INVITE more than once, and a call would begin.
    let unfit = ["ACK", "CANCEL", "INVITE"];
    let asked = method.trim_ascii();
    if unfit
        .iter()
        .any(|unfit| asked.eq_ignore_ascii_case(unfit.as_bytes()))
    {
        return bad(name, method, expected);
    }
    if method.is_empty() {
        // tm sends no request without one.
        remark(name, method, expected, "OPTIONS is used");
        return Ok(b"OPTIONS");
    }
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(byte);
    if !method.iter().all(token) {
        remark(name, method, expected, SENT);
    }
    Ok(method)
}

const SENT: &str = "it is sent as it is";

/// The URI in the From of pings where none is set.
const FROM: &[u8] = b"sip:dispatcher@localhost";

/// Reads the From of pings. It only has to be one that destinations take.
fn from(raw: &sys::glue_modparams) -> &'static [u8] {
    let (name, from, expected) = ("ds_ping_from", bytes(&raw.ds_ping_from), "a SIP URI");
    if from.is_empty() {
        // tm sends no request without one.
        remark(name, from, expected, "sip:dispatcher@localhost is used");
        return FROM;
    }
    if !has_scheme(bare_uri(from)) {
        remark(name, from, expected, SENT);
    }
    from
}

fn has_scheme(uri: &[u8]) -> bool {
    let schemes = [&b"sip:"[..], b"sips:", b"tel:"];
    schemes.iter().any(|scheme| {
        let (given, rest) = uri.split_at_checked(scheme.len()).unwrap_or_default();
        given.eq_ignore_ascii_case(scheme) && !rest.is_empty()
    })
}

/// Reads where pings are sent to instead of to the destinations.
fn outbound_proxy(raw: &sys::glue_modparams) -> Option<&'static [u8]> {
    let proxy = set(&raw.outbound_proxy)?;
    if Uri::parse(bare_uri(proxy)).is_none() {
        remark(
            "outbound_proxy",
            proxy,
            "a SIP URI",
            "no ping can be sent to it",
        );
    }
    Some(proxy)
}

const LOCAL: &str = "a local socket of this server, as udp:192.0.2.1:5060";

/// Reads the default socket.
pub(super) fn default_socket(raw: &sys::glue_modparams) -> Read<DefaultSocket> {
    let (name, place) = (set(&raw.ds_default_sockname), set(&raw.ds_default_socket));
    let found = match (name, place) {
        (None, None) => Some(0),
        // The name is stronger, whatever the place is.
        (Some(name), _) => net::socket_named(name),
        (None, Some(place)) => net::socket_at(place),
    };
    let Some(socket) = found else {
        return match name {
            Some(name) => {
                let expected = "the name of a local socket of this server";
                bad("ds_default_sockname", name, expected)
            }
            None => bad("ds_default_socket", place.unwrap_or_default(), LOCAL),
        };
    };
    Ok(DefaultSocket {
        name,
        place,
        socket,
    })
}

/// Reads which destinations are pinged (`ds_probing_mode`).
pub(super) fn probing_mode(raw: &sys::glue_modparams) -> i32 {
    let mode = raw.ds_probing_mode;
    if on(raw) && !(0..=3).contains(&mode) {
        let instead = "what is in probing is pinged";
        remark_number("ds_probing_mode", mode, "0, 1, 2 or 3", instead);
    }
    mode
}

/// Returns true if housekeeping belongs to the secondary timer (`ds_timer_mode`).
pub(super) fn secondary_timer(raw: &sys::glue_modparams) -> bool {
    let mode = raw.ds_timer_mode;
    if on(raw) && !(0..=1).contains(&mode) {
        remark_number("ds_timer_mode", mode, "0 or 1", "0 is used");
    }
    mode == 1
}

/// Reads the reply codes of good pings. What cannot be read is skipped.
pub(super) fn reply_codes(raw: &sys::glue_modparams) -> &'static [u8] {
    let codes = bytes(&raw.ds_ping_reply_codes);
    if let Some(skipped) = first_skipped(codes).filter(|_| on(raw)) {
        let instead = format!("\"{}\" is not read", Whole(skipped));
        remark("ds_ping_reply_codes", codes, CODES, &instead);
    }
    codes
}

const CODES: &str = "code=N (100 to 699) or class=N (1 to 6), separated by \";\"";

fn first_skipped(codes: &[u8]) -> Option<&[u8]> {
    let mut first = None;
    let _ = ReplyCodes::parse_noting(codes, |item| first = first.or(Some(item)));
    first
}

/// Returns true if reply codes that a command sets can be read as a whole; else after a log line.
pub(super) fn takes_reply_codes(codes: &[u8]) -> bool {
    let skipped = first_skipped(codes);
    if let Some(skipped) = skipped {
        log_err!(
            "ping_reply_codes: found \"{}\" in \"{}\", expected {CODES}",
            Whole(skipped),
            Whole(codes)
        );
    }
    skipped.is_none()
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

/// The settings of passive health.
pub struct Passive {
    /// Failures in a row that eject, as the config has them.
    pub failures: u32,
    /// Seconds of the first ejection, as the config has them.
    pub eject_s: u32,
    /// The most seconds of an ejection for failures.
    pub most_s: u32,
    /// The most seconds that a `Retry-After` ejects for, as the config has them.
    pub retry_after_s: u32,
    /// The most destinations of a set that are ejected at a time, in percent.
    pub percent: u32,
    /// The final replies that are failures.
    pub codes: ReplyCodes,
}

/// Reads the parameters. Returns `None` if requests are not watched: then none of the others is looked at.
pub(super) fn passive(raw: &sys::glue_modparams) -> Read<Option<Passive>> {
    if !switch("ds_passive", raw.ds_passive)? {
        return Ok(None);
    }
    let codes = bytes(&raw.ds_passive_codes);
    if first_skipped(codes).is_some() {
        return bad("ds_passive_codes", codes, CODES);
    }
    let eject_s = within("ds_eject_time", raw.ds_eject_time, (1, 3_600), "1 to 3600")?;
    let most = raw.ds_eject_max_time;
    Ok(Some(Passive {
        failures: within(
            "ds_passive_failures",
            raw.ds_passive_failures,
            (1, 1_023),
            "1 to 1023",
        )?,
        eject_s,
        most_s: within("ds_eject_max_time", most, (1, 86_400), "1 to 86400")?.max(eject_s),
        retry_after_s: within(
            "ds_retry_after_max",
            raw.ds_retry_after_max,
            (0, 86_400),
            "0 to 86400",
        )?,
        percent: within(
            "ds_eject_percent",
            raw.ds_eject_percent,
            (0, 100),
            "0 to 100",
        )?,
        codes: ReplyCodes::parse(codes),
    }))
}

/// Reads the seconds of a slow start.
pub(super) fn slow_start(raw: &sys::glue_modparams) -> Read<u32> {
    within("ds_slow_start", raw.ds_slow_start, (0, 3_600), "0 to 3600")
}

/// Reads a number that is not to be less or more than this.
fn within(
    name: &'static str,
    value: i32,
    (least, most): (u32, u32),
    expected: &'static str,
) -> Read<u32> {
    match u32::try_from(value) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => bad_number(name, value, expected),
    }
}
