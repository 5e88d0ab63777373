//! `dispatcher.calls` and `dispatcher.release`: the calls that call load counts.

use core::ops::{ControlFlow, Range};

use super::rpc_reply::{Full, INVALID, RpcCall, integer, page};
use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::instance::Module;
use crate::kamailio::select::call_load::ServerCalls;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::time::now_s;
use crate::shm::calls::call_table::CallInfo;
use crate::shm::table::store::Pinned;

/// Calls that are shown where no count is given.
const DEFAULT_COUNT: usize = 100;

/// Which calls a caller wants to see.
enum Filter {
    All,
    Set(SetId),
    Duid(Vec<u8>),
    CallId(Vec<u8>),
}

impl Filter {
    fn read(word: Option<Vec<u8>>) -> Result<Self, String> {
        let Some(word) = word else {
            return Ok(Filter::All);
        };
        let named = |name: &[u8]| word.strip_prefix(name).map(<[u8]>::to_vec);
        match (named(b"set="), named(b"duid="), named(b"callid=")) {
            _ if word == b"all" => Ok(Filter::All),
            (Some(set), ..) => match integer(&set) {
                Some(set) => Ok(Filter::Set(set)),
                None => Err(INVALID.into()),
            },
            (_, Some(duid), _) => Ok(Filter::Duid(duid)),
            (.., Some(call_id)) => Ok(Filter::CallId(call_id)),
            _ => Err("Invalid Parameters: expected all, set=N, duid=ID or callid=ID".into()),
        }
    }

    fn takes(&self, call: &CallInfo<'_>) -> bool {
        match self {
            Filter::All | Filter::CallId(_) => true,
            Filter::Set(set) => call.set == *set,
            Filter::Duid(duid) => call.duid.eq_ignore_ascii_case(duid),
        }
    }

    fn call_id(&self) -> Option<&[u8]> {
        match self {
            Filter::CallId(call_id) => Some(call_id),
            _ => None,
        }
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
    let filter = Filter::read(call.text())?;
    let page = page(call.text(), call.text())?.unwrap_or(0..DEFAULT_COUNT);
    let pinned = module.pin();
    let shown = collect(calls, &pinned, &filter, page.clone())?;
    reply(call, calls, page.start, &shown)
        .map_err(|Full| "Reply too large for this transport: ask for fewer calls".into())
}

/// Returns the calls of a page.
fn collect<'p>(
    calls: &ServerCalls,
    pinned: &'p Pinned<'_>,
    filter: &Filter,
    page: Range<usize>,
) -> Result<Vec<CallInfo<'p>>, NoMemory> {
    let mut shown = Vec::new();
    let mut place = 0..page.end;
    let stop = calls.visit(pinned, filter.call_id(), |info| {
        if !filter.takes(&info) {
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
