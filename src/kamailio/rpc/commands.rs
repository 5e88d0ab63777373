//! The RPC commands that change the lists, or say what a change would do; and the entry points of
//! all commands.

use core::ffi::{c_int, c_void};

use super::calls;
use super::listing;
use super::overload;
use super::ping;
use super::reply::{Call, Full, Node, Value, integer};
use crate::dispatch::list::destination::{Addr, SetId, ToSpec};
use crate::dispatch::list::file::with_scheme;
use crate::dispatch::select::hash::hash;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Outcome, State, apply_set};
use crate::kamailio::config::instance::Module;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::list::entry::{self, Words};
use crate::kamailio::list::reload::{self, Checked, Loaded};
use crate::kamailio::list::reload_delta;
use crate::kamailio::probing::resolver;
use crate::kamailio::server::guard::{RpcEnd, guard};
use crate::kamailio::server::log::{log_info, log_warn};
use crate::kamailio::server::net::Uri;
use crate::kamailio::server::rand::ServerRandom;
use crate::kamailio::server::sys;
use crate::kamailio::server::text::Short;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::table::edit::Revision;
use crate::shm::table::from_list::Changes;

/// Code of all faults but the server's own.
const FAULT: c_int = 500;

/// Runs a command; what it returns as an error becomes the text of a fault.
fn command(
    rpc: *mut sys::rpc_t,
    context: *mut c_void,
    body: impl FnOnce(&Call, &'static Module) -> Result<(), String>,
) {
    // SAFETY: what the server called the command with (core/rpc.h).
    let call = unsafe { Call::new(rpc, context) };
    let end = guard(|| match Module::get().map(|module| body(&call, module)) {
        Some(Ok(())) => RpcEnd::Done,
        Some(Err(reason)) => RpcEnd::Fault(reason),
        None => RpcEnd::Fault("Module Not Started".into()),
    });
    guard(|| match &end {
        RpcEnd::Done => {}
        RpcEnd::Fault(reason) => call.fault(FAULT, reason),
        RpcEnd::Panicked => call.fault(FAULT, "Internal Error"),
    });
}

/// Answers that too little or something wrong was given.
fn invalid() -> String {
    "Invalid Parameters".into()
}

/// Answers that the lists were changed a moment ago, where `reload_delta` says how often they may.
fn throttle(module: &Module) -> Result<(), String> {
    if reload_delta::lets_change(module) {
        Ok(())
    } else {
        Err("Ongoing reload".into())
    }
}

/// `dispatcher.list` [`short`|`full`] [set] [offset count].
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_list(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, listing::list);
}

/// `dispatcher.calls` [set=N|duid=ID|callid=ID|all] [offset count].
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_calls(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, calls::calls);
}

/// `dispatcher.release` Call-ID.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_release(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, calls::release);
}

/// `dispatcher.hash` slots text [text].
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_hash(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, _| {
        let (Some(slots), Some(first)) = (call.number(), call.text()) else {
            return Err(invalid());
        };
        let hashed = hash(&first, call.text().as_deref());
        let slot = u32::try_from(slots)
            .ok()
            .and_then(|n| hashed.checked_rem(n));
        let answer = || {
            let node = call.add_struct()?;
            node.add(c"hashid", Value::Unsigned(hashed))?;
            node.add(c"slot", Value::Unsigned(slot.unwrap_or(0)))
        };
        answer().map_err(|Full| "Reply too large for this transport".into())
    });
}

/// `dispatcher.oclist` set.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_oclist(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, overload::list);
}

/// `dispatcher.ping_active` [0|1].
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_ping_active(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, ping::active);
}

/// `dispatcher.ping_status` [set [URI|duid=ID]].
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_ping_status(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, ping::status);
}

/// `dispatcher.reload`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_reload(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        let loaded = reload(module)?;
        // The text comes last: of several values a JSON reply keeps only that one.
        let counted = call
            .add_struct()
            .and_then(|node| count(&node, loaded.changes, loaded.rejected));
        if let Err(Full) = counted {
            log_warn!("no room for the counts in the reply of a reload");
        }
        call.say("Ok. Dispatcher successfully reloaded.");
        Ok(())
    });
}

/// Loads the lists anew for an operator's command.
///
/// # Errors
/// Why not, as an operator reads it.
pub fn reload(module: &Module) -> Result<Loaded, String> {
    throttle(module)?;
    let mut feed = Feed::new(module, Cause::Reload);
    let loaded = reload::load(module, &mut feed);
    let loaded = loaded.map_err(|error| format!("Reload Failed: {error}"))?;
    feed.post();
    Ok(loaded)
}

