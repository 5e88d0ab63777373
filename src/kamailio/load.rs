//! Loading the list: read the file, parse it, resolve its hosts, publish the table.
//!
//! All that may wait (file, names) is done before the store takes its lock.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{fs, io};

use super::feed::{Change, Feed};
use super::guard::ScriptRet;
use super::log::{log_err, log_info, log_warn};
use super::module::Module;
use super::random::ServerRandom;
use super::resolve::{Resolved, Words, resolve};
use super::text::Escaped;
use crate::dispatch::dest::DestSpec;
use crate::dispatch::event::Cause;
use crate::dispatch::list::{self, Line, Severity};
use crate::shm::arena::OutOfMemory;
use crate::shm::build::{Changes, compare};
use crate::shm::dest::Dest;

/// Reasons that the reply of a reload names; the log has them all.
const SHOWN: usize = 3;

/// Why a list was not taken. The running table stays.
pub enum LoadError {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// Lines that cannot be; the file's name, and what is wrong with each.
    Lines(String, Vec<String>),
    /// No destination is left, but there are some now.
    Empty,
    /// Shared memory is full.
    Memory(OutOfMemory),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Unreadable(error) => write!(f, "cannot read the list: {error}"),
            LoadError::Lines(file, reasons) => {
                let shown = reasons.get(..SHOWN).unwrap_or(reasons);
                write!(f, "{file}: {}", shown.join("; "))?;
                match reasons.len().saturating_sub(shown.len()) {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
            LoadError::Empty => f.write_str("the list has no destination left"),
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
    /// All that the log would say.
    pub reasons: Vec<String>,
}

/// Loads the list file and publishes it. `feed` notes what changes; the caller passes it on.
///
/// # Errors
/// [`LoadError`], after each of its reasons was logged; nothing has changed then.
pub fn load(module: &Module, cause: Cause, feed: &mut Feed<'_>) -> Result<Loaded, LoadError> {
    let path = module.settings.list_file;
    let ticket = module.store.ticket();
    let text = read(path).map_err(|error| {
        log_err!(
            "no dispatching list loaded from file \"{}\": {error}",
            Escaped(path)
        );
        LoadError::Unreadable(error)
    })?;
    let mut judge = Judge::new(path, true);
    let parsed = list::parse(&text);
    let resolved = judge.resolve_all(module, &parsed);
    let specs: Vec<DestSpec<'_>> = resolved.iter().map(Resolved::spec).collect();
    if let Some(error) = judge.verdict(module, &specs) {
        if let LoadError::Empty = error {
            log_err!("{}: {error}: the running list stays", Escaped(path));
        }
        return Err(error);
    }
    let states = module.settings.reload_state;
    let mut told = |dest: &Dest, old| {
        feed.note(Change::of(dest, old, dest.listed, cause));
    };
    let random = &mut ServerRandom;
    let loaded = module
        .store
        .load_and_tell(ticket, &specs, states, random, &mut told);
    let changes = loaded.map_err(|error| {
        log_err!("list of {} destinations not loaded: {error}", specs.len());
        LoadError::Memory(error)
    })?;
    match changes {
        Some(_) => log_info!("loaded {} destinations", specs.len()),
        None => log_info!("a list that was read later runs already"),
    }
    Ok(Loaded {
        changes: changes.unwrap_or_default(),
        rejected: judge.rejected,
    })
}

/// `ds_reload()`: loads the list anew, from any process and any route.
pub fn ds_reload() -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    if !module.throttle.let_through() {
        log_err!("the lists were changed less than reload_delta seconds ago");
        return ScriptRet::FAILED;
    }
    let mut feed = Feed::new(module);
    match load(module, Cause::Reload, &mut feed) {
        Ok(_) => {
            feed.deliver(None);
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
    let path = module.settings.list_file;
    let text = read(path).map_err(LoadError::Unreadable)?;
    let mut judge = Judge::new(path, false);
    let parsed = list::parse(&text);
    let resolved = judge.resolve_all(module, &parsed);
    let specs: Vec<DestSpec<'_>> = resolved.iter().map(Resolved::spec).collect();
    let refused = judge.verdict(module, &specs);
    Ok(Checked {
        changes: compare(&specs, module.pin().table()),
        rejected: judge.rejected,
        refused,
        reasons: judge.reasons,
    })
}

/// Reads the list. Only a plain file: others might never end.
fn read(path: &[u8]) -> io::Result<Vec<u8>> {
    let path = OsStr::from_bytes(path);
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    fs::read(path)
}

/// Goes through a list and keeps what is wrong with it.
struct Judge<'p> {
    path: &'p [u8],
    /// Say it in the log as well.
    log: bool,
    /// Reasons to refuse the whole list.
    refused: Vec<String>,
    /// All that is to be said.
    reasons: Vec<String>,
    /// Destinations that were left out.
    rejected: usize,
}

impl<'p> Judge<'p> {
    fn new(path: &'p [u8], log: bool) -> Self {
        Judge {
            path,
            log,
            refused: Vec::new(),
            reasons: Vec::new(),
            rejected: 0,
        }
    }

    /// Notes a reason to refuse the whole list.
    fn refuse(&mut self, what: &dyn fmt::Display) {
        let reason = format!("{}: {what}", Escaped(self.path));
        if self.log {
            log_err!("{reason}");
        }
        self.refused.push(what.to_string());
        self.reasons.push(reason);
    }

    /// Notes what the operator should know.
    fn warn(&mut self, what: &dyn fmt::Display) {
        let reason = format!("{}: {what}", Escaped(self.path));
        if self.log {
            log_warn!("{reason}");
        }
        self.reasons.push(reason);
    }

    fn resolve_all<'t>(
        &mut self,
        module: &Module,
        parsed: &'t list::Parsed<'t>,
    ) -> Vec<Resolved<'t>> {
        for problem in &parsed.problems {
            match problem.severity {
                Severity::Error => self.refuse(problem),
                Severity::Warning => self.warn(problem),
            }
        }
        let lines = parsed.lines.iter();
        lines
            .filter_map(|line| self.resolve(module, line))
            .collect()
    }

    /// Resolves a line; a destination that cannot be is left out, or with `ds_load_mode` 1 the
    /// whole list is refused.
    fn resolve<'t>(&mut self, module: &Module, line: &'t Line<'t>) -> Option<Resolved<'t>> {
        let settings = &module.settings;
        let words = Words {
            set: line.set,
            uri: line.uri,
            flags: line.flags,
            priority: line.priority,
            attrs: line.attrs,
        };
        let number = line.number;
        match resolve(settings, words) {
            Ok(resolved) => {
                for warning in resolved.warnings() {
                    self.warn(&format_args!("line {number}: {warning}"));
                }
                return Some(resolved);
            }
            Err(fault) if settings.strict_load => {
                self.refuse(&format_args!("line {number}: {fault}"));
            }
            Err(fault) => {
                self.warn(&format_args!(
                    "line {number}: {fault}: destination left out"
                ));
                self.rejected += 1;
            }
        }
        None
    }

    /// Why the list is refused; `None` when it is taken.
    fn verdict(&mut self, module: &Module, specs: &[DestSpec<'_>]) -> Option<LoadError> {
        if !self.refused.is_empty() {
            let path = Path::new(OsStr::from_bytes(self.path));
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            return Some(LoadError::Lines(file, core::mem::take(&mut self.refused)));
        }
        (specs.is_empty() && !module.is_empty()).then_some(LoadError::Empty)
    }
}
