//! What can be changed while the server runs: the group `dispatcher` of its config framework, and
//! the switch of the pings.
//!
//! Source: `features.md` 1.8. In the C module a change of a threshold has no effect.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::instance::Module;
use super::params;
use crate::dispatch::state::probe::ReplyCodes;
use crate::dispatch::state::transition::MarkRules;
use crate::kamailio::server::guard::{InitRet, guard};
use crate::kamailio::server::log::{log_err, log_warn};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{self, Escaped};
use crate::shm::memory::arena::{OutOfMemory, Plan};

/// Switches that all processes share.
pub struct Switches {
    /// Not 0 while no pings are sent.
    pings_off: &'static AtomicU32,
    /// Not 0 when `probing_threshhold`, the old name, was set after the new one.
    old_name: &'static AtomicU32,
    /// Changes of what is kept over restarts.
    state_changes: &'static AtomicU32,
    /// Numbers of destinations that were given out.
    numbers: &'static AtomicU32,
    /// What the unique ids of destinations begin with, of this start of the server.
    id_prefix: String,
}

impl Switches {
    /// All switches as they are at the start: pings on.
    ///
    /// # Errors
    /// [`OutOfMemory`] when shared memory is full.
    pub fn create() -> Result<Self, OutOfMemory> {
        let made = Plan::<[AtomicU32; 4]>::of_header()
            .alloc(&ShmArena)?
            .header();
        // SAFETY: zeroed shared memory that is never given back: it ends with the server.
        let [pings_off, old_name, state_changes, numbers] = unsafe { made.as_ref() };
        Ok(Switches {
            pings_off,
            old_name,
            state_changes,
            numbers,
            id_prefix: id_prefix(),
        })
    }

    /// Counts a change of a state that is kept over restarts.
    pub fn count_state_change(&self) {
        self.state_changes.fetch_add(1, SeqCst);
    }

    /// What the unique ids of destinations begin with.
    pub fn id_prefix(&self) -> &str {
        &self.id_prefix
    }

    /// A number that no destination has had.
    pub fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, SeqCst).wrapping_add(1)
    }

    /// How many there were.
    pub fn state_changes(&self) -> u32 {
        self.state_changes.load(SeqCst)
    }

    /// True while pings are sent.
    pub fn pings_on(&self) -> bool {
        self.pings_off.load(SeqCst) == 0
    }

    /// Turns pings on or off; returns whether they were on.
    pub fn set_pings(&self, on: bool) -> bool {
        self.pings_off.swap(u32::from(!on), SeqCst) == 0
    }
}

/// A text of the server's that no other start of it has, up to where its own count begins.
fn id_prefix() -> String {
    let mut id = core::mem::MaybeUninit::<sys::sruid_t>::zeroed();
    let mut name = *b"dspt\0";
    let separator = c_char::try_from(b'-').unwrap_or_default();
    // SAFETY: the server fills the struct, and copies the name (core/utils/sruid.c).
    let made = unsafe {
        sys::sruid_init(
            id.as_mut_ptr(),
            separator,
            name.as_mut_ptr().cast(),
            c_int::try_from(sys::SRUID_INC).unwrap_or(0),
        )
    };
    if made < 0 {
        return "dspt-".into();
    }
    // SAFETY: a struct that the call before has filled.
    if unsafe { sys::sruid_next(id.as_mut_ptr()) } < 0 {
        return "dspt-".into();
    }
    // SAFETY: numbers, pointers and bytes; zeroed is a value of it. Its text is a pointer into it.
    let id = unsafe { id.assume_init_ref() };
    // SAFETY: the text lies in the struct.
    let text = String::from_utf8_lossy(unsafe { text::bytes(&id.uid) }).into_owned();
    let end = text.rfind('-').map_or(text.len(), |at| at + 1);
    text.get(..end).unwrap_or("dspt-").to_owned()
}

