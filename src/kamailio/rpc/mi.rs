//! The MI commands of servers that have MI: `ds_list`, `ds_set_state`, `ds_reload`, `ds_stats`, for whatever
//! transport is loaded (mi_fifo, mi_datagram).
//!
//! They do what the RPC commands of these names do. An answer is a tree of named values with
//! attributes (doc/reference/mi.md).

use core::ffi::{c_int, c_uint, c_void};

use super::reload;
use super::rpc_reply::Full;
use super::states::{self, Counted};
use super::stats::Stats;
use crate::dispatch::list::words::{Address, set_or_all};
use crate::dispatch::state::transition::{RpcStateError, State};
use crate::kamailio::config::instance::Module;
use crate::kamailio::list::state_keeper;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::sys;
use crate::kamailio::server::text;
use crate::shm::dest::destination::Dest;

/// The first line of an answer. The server keeps the text, which therefore stays.
struct Status(c_uint, &'static str);

const OK: Status = Status(200, "OK");
const NOT_KEPT: Status = Status(200, "OK, until a restart: see the log");
const TOO_FEW: Status = Status(400, "Too few or too many arguments");
const INTERNAL: Status = Status(500, "Server Internal Error");
const RELOAD_FAILED: Status = Status(500, "ERROR Reloading data");

/// An answer while it is made; given back to the server when it is not finished.
struct MiReply(*mut sys::mi_root);

impl MiReply {
    fn new(status: &Status) -> Result<Self, Full> {
        let reason = text::as_str(status.1.as_bytes());
        // SAFETY: the server keeps the pointer to the text, which is static and only read.
        let root = unsafe { sys::init_mi_tree(status.0, reason.s, reason.len) };
        if root.is_null() {
            Err(Full)
        } else {
            Ok(MiReply(root))
        }
    }

    /// Adds a value at the top.
    fn add(&self, name: &str, value: &[u8]) -> Result<MiNode, Full> {
        // SAFETY: a tree that the server made, and that is still ours.
        let top = MiNode(unsafe { &raw mut (*self.0).node });
        top.add(name, value)
    }

    /// Gives the answer to the server.
    fn finish(mut self) -> *mut sys::mi_root {
        core::mem::replace(&mut self.0, core::ptr::null_mut())
    }
}

impl Drop for MiReply {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by the server and not given to it.
            unsafe { sys::free_mi_tree(self.0) };
        }
    }
}

/// A value in an answer; alive as long as that.
#[derive(Clone, Copy)]
struct MiNode(*mut sys::mi_node);

/// The server copies the value; names are static texts.
const COPY_VALUE: c_int = sys::MI_DUP_VALUE as c_int;

impl MiNode {
    /// Adds a value below this one.
    fn add(self, name: &str, value: &[u8]) -> Result<MiNode, Full> {
        let (name, value) = (text::as_str(name.as_bytes()), text::as_str(value));
        // SAFETY: a live node; the server copies the value and keeps the name, which is static.
        let node = unsafe {
            sys::add_mi_node_child(self.0, COPY_VALUE, name.s, name.len, value.s, value.len)
        };
        if node.is_null() {
            Err(Full)
        } else {
            Ok(MiNode(node))
        }
    }

    /// Adds an attribute to this value.
    fn attribute(self, name: &'static str, value: &[u8]) -> Result<(), Full> {
        let (name, value) = (text::as_str(name.as_bytes()), text::as_str(value));
        // SAFETY: a node of a live tree; the server copies the value and keeps the name, which is static.
        let made =
            unsafe { sys::add_mi_attr(self.0, COPY_VALUE, name.s, name.len, value.s, value.len) };
        if made.is_null() { Err(Full) } else { Ok(()) }
    }
}

/// The arguments of a command, in order.
///
/// # Safety
/// `request` is what the server called the command with, or null, and stays for `'r`.
unsafe fn arguments<'r>(request: *const sys::mi_root) -> Vec<&'r [u8]> {
    // SAFETY: by this function's contract.
    let mut next = unsafe { request.as_ref() }.map(|root| root.node.kids);
    let step = || {
        // SAFETY: a child in the tree of the request, by this function's contract; the `next` of the last
        // one is null.
        let node = unsafe { next?.as_ref() }?;
        next = Some(node.next);
        // SAFETY: the text of that child, which stays as long as the tree.
        Some(unsafe { text::bytes(&node.value) })
    };
    core::iter::from_fn(step).collect()
}

/// Runs a command. Null, when even the answer finds no memory, lets the transport say so.
fn command(
    request: *mut sys::mi_root,
    body: impl FnOnce(&'static Module, &[&[u8]]) -> Result<MiReply, Full>,
) -> *mut sys::mi_root {
    guard(|| {
        // SAFETY: what the server called the command with.
        let words = unsafe { arguments(request) };
        let answer = match Module::get() {
            Some(module) => body(module, &words),
            None => Err(Full),
        };
        answer
            .or_else(|Full| MiReply::new(&INTERNAL))
            .map_or(core::ptr::null_mut(), MiReply::finish)
    })
}

/// `ds_list`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mi_list(
    request: *mut sys::mi_root,
    _param: *mut c_void,
) -> *mut sys::mi_root {
    command(request, |module, _| list(module))
}

