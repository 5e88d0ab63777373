//! A line in the log for each change of a state that is news to whoever is on call (parameter `log_changes`).

use core::ffi::c_int;
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;

use crate::dispatch::list::destination::SetId;
use crate::dispatch::observe::line_budget::{MOST, admit};
use crate::dispatch::observe::news::{Left, News};
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::state::event::Cause;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::names;
use crate::kamailio::server::heap;
use crate::kamailio::server::log::{self, log_at, log_err, log_warn};
use crate::kamailio::server::sys;
use crate::kamailio::server::time::now_ms;
use crate::shm::observe::changes::history::Change;
use crate::shm::set::view::View;
use crate::shm::table::sets::Table;

/// Bytes of heap that a line takes at most besides its URI, until it is written.
const LINE_HEAP: usize = 1_000;

/// The most sets that one line names.
const SETS_SHOWN: usize = 10;

/// A line that is yet to be written.
pub struct Line {
    set: SetId,
    uri: Vec<u8>,
    news: News,
    by: String,
    /// The rest of the set after the change; `None` if that is to be seen when the line is written.
    left: Option<Left>,
}

impl Line {
    /// Makes the line of a change; `None` if it is to have none. May be called while a table is pinned or locked.
    pub fn of(module: &Module, change: &Change<'_>) -> Option<Self> {
        if !module.settings.log_changes {
            return None;
        }
        let news = News::of(change.old, change.new, module.settings.compat)?;
        if !log::on(level(news, None)) {
            return None;
        }
        let uri = is_admitted(module)
            .then(|| {
                heap::need(LINE_HEAP)
                    .and_then(|()| heap::copy(&change.uri))
                    .ok()
            })
            .flatten();
        let Some(uri) = uri else {
            module.shared.lines_left_out.fetch_add(1, Relaxed);
            return None;
        };
        let who = Escaped(&change.who);
        let by = match change.found().as_str() {
            "" => who.to_string(),
            found => format!("{who} ({found})"),
        };
        // A load changes many, and the sets are complete only after it.
        let is_load = matches!(change.cause, Cause::Start | Cause::Reload);
        let left = if is_load {
            None
        } else {
            left(module, change.set)
        };
        Some(Line {
            set: change.set,
            uri,
            news,
            by,
            left,
        })
    }

    /// Writes the line. Its caller holds no pin and no lock, unless it lets lines wait.
    pub fn write(&self, module: &Module) {
        let Line { news, by, .. } = self;
        let (set, uri) = (Named(self.set), Escaped(&self.uri));
        match self.left.or_else(|| left(module, self.set)) {
            Some(left) => log_at!(
                level(*news, Some(left)),
                "set {set}, {uri}: {news} by {by}, {left}"
            ),
            None => log_at!(level(*news, None), "set {set}, {uri}: {news} by {by}"),
        }
    }
}

/// A set, with its name if it has one.
struct Named(SetId);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match names::name(self.0) {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => self.0.fmt(f),
        }
    }
}

/// Returns the level of a line.
fn level(news: News, left: Option<Left>) -> c_int {
    match (news, left) {
        (News::Down(_), Some(Left { usable: 0, .. })) => sys::L_ERR,
        (News::Down(_), _) => sys::L_WARN,
        (News::Up | News::StillDown(..), _) => sys::L_NOTICE,
    }
}

/// Returns what is left of a set at this moment; `None` if there is no such set.
pub fn left(module: &Module, set: SetId) -> Option<Left> {
    let pinned = module.pin();
    pinned.view(set).map(left_of)
}

fn left_of(view: &View) -> Left {
    let (usable, all) = (view.usable_count(), view.dest_count());
    let default = view.candidate_count();
    Left {
        usable,
        all,
        only_default: usable == 1 && default < all && view.is_usable(default),
    }
}

/// Returns true if one more line may be written now, and counts it.
fn is_admitted(module: &Module) -> bool {
    let now_ms = now_ms();
    let more = |word| admit(word, now_ms, MOST);
    let words = &module.shared.line_budget;
    words.fetch_update(Relaxed, Relaxed, more).is_ok()
}

/// Says how many changes had no line since this was last called, and which sets have nothing left. For the tick.
pub fn say_left_out(module: &Module) {
    let count = module.shared.lines_left_out.swap(0, Relaxed);
    if count == 0 {
        return;
    }
    let out = sets_that_are_out(module);
    if out.is_empty() {
        log_warn!("{count} more changes of states");
    } else {
        log_err!("{count} more changes of states; nothing is left of set {out}");
    }
}

/// Returns the sets without a usable destination, the first of them by name.
fn sets_that_are_out(module: &Module) -> String {
    let pinned = module.pin();
    let sets = pinned.table().into_iter().flat_map(Table::sets);
    let out = sets.filter(|(_, view)| left_of(view).usable == 0);
    let (mut shown, mut more) = (Vec::new(), 0);
    for (set, _) in out {
        if shown.len() < SETS_SHOWN {
            shown.push(Named(set).to_string());
        } else {
            more += 1;
        }
    }
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
