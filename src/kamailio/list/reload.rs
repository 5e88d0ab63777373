//! Loading the list: read it, resolve its hosts, publish the table.
//!
//! Whatever may take time (file, database, DNS) is done before the store takes its lock.

use core::fmt;

use super::entry::resolve;
use super::source::{self, Content, Grade, ReadError};
use super::{reload_delta, state_keeper};
use crate::dispatch::admission::remarks::{SwitchedOn, on_attributes};
use crate::dispatch::list::destination::{DestSpec, Line};
use crate::dispatch::list::reading::{LeftOut, Place};
use crate::dispatch::select::remarks::on_weights;
use crate::dispatch::state::event::Cause;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::Settings;
use crate::kamailio::config::patience;
use crate::kamailio::config::room::{ADDRESS_HEAP, SPARE_HEAP};
use crate::kamailio::events::feed::Feed;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::log::{log_err, log_info, log_warn};
use crate::kamailio::server::message::Message;
use crate::kamailio::server::rand::ServerRandom;
use crate::kamailio::server::time::wall_us;
use crate::shm::dest::destination::Dest;
use crate::shm::table::lock::{Patience, Refusal};
use crate::shm::table::new_table::{Changes, compare, plan_sets};
use crate::shm::table::sets::Table;

/// The number of reasons in the reply of a reload. The log has them all.
const SHOWN: usize = 3;

/// The number of reasons and of remarks in the reply of a check.
const SHOWN_BY_CHECK: usize = 500;

/// Bytes of heap that a destination takes at most when it is resolved, but for its URI and further addresses.
const RESOLVED_HEAP: usize = size_of::<DestSpec<'_>>() + 100;

/// Bytes of heap that it takes at most while the list is compared and written into shared memory.
const BUILT_HEAP: usize = 250;

/// Bytes of heap that a destination of the running list takes at most, to be found again.
const RUNNING_HEAP: usize = 200;

/// Lines that are resolved before the heap is asked for their addresses again.
const LINES_AT_ONCE: usize = 256;

/// The reason why a list was not taken. The running table stays.
pub enum LoadError {
    /// It cannot be read: what it is, and why.
    Unreadable(String, ReadError),
    /// It has lines or rows that are refused: its name, how many, and what is wrong with the first of them.
    Lines(String, usize, Vec<String>),
    /// It has no destination left, but the running list has some.
    Empty(String),
    /// It cannot be published.
    Refused(Refusal),
    /// This process has no memory for it.
    Heap(NoMemory),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Unreadable(title, error) => write!(f, "cannot read {title}: {error}"),
            LoadError::Lines(name, count, shown) => {
                write!(f, "{name}: {}", shown.join("; "))?;
                match count.saturating_sub(shown.len()) {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
            LoadError::Empty(title) => write!(f, "{title} has no destination left"),
            LoadError::Refused(error) => write!(f, "{error}"),
            LoadError::Heap(error) => write!(f, "{error}"),
        }
    }
}

/// The way in which a load takes a list without destinations while there are some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenEmpty {
    /// It is refused: half-written files and failed queries are empty, too.
    Refuse,
    /// It is taken, because somebody asks for it.
    Take,
}

/// The result of a load.
pub struct Loaded {
    /// The numbers of changes; all 0 if a list that was read later runs already.
    pub changes: Changes,
    /// Destinations that were left out, each with a warning.
    pub rejected: usize,
}

/// The result that a load would have.
pub struct Checked {
    /// The numbers of changes.
    pub changes: Changes,
    /// Destinations that would be left out.
    pub rejected: usize,
    /// The reason to refuse the list; `None` if it would be taken.
    pub refused: Option<LoadError>,
    /// The errors and warnings that would be logged.
    pub reasons: Vec<String>,
    /// Remarks on what the list means.
    pub remarks: Vec<String>,
}

/// Loads the list and publishes it, when it is this process's turn within `patience`. `feed` notes what changes; the
/// caller passes it on.
///
/// # Errors
/// [`LoadError`], after each of its reasons was logged; nothing has changed then.
pub fn load(
    module: &Module,
    when_empty: WhenEmpty,
    feed: &mut Feed<'_>,
    patience: Patience,
) -> Result<Loaded, LoadError> {
    let loaded = read_and_publish(module, when_empty, feed, patience);
    let rejected = loaded.as_ref().ok().map(|loaded| loaded.rejected);
    let outcomes = &module.shared.outcomes;
    outcomes.note_load(rejected, wall_us() / 1_000_000);
    loaded
}

