//! `reload_delta`: the least time between two changes of the lists, for configs that ask for one.
//!
//! Nothing here needs it: lists may change at any time, from any process.

use core::sync::atomic::Ordering::SeqCst;

use crate::kamailio::config::instance::Module;
use crate::kamailio::server::time::now_s;

/// Returns true if the lists may be changed now. The change counts, whatever comes of it.
pub fn lets_change(module: &Module) -> bool {
    let delta_s = u64::from(module.settings.reload_delta_s);
    let now = now_s().saturating_add(1);
    let due = |last: u64| (last == 0 || now >= last.saturating_add(delta_s)).then_some(now);
    let last = &module.shared.lists_changed_s;
    delta_s == 0 || last.fetch_update(SeqCst, SeqCst, due).is_ok()
}
