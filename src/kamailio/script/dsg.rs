//! `$dsg(name)`, `ds_dsg_fetch` and `ds_dsg_fetch_uri`: what a script can ask about a set and about one of its
//! destinations.

use core::cell::RefCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::guard::{ScriptRet, guard};
use crate::kamailio::server::log::log_dbg;
use crate::kamailio::server::message::MessageArg;
use crate::kamailio::server::pv_export::{Names, PvRet, ValueArg};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::StrArg;
use crate::kamailio::server::time::wall_of;
use crate::shm::dest::overload::Overload;
use crate::shm::set::view::View;

/// The set that this process asks about: 1 until a script chooses another.
static CHOSEN: AtomicI32 = AtomicI32::new(1);

thread_local! {
    /// The URI of the destination that this process asks about; empty for none.
    static CHOSEN_URI: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The chosen set, and what the chosen destination has reported of its load.
struct Chosen<'v> {
    view: &'v View,
    report: Option<&'v Overload>,
}

impl<'v> Chosen<'v> {
    fn find(view: &'v View, uri: &[u8]) -> Self {
        let mut dests = view.find_uri(uri).filter_map(|at| view.dest(at));
        let dest = dests.find(|dest| dest.uri() == uri);
        let report = dest.and_then(|dest| dest.record().overload());
        Chosen { view, report }
    }

    fn count(&self) -> usize {
        self.view.dest_count()
    }

    fn active(&self) -> usize {
        let usable = |&at: &usize| self.view.is_usable(at);
        (0..self.count()).filter(usable).count()
    }

    fn inactive(&self) -> usize {
        self.count() - self.active()
    }

    fn percent(&self, part: usize) -> usize {
        (part * 100).checked_div(self.count()).unwrap_or(0)
    }

    /// Returns until when the report holds, as time of day; 0 before the first report.
    fn until_us(&self) -> usize {
        let until_us = wall_of(self.report.map_or(0, Overload::until_us));
        usize::try_from(until_us).unwrap_or(0)
    }
}

const NAMES: Names<fn(&Chosen) -> usize> = Names {
    variable: "$dsg",
    known: &[
        ("count", |chosen| chosen.count()),
        ("active", |chosen| chosen.active()),
        ("inactive", |chosen| chosen.inactive()),
        ("pactive", |chosen| chosen.percent(chosen.active())),
        ("pinactive", |chosen| chosen.percent(chosen.inactive())),
        ("octime_sec", |chosen| chosen.until_us() / 1_000_000),
        ("octime_usec", |chosen| chosen.until_us() % 1_000_000),
        ("ocseq", |chosen| {
            let seq = chosen.report.map_or(0, Overload::seq);
            usize::try_from(seq).unwrap_or(0)
        }),
        ("ocrate", |chosen| {
            let rate = chosen.report.map_or(0, Overload::rate);
            usize::try_from(rate).unwrap_or(0)
        }),
    ],
};

/// `ds_dsg_fetch`(set): chooses the set that `$dsg` shows; false if there is no such set.
pub fn fetch(set: SetId) -> ScriptRet {
    fetch_uri(set, b"")
}

/// `ds_dsg_fetch_uri`(set, uri): as [`fetch`], and chooses the destination, by the list's own text, whose
/// reports of its load `$dsg` shows.
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
pub extern "C" fn dsr_dsg_parse_name(spec: Option<&mut sys::pv_spec_t>, name: StrArg) -> PvRet {
    guard(|| NAMES.parse(spec, &name))
}

/// Gives the value; null for a set that does not exist.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dsg_get(
    _msg: MessageArg,
    param: Option<&sys::pv_param_t>,
    value: ValueArg,
) -> PvRet {
    guard(|| match NAMES.asked(param).and_then(ask) {
        Some(number) => value.number(number),
        None => value.null(),
    })
}

/// Asks about the chosen set.
fn ask(question: fn(&Chosen) -> usize) -> Option<c_int> {
    let module = Module::get()?;
    let pinned = module.pin();
    let view = pinned.view(CHOSEN.load(Relaxed))?;
    let number = CHOSEN_URI.with_borrow(|uri| question(&Chosen::find(view, uri)));
    c_int::try_from(number).ok()
}
