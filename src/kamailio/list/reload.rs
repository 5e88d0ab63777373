//! Loading the list: read it, resolve its hosts, publish the table.
//!
//! All that may wait (file, database, names) is done before the store takes its lock.

use core::fmt;

use super::entry::{Resolved, resolve};
use super::source::{self, Content, Entry, Grade, ReadError};
use super::{reload_delta, state_keeper};
use crate::dispatch::list::destination::{SetId, ToSpec};
use crate::dispatch::select::candidates::Candidates;
use crate::dispatch::select::weight;
use crate::dispatch::state::event::Cause;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::list_params::ListSource;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::{log_err, log_info, log_warn};
use crate::kamailio::server::message::Message;
use crate::kamailio::server::rand::ServerRandom;
use crate::shm::dest::destination::Dest;
use crate::shm::memory::arena::OutOfMemory;
use crate::shm::table::from_list::{Changes, compare, plan_sets};
use crate::shm::table::slots::Table;

/// Reasons that the reply of a reload names; the log has them all.
const SHOWN: usize = 3;

/// Why a list was not taken. The running table stays.
pub enum LoadError {
    /// It cannot be read; what it is, and why not.
    Unreadable(String, ReadError),
    /// Lines or rows that cannot be; the list's name, and what is wrong with each.
    Lines(String, Vec<String>),
    /// No destination is left in it, but there are some now.
    Empty(String),
    /// Shared memory is full.
    Memory(OutOfMemory),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Unreadable(title, error) => write!(f, "cannot read {title}: {error}"),
            LoadError::Lines(name, reasons) => {
                let shown = reasons.get(..SHOWN).unwrap_or(reasons);
                write!(f, "{name}: {}", shown.join("; "))?;
                match reasons.len().saturating_sub(shown.len()) {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
            LoadError::Empty(title) => write!(f, "{title} has no destination left"),
            LoadError::Memory(error) => write!(f, "{error}"),
        }
    }
}

/// What a load did.
pub struct Loaded {
    /// What it changed; all 0 where a list that was read later runs already.
    pub changes: Changes,
    /// Destinations that were left out, each with a warning.
    pub rejected: usize,
}

/// What a load would do.
pub struct Checked {
    /// What it would change.
    pub changes: Changes,
    /// Destinations that would be left out.
    pub rejected: usize,
    /// Why it would be refused; `None` where it would be taken.
    pub refused: Option<LoadError>,
    /// All errors and warnings that the log would have.
    pub reasons: Vec<String>,
    /// What else the log would say of it.
    pub remarks: Vec<String>,
}

/// Loads the list and publishes it. `feed` notes what changes; the caller passes it on.
///
/// # Errors
/// [`LoadError`], after each of its reasons was logged; nothing has changed then.
pub fn load(module: &Module, feed: &mut Feed<'_>) -> Result<Loaded, LoadError> {
    let source = &module.settings.source;
    let ticket = module.store.ticket();
    let content = source::read(source).map_err(|error| {
        log_err!("no dispatching list loaded from {}: {error}", source.kind());
        LoadError::Unreadable(source.title(), error)
    })?;
    let mut judge = Judge::new(source, true);
    let resolved = judge.resolve_all(module, &content);
    if let Some(error) = judge.verdict(module, &resolved) {
        if let LoadError::Empty(_) = error {
            log_err!("{source}: the list has no destination left: the running list stays");
        }
        return Err(error);
    }
    let states = module.settings.reload_state;
    let mut told = |dest: &Dest, old| {
        feed.note(dest.set, dest.uri(), old, dest.listed);
    };
    let random = &mut ServerRandom;
    let loaded = module
        .store
        .load_and_tell(ticket, &resolved, states, random, &mut told);
    let changes = loaded.map_err(|error| {
        log_err!(
            "list of {} destinations not loaded: {error}",
            resolved.len()
        );
        LoadError::Memory(error)
    })?;
    if feed.cause() == Cause::Start {
        state_keeper::restore(module, feed);
    }
    match changes {
        Some(_) => {
            log_info!("loaded {} destinations", resolved.len());
            remark_weights(module);
        }
        None => log_info!("a list that was read later runs already"),
    }
    Ok(Loaded {
        changes: changes.unwrap_or_default(),
        rejected: judge.rejected,
    })
}

/// Says what algorithm 9 makes of weights that do not add up to 100.
fn remark_weights(module: &Module) {
    let remarks: Vec<_> = {
        let pinned = module.pin();
        let sets = pinned.table().into_iter().flat_map(Table::sets);
        let weighted = sets.filter(|(_, view)| view.weight_slots().is_some());
        let remarks = weighted
            .filter_map(|(set, view)| Some((set, weight::remark(view.dests().map(Dest::weight))?)));
        remarks.collect()
    };
    for (set, remark) in remarks {
        log_info!("set {set}: {remark}");
    }
}