fn list(module: &Module) -> Result<MiReply, Full> {
    let answer = MiReply::new(&OK)?;
    let pinned = module.pin();
    let Some(table) = pinned.table().filter(|table| !table.is_empty()) else {
        return Ok(answer);
    };
    answer.add("SET_NO", table.len().to_string().as_bytes())?;
    for (id, view) in table.sets() {
        let set = answer.add("SET", id.to_string().as_bytes())?;
        for dest in view.dests() {
            list_dest(module, set, dest)?;
        }
    }
    Ok(answer)
}

fn list_dest(module: &Module, set: MiNode, dest: &Dest) -> Result<(), Full> {
    let node = set.add("URI", dest.uri())?;
    let letters = dest.record().shown_state().letters(module.settings.compat);
    node.attribute("flags", &letters)?;
    node.attribute("priority", dest.priority.to_string().as_bytes())?;
    node.attribute("attrs", dest.attrs_body())
}

/// `ds_set_state` state group address.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mi_set_state(
    request: *mut sys::mi_root,
    _param: *mut c_void,
) -> *mut sys::mi_root {
    command(request, |module, words| {
        let counted = match set_state(module, words) {
            Ok(counted) => counted,
            Err(status) => return MiReply::new(&status),
        };
        let answer = MiReply::new(if state_keeper::is_keeping(module) {
            &OK
        } else {
            &NOT_KEPT
        })?;
        if let Some(Counted { matched, changed }) = counted {
            answer.add("MATCHED", matched.to_string().as_bytes())?;
            answer.add("CHANGED", changed.to_string().as_bytes())?;
        }
        Ok(answer)
    })
}

/// Each argument is judged before the next is asked for, as scripts of operators know it. Returns what the answer
/// counts, if the form of the command is not one of 4.x.
fn set_state(module: &Module, words: &[&[u8]]) -> Result<Option<Counted>, Status> {
    let state = words.first().ok_or(TOO_FEW)?;
    let state = State::parse_rpc(state).map_err(|error| match error {
        RpcStateError::Empty => Status(500, "bad state value"),
        RpcStateError::Unknown => Status(500, "unknown state value"),
    })?;
    let group = words.get(1).ok_or(TOO_FEW)?;
    if group.is_empty() {
        return Err(Status(500, "group not found"));
    }
    let set = set_or_all(group).map_err(|_| Status(500, "bad group value"))?;
    let address = words.get(2).ok_or(TOO_FEW)?;
    if address.is_empty() {
        return Err(Status(500, "address not found"));
    }
    let address = Address::read(address).map_err(|_| Status(500, "address not found"))?;
    let counted = states::change_states(module, state, set, &address).map_err(|_| INTERNAL)?;
    if counted.matched == 0 {
        return Err(Status(404, "destination not found"));
    }
    Ok(states::is_counted(set, &address).then_some(counted))
}

/// `ds_stats`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mi_stats(
    request: *mut sys::mi_root,
    _param: *mut c_void,
) -> *mut sys::mi_root {
    command(request, |module, _| stats(&Stats::take(module)))
}

fn stats(stats: &Stats) -> Result<MiReply, Full> {
    let answer = MiReply::new(&OK)?;
    let held = &stats.held;
    let number = |name, number: &dyn ToString| answer.add(name, number.to_string().as_bytes());
    number("SETS", &stats.sets)?;
    number("DESTINATIONS", &stats.dests)?;
    number("CALLS", &stats.calls)?;
    number("LISTS", &stats.list_bytes)?;
    number("REPLACED", &held.bytes)?;
    number("REPLACED_PIECES", &held.notes)?;
    number("REPLACED_MOST", &held.most)?;
    for (name, held) in [("READER", held.reader), ("WRITER", held.writer)] {
        let node = number(name, &held.map_or(0, |held| held.pid))?;
        let for_s = held.map_or(0, |held| held.for_s);
        node.attribute("seconds", for_s.to_string().as_bytes())?;
    }
    Ok(answer)
}

/// `ds_reload` [`empty`].
#[unsafe(no_mangle)]
pub extern "C" fn dsr_mi_reload(
    request: *mut sys::mi_root,
    _param: *mut c_void,
) -> *mut sys::mi_root {
    command(request, |module, words| {
        match reload::reload(module, words.first().copied(), patience::of_command()) {
            Ok(_) => MiReply::new(&OK),
            Err(reason) => {
                let answer = MiReply::new(&RELOAD_FAILED)?;
                answer.add("REASON", reason.as_bytes())?;
                Ok(answer)
            }
        }
    })
}
