//! One destination: from a line of the list or a command to what a table needs.
//!
//! Asks the server for the URI's parts, the host's address and the local socket; may wait for a
//! name, so nothing is pinned or locked meanwhile.

use crate::dispatch::list::attrs::{AttrWarning, Attrs};
use crate::dispatch::list::destination::{DestSpec, Line};
use crate::dispatch::list::reading::{self, Fault, ReadAttrs, ReadLine};
use crate::dispatch::state::transition::State;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::params::Settings;
use crate::kamailio::probing::resolver::{self, Peer};
use crate::kamailio::server::net::{self, Uri};

/// Attributes with the local socket that they name.
pub struct ResolvedAttrs<'t> {
    /// The text, as it is kept.
    pub body: &'t [u8],
    /// The attributes in it.
    pub attrs: Attrs<'t>,
    /// The local socket as an opaque address; 0 if none is named.
    pub socket: usize,
    /// Attributes that were not taken as they stand.
    pub warnings: Vec<AttrWarning<'t>>,
}

/// Reads attributes. The error says what is wrong with them.
///
/// # Errors
/// A text for the log or the command's fault.
pub fn attrs<'t>(settings: &Settings, text: &'t [u8]) -> Result<ResolvedAttrs<'t>, String> {
    with_sockets(settings, reading::read_attrs(text, settings.attrs_none)?)
}

/// Asks the server for the local sockets of attributes.
fn with_sockets<'t>(settings: &Settings, read: ReadAttrs<'t>) -> Result<ResolvedAttrs<'t>, String> {
    let ReadAttrs {
        body,
        attrs,
        mut warnings,
    } = read;
    if !settings.cps {
        // It may be an attribute of the script's own.
        warnings.retain(|warning| !warning.is_of("cps"));
    }
    let quoted = |what: &str, text: &[u8]| format!("{what} \"{}\"", Escaped(text));
    let socket = match (attrs.sockname, attrs.socket) {
        (Some(name), _) => {
            net::socket_named(name).ok_or_else(|| quoted("no local socket named", name))?
        }
        (None, Some(place)) => {
            net::socket_at(place).ok_or_else(|| quoted("not a local socket:", place))?
        }
        (None, None) => settings.default_socket.socket,
    };
    let place = attrs.ping_socket;
    if let Some(place) = place.filter(|place| net::socket_at(place).is_none()) {
        if settings.compat.needs_ping_sockets() {
            return Err(quoted("not a local socket:", place));
        }
        warnings.push(AttrWarning::NoPingSocket(place));
    }
    Ok(ResolvedAttrs {
        body,
        attrs,
        socket,
        warnings,
    })
}

/// Refuses a text that is not UTF-8.
///
/// # Errors
/// A text for the log or the command's fault.
pub fn check_text(text: &[u8]) -> Result<(), String> {
    match core::str::from_utf8(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(AttrWarning::NotUtf8(text).to_string()),
    }
}

/// Returns the state that list flags ask for. From 6.1 on nothing is in probing while there are no pings.
pub fn listed_state(settings: &Settings, flags: u32) -> State {
    let state = State::from_list_flags(flags, settings.compat);
    if settings.pings.is_none() && settings.compat.drops_idle_probing() {
        return state.without(State::PROBING);
    }
    state
}

/// Resolves a destination. Returns it with the attributes that were not taken as they stand. The
/// error names the destination and says what is wrong.
///
/// # Errors
/// A text for the log or the command's fault.
pub fn resolve<'t>(
    settings: &Settings,
    line: &'t Line<'_>,
) -> Result<(DestSpec<'t>, Vec<AttrWarning<'t>>), String> {
    // Faults of the text come first, so that the checker, which knows nothing else, gives the same answer.
    let ReadLine { uri, attrs } = reading::read(line, settings.attrs_none)?;
    let fault = |what: &str| {
        let (set, uri) = (line.set, &uri);
        Fault { set, uri, what }.to_string()
    };
    let quoted = |what: &str, text: &[u8]| fault(&format!("{what} \"{}\"", Escaped(text)));
    let parsed = Uri::parse(&uri).ok_or_else(|| fault("not a SIP URI"))?;
    let host = parsed.host();
    if net::is_unwanted_ipv6(host) {
        return Err(quoted("an IPv6 address, but dns_try_ipv6 is off:", host));
    }
    let attrs = with_sockets(settings, attrs).map_err(|what| fault(&what))?;
    let flags = listed_state(settings, line.flags);
    let peer = if flags.contains(State::NODNS) {
        Peer::unresolved(settings, &parsed)
    } else {
        resolver::at_load(settings, &parsed).ok_or_else(|| quoted("cannot resolve host", host))?
    };
    // URIs such as `tel:` have no host, and the empty text lies nowhere in the URI.
    let at = (host.as_ptr() as usize).checked_sub(uri.as_ptr() as usize);
    let at = at.filter(|_| !host.is_empty()).unwrap_or(0);
    let spec = DestSpec {
        set: line.set,
        host: at..at + host.len(),
        port: peer.port,
        proto: peer.proto,
        uri,
        addrs: peer.addrs.into(),
        flags,
        priority: line.priority,
        attrs_body: attrs.body,
        attrs: attrs.attrs,
        socket: attrs.socket,
    };
    Ok((spec, attrs.warnings))
}
