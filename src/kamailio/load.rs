//! Loading the list: read the file, parse it, resolve its hosts, publish the table.
//!
//! All that may wait (file, names) is done before the store takes its lock.

use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::{fs, io};

use super::log::{log_err, log_info, log_warn};
use super::module::Module;
use super::net::{self, Uri};
use super::params::Settings;
use super::random::ServerRandom;
use super::text::Escaped;
use crate::dispatch::attrs::{self, Attrs};
use crate::dispatch::dest::{Addr, DestSpec, Proto};
use crate::dispatch::list::{self, Line, Severity};
use crate::dispatch::state::State;
use crate::shm::arena::OutOfMemory;
use crate::shm::store::Ticket;

/// Reasons that the reply of a reload names; the log has them all.
const SHOWN: usize = 3;

/// Why a list was not taken. The running table stays.
pub enum LoadError {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// Lines that cannot be, and how many there are.
    Lines(Vec<String>),
    /// No destination is left, but there are some now.
    Empty,
    /// Shared memory is full.
    Memory(OutOfMemory),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Unreadable(error) => write!(f, "cannot read the list: {error}"),
            LoadError::Lines(reasons) => {
                let shown = reasons.get(..SHOWN).unwrap_or(reasons);
                f.write_str(&shown.join("; "))?;
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
    /// Destinations in the table.
    pub destinations: usize,
    /// Destinations that were left out, each with a warning.
    pub skipped: usize,
}

/// A line of the list, resolved, with what it owns.
struct Resolved<'t> {
    line: &'t Line<'t>,
    uri: Vec<u8>,
    host: core::ops::Range<usize>,
    port: u16,
    proto: Proto,
    addrs: Vec<Addr>,
    body: &'t [u8],
    attrs: Attrs<'t>,
    socket: usize,
    state: State,
}

/// Loads the list file and publishes it.
///
/// # Errors
/// [`LoadError`], after each of its reasons was logged; nothing has changed then.
pub fn load(module: &Module) -> Result<Loaded, LoadError> {
    let path = module.settings.list_file;
    let ticket = module.store.ticket();
    let text = fs::read(OsStr::from_bytes(path)).map_err(|error| {
        log_err!(
            "no dispatching list loaded from file \"{}\": {error}",
            Escaped(path)
        );
        LoadError::Unreadable(error)
    })?;
    let parsed = list::parse(&text);
    let mut reasons = Reasons {
        path,
        refused: Vec::new(),
        skipped: 0,
    };
    for problem in &parsed.problems {
        match problem.severity {
            Severity::Error => reasons.refuse(&problem),
            Severity::Warning => log_warn!("{}: {problem}", Escaped(path)),
        }
    }
    let resolved: Vec<Resolved<'_>> = parsed
        .lines
        .iter()
        .filter_map(|line| reasons.resolve(&module.settings, line))
        .collect();
    if !reasons.refused.is_empty() {
        return Err(LoadError::Lines(reasons.refused));
    }
    if resolved.is_empty() && !module.is_empty() {
        log_err!(
            "{}: {}: the running list stays",
            Escaped(path),
            LoadError::Empty
        );
        return Err(LoadError::Empty);
    }
    let specs: Vec<DestSpec<'_>> = resolved.iter().map(Resolved::spec).collect();
    publish(module, ticket, &specs)?;
    Ok(Loaded {
        destinations: specs.len(),
        skipped: reasons.skipped,
    })
}

fn publish(module: &Module, ticket: Ticket, specs: &[DestSpec<'_>]) -> Result<(), LoadError> {
    let states = module.settings.reload_state;
    module
        .store
        .load(ticket, specs, states, &mut ServerRandom)
        .map_err(|error| {
            log_err!("list of {} destinations not loaded: {error}", specs.len());
            LoadError::Memory(error)
        })?;
    log_info!("loaded {} destinations", specs.len());
    Ok(())
}

/// What is wrong with a list, as it is found.
struct Reasons<'p> {
    path: &'p [u8],
    refused: Vec<String>,
    skipped: usize,
}

