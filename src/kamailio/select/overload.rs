//! `ds_oc_set_attrs`: what a destination reports of its load, for algorithm 64.

use crate::dispatch::list::destination::SetId;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::log_dbg;
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::time::now_us;
use crate::shm::dest::destination::Dest;

/// There is no such destination, or its last report is newer.
const NOT_TAKEN: ScriptRet = ScriptRet::new(-2);

/// Milliseconds that a report holds if it does not say how long.
const DEFAULT_MS: u64 = 500;

/// A destination's report of its load.
pub struct Report {
    /// The percentage of calls that it wants to be spared.
    pub rate: i32,
    /// Milliseconds that the report holds.
    pub validity_ms: i32,
    /// Its number. Only a higher one than the last is taken.
    pub seq: i32,
}

/// Stores a destination's report, with its rate limited to the attributes `ocmin` and `ocmax`.
pub fn report(set: SetId, uri: &[u8], report: &Report) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    let validity_ms = u64::try_from(report.validity_ms).unwrap_or(0);
    let validity_ms = Some(validity_ms).filter(|&ms| ms > 0).unwrap_or(DEFAULT_MS);
    let until_us = now_us().saturating_add(validity_ms * 1_000);
    let take = |dest: &Dest| {
        let rate = report.rate.min(dest.ocmax()).max(dest.ocmin());
        let rate = u32::try_from(rate).unwrap_or(0);
        let vitals = dest.record().need_vitals(&ShmArena).ok()?;
        Some(vitals.overload.report(report.seq, rate, until_us))
    };
    let taken = {
        let pinned = module.pin();
        let Some(view) = pinned.view(set) else {
            return ScriptRet::FAILED;
        };
        view.find_uri(uri)
            .next()
            .and_then(|at| take(view.dest(at)?))
    };
    if taken == Some(true) {
        return ScriptRet::OK;
    }
    log_dbg!("overload report of {} in set {set} not taken", Escaped(uri));
    NOT_TAKEN
}
