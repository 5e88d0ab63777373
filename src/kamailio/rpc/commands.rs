//! The entry points of all RPC commands.
//!
//! A new command needs a line here, a function in a file beside this one, and its name and help text in
//! `kamailio-glue/tables.c`. Kamailio 4.x has MI commands as well, see `mi.rs`.

use core::ffi::{c_int, c_void};

use super::keys::{hashed, route};
use super::rpc_reply::RpcCall;
use super::{
    calls, cluster, drain_status, edits, history, listing, overload, ping, reload, states, stats,
};
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::guard::{RpcEnd, guard};
use crate::kamailio::server::sys;

/// The code of all faults but the server's own.
const FAULT: c_int = 500;

/// Runs a command. The error that it returns becomes the text of a fault.
fn command(
    rpc: *mut sys::rpc_t,
    context: *mut c_void,
    body: impl FnOnce(&RpcCall, &'static Module) -> Result<(), String>,
) {
    // SAFETY: what the server called the command with, valid until it returns (core/rpc.h).
    let call = unsafe { RpcCall::new(rpc, context) };
    let run = |module| body(&call, module).and_then(|()| call.check_length());
    let end = guard(|| match Module::get().map(run) {
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

macro_rules! entry_points {
    ($($(#[$doc:meta])* $name:ident => $body:path;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(rpc: *mut sys::rpc_t, context: *mut c_void) {
            command(rpc, context, $body);
        }
    )*};
}

entry_points! {
    /// `dispatcher.list` [`short`|`full`] [set] [offset count].
    dsr_rpc_list => listing::list;
    /// `dispatcher.calls` [set=N|duid=ID|callid=ID|all] [offset count].
    dsr_rpc_calls => calls::calls;
    /// `dispatcher.release` Call-ID.
    dsr_rpc_release => calls::release;
    /// `dispatcher.hash` slots text [text].
    dsr_rpc_hash => hashed::hash;
    /// `dispatcher.route` set algorithm key.
    dsr_rpc_route => route::route;
    /// `dispatcher.oclist` set.
    dsr_rpc_oclist => overload::list;
    /// `dispatcher.ping_active` [0|1].
    dsr_rpc_ping_active => ping::active;
    /// `dispatcher.ping_status` [set [URI|duid=ID]].
    dsr_rpc_ping_status => ping::status;
    /// `dispatcher.reload` [`empty`].
    dsr_rpc_reload => reload::reload_command;
    /// `dispatcher.check`.
    dsr_rpc_check => reload::check_command;
    /// `dispatcher.set_state` state set|all URI|host=HOST|all.
    dsr_rpc_set_state => states::set_state;
    /// `dispatcher.set_duid_state` state set|all duid|all.
    dsr_rpc_set_duid_state => states::set_duid_state;
    /// `dispatcher.add` set uri [flags [priority [attrs]]].
    dsr_rpc_add => edits::add;
    /// `dispatcher.remove` set uri.
    dsr_rpc_remove => edits::remove;
    /// `dispatcher.history` [set|URI|all] [count].
    dsr_rpc_history => history::history;
    /// `dispatcher.cluster` [nodes|dest SET URI|reload|sync|leave|forget NAME].
    dsr_rpc_cluster => cluster::cluster;
    /// `dispatcher.stats`.
    dsr_rpc_stats => stats::stats;
    /// `dispatcher.drain_status` [set].
    dsr_rpc_drain_status => drain_status::drain_status;
    /// `dispatcher.modify` set address name value [name value ...].
    dsr_rpc_modify => edits::modify;
}