impl Reasons<'_> {
    /// Notes a reason to refuse the whole list.
    fn refuse(&mut self, what: &dyn fmt::Display) {
        let reason = format!("{}: {what}", Escaped(self.path));
        log_err!("{reason}");
        self.refused.push(reason);
    }

    /// Resolves a line; a destination that cannot be is left out, or with `ds_load_mode` 1 the
    /// whole list is refused.
    fn resolve<'t>(&mut self, settings: &Settings, line: &'t Line<'t>) -> Option<Resolved<'t>> {
        match resolve(settings, line) {
            Ok((resolved, warnings)) => {
                for warning in warnings {
                    log_warn!("{}: line {}: {warning}", Escaped(self.path), line.number);
                }
                Some(resolved)
            }
            Err(fault) if settings.strict_load => {
                self.refuse(&format_args!("line {}: {fault}", line.number));
                None
            }
            Err(fault) => {
                let path = Escaped(self.path);
                log_warn!(
                    "{path}: line {}: {fault}: destination left out",
                    line.number
                );
                self.skipped += 1;
                None
            }
        }
    }
}

/// Resolves one line; the error says what is wrong with the destination.
fn resolve<'t>(
    settings: &Settings,
    line: &'t Line<'t>,
) -> Result<(Resolved<'t>, Vec<attrs::AttrWarning<'t>>), String> {
    let uri = list::with_scheme(line.uri).into_owned();
    let fault = |what: &str, text: &[u8]| {
        let mut fault = String::new();
        // Writing to a String cannot fail.
        let _ = write!(fault, "set {}, {}: {what}", line.set, Escaped(&uri));
        if !text.is_empty() {
            let _ = write!(fault, " \"{}\"", Escaped(text));
        }
        fault
    };
    let parsed = Uri::parse(&uri).ok_or_else(|| fault("not a SIP URI", b""))?;
    // SAFETY: `uri` is still there.
    let host: &[u8] = unsafe { parsed.host() };
    if net::is_unwanted_ipv6(host) {
        return Err(fault("an IPv6 address, but dns_try_ipv6 is off:", host));
    }
    let body = match attrs::trim_body(line.attrs) {
        b"" if settings.attrs_none => b"none=yes",
        body => body,
    };
    let (attrs, warnings) =
        attrs::parse(body).map_err(|error| fault(&format!("bad attributes: {error}"), body))?;
    let state = State::from_list_flags(line.flags, settings.compat);
    let addrs = if state.contains(State::NODNS) {
        Vec::new()
    } else {
        vec![net::resolve(host).ok_or_else(|| fault("cannot resolve host", host))?]
    };
    let socket = match (attrs.sockname, attrs.socket) {
        (Some(name), _) => {
            net::socket_named(name).ok_or_else(|| fault("no local socket named", name))?
        }
        (None, Some(place)) => {
            net::socket_at(place).ok_or_else(|| fault("not a local socket:", place))?
        }
        (None, None) => 0,
    };
    // Only `tel:` and the like have no host, and lie nowhere in the text.
    let at = (host.as_ptr() as usize).checked_sub(uri.as_ptr() as usize);
    let at = at.filter(|_| !host.is_empty()).unwrap_or(0);
    let host = at..at + host.len();
    let proto = proto(settings, &parsed, &uri, &host);
    let port = parsed.port();
    Ok((
        Resolved {
            line,
            uri,
            host,
            port,
            proto,
            addrs,
            body,
            attrs,
            socket,
            state,
        },
        warnings,
    ))
}

/// The transport that `ds_is_from_list` compares.
fn proto(settings: &Settings, parsed: &Uri, uri: &[u8], host: &core::ops::Range<usize>) -> Proto {
    let named = Proto(parsed.proto());
    if named != Proto::NONE || !settings.compat.default_proto_by_uri() {
        return named;
    }
    let numeric = uri.get(host.clone()).and_then(net::literal).is_some();
    if numeric || (parsed.names_port() && !parsed.is_secure()) {
        Proto::UDP
    } else if parsed.names_port() {
        Proto::TCP
    } else {
        Proto::NONE
    }
}

impl Resolved<'_> {
    fn spec(&self) -> DestSpec<'_> {
        DestSpec {
            set: self.line.set,
            uri: &self.uri,
            host: self.uri.get(self.host.clone()).unwrap_or_default(),
            port: self.port,
            proto: self.proto,
            addrs: &self.addrs,
            flags: self.state,
            priority: self.line.priority,
            attrs_body: self.body,
            attrs: self.attrs,
            socket: self.socket,
        }
    }
}