fn read_and_publish(
    module: &Module,
    when_empty: WhenEmpty,
    feed: &mut Feed<'_>,
    patience: Patience,
) -> Result<Loaded, LoadError> {
    let source = &module.settings.source;
    let ticket = module.store.ticket();
    let mut content = match source::read(source) {
        Ok(content) => content,
        // A mistake, but nothing is lost yet: destinations may come by commands, as with the C module.
        Err(error) if error.is_directory() && feed.cause() == Cause::Start => {
            log_warn!("no dispatching list loaded from {}: {error}", source.kind());
            Content::Text(Vec::new())
        }
        Err(error) => {
            log_err!("no dispatching list loaded from {}: {error}", source.kind());
            return Err(LoadError::Unreadable(source.title(), error));
        }
    };
    let no_memory = |error| {
        log_err!("no dispatching list loaded from {}: {error}", source.kind());
        LoadError::Heap(error)
    };
    let mut validation = Validation::new(module, true);
    let lines = validation.parse(&mut content).map_err(no_memory)?;
    let list = validation.resolve_all(&lines).map_err(no_memory)?;
    if let Some(error) = validation.verdict(&list, when_empty) {
        if let LoadError::Empty(_) = error {
            log_err!("{source}: the list has no destination left: the running list stays");
        }
        return Err(error);
    }
    let states = module.settings.reload_state;
    let mut on_change = |dest: &Dest, old| feed.note(dest.set, dest.uri(), old, dest.listed);
    let (store, random) = (&module.store, &mut ServerRandom);
    let loaded = store.load_and_tell(patience, ticket, &list, states, random, &mut on_change);
    let changes = loaded.map_err(|error| {
        log_err!("list of {} destinations not loaded: {error}", list.len());
        LoadError::Refused(error)
    })?;
    if feed.cause() == Cause::Start {
        state_keeper::restore(module, feed);
    }
    match changes {
        Some(_) => log_info!("loaded {} destinations", list.len()),
        None => log_info!("a list that was read later runs already"),
    }
    Ok(Loaded {
        changes: changes.unwrap_or_default(),
        rejected: validation.rejected,
    })
}

/// Returns what becomes of weights and other attributes, where that is not what is written.
fn remarks(settings: &Settings, list: &[DestSpec<'_>]) -> Vec<String> {
    let plans = plan_sets(list);
    let on = SwitchedOn {
        cps: settings.cps,
        fails: settings.passive.is_some(),
        slow_start: settings.slow_start_s > 0,
    };
    let mut first = First::<SHOWN_BY_CHECK>::default();
    let remarks = plans.sets().flat_map(|(set, members)| {
        let members = members.iter().filter_map(|&at| list.get(at));
        let weights = members.clone();
        let weights = weights.map(|spec| (spec.attrs.weight, spec.attrs.rweight));
        let on_weights = on_weights(set, &weights.collect::<Vec<_>>());
        let on_attributes = on_attributes(set, on, members.map(|spec| spec.attrs_body));
        on_weights.into_iter().chain(on_attributes)
    });
    remarks.for_each(|remark| first.push(remark));
    first.into_shown()
}

/// `ds_reload()`: loads the list anew, from any process and any route.
pub fn ds_reload(msg: &mut Message) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    if !reload_delta::lets_change(module) {
        log_err!("the lists were changed less than reload_delta seconds ago");
        return ScriptRet::FAILED;
    }
    let mut feed = Feed::new(module, Cause::Reload);
    match load(module, WhenEmpty::Refuse, &mut feed, patience::of_route()) {
        Ok(_) => {
            feed.deliver(Some(msg));
            ScriptRet::OK
        }
        Err(_) => ScriptRet::FAILED,
    }
}

/// Returns what [`load`] would do, without doing it or logging anything.
///
/// # Errors
/// [`LoadError::Unreadable`] and [`LoadError::Heap`].
pub fn check(module: &Module) -> Result<Checked, LoadError> {
    let source = &module.settings.source;
    let content = source::read(source);
    let mut content = content.map_err(|error| LoadError::Unreadable(source.title(), error))?;
    let mut validation = Validation::new(module, false);
    let lines = validation.parse(&mut content).map_err(LoadError::Heap)?;
    let list = validation.resolve_all(&lines).map_err(LoadError::Heap)?;
    Ok(Checked {
        refused: validation.verdict(&list, WhenEmpty::Refuse),
        remarks: remarks(&module.settings, &list),
        changes: compare(&list, module.pin().table()),
        rejected: validation.rejected,
        reasons: validation.reasons.into_shown(),
    })
}

