//! `dispatcher.add`, `dispatcher.remove` and `dispatcher.modify`: one destination of a set.

use core::fmt::Display;
use core::sync::atomic::Ordering::Relaxed;

use super::reload::check_reload_delta;
use super::rpc_reply::RpcCall;
use crate::dispatch::list::attr_text::{self, Unfit};
use crate::dispatch::list::attrs::Attrs;
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
use crate::kamailio::probing::resolver::{self, Peer};
use crate::kamailio::server::log::{log_info, log_warn};
use crate::kamailio::server::net::Uri;
use crate::kamailio::server::rand::ServerRandom;
use crate::shm::dest::destination::Dest;
use crate::shm::table::edit::{EditError, Revision};

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
    call.say("Ok. Dispatcher destination added.");
    let mut feed = Feed::new(module, Cause::Rpc).by("add");
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
    let asked = Asked::read(module, &words).map_err(failed)?;
    room_for_edit(module)?;
    check_reload_delta(module)?;
    let listed = with_scheme(&address);
    let duid = address.strip_prefix(b"duid=");
    let meant = Meant {
        set,
        uri: duid.is_none().then_some(&*listed),
        duid,
    };
    let peer = peer(module, &meant, asked.flags).map_err(failed)?;
    let mut feed = Feed::new(module, Cause::Rpc).by("modify");
    let mut told = |dest: &Dest, old| feed.note(dest.set, dest.uri(), old, dest.listed);
    modify_meant(module, &meant, &asked, peer.as_ref(), &mut told).map_err(failed)?;
    module.shared.outcomes.modified.fetch_add(1, Relaxed);
    log_info!("modified in set {set}: {}", Escaped(&address));
    call.say("Ok. Dispatcher destination modified.");
    feed.post();
    Ok(())
}

/// How often a change is made anew because somebody else has changed the same attributes meanwhile.
const TRIES: usize = 100;

/// Changes the destination that is meant. Attributes that are set by name are written into its text of this moment.
///
/// # Errors
/// The text of the fault: nothing has changed.
fn modify_meant(
    module: &Module,
    meant: &Meant<'_>,
    asked: &Asked<'_>,
    peer: Option<&Peer>,
    told: &mut dyn FnMut(&Dest, State),
) -> Result<(), String> {
    let mut tries = 0..TRIES;
    loop {
        let before = meant.with_dest(module, |dest| dest.attrs_body().to_vec());
        let before = before.unwrap_or_default();
        let text = asked.attrs(&before)?;
        let attrs = text.as_ref().map(|text| asked.check(module, &before, text));
        let revision = Revision {
            flags: asked.flags,
            priority: asked.priority,
            attrs: attrs.transpose()?,
            made_of: asked.keeps_attrs().then_some(&*before),
            peer: peer.map(|peer| (peer.addrs.as_slice(), peer.port, peer.proto)),
        };
        let modified = module.store.modify_and_tell(
            patience::of_command(),
            (meant.set, meant.uri),
            |dest| meant.is(dest),
            revision,
            &mut ServerRandom,
            told,
        );
        match modified {
            Err(EditError::Changed) if tries.next().is_some() => {}
            modified => return modified.map_err(|error| error.to_string()),
        }
    }
}

/// The destination that a command names: by its URI, or by its unique id.
struct Meant<'w> {
    set: SetId,
    uri: Option<&'w [u8]>,
    duid: Option<&'w [u8]>,
}

impl Meant<'_> {
    /// Returns true for a destination of the set that has the unique id, if one is named; the store looks for the URI.
    fn is(&self, dest: &Dest) -> bool {
        self.duid.is_none_or(|duid| dest.has_duid(duid))
    }

    /// Looks at the first destination that is meant, if there is one.
    fn with_dest<T>(&self, module: &Module, look: impl FnOnce(&Dest) -> T) -> Option<T> {
        let pinned = module.pin();
        let view = pinned.view(self.set)?;
        let dest = match self.uri {
            Some(uri) => view.dest(view.find_uri(uri).next()?),
            None => view.dests().find(|dest| self.is(dest)),
        };
        dest.map(look)
    }
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
fn peer(module: &Module, meant: &Meant<'_>, flags: Option<State>) -> Result<Option<Peer>, String> {
    let Some(flags) = flags else {
        return Ok(None);
    };
    let unresolved = flags.contains(State::NODNS);
    let uri = meant.with_dest(module, |dest| {
        (unresolved || dest.addrs().next().is_none()).then(|| dest.uri().to_vec())
    });
    let uri = uri.flatten();
    let Some(uri) = uri else { return Ok(None) };
    let parsed = Uri::parse(&uri).ok_or("not a SIP URI")?;
    if unresolved {
        return Ok(Some(Peer::unresolved(&module.settings, &parsed)));
    }
    resolver::at_load(&module.settings, &parsed)
        .map(Some)
        .ok_or_else(|| format!("cannot resolve host \"{}\"", Escaped(parsed.host())))
}

