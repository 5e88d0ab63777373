//! The interface for other C modules, which find it by the name `bind_dispatcher`. It is documented for them in
//! `include/dispatcher_api.h`.

use core::ffi::c_int;
use core::mem::MaybeUninit;

use crate::dispatch::state::transition::State;
use crate::kamailio::select::from_list::{self, DEFAULT_MODE};
use crate::kamailio::select::mark;
use crate::kamailio::select::next_dst;
use crate::kamailio::select::request::{Request, UNLIMITED};
use crate::kamailio::select::select_dst;
use crate::kamailio::server::guard::{InitRet, ScriptRet, guard};
use crate::kamailio::server::message::{MessageArg, Target};
use crate::kamailio::server::sys;

/// The struct that `bind_dispatcher` fills. The order of the pointers is the C module's.
#[repr(C)]
pub struct Api {
    select: extern "C" fn(MessageArg, c_int, c_int, c_int) -> ScriptRet,
    next: extern "C" fn(MessageArg, c_int) -> ScriptRet,
    mark: extern "C" fn(MessageArg, c_int) -> ScriptRet,
    is_from: extern "C" fn(MessageArg, c_int) -> ScriptRet,
}

const _: () = assert!(size_of::<Api>() == size_of::<sys::dispatcher_api>());

/// Gives another module our functions; -1 if it passes no struct.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_bind_dispatcher(api: Option<&mut MaybeUninit<Api>>) -> InitRet {
    let ours = Api {
        select,
        next,
        mark,
        is_from,
    };
    guard(|| InitRet::of(api.map(|api| api.write(ours)).is_some()))
}

fn target(mode: c_int) -> Option<Target> {
    match mode {
        0 => Some(Target::DstUri),
        1 => Some(Target::Domain),
        2 => Some(Target::Nothing),
        _ => None,
    }
}

extern "C" fn select(msg: MessageArg, set: c_int, alg: c_int, mode: c_int) -> ScriptRet {
    msg.run(|msg| {
        let request = Request {
            set,
            algorithm: alg,
            limit: UNLIMITED,
            target: target(mode)?,
            behind: None,
        };
        Some(select_dst::select(msg, &request))
    })
}

extern "C" fn next(msg: MessageArg, mode: c_int) -> ScriptRet {
    msg.run(|msg| Some(next_dst::next(msg, target(mode)?)))
}

extern "C" fn mark(msg: MessageArg, state: c_int) -> ScriptRet {
    msg.run(|msg| {
        let state = State(u32::try_from(state).ok()?);
        Some(mark::mark(msg, Some(letters(state)?)))
    })
}

/// Returns the text of `ds_mark_dst` for state bits; `None` if there is none.
fn letters(state: State) -> Option<&'static [u8]> {
    let kind = state.without(State::PROBING);
    let [plain, probing]: [&[u8]; 2] = if kind == State::ACTIVE {
        [b"a", b"ap"]
    } else if kind == State::INACTIVE {
        [b"i", b"ip"]
    } else if kind == State::TRYING {
        [b"t", b"tp"]
    } else if kind == State::DISABLED {
        [b"d", b"dp"]
    } else {
        return None;
    };
    Some(if state.contains(State::PROBING) {
        probing
    } else {
        plain
    })
}

extern "C" fn is_from(msg: MessageArg, set: c_int) -> ScriptRet {
    msg.run(|msg| Some(from_list::is_from_list(msg, set, DEFAULT_MODE, None)))
}