/// The same for a list that is not loaded.
fn weight_remarks(list: &[Resolved<'_>]) -> Vec<(SetId, weight::Remark)> {
    let plans = plan_sets(list);
    let remarks = plans.sets().filter_map(|(set, members)| {
        let members = members.iter().filter_map(|&at| list.get(at));
        Some((
            set,
            weight::remark(members.map(|one| one.spec().attrs.weight))?,
        ))
    });
    remarks.collect()
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
    match load(module, &mut feed) {
        Ok(_) => {
            feed.deliver(Some(msg));
            ScriptRet::OK
        }
        Err(_) => ScriptRet::FAILED,
    }
}

/// Says what [`load`] would do, without doing it or logging anything.
///
/// # Errors
/// [`LoadError::Unreadable`].
pub fn check(module: &Module) -> Result<Checked, LoadError> {
    let source = &module.settings.source;
    let content = source::read(source);
    let content = content.map_err(|error| LoadError::Unreadable(source.title(), error))?;
    let mut judge = Judge::new(source, false);
    let resolved = judge.resolve_all(module, &content);
    let refused = judge.verdict(module, &resolved);
    let remarks = weight_remarks(&resolved).into_iter();
    Ok(Checked {
        remarks: remarks
            .map(|(set, remark)| format!("set {set}: {remark}"))
            .collect(),
        changes: compare(&resolved, module.pin().table()),
        rejected: judge.rejected,
        refused,
        reasons: judge.reasons,
    })
}

/// Goes through a list and keeps what is wrong with it.
struct Judge<'s> {
    source: &'s ListSource,
    /// Say it in the log as well.
    log: bool,
    /// Reasons to refuse the whole list.
    refused: Vec<String>,
    /// All that is to be said.
    reasons: Vec<String>,
    /// Destinations that were left out.
    rejected: usize,
}

impl<'s> Judge<'s> {
    fn new(source: &'s ListSource, log: bool) -> Self {
        Judge {
            source,
            log,
            refused: Vec::new(),
            reasons: Vec::new(),
            rejected: 0,
        }
    }

    /// Notes a reason to refuse the whole list.
    fn refuse(&mut self, what: &dyn fmt::Display) {
        let reason = format!("{}: {what}", self.source);
        if self.log {
            log_err!("{reason}");
        }
        self.refused.push(what.to_string());
        self.reasons.push(reason);
    }

    /// Notes what the operator should know.
    fn warn(&mut self, what: &dyn fmt::Display) {
        let reason = format!("{}: {what}", self.source);
        if self.log {
            log_warn!("{reason}");
        }
        self.reasons.push(reason);
    }

    /// Notes a destination that is left out, or with `ds_load_mode` 1 refuses the whole list.
    fn leave_out(&mut self, module: &Module, what: &dyn fmt::Display) {
        if module.settings.strict_load {
            self.refuse(what);
        } else {
            self.warn(&format_args!("{what}: destination left out"));
            self.rejected += 1;
        }
    }

    fn resolve_all<'t>(&mut self, module: &Module, content: &'t Content) -> Vec<Resolved<'t>> {
        let (problems, entries) = content.parse();
        for problem in &problems {
            match problem.grade {
                Grade::Refused => self.refuse(&problem.text),
                Grade::LeftOut => self.leave_out(module, &problem.text),
                Grade::Noted => self.warn(&problem.text),
            }
        }
        let mut resolved = Vec::with_capacity(entries.len());
        for entry in entries {
            resolved.extend(self.resolve(module, entry));
        }
        resolved
    }

    fn resolve<'t>(&mut self, module: &Module, entry: Entry<'t>) -> Option<Resolved<'t>> {
        let place = entry.place;
        match resolve(&module.settings, entry.words) {
            Ok(resolved) => {
                for warning in resolved.warnings() {
                    self.warn(&format_args!("{entry}: {warning}"));
                }
                Some(resolved)
            }
            Err(fault) => {
                self.leave_out(module, &format_args!("{place}: {fault}"));
                None
            }
        }
    }

    /// Why the list is refused; `None` when it is taken.
    fn verdict(&mut self, module: &Module, list: &[Resolved<'_>]) -> Option<LoadError> {
        if !self.refused.is_empty() {
            let reasons = core::mem::take(&mut self.refused);
            return Some(LoadError::Lines(self.source.short(), reasons));
        }
        let empty = list.is_empty() && !module.is_empty();
        empty.then(|| LoadError::Empty(self.source.title()))
    }
}
