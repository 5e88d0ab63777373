//! `$dsg(name)`, `ds_dsg_fetch` and `ds_dsg_fetch_uri`: what a script can ask about a set, and about
//! the load that one of its destinations reported.
//!
//! Source: `features.md` 2.2, 2.7.

use core::cell::RefCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use super::dsv::{self, PvRet, Question};
use super::guard::{ScriptRet, guard};
use super::log::{log_dbg, log_err};
use super::module::Module;
use super::overload::{self, Reported};
use super::sys;
use super::text::Escaped;
use crate::dispatch::dest::SetId;
use crate::shm::dest::Dest;
use crate::shm::view::View;

/// The set that is asked about, in this process; 1 until a script chooses another.
static CHOSEN: AtomicI32 = AtomicI32::new(1);

thread_local! {
    /// The destination of that set that is asked about; empty for none.
    static CHOSEN_URI: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What can be asked.
#[derive(Clone, Copy)]
enum Field {
    Count,
    Active,
    Inactive,
    PercentActive,
    PercentInactive,
    OverloadSeconds,
    OverloadMicros,
    OverloadSeq,
    OverloadRate,
}

/// Names and fields; the place in this table is what the server keeps.
const FIELDS: [(&[u8], Field); 9] = [
    (b"count", Field::Count),
    (b"active", Field::Active),
    (b"inactive", Field::Inactive),
    (b"pactive", Field::PercentActive),
    (b"pinactive", Field::PercentInactive),
    (b"octime_sec", Field::OverloadSeconds),
    (b"octime_usec", Field::OverloadMicros),
    (b"ocseq", Field::OverloadSeq),
    (b"ocrate", Field::OverloadRate),
];

/// `ds_dsg_fetch`(set): chooses the set that `$dsg` shows, and says whether there is such a set.
pub fn fetch(set: SetId) -> ScriptRet {
    CHOSEN.store(set, Relaxed);
    CHOSEN_URI.with_borrow_mut(Vec::clear);
    match Module::get() {
        Some(module) if module.has_set(set) => ScriptRet::OK,
        _ => {
            log_dbg!("no set {set}");
            ScriptRet::FAILED
        }
    }
}

/// `ds_dsg_fetch_uri`(set, uri): chooses a set and one of its destinations, and says whether there
/// is such a destination.
pub fn fetch_uri(set: SetId, uri: &[u8]) -> ScriptRet {
    CHOSEN.store(set, Relaxed);
    CHOSEN_URI.with_borrow_mut(|chosen| {
        chosen.clear();
        chosen.extend_from_slice(uri);
    });
    let is_there = Module::get().is_some_and(|module| {
        let pinned = module.pin();
        let view = pinned.view(set);
        view.is_some_and(|view| chosen_dest(view).is_some())
    });
    if is_there {
        return ScriptRet::OK;
    }
    log_dbg!("no destination {} in set {set}", Escaped(uri));
    ScriptRet::FAILED
}

fn chosen_dest(view: &View) -> Option<&Dest> {
    CHOSEN_URI.with_borrow(|uri| view.dest(view.find_uri(uri).next()?))
}

/// Reads the name in the parentheses, when the config is read.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsg_parse_name(spec: sys::pv_spec_p, name: *mut sys::str_) -> PvRet {
    guard(|| {
        let known = |name: &[u8]| FIELDS.iter().position(|(known, _)| *known == name);
        let kept = dsv::keep_name(spec, name, known, |name| {
            log_err!(
                "$dsg({}): expected count, active, inactive, pactive, pinactive, octime_sec, \
                 octime_usec, ocseq or ocrate",
                Escaped(name)
            );
        });
        PvRet::of(kept)
    })
}

/// Gives the value; null for a set that does not exist, and for the load of no destination.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsg_get(
    msg: *mut sys::sip_msg,
    param: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
) -> PvRet {
    let question = Question::new(msg, param, value);
    guard(|| {
        let field = question.name().and_then(|at| FIELDS.get(at));
        match field.and_then(|&(_, field)| ask(field)) {
            Some(number) => question.number(number),
            None => question.null(),
        }
    })
}

/// The value for the chosen set.
fn ask(field: Field) -> Option<c_int> {
    let module = Module::get()?;
    let pinned = module.pin();
    let view = pinned.view(CHOSEN.load(Relaxed))?;
    if let Some(number) = ask_of_load(view, field) {
        return number;
    }
    let all = view.dest_count();
    let active = || (0..all).filter(|&at| view.is_usable(at)).count();
    let percent = |part: usize| (part * 100).checked_div(all).unwrap_or(0);
    let number = match field {
        Field::Count => all,
        Field::Active => active(),
        Field::Inactive => all - active(),
        Field::PercentActive => percent(active()),
        Field::PercentInactive => percent(all - active()),
        _ => return None,
    };
    c_int::try_from(number).ok()
}

/// What the chosen destination reported of its load; `None` where that is not asked for.
fn ask_of_load(view: &View, field: Field) -> Option<Option<c_int>> {
    let load = |part: fn(&Reported) -> c_int| {
        let reported = chosen_dest(view).map(overload::reported);
        Some(reported.as_ref().map(part))
    };
    match field {
        Field::OverloadSeconds => load(|reported| reported.until_s),
        Field::OverloadMicros => load(|reported| reported.until_us),
        Field::OverloadSeq => load(|reported| reported.seq),
        Field::OverloadRate => load(|reported| reported.rate),
        _ => None,
    }
}
