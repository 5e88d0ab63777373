//! Reports of load by destinations: `ds_oc_set_attrs`.

use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::log_dbg;
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::text::Escaped;
use crate::kamailio::server::time::{now_us, wall_us};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::overload::Overload;

/// No such destination, or an older report than the last one.
const NOT_TAKEN: ScriptRet = ScriptRet::new(-2);

/// How long a report holds that does not say it, in milliseconds.
const DEFAULT_MS: u64 = 500;

/// What a destination reports of its load.
pub struct Report {
    /// Calls of a hundred that it wants to be spared.
    pub rate: i32,
    /// For how many milliseconds.
    pub validity_ms: i32,
    /// Its number: only a higher one than the last is taken.
    pub seq: i32,
}

/// Keeps a destination's report. Its rate is kept within the attributes `ocmin` and `ocmax`.
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

/// Until when a destination's report holds, as time of day, in microseconds since 1970; 0 before the
/// first report.
pub fn until_us(dest: &Dest) -> u64 {
    match dest.record().overload().map_or(0, Overload::until_us) {
        0 => 0,
        until => on_the_wall_us(until),
    }
}

/// A moment of the shared clock as time of day, in microseconds since 1970.
fn on_the_wall_us(moment_us: u64) -> u64 {
    (wall_us() + moment_us).saturating_sub(now_us())
}
