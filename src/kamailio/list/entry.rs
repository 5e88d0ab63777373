//! One destination: from the words of a list or a command to what a table needs.
//!
//! Asks the server for the URI's parts, the host's address and the local socket; may wait for a
//! name, so nothing is pinned or locked meanwhile.

use core::ops::Range;
use std::borrow::Cow;

use crate::dispatch::list::attrs::{self, AttrWarning, Attrs};
use crate::dispatch::list::destination::{Addr, DestSpec, Proto, SetId, ToSpec};
use crate::dispatch::list::file;
use crate::dispatch::state::transition::State;
use crate::kamailio::config::params::Settings;
use crate::kamailio::probing::resolver;
use crate::kamailio::server::net::{self, Uri};
use crate::kamailio::server::text::Short;

/// A destination in words, from a line of a list or from a command.
#[derive(Clone, Copy)]
pub struct Words<'t> {
    /// The set it is for.
    pub set: SetId,
    /// URI, perhaps without its scheme.
    pub uri: &'t [u8],
    /// Flags of the list.
    pub flags: u32,
    /// Priority.
    pub priority: i32,
    /// Attributes.
    pub attrs: &'t [u8],
}

/// A destination that a table can take, with what it owns.
pub struct Resolved<'t> {
    words: Words<'t>,
    uri: Cow<'t, [u8]>,
    host: Range<usize>,
    port: u16,
    proto: Proto,
    addrs: Vec<Addr>,
    attrs: ResolvedAttrs<'t>,
    state: State,
}

/// Attributes with the local socket that they name.
pub struct ResolvedAttrs<'t> {
    /// Their text, as it is kept.
    pub body: &'t [u8],
    /// What it says.
    pub attrs: Attrs<'t>,
    /// The local socket as an opaque address; 0 when none is named.
    pub socket: usize,
    /// What was not taken as it stands.
    pub warnings: Vec<AttrWarning<'t>>,
}

/// Reads attributes; the error says what is wrong with them.
///
/// # Errors
/// A text for the log or the command's fault.
pub fn attrs<'t>(settings: &Settings, text: &'t [u8]) -> Result<ResolvedAttrs<'t>, String> {
    let body = match attrs::trim_body(text) {
        b"" if settings.attrs_none => b"none=yes",
        body => body,
    };
    let quoted = |what: &str, text: &[u8]| format!("{what} \"{}\"", Short(text));
    let (attrs, warnings) =
        attrs::parse(body).map_err(|error| quoted(&format!("bad attributes: {error}"), body))?;
    let socket = match (attrs.sockname, attrs.socket) {
        (Some(name), _) => {
            net::socket_named(name).ok_or_else(|| quoted("no local socket named", name))?
        }
        (None, Some(place)) => {
            net::socket_at(place).ok_or_else(|| quoted("not a local socket:", place))?
        }
        (None, None) => settings.default_socket.socket,
    };
    if let Some(place) = attrs
        .ping_socket
        .filter(|place| net::socket_at(place).is_none())
    {
        return Err(quoted("not a local socket:", place));
    }
    Ok(ResolvedAttrs {
        body,
        attrs,
        socket,
        warnings,
    })
}

/// Longest URI of a destination: no longer one fits a message (core/config.h, BUF_SIZE).
const MAX_URI: usize = 65_000;

/// Resolves a destination; the error names it and says what is wrong.
///
/// # Errors
/// A text for the log or the command's fault.
pub fn resolve<'t>(settings: &Settings, words: Words<'t>) -> Result<Resolved<'t>, String> {
    let uri = file::with_scheme(words.uri);
    let fault = |what: &str| format!("set {}, {}: {what}", words.set, Short(&uri));
    let quoted = |what: &str, text: &[u8]| fault(&format!("{what} \"{}\"", Short(text)));
    if uri.len() > MAX_URI {
        return Err(fault("a URI longer than any message"));
    }
    let parsed = Uri::parse(&uri).ok_or_else(|| fault("not a SIP URI"))?;
    let host: &[u8] = parsed.host();
    if net::is_unwanted_ipv6(host) {
        return Err(quoted("an IPv6 address, but dns_try_ipv6 is off:", host));
    }
    let attrs = attrs(settings, words.attrs).map_err(|what| fault(&what))?;
    let mut state = State::from_list_flags(words.flags, settings.compat);
    if settings.pings.is_none() && settings.compat.drops_idle_probing() {
        state = state.without(State::PROBING);
    }
    let addrs = if state.contains(State::NODNS) {
        Vec::new()
    } else {
        resolver::at_load(&settings.dns, &parsed, host)
            .ok_or_else(|| quoted("cannot resolve host", host))?
    };
    // Only `tel:` and the like have no host, and lie nowhere in the text.
    let at = (host.as_ptr() as usize).checked_sub(uri.as_ptr() as usize);
    let at = at.filter(|_| !host.is_empty()).unwrap_or(0);
    let host = at..at + host.len();
    Ok(Resolved {
        proto: proto(settings, &parsed),
        port: parsed.port(),
        words,
        uri,
        host,
        addrs,
        attrs,
        state,
    })
}

/// The transport that `ds_is_from_list` compares, of a destination and of a URI that is asked for.
pub fn proto(settings: &Settings, parsed: &Uri) -> Proto {
    let named = Proto(parsed.proto());
    if named != Proto::NONE || !settings.compat.default_proto_by_uri() {
        return named;
    }
    let numeric = net::literal(parsed.host()).is_some();
    if numeric || (parsed.names_port() && !parsed.is_secure()) {
        Proto::UDP
    } else if parsed.names_port() {
        Proto::TCP
    } else {
        Proto::NONE
    }
}

impl Resolved<'_> {
    /// What was not taken as it stands.
    pub fn warnings(&self) -> &[AttrWarning<'_>] {
        &self.attrs.warnings
    }
}

impl ToSpec for Resolved<'_> {
    fn spec(&self) -> DestSpec<'_> {
        DestSpec {
            set: self.words.set,
            uri: &self.uri,
            host: self.uri.get(self.host.clone()).unwrap_or_default(),
            port: self.port,
            proto: self.proto,
            addrs: &self.addrs,
            flags: self.state,
            priority: self.words.priority,
            attrs_body: self.attrs.body,
            attrs: self.attrs.attrs,
            socket: self.attrs.socket,
        }
    }
}