/// The first `N` of some texts, and how many there are.
#[derive(Default)]
struct First<const N: usize> {
    shown: Vec<String>,
    count: usize,
}

impl<const N: usize> First<N> {
    fn push(&mut self, text: String) {
        self.count += 1;
        if self.shown.len() < N {
            self.shown.push(text);
        }
    }

    /// Returns them, with a text more that says how many others there are.
    fn into_shown(mut self) -> Vec<String> {
        match self.count.saturating_sub(self.shown.len()) {
            0 => {}
            more => self.shown.push(format!("and {more} more")),
        }
        self.shown
    }
}

/// Goes through a list, and keeps what is wrong with it.
struct Validation<'m> {
    module: &'m Module,
    /// Log it, and do not keep it in `reasons`.
    log: bool,
    /// Reasons to refuse the whole list.
    refused: First<SHOWN>,
    /// Errors and warnings.
    reasons: First<SHOWN_BY_CHECK>,
    /// Destinations that were left out.
    rejected: usize,
}

impl<'m> Validation<'m> {
    fn new(module: &'m Module, log: bool) -> Self {
        Validation {
            module,
            log,
            refused: First::default(),
            reasons: First::default(),
            rejected: 0,
        }
    }

    /// Notes a reason to refuse the whole list.
    fn refuse(&mut self, what: &dyn fmt::Display) {
        let reason = format!("{}: {what}", self.module.settings.source);
        if self.log {
            log_err!("{reason}");
        } else {
            self.reasons.push(reason);
        }
        self.refused.push(what.to_string());
    }

    /// Notes what the operator should know.
    fn warn(&mut self, what: &dyn fmt::Display) {
        let reason = format!("{}: {what}", self.module.settings.source);
        if self.log {
            log_warn!("{reason}");
        } else {
            self.reasons.push(reason);
        }
    }

    /// Notes a destination that is left out, or with `ds_load_mode` 1 refuses the whole list.
    fn leave_out(&mut self, what: &dyn fmt::Display) {
        if self.module.settings.strict_load {
            self.refuse(what);
        } else {
            self.warn(&LeftOut(what));
            self.rejected += 1;
        }
    }

    /// Returns the lines of a list.
    fn parse<'t>(&mut self, content: &'t mut Content) -> Result<Vec<Line<'t>>, NoMemory> {
        content.parse(&mut |grade, problem| match grade {
            Grade::Refused => self.refuse(problem),
            Grade::LeftOut => self.leave_out(problem),
            Grade::Noted => self.warn(problem),
        })
    }

    /// Returns the destinations of a list. Makes sure before that all the rest of a load finds its memory.
    fn resolve_all<'t>(&mut self, lines: &'t [Line<'_>]) -> Result<Vec<DestSpec<'t>>, NoMemory> {
        let uris: usize = lines.iter().map(|line| line.uri.len()).sum();
        let running = self.module.pin().table().map_or(0, Table::dest_count);
        let built = lines.len() * BUILT_HEAP + running * RUNNING_HEAP + SPARE_HEAP;
        heap::need(lines.len() * RESOLVED_HEAP + uris + built)?;
        let mut addresses = 0;
        let mut list = Vec::with_capacity(lines.len());
        for (at, line) in lines.iter().enumerate() {
            if at % LINES_AT_ONCE == 0 {
                heap::need(SPARE_HEAP)?;
            }
            match resolve(&self.module.settings, line) {
                Ok((spec, warnings)) => {
                    for warning in warnings {
                        self.warn(&format_args!("{}: {warning}", Place(line)));
                    }
                    addresses += spec.addrs.len();
                    list.push(spec);
                }
                Err(fault) => self.leave_out(&format_args!("{}: {fault}", line.origin)),
            }
        }
        heap::need(built + addresses * ADDRESS_HEAP)?;
        Ok(list)
    }

    /// Returns why the list is refused; `None` if it is taken.
    fn verdict(&mut self, list: &[DestSpec<'_>], when_empty: WhenEmpty) -> Option<LoadError> {
        let source = &self.module.settings.source;
        if self.refused.count > 0 {
            let First { shown, count } = core::mem::take(&mut self.refused);
            return Some(LoadError::Lines(source.short(), count, shown));
        }
        let empty = when_empty == WhenEmpty::Refuse && list.is_empty() && !self.module.is_empty();
        empty.then(|| LoadError::Empty(source.title()))
    }
}