/// Declares the group with the values that the config gives; `None` after the message when the
/// server refuses.
pub fn declare(raw: &sys::glue_modparams, rules: &MarkRules) -> Option<()> {
    let number = |number: u32| c_int::try_from(number).unwrap_or(c_int::MAX);
    let values = Box::leak(Box::new(sys::glue_cfg {
        probing_threshold: number(rules.probing_threshold),
        inactive_threshold: number(rules.inactive_threshold),
        ping_reply_codes: raw.ds_ping_reply_codes,
        probing_threshhold: number(rules.probing_threshold),
    }));
    // SAFETY: called from mod_init; the values stay.
    let declared = unsafe { sys::glue_cfg_declare(&raw mut *values) };
    if declared < 0 {
        log_err!("the server's config framework refuses the group dispatcher");
        return None;
    }
    Some(())
}

/// The values of this moment.
fn values() -> Option<&'static sys::glue_cfg> {
    let handle = &raw const sys::glue_cfg_handle;
    // SAFETY: the server swaps the pointer between messages and ticks, in this process only.
    let handle = unsafe { handle.read() };
    // SAFETY: null, or the group as it was declared, which stays until this process's next
    // message or tick (cfg/cfg_struct.h).
    unsafe { handle.cast::<sys::glue_cfg>().as_ref() }
}

/// What marks and pings count to.
pub fn mark_rules(module: &Module) -> MarkRules {
    let rules = module.settings.mark;
    let Some(values) = values() else { return rules };
    let probing = if module.switches.old_name.load(SeqCst) == 0 {
        values.probing_threshold
    } else {
        values.probing_threshhold
    };
    MarkRules {
        probing_threshold: u32::try_from(probing).unwrap_or(0),
        inactive_threshold: u32::try_from(values.inactive_threshold).unwrap_or(0),
        ..rules
    }
}

/// The replies that are good beside the usual ones.
pub fn reply_codes() -> ReplyCodes {
    let text = values().map_or(&b""[..], |values| {
        // SAFETY: a string of the group, see `values`.
        unsafe { text::bytes(&values.ping_reply_codes) }
    });
    // What the config or a command set was read before it was taken.
    ReplyCodes::parse(text).unwrap_or_default()
}

/// Reads reply codes; `None` after the message when they cannot be read.
pub fn check_codes(name: &str, value: &[u8]) -> Option<()> {
    let ignored = |item| {
        log_warn!(
            "{name}: \"{}\" is no status of a reply and is ignored",
            Escaped(item)
        );
    };
    ReplyCodes::parse_noting(value, ignored)
        .map(|_| ())
        .map_err(|error| {
            log_err!(
                "{name}: found \"{}\" in \"{}\", expected code=N or class=N",
                Escaped(error.item),
                Escaped(value)
            );
        })
        .ok()
}

/// After `probing_threshold`, or its old name, has changed, in one process: the one that was set
/// last counts.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_cfg_threshold(_group: *mut sys::str_, name: *mut sys::str_) {
    guard(|| {
        if let Some(module) = Module::get() {
            let old = of_callback(name) == b"probing_threshhold";
            module.switches.old_name.store(old.into(), SeqCst);
        }
    });
}

/// Before `ping_reply_codes` changes: what cannot be read is refused.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_cfg_reply_codes(
    _values: *mut c_void,
    _group: *mut sys::str_,
    _name: *mut sys::str_,
    value: *mut *mut c_void,
) -> InitRet {
    guard(|| {
        check_codes("ping_reply_codes", of_callback(pointee(value)))
            .ok_or(())
            .into()
    })
}

/// The new value that the config framework points to.
fn pointee(value: *mut *mut c_void) -> *mut sys::str_ {
    // SAFETY: the framework's own pointer to a string, see cfg/cfg_ctx.c; null is none.
    unsafe { value.as_ref() }.map_or(core::ptr::null_mut(), |value| value.cast())
}

/// A text that the config framework called back with, for the time of the call.
fn of_callback<'c>(text: *mut sys::str_) -> &'c [u8] {
    // SAFETY: the framework's own string, see cfg/cfg_ctx.c.
    unsafe { text::bytes_at(text) }.unwrap_or_default()
}

/// Reads the parameters' reply codes.
pub fn check_parameter(raw: &sys::glue_modparams) -> Option<()> {
    check_codes(
        "parameter ds_ping_reply_codes",
        params::bytes(&raw.ds_ping_reply_codes),
    )
}
