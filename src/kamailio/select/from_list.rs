//! `ds_is_from_list`, `ds_list_exists` and `ds_is_active`: questions of a script about the lists.

use crate::dispatch::list::destination::{Addr, SetId};
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::probing::resolver::{self, Peer};
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::{log_dbg, log_err};
use crate::kamailio::server::message::Message;
use crate::kamailio::server::net::Uri;
use crate::shm::dest::address::{Match, Source};
use crate::shm::dest::destination::Dest;
use crate::shm::table::sets::Table;

/// The set argument that means all sets.
const ALL_SETS: SetId = -1;

/// Mode bit: the port need not agree.
const IGNORE_PORT: i32 = 1;
/// Mode bit: the transport need not agree.
const IGNORE_PROTO: i32 = 2;
/// Mode bit: the destination must be usable or draining, as requests inside a dialog come from a draining one.
const ONLY_USABLE: i32 = 4;

/// Mode bit: the message came to the destination's local socket, where it has one.
const LOCAL_SOCKET: i32 = 8;
/// Mode bit: of all destinations with this address, the one that agrees in most is found.
const BEST: i32 = 16;

/// The mode of calls without one.
pub const DEFAULT_MODE: i32 = IGNORE_PROTO;

/// The return code when the set's number cannot be written to `setid_pvname`.
const SETID_FAILED: ScriptRet = ScriptRet::new(-2);
/// The return code when the attributes cannot be written to `attrs_pvname`.
const ATTRS_FAILED: ScriptRet = ScriptRet::new(-3);
/// The return code for a set that is not a number.
const BAD_SET: ScriptRet = ScriptRet::new(-2);

/// Finds out if the message, or the given `uri`, is from a destination of a set; set -1 means all sets.
pub fn is_from_list(msg: &mut Message, set: SetId, mode: i32, uri: Option<&[u8]>) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    // In parts: a source as one thing would be copied byte by byte.
    let parts = |source: Source| (source.addr, source.port, source.proto);
    let parts = match uri.filter(|uri| !uri.is_empty()) {
        Some(uri) => source_of(module, uri).map(parts),
        None => msg.source().map(parts),
    };
    let Some((addr, port, proto)) = parts else {
        return ScriptRet::FAILED;
    };
    let source = Source { addr, port, proto };
    let want = Match {
        port: mode & IGNORE_PORT == 0,
        proto: mode & IGNORE_PROTO == 0,
        set: (set != ALL_SETS).then_some(set),
    };
    let rules = module.store.rules();
    let socket = match mode & (LOCAL_SOCKET | BEST) {
        0 => 0,
        _ => msg.local_socket(),
    };
    let fits = |dest: &Dest| {
        (mode & ONLY_USABLE == 0 || rules.serves_calls(dest.record().state()))
            && (mode & (LOCAL_SOCKET | BEST) != LOCAL_SOCKET
                || dest.socket() == 0
                || dest.socket() == socket)
    };
    // The best match may be anywhere.
    let agrees = |addrs: &mut dyn Iterator<Item = Addr>, port, proto| {
        mode & BEST == 0 && source.agrees(want, addrs, port, proto)
    };
    let is_found = |dest: &Dest| agrees(&mut dest.addrs(), dest.port, dest.proto) && fits(dest);
    let may_be = |peer: &Peer| agrees(&mut peer.addrs.iter().copied(), peer.port, peer.proto);
    resolver::before_match(module, want.set, is_found, may_be);
    let (setid, attrs) = (&module.settings.setid, &module.settings.attrs);
    let found = {
        let pinned = module.pin();
        let find = |table| search(table, source, want, mode, socket, &fits);
        let found = pinned.table().and_then(find);
        // The variables are written after the pin is gone: a script may do anything with them.
        match found {
            None => return ScriptRet::FAILED,
            Some(_) if setid.is_none() && attrs.is_none() => return ScriptRet::OK,
            Some(dest) => {
                let wanted = attrs.is_some() && !dest.attrs_body().is_empty();
                (dest.set, wanted.then(|| dest.attrs_body().to_vec()))
            }
        }
    };
    tell(module, msg, want.set.is_none().then_some(found.0), found.1)
}

