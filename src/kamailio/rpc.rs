//! The RPC commands: `dispatcher.list`, `dispatcher.set_state`, `dispatcher.reload`, and the same
//! under the names that the module's MI commands had.

use core::ffi::{CStr, c_int, c_void};

use super::guard::guard;
use super::load;
use super::log::log_err;
use super::module::Module;
use super::reply::{Call, Full, Node, Value};
use super::sys;
use crate::dispatch::state::{State, apply_set};
use crate::shm::store::Pinned;
use crate::shm::view::{self, Dest, View};

/// Code of all faults but the server's own.
const FAULT: c_int = 500;

/// Runs a command.
fn command(
    rpc: *mut sys::rpc_t,
    context: *mut c_void,
    body: impl FnOnce(&Call, &'static Module) -> Result<(), String>,
) {
    guard(|| {
        // SAFETY: what the server called the command with (core/rpc.h).
        let call = unsafe { Call::new(rpc, context) };
        let done = match Module::get() {
            Some(module) => body(&call, module),
            None => Err("Module Not Started".into()),
        };
        if let Err(reason) = done {
            call.fault(FAULT, &reason);
        }
    });
}

/// `dispatcher.reload`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_reload(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        load::load(module).map_err(|error| format!("Reload Failed: {error}"))?;
        call.say("Ok. Dispatcher successfully reloaded.");
        Ok(())
    });
}

/// `dispatcher.set_state` state set address.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_set_state(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        let arguments = (call.text(), call.number(), call.text());
        let (Some(state), Some(set), Some(address)) = arguments else {
            return Err("Invalid Parameters".into());
        };
        let state = State::parse_rpc(state).map_err(|error| error.to_string())?;
        let uri = (address != b"all").then_some(address);
        let compat = module.settings.compat;
        let changed = module.store.change(
            Module::process(),
            set,
            uri,
            |_| true,
            |old, failures| apply_set(old, failures, state, compat),
            |_, _, _| {},
        );
        match changed {
            Some(1..) => {
                call.say("Ok. Dispatcher state updated.");
                Ok(())
            }
            _ => Err("State Update Failed".into()),
        }
    });
}

/// How much of each destination a list shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Short,
    Normal,
    Full,
}

/// `dispatcher.list` [`short`|`full`].
#[unsafe(no_mangle)]
pub extern "C" fn dsr_rpc_list(rpc: *mut sys::rpc_t, context: *mut c_void) {
    command(rpc, context, |call, module| {
        let detail = match call.text() {
            Some(word) if word.eq_ignore_ascii_case(b"short") => Detail::Short,
            Some(word) if word.eq_ignore_ascii_case(b"full") => Detail::Full,
            _ => Detail::Normal,
        };
        let pinned = module.pin();
        let listed = list(call, module, &pinned, detail);
        drop(pinned);
        match listed {
            Ok(true) => Ok(()),
            Ok(false) => Err("No Destination Sets".into()),
            Err(Full) => {
                log_err!("no room for the list in the reply");
                Err("Internal error creating the list".into())
            }
        }
    });
}

/// Builds the reply; false when there is no set.
fn list(call: &Call, module: &Module, pinned: &Pinned<'_>, detail: Detail) -> Result<bool, Full> {
    let Some(table) = pinned.table().filter(|table| !table.is_empty()) else {
        return Ok(false);
    };
    let top = call.add_struct()?;
    top.add(
        c"NRSETS",
        Value::Int(c_int::try_from(table.len()).unwrap_or(c_int::MAX)),
    )?;
    let records = top.add_array(c"RECORDS")?;
    for (id, view) in table.sets() {
        let set = records.add_struct(c"SET")?;
        set.add(c"ID", Value::Int(id))?;
        list_set(module, &set.add_array(c"TARGETS")?, view, detail)?;
    }
    Ok(true)
}

fn list_set(module: &Module, targets: &Node<'_>, view: &View, detail: Detail) -> Result<(), Full> {
    for dest in view.dests() {
        let node = targets.add_struct(c"DEST")?;
        node.add(c"URI", Value::Text(dest.uri()))?;
        let letters = dest.record().state().letters(module.settings.compat);
        node.add(c"FLAGS", Value::Text(&letters))?;
        node.add(c"PRIORITY", Value::Int(dest.priority))?;
        if detail == Detail::Full {
            list_address(&node, dest)?;
        }
        if detail != Detail::Short && !dest.attrs_body().is_empty() {
            list_attrs(&node.add_struct(c"ATTRS")?, dest)?;
        }
    }
    Ok(())
}

fn list_address(node: &Node<'_>, dest: &Dest) -> Result<(), Full> {
    node.add(c"HOST", Value::Text(dest.host()))?;
    let address = dest.addrs().next().map(|addr| view::ip(addr).to_string());
    node.add(
        c"IPADDR",
        Value::Text(address.unwrap_or_default().as_bytes()),
    )?;
    node.add(c"PORT", Value::Int(dest.port.into()))?;
    node.add(c"PROTOID", Value::Int(dest.proto.0.into()))?;
    node.add(c"DNSTIME_SEC", Value::Int(0))?;
    node.add(c"DNSTIME_USEC", Value::Int(0))
}

fn list_attrs(node: &Node<'_>, dest: &Dest) -> Result<(), Full> {
    let attrs = dest.attrs();
    let text = |name: &'static CStr, value: Option<&[u8]>| {
        node.add(name, value.map_or(Value::Null, Value::Text))
    };
    text(c"BODY", Some(dest.attrs_body()))?;
    text(c"DUID", attrs.duid)?;
    node.add(c"MAXLOAD", Value::Int(attrs.maxload))?;
    node.add(c"WEIGHT", Value::Int(attrs.weight))?;
    node.add(c"RWEIGHT", Value::Int(attrs.rweight))?;
    text(c"SOCKET", attrs.socket)?;
    text(c"SOCKNAME", attrs.sockname)?;
    text(c"OBPROXY", attrs.obproxy)
}