/// Adds the counts of a load.
fn count(node: &Node<'_>, changes: Changes, rejected: usize) -> Result<(), Full> {
    let int = |number| Value::Int(c_int::try_from(number).unwrap_or(c_int::MAX));
    node.add(c"ADDED", int(changes.added))?;
    node.add(c"CHANGED", int(changes.changed))?;
    node.add(c"REMOVED", int(changes.removed))?;
    node.add(c"KEPT", int(changes.kept))?;
    node.add(c"REJECTED", int(rejected))
}

/// `dispatcher.check`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_check(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        let checked = reload::check(module).map_err(|error| format!("Check Failed: {error}"))?;
        report(call, &checked).map_err(|Full| "Reply too large for this transport".into())
    });
}

fn report(call: &Call, checked: &Checked) -> Result<(), Full> {
    let top = call.add_struct()?;
    let refused = checked.refused.as_ref().map(ToString::to_string);
    let result = if refused.is_some() { "refused" } else { "ok" };
    top.add(c"RESULT", Value::Text(result.as_bytes()))?;
    top.add(
        c"REFUSED",
        refused
            .as_ref()
            .map_or(Value::Null, |why| Value::Text(why.as_bytes())),
    )?;
    count(&top, checked.changes, checked.rejected)?;
    let texts = [
        (c"REASONS", &checked.reasons),
        (c"REMARKS", &checked.remarks),
    ];
    texts.into_iter().try_for_each(|(name, texts)| {
        let array = top.add_array(name)?;
        texts
            .iter()
            .try_for_each(|text| array.push(text.as_bytes()))
    })
}

/// `dispatcher.set_state` state set address.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_set_state(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        let (state, set, address) = state_arguments(call)?;
        let uri = (address != b"all").then_some(address.as_slice());
        set_state(call, module, state, set, uri, |_| true)
    });
}

/// `dispatcher.set_duid_state` state set duid.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_set_duid_state(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        let (state, set, duid) = state_arguments(call)?;
        let wanted = |dest: &Dest| duid == b"all" || dest.has_duid(&duid);
        set_state(call, module, state, set, None, wanted)
    });
}

/// Reads a state, a set and a word.
fn state_arguments(call: &Call) -> Result<(State, SetId, Vec<u8>), String> {
    let (state, set, word) = (call.text(), call.number(), call.text());
    let (Some(state), Some(set), Some(word)) = (state, set, word) else {
        return Err(invalid());
    };
    let state = State::parse_rpc(&state).map_err(|error| error.to_string())?;
    Ok((state, set, word))
}

fn set_state(
    call: &Call,
    module: &Module,
    state: State,
    set: SetId,
    uri: Option<&[u8]>,
    wanted: impl Fn(&Dest) -> bool,
) -> Result<(), String> {
    if change_states(module, state, set, uri, wanted) == 0 {
        return Err("State Update Failed".into());
    }
    call.say("Ok. Dispatcher state updated.");
    Ok(())
}

/// Sets a state for an operator's command; `uri` is `None` for all destinations of the set. Returns
/// the number of those that are in that state now: 0 where there is no such set or destination.
pub fn change_states(
    module: &Module,
    state: State,
    set: SetId,
    uri: Option<&[u8]>,
    wanted: impl Fn(&Dest) -> bool,
) -> usize {
    let compat = module.settings.compat;
    let change = |old, failures| apply_set(old, failures, state, compat);
    let mut feed = Feed::new(module, Cause::Rpc);
    let told = |dest: &Dest, old, outcome: Outcome| {
        dest.record().set_cause(Cause::Rpc, now_ms());
        feed.note(dest.set, dest.uri(), old, outcome.state);
    };
    let changed = module
        .store
        .change(Module::process(), set, uri, wanted, change, told);
    feed.post();
    changed.unwrap_or(0)
}

/// `dispatcher.add` set uri [flags [priority [attrs]]].
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_add(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        let (Some(set), Some(uri)) = (call.number(), call.text()) else {
            return Err(invalid());
        };
        let words = call.words();
        if set < 0 || !words.iter().chain([&uri]).all(|word| is_listable(word)) {
            return Err(invalid());
        }
        let flags = optional(words.first(), parse_flags)?;
        let priority = optional(words.get(1), integer)?;
        let attrs = words.get(2).map(Vec::as_slice).unwrap_or_default();
        throttle(module)?;
        let failed = |why: String| format!("Adding dispatcher dst failed: {why}");
        let words = Words {
            set,
            uri: &uri,
            flags: flags.unwrap_or(0),
            priority: priority.unwrap_or(0),
            attrs,
        };
        let resolved = entry::resolve(&module.settings, words).map_err(failed)?;
        for warning in resolved.warnings() {
            log_warn!("set {set}, {}: {warning}", Short(&uri));
        }
        let spec = resolved.spec();
        let added = module.store.add(&spec, &mut ServerRandom);
        added.map_err(|error| failed(format!("set {set}, {}: {error}", Short(&uri))))?;
        log_info!("added to set {set}: {}", Short(&uri));
        call.say("Ok. Dispatcher destination added.");
        let mut feed = Feed::new(module, Cause::Rpc);
        feed.note(set, spec.uri, State::ACTIVE, spec.flags);
        feed.post();
        Ok(())
    });
}

