//! `dispatcher.add`, `dispatcher.remove` and `dispatcher.modify`: one destination of a set.

use core::fmt::Display;
use core::sync::atomic::Ordering::Relaxed;

use super::reload::check_reload_delta;
use super::rpc_reply::RpcCall;
use crate::dispatch::list::destination::{Line, Origin, SetId};
use crate::dispatch::list::file::with_scheme;
use crate::dispatch::list::row;
use crate::dispatch::list::words::{self, INVALID};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::State;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::patience;
use crate::kamailio::config::room::room_for_edit;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::list::entry;
use crate::kamailio::observe::counting::group;
use crate::kamailio::probing::resolver::{self, Peer};
use crate::kamailio::server::log::{log_info, log_warn};
use crate::kamailio::server::net::Uri;
use crate::kamailio::server::rand::ServerRandom;
use crate::shm::dest::destination::Dest;
use crate::shm::table::edit::Revision;

/// Adds a destination.
///
/// # Errors
/// The text of the fault.
pub fn add(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (Some(set), Some(uri)) = (call.number(), call.text()) else {
        return Err(INVALID.into());
    };
    let words = call.words();
    call.all_readable()?;
    if set < 0 {
        return Err(INVALID.into());
    }
    let flags = optional(words.first(), words::flags)?;
    let priority = optional(words.get(1), words::integer)?;
    let attrs = words.get(2).map(Vec::as_slice).unwrap_or_default();
    // A `;` alone is as no text here, as in the C module; in a list it is an empty text.
    let attrs = if attrs == b";" { b"" } else { attrs };
    room_for_edit(module)?;
    check_reload_delta(module)?;
    let failed = |why: String| format!("Adding dispatcher dst failed: {why}");
    let of_this = |what: &dyn Display| failed(format!("set {set}, {}: {what}", Escaped(&uri)));
    row::check_uri(&uri)
        .and_then(|()| row::check_attrs(attrs))
        .map_err(|wrong| of_this(&wrong))?;
    let line = Line {
        origin: Origin::Command,
        set,
        uri: uri.as_slice().into(),
        flags: flags.unwrap_or(0),
        priority: priority.unwrap_or(0),
        attrs: attrs.into(),
    };
    let (spec, warnings) = entry::resolve(&module.settings, &line).map_err(failed)?;
    for warning in warnings {
        log_warn!("set {set}, {}: {warning}", Escaped(&uri));
    }
    let added = module
        .store
        .add(patience::of_command(), &spec, &mut ServerRandom);
    added.map_err(|error| of_this(&error))?;
    module.shared.outcomes.added.fetch_add(1, Relaxed);
    log_info!("added to set {set}: {}", Escaped(&uri));
    group::EDITS.count();
    call.say("Ok. Dispatcher destination added.");
    let mut feed = Feed::new(module, Cause::Rpc);
    feed.note(set, &spec.uri, State::ACTIVE, spec.flags);
    feed.post();
    Ok(())
}

/// Removes all destinations of a set with a URI.
///
/// # Errors
/// The text of the fault.
pub fn remove(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (Some(set), Some(uri)) = (call.number(), call.text()) else {
        return Err(INVALID.into());
    };
    room_for_edit(module)?;
    check_reload_delta(module)?;
    let listed = with_scheme(&uri);
    let removed = module
        .store
        .remove(patience::of_command(), set, &listed, &mut ServerRandom);
    removed.map_err(|error| {
        format!(
            "Removing dispatcher dst failed: set {set}, {}: {error}",
            Escaped(&uri)
        )
    })?;
    module.shared.outcomes.removed.fetch_add(1, Relaxed);
    log_info!("removed from set {set}: {}", Escaped(&uri));
    group::EDITS.count();
    call.say("Ok. Dispatcher destination removed.");
    Ok(())
}