/// The values that a command asks a destination to have.
#[derive(Default)]
struct Asked<'w> {
    flags: Option<State>,
    priority: Option<i32>,
    /// In the order of the command: `attrs` with all attributes, or the name of one with its value.
    attrs: Vec<(&'w [u8], &'w [u8])>,
}

/// The name that stands for all attributes.
const ALL_ATTRS: &[u8] = b"attrs";

impl<'w> Asked<'w> {
    /// Reads pairs of a name and a value: `flags`, `priority`, `attrs`, or the name of an attribute.
    ///
    /// # Errors
    /// The text of the fault.
    fn read(module: &Module, words: &'w [Vec<u8>]) -> Result<Self, String> {
        let mut asked = Asked::default();
        if words.is_empty() {
            return Err(EXPECTED.into());
        }
        for pair in words.chunks(2) {
            let [name, value] = pair else {
                return Err(EXPECTED.into());
            };
            match name.as_slice() {
                b"flags" => {
                    let flags = words::flags(value).ok_or_else(|| bad(name, value))?;
                    asked.flags = Some(entry::listed_state(&module.settings, flags));
                }
                b"priority" => {
                    let priority = words::integer(value).ok_or_else(|| bad(name, value))?;
                    asked.priority = Some(priority);
                }
                name => {
                    row::check_attrs(value).map_err(|wrong| wrong.to_string())?;
                    entry::check_text(value)?;
                    entry::check_text(name)?;
                    asked.attrs.push((name, value));
                }
            }
        }
        Ok(asked)
    }

    /// Returns true if it changes attributes by name, and leaves the others.
    fn keeps_attrs(&self) -> bool {
        let first = self.attrs.first();
        first.is_some_and(|(name, _)| *name != ALL_ATTRS)
    }

    /// Returns the text of the attributes that it asks for; `None` if they stay.
    ///
    /// # Errors
    /// The text of the fault.
    fn attrs(&self, before: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let mut text = None;
        for (name, value) in &self.attrs {
            let old = text.as_deref().unwrap_or(before);
            text = Some(match *name {
                ALL_ATTRS => value.to_vec(),
                name => attr_text::with(old, name, value).map_err(|unfit| match unfit {
                    Unfit::Name => EXPECTED.into(),
                    Unfit::Value => bad(name, value),
                })?,
            });
        }
        Ok(text)
    }

    /// Reads the text of attributes. One that is set by name must have the effect that it says; of all attributes
    /// together each may have another, as in a list.
    ///
    /// # Errors
    /// The text of the fault.
    fn check<'t>(
        &self,
        module: &Module,
        before: &[u8],
        text: &'t [u8],
    ) -> Result<(&'t [u8], Attrs<'t>, usize), String> {
        let attrs = entry::attrs(&module.settings, text)?;
        let old = entry::attrs(&module.settings, before).map(|attrs| attrs.warnings);
        let old = old.unwrap_or_default();
        for warning in attrs.warnings {
            let is_new = self.keeps_attrs() && !old.contains(&warning);
            if is_new && warning.is_in_vain() {
                return Err(warning.fault());
            }
            if is_new || !self.keeps_attrs() {
                log_warn!("modify: {warning}");
            }
        }
        Ok((attrs.body, attrs.attrs, attrs.socket))
    }
}

const EXPECTED: &str =
    "expected flags, priority, attrs or the name of an attribute, each with a value";

fn bad(name: &[u8], value: &[u8]) -> String {
    format!("bad value for {}: \"{}\"", Escaped(name), Escaped(value))
}