/// True for a word that a list file can hold: one that a reload would read as it is.
fn is_listable(word: &[u8]) -> bool {
    !word
        .iter()
        .any(|&byte| byte.is_ascii_whitespace() || byte == b'\0')
}

/// Reads an argument that may be left out.
fn optional<T>(
    word: Option<&Vec<u8>>,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, String> {
    word.map(|word| parse(word).ok_or_else(invalid)).transpose()
}

/// Decimal, or hexadecimal behind `0x`, as in a list.
fn parse_flags(word: &[u8]) -> Option<u32> {
    let word = core::str::from_utf8(word).ok()?;
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// `dispatcher.remove` set uri.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_remove(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        let (Some(set), Some(uri)) = (call.number(), call.text()) else {
            return Err(invalid());
        };
        throttle(module)?;
        let listed = with_scheme(&uri);
        let removed = module.store.remove(set, &listed, &mut ServerRandom);
        removed.map_err(|error| {
            format!(
                "Removing dispatcher dst failed: set {set}, {}: {error}",
                Short(&uri)
            )
        })?;
        log_info!("removed from set {set}: {}", Short(&uri));
        call.say("Ok. Dispatcher destination removed.");
        Ok(())
    });
}

/// `dispatcher.modify` set address name value [name value ...].
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_modify(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        let (Some(set), Some(address)) = (call.number(), call.text()) else {
            return Err(invalid());
        };
        let words = call.words();
        let failed = |why: String| {
            format!(
                "Modifying dispatcher dst failed: set {set}, {}: {why}",
                Short(&address)
            )
        };
        let mut revision = revision(module, &words).map_err(failed)?;
        throttle(module)?;
        let listed = with_scheme(&address);
        let duid = address.strip_prefix(b"duid=");
        let uri = duid.is_none().then_some(&*listed);
        let wanted = |dest: &Dest| duid.is_none_or(|duid| dest.has_duid(duid));
        let addrs = addresses(module, set, uri, wanted, &revision).map_err(failed)?;
        revision.addrs = addrs.as_deref();
        let mut feed = Feed::new(module, Cause::Rpc);
        let modified = module.store.modify_and_tell(
            set,
            uri,
            wanted,
            revision,
            &mut ServerRandom,
            &mut |dest, old| feed.note(dest.set, dest.uri(), old, dest.listed),
        );
        modified.map_err(|error| failed(error.to_string()))?;
        log_info!("modified in set {set}: {}", Short(&address));
        call.say("Ok. Dispatcher destination modified.");
        feed.post();
        Ok(())
    });
}

/// The addresses that new flags ask for: none with flag 16, else those of the host where it has
/// not been resolved yet, as `ds_dns_mode` wants it at a load. `None` leaves them as they are.
fn addresses(
    module: &Module,
    set: SetId,
    uri: Option<&[u8]>,
    wanted: impl Fn(&Dest) -> bool,
    revision: &Revision<'_>,
) -> Result<Option<Vec<Addr>>, String> {
    let Some(flags) = revision.flags else {
        return Ok(None);
    };
    if flags.contains(State::NODNS) {
        return Ok(Some(Vec::new()));
    }
    let uri = {
        let pinned = module.pin();
        let dest = pinned.view(set).and_then(|view| match uri {
            Some(uri) => view.dest(view.find_uri(uri).next()?),
            None => view.dests().find(|dest| wanted(dest)),
        });
        dest.filter(|dest| dest.addrs().next().is_none())
            .map(|dest| dest.uri().to_vec())
    };
    let Some(uri) = uri else { return Ok(None) };
    let parsed = Uri::parse(&uri).ok_or("not a SIP URI")?;
    let host = parsed.host();
    let addrs = resolver::at_load(&module.settings.dns, &parsed, host);
    addrs
        .map(Some)
        .ok_or_else(|| format!("cannot resolve host \"{}\"", Short(host)))
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
        let bad = || format!("bad value for {}: \"{}\"", Short(name), Short(value));
        match name.as_slice() {
            b"flags" => {
                let flags = parse_flags(value).ok_or_else(bad)?;
                revision.flags = Some(State::from_list_flags(flags, module.settings.compat));
            }
            b"priority" => revision.priority = Some(integer(value).ok_or_else(bad)?),
            b"attrs" if !is_listable(value) => return Err(bad()),
            b"attrs" => {
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
