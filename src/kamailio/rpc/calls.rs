//! `dispatcher.calls` and `dispatcher.release`: the calls that call load counts.

use core::ops::{ControlFlow, Range};

use super::rpc_reply::{Full, RpcCall};
use crate::dispatch::list::words::{CallFilter, INVALID, page};
use crate::kamailio::config::instance::Module;
use crate::kamailio::select::call_load::ServerCalls;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::time::now_s;
use crate::shm::calls::call_table::CallInfo;
use crate::shm::table::store::Pinned;

/// Calls that are shown where no count is given.
const DEFAULT_COUNT: usize = 100;

/// Returns true if a caller wants to see a call.
fn takes(filter: &CallFilter, call: &CallInfo<'_>) -> bool {
    match filter {
        CallFilter::All | CallFilter::CallId(_) => true,
        CallFilter::Set(set) => call.set == *set,
        CallFilter::Duid(duid) => call.duid.eq_ignore_ascii_case(duid),
    }
}

/// Answers `dispatcher.calls` [set=N|duid=ID|callid=ID|all] [offset count].
///
/// # Errors
/// The text of the fault.
pub fn calls(call: &RpcCall, module: &Module) -> Result<(), String> {
    let Some(calls) = &module.calls else {
        return Err("Call Load Is Off (ds_hash_size is 0)".into());
    };
    let filter = CallFilter::read(call.text().as_deref())?;
    let page = page(call.text().as_deref(), call.text().as_deref())?.unwrap_or(0..DEFAULT_COUNT);
    let pinned = module.pin();
    let shown = collect(calls, &pinned, &filter, page.clone())?;
    reply(call, calls, page.start, &shown)
        .map_err(|Full| "Reply too large for this transport: ask for fewer calls".into())
}

/// Returns the calls of a page.
fn collect<'p>(
    calls: &ServerCalls,
    pinned: &'p Pinned<'_>,
    filter: &CallFilter,
    page: Range<usize>,
) -> Result<Vec<CallInfo<'p>>, NoMemory> {
    let mut shown = Vec::new();
    let mut place = 0..page.end;
    let call_id = match filter {
        CallFilter::CallId(call_id) => Some(call_id.as_slice()),
        _ => None,
    };
    let stop = calls.visit(pinned, call_id, |info| {
        if !takes(filter, &info) {
            return ControlFlow::Continue(());
        }
        match place.next() {
            None => return ControlFlow::Break(Ok(())),
            Some(place) if place < page.start => return ControlFlow::Continue(()),
            Some(_) => {}
        }
        if let Err(why) = heap::reserve(&mut shown, 1) {
            return ControlFlow::Break(Err(why));
        }
        shown.push(info);
        ControlFlow::Continue(())
    });
    stop.break_value().unwrap_or(Ok(()))?;
    Ok(shown)
}

fn reply(
    call: &RpcCall,
    calls: &ServerCalls,
    offset: usize,
    shown: &[CallInfo<'_>],
) -> Result<(), Full> {
    let top = call.add_struct()?;
    top.add(c"UP", calls.up())?;
    top.add(c"MAX", calls.most())?;
    top.add(c"OFFSET", offset)?;
    let list = top.add_array(c"CALLS")?;
    for info in shown {
        let node = list.add_struct(c"CALL")?;
        node.add(c"CALLID", &info.call_id.shown())?;
        node.add(c"SET", info.set)?;
        node.add(c"DUID", info.duid)?;
        let state: &[u8] = if info.confirmed {
            b"confirmed"
        } else {
            b"init"
        };
        node.add(c"STATE", state)?;
        let left = info.expires_s.saturating_sub(now_s());
        node.add(c"EXPIRES", usize::try_from(left).unwrap_or(usize::MAX))?;
    }
    Ok(())
}

/// Answers `dispatcher.release` RpcCall-ID.
///
/// # Errors
/// The text of the fault.
pub fn release(call: &RpcCall, module: &Module) -> Result<(), String> {
    let Some(call_id) = call.text() else {
        return Err(INVALID.into());
    };
    let Some(calls) = &module.calls else {
        return Err("Call Load Is Off (ds_hash_size is 0)".into());
    };
    if calls.release(&module.store, Module::process(), &call_id) == 0 {
        return Err("No Such Call".into());
    }
    call.say("Ok. Dispatcher call released.");
    Ok(())
}