/// Returns the first destination in the table's order that matches, or with [`BEST`] the first of those that agree in
/// most.
fn search<'t>(
    table: &'t Table,
    source: Source,
    want: Match,
    mode: i32,
    socket: usize,
    fits: &impl Fn(&Dest) -> bool,
) -> Option<&'t Dest> {
    if mode & BEST == 0 {
        return table.find_source(source, want, fits);
    }
    let by_address = Match {
        port: false,
        proto: false,
        ..want
    };
    let worth = |dest: &Dest| worth(dest, source, mode, socket);
    let of_worth = |points: u32| {
        table.find_source(source, by_address, |dest| {
            worth(dest) == points && fits(dest)
        })
    };
    (0..=MOST_POINTS).rev().find_map(of_worth)
}

/// The points of a destination whose port, transport and local socket agree.
const MOST_POINTS: u32 = 2 + 4 + 8;

/// Returns the points for what a destination has in common with a source at its address: port, transport and local
/// socket, each of which is worth more than those before it together. What the mode ignores is worth nothing.
fn worth(dest: &Dest, source: Source, mode: i32, socket: usize) -> u32 {
    let port = match dest.port {
        _ if mode & IGNORE_PORT != 0 => 0,
        port if port == source.port => 2,
        // A destination without a port agrees with any.
        0 => 1,
        _ => 0,
    };
    let proto = mode & IGNORE_PROTO == 0 && dest.proto == source.proto;
    let socket = dest.socket() != 0 && dest.socket() == socket;
    port + if proto { 4 } else { 0 } + if socket { 8 } else { 0 }
}

/// Writes the set and the attributes to the variables that the config names.
#[inline(never)]
fn tell(
    module: &Module,
    msg: &mut Message,
    set: Option<SetId>,
    attrs: Option<Vec<u8>>,
) -> ScriptRet {
    if let (Some(variable), Some(set)) = (&module.settings.setid, set) {
        if !variable.set_number(msg, set) {
            log_err!("cannot write the set's number to setid_pvname");
            return SETID_FAILED;
        }
    }
    if let (Some(variable), Some(attrs)) = (&module.settings.attrs, attrs) {
        if !variable.set_text(msg, &attrs) {
            log_err!("cannot write the attributes to attrs_pvname");
            return ATTRS_FAILED;
        }
    }
    ScriptRet::OK
}

/// Returns the address, port and transport that a URI stands for; asks the server's resolver.
#[inline(never)]
fn source_of(module: &Module, uri: &[u8]) -> Option<Source> {
    let Some(parsed) = Uri::parse(uri) else {
        log_err!("not a SIP URI: {}", Escaped(uri));
        return None;
    };
    let peer = Peer::resolved(&module.settings, &parsed);
    let Some(&addr) = peer.addrs.first() else {
        log_err!("cannot resolve host \"{}\"", Escaped(parsed.host()));
        return None;
    };
    Some(Source {
        addr: addr.into(),
        port: peer.port,
        proto: peer.proto,
    })
}

/// Finds out if there is such a set. `None` is a set that is not a number.
pub fn list_exists(set: Option<SetId>) -> ScriptRet {
    match (Module::get(), set) {
        (_, None) => BAD_SET,
        (Some(module), Some(set)) if module.has_set(set) => ScriptRet::OK,
        _ => {
            log_dbg!("no set {set:?}");
            ScriptRet::FAILED
        }
    }
}

/// Finds out if a set has a usable destination, or with `uri`, if that one is usable.
pub fn is_active(set: SetId, uri: Option<&[u8]>) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    let pinned = module.pin();
    let active = pinned
        .view(set)
        .is_some_and(|view| match uri.filter(|uri| !uri.is_empty()) {
            None => view.any_usable(),
            Some(uri) => view.find_uri(uri).any(|at| {
                view.is_usable(at) && view.dest(at).is_some_and(|dest| dest.uri() == uri)
            }),
        });
    if active {
        ScriptRet::OK
    } else {
        ScriptRet::FAILED
    }
}