/// Changes one destination.
///
/// # Errors
/// The text of the fault.
pub fn modify(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (Some(set), Some(address)) = (call.number(), call.text()) else {
        return Err(INVALID.into());
    };
    let words = call.words();
    call.all_readable()?;
    let failed = |why: String| {
        format!(
            "Modifying dispatcher dst failed: set {set}, {}: {why}",
            Escaped(&address)
        )
    };
    let mut revision = revision(module, &words).map_err(failed)?;
    room_for_edit(module)?;
    check_reload_delta(module)?;
    let listed = with_scheme(&address);
    let duid = address.strip_prefix(b"duid=");
    let uri = duid.is_none().then_some(&*listed);
    let wanted = |dest: &Dest| duid.is_none_or(|duid| dest.has_duid(duid));
    let peer = peer(module, set, uri, wanted, &revision).map_err(failed)?;
    let peer = peer.as_ref();
    revision.peer = peer.map(|peer| (peer.addrs.as_slice(), peer.port, peer.proto));
    let mut feed = Feed::new(module, Cause::Rpc);
    let modified = module.store.modify_and_tell(
        patience::of_command(),
        (set, uri),
        wanted,
        revision,
        &mut ServerRandom,
        &mut |dest, old| feed.note(dest.set, dest.uri(), old, dest.listed),
    );
    modified.map_err(|error| failed(error.to_string()))?;
    module.shared.outcomes.modified.fetch_add(1, Relaxed);
    log_info!("modified in set {set}: {}", Escaped(&address));
    group::EDITS.count();
    call.say("Ok. Dispatcher destination modified.");
    feed.post();
    Ok(())
}

/// Reads an argument that may be left out.
fn optional<T>(
    word: Option<&Vec<u8>>,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, String> {
    word.map(|word| parse(word).ok_or_else(|| INVALID.into()))
        .transpose()
}

/// Returns what new flags ask `ds_is_from_list` to compare: no address with flag 16, else those of the host if
/// it is not resolved yet, as at a load. `None` leaves all as it is.
fn peer(
    module: &Module,
    set: SetId,
    uri: Option<&[u8]>,
    wanted: impl Fn(&Dest) -> bool,
    revision: &Revision<'_>,
) -> Result<Option<Peer>, String> {
    let Some(flags) = revision.flags else {
        return Ok(None);
    };
    let unresolved = flags.contains(State::NODNS);
    let uri = {
        let pinned = module.pin();
        let dest = pinned.view(set).and_then(|view| match uri {
            Some(uri) => view.dest(view.find_uri(uri).next()?),
            None => view.dests().find(|dest| wanted(dest)),
        });
        dest.filter(|dest| unresolved || dest.addrs().next().is_none())
            .map(|dest| dest.uri().to_vec())
    };
    let Some(uri) = uri else { return Ok(None) };
    let parsed = Uri::parse(&uri).ok_or("not a SIP URI")?;
    if unresolved {
        return Ok(Some(Peer::unresolved(&module.settings, &parsed)));
    }
    resolver::at_load(&module.settings, &parsed)
        .map(Some)
        .ok_or_else(|| format!("cannot resolve host \"{}\"", Escaped(parsed.host())))
}

/// Reads `name value` pairs: `flags`, `priority`, `attrs`.
fn revision<'w>(module: &Module, words: &'w [Vec<u8>]) -> Result<Revision<'w>, String> {
    let expected = || "expected flags, priority or attrs, each with a value".to_string();
    let mut revision = Revision::default();
    if words.is_empty() {
        return Err(expected());
    }
    for pair in words.chunks(2) {
        let [name, value] = pair else {
            return Err(expected());
        };
        let bad = || format!("bad value for {}: \"{}\"", Escaped(name), Escaped(value));
        match name.as_slice() {
            b"flags" => {
                let flags = words::flags(value).ok_or_else(bad)?;
                revision.flags = Some(State::from_list_flags(flags, module.settings.compat));
            }
            b"priority" => revision.priority = Some(words::integer(value).ok_or_else(bad)?),
            b"attrs" => {
                row::check_attrs(value).map_err(|wrong| wrong.to_string())?;
                entry::check_text(value)?;
                let attrs = entry::attrs(&module.settings, value)?;
                for warning in &attrs.warnings {
                    log_warn!("modify: {warning}");
                }
                revision.attrs = Some((attrs.body, attrs.attrs, attrs.socket));
            }
            _ => return Err(expected()),
        }
    }
    Ok(revision)
}
