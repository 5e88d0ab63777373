//! Traces of selections, at the level DEBUG.
//!
//! To ask the server for its level takes longer than a part of a selection. So the tick asks once a second, and a
//! selection looks at one word.

use core::sync::atomic::Ordering::Relaxed;

use core::fmt::{self, Display, Formatter};

use super::request::Request;
use crate::dispatch::balance::cost::Key;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::{CountCalls, Counters};
use crate::kamailio::server::log::{self, log_dbg};
use crate::kamailio::server::sys;
use crate::shm::set::view::View;

/// The bit of a watched selection that is traced.
const TRACED: u32 = 1;
/// The bit of one that is counted for its set and its destination or as a call, or whose request is watched.
const COUNTED: u32 = 2;
/// The bit of one whose destination is asked whether it takes the request (`admission::ask`).
const GATED: u32 = 4;

/// Looks whether selections are watched. For the start, and for the tick.
pub fn look(module: &Module) {
    let settings = &module.settings;
    let traced = if log::on(sys::L_DBG) { TRACED } else { 0 };
    let is_counted = settings.counters == Counters::Each || settings.count_calls != CountCalls::Off;
    let is_counted = is_counted || settings.passive.is_some();
    let counted = if is_counted { COUNTED } else { 0 };
    let gated = if settings.has_gates() { GATED } else { 0 };
    module
        .shared
        .watched
        .store(traced | counted | gated, Relaxed);
}

/// Returns true if there is more to do for a selection than to select: it is traced, counted for its destination,
/// or asks whether its destination takes the request.
#[inline(always)]
pub fn is_watched(module: &Module) -> bool {
    module.shared.watched.load(Relaxed) != 0
}

/// Returns true if selections are traced.
#[inline(always)]
pub fn is_on(module: &Module) -> bool {
    module.shared.watched.load(Relaxed) & TRACED != 0
}

/// Returns true if selections are traced or counted, or their requests are watched.
#[inline(always)]
pub fn is_followed(module: &Module) -> bool {
    module.shared.watched.load(Relaxed) & (TRACED | COUNTED) != 0
}

/// Returns true if destinations are asked whether they take a request.
#[inline(always)]
pub fn is_gated(module: &Module) -> bool {
    module.shared.watched.load(Relaxed) & GATED != 0
}

/// The number of a message that a selection has chosen by.
#[derive(Clone, Copy)]
pub enum Hash {
    /// There is none.
    None,
    /// That of algorithms 0 to 7.
    Number(u32),
    /// That of algorithms 100 to 107.
    Key(Key),
}

impl Display for Hash {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("-"),
            Self::Number(hash) => hash.fmt(f),
            Self::Key(key) => key.fmt(f),
        }
    }
}

/// Tells what a selection has chosen.
#[cold]
#[inline(never)]
pub fn chosen(request: &Request, view: &View, at: usize, hash: Hash) {
    let uri = view.dest(at).map_or(&b""[..], |dest| dest.uri());
    log_dbg!(
        "set {}, algorithm {}: {} at {at}, {} of {} usable, hash {hash}",
        request.set,
        request.algorithm,
        Escaped(uri),
        view.usable_count(),
        view.dest_count(),
    );
}

/// Tells where a request goes on to.
#[cold]
#[inline(never)]
pub fn next(uri: &[u8]) {
    log_dbg!("next: {}", Escaped(uri));
}
