//! Traces of selections, at the level DEBUG.
//!
//! To ask the server for its level takes longer than a part of a selection. So the tick asks once a second, and a
//! selection looks at one word.

use core::sync::atomic::Ordering::Relaxed;

use super::request::Request;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::log::{self, log_dbg};
use crate::kamailio::server::sys;
use crate::shm::set::view::View;

/// Looks whether selections are to be traced. For the start, and for the tick.
pub fn look(module: &Module) {
    let traced = u32::from(log::on(sys::L_DBG));
    module.shared.traces.store(traced, Relaxed);
}

/// Returns true if selections are traced.
#[inline(always)]
pub fn is_on(module: &Module) -> bool {
    module.shared.traces.load(Relaxed) != 0
}

/// Tells what a selection has chosen. `hash` is what it had to choose by, if it had one.
#[cold]
#[inline(never)]
pub fn chosen(request: &Request, view: &View, at: usize, hash: Option<u32>) {
    let uri = view.dest(at).map_or(&b""[..], |dest| dest.uri());
    log_dbg!(
        "set {}, algorithm {}: {} at {at}, {} of {} usable, hash {}",
        request.set,
        request.algorithm,
        Escaped(uri),
        view.usable_count(),
        view.dest_count(),
        hash.map_or_else(|| "-".to_owned(), |hash| hash.to_string()),
    );
}

/// Tells where a request goes on to.
#[cold]
#[inline(never)]
pub fn next(uri: &[u8]) {
    log_dbg!("next: {}", Escaped(uri));
}
