//! `$dsg(name)`, `ds_dsg_fetch` and `ds_dsg_fetch_uri`: what a script can ask about a set and about
//! one of its destinations.

use core::cell::RefCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::instance::Module;
use crate::kamailio::select::overload;
use crate::kamailio::server::guard::{ScriptRet, guard};
use crate::kamailio::server::log::log_dbg;
use crate::kamailio::server::pv_export::{Names, PvRet, Question};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::StrArg;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::overload::Overload;

/// The set that is asked about, in this process; 1 until a script chooses another.
static CHOSEN: AtomicI32 = AtomicI32::new(1);

thread_local! {
    /// The URI of the destination that the overload fields are about; empty for none. In this
    /// process, as the set.
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
    UntilSec,
    UntilUsec,
    Seq,
    Rate,
}

/// The names.
const NAMES: Names<Field> = Names {
    variable: "$dsg",
    known: &[
        ("count", Field::Count),
        ("active", Field::Active),
        ("inactive", Field::Inactive),
        ("pactive", Field::PercentActive),
        ("pinactive", Field::PercentInactive),
        ("octime_sec", Field::UntilSec),
        ("octime_usec", Field::UntilUsec),
        ("ocseq", Field::Seq),
        ("ocrate", Field::Rate),
    ],
};

/// `ds_dsg_fetch`(set): chooses the set that `$dsg` shows, and says whether there is such a set.
pub fn fetch(set: SetId) -> ScriptRet {
    fetch_uri(set, b"")
}

/// `ds_dsg_fetch_uri`(set, uri): as [`fetch`]; and chooses the destination, by the list's own text,
/// whose reports of its load `$dsg` shows.
pub fn fetch_uri(set: SetId, uri: &[u8]) -> ScriptRet {
    CHOSEN_URI.with_borrow_mut(|chosen| {
        chosen.clear();
        chosen.extend_from_slice(uri);
    });
    CHOSEN.store(set, Relaxed);
    match Module::get() {
        Some(module) if module.has_set(set) => ScriptRet::OK,
        _ => {
            log_dbg!("no set {set}");
            ScriptRet::FAILED
        }
    }
}

/// Reads the name in the parentheses, when the config is read.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsg_parse_name(spec: sys::pv_spec_p, name: StrArg) -> PvRet {
    guard(|| NAMES.parse(spec, &name))
}

/// Gives the value; null for a set that does not exist.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsg_get(
    msg: *mut sys::sip_msg,
    param: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
) -> PvRet {
    let question = Question::new(msg, param, value);
    guard(|| match NAMES.asked(&question).and_then(ask) {
        Some(number) => question.number(number),
        None => question.null(),
    })
}

/// The value for the chosen set.
fn ask(field: Field) -> Option<c_int> {
    let module = Module::get()?;
    let pinned = module.pin();
    let view = pinned.view(CHOSEN.load(Relaxed))?;
    let all = view.dest_count();
    let active = || (0..all).filter(|&at| view.is_usable(at)).count();
    let percent = |part: usize| (part * 100).checked_div(all).unwrap_or(0);
    // A destination that is not there has reported nothing.
    let of_dest = |ask: fn(&Dest) -> u64| {
        CHOSEN_URI.with_borrow(|uri| {
            let mut dests = view.find_uri(uri).filter_map(|at| view.dest(at));
            let found = dests.find(|dest| dest.uri() == &**uri);
            usize::try_from(found.map_or(0, ask)).unwrap_or(0)
        })
    };
    let number = match field {
        Field::Count => all,
        Field::Active => active(),
        Field::Inactive => all - active(),
        Field::PercentActive => percent(active()),
        Field::PercentInactive => percent(all - active()),
        Field::UntilSec => of_dest(|dest| overload::until_us(dest) / 1_000_000),
        Field::UntilUsec => of_dest(|dest| overload::until_us(dest) % 1_000_000),
        Field::Seq => of_dest(|dest| {
            let seq = dest.record().overload().map_or(0, Overload::seq);
            u64::try_from(seq).unwrap_or(0)
        }),
        Field::Rate => of_dest(|dest| dest.record().overload().map_or(0, Overload::rate).into()),
    };
    c_int::try_from(number).ok()
}
