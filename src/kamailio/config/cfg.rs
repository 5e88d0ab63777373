//! The group `dispatcher` of the server's cfg framework: values that change while it runs.

use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering::SeqCst;

use super::instance::Module;
use super::params::Settings;
use super::ping_params::{self, Passive};
use crate::dispatch::state::probe::ReplyCodes;
use crate::dispatch::state::transition::MarkRules;
use crate::kamailio::server::guard::{InitRet, guard};
use crate::kamailio::server::log::log_err;
use crate::kamailio::server::sys;
use crate::kamailio::server::text;

/// Declares the group with the values that the config gives. Returns `None` after the message if
/// the server refuses.
pub fn declare(settings: &Settings) -> Option<()> {
    let number = |number: u32| c_int::try_from(number).unwrap_or(c_int::MAX);
    let rules = &settings.mark;
    let passive = settings.passive.as_ref().map(ConfiguredPassive::of);
    let passive = passive.unwrap_or(ConfiguredPassive::DEFAULT);
    let values = Box::leak(Box::new(sys::glue_cfg {
        probing_threshold: number(rules.probing_threshold),
        inactive_threshold: number(rules.inactive_threshold),
        ping_reply_codes: text::as_str(settings.reply_codes),
        probing_threshhold: number(rules.probing_threshold),
        passive_failures: number(passive.failures),
        eject_time: number(passive.eject_s),
        retry_after_max: number(passive.retry_after_s),
        slow_start: number(settings.slow_start_s),
    }));
    // SAFETY: called from mod_init; the values are leaked, so they stay.
    let declared = unsafe { sys::glue_cfg_declare(&raw mut *values) };
    if declared < 0 {
        log_err!("the server's config framework refuses the group dispatcher");
        return None;
    }
    Some(())
}

/// Reads the values of this moment.
fn with_values<R>(read: impl FnOnce(&sys::glue_cfg) -> R) -> Option<R> {
    let handle = &raw const sys::glue_cfg_handle;
    // SAFETY: the server swaps the pointer between messages and ticks, in this process only.
    let handle = unsafe { handle.read() };
    // SAFETY: null, or the group as it was declared, which stays until this process's next
    // message or tick (cfg/cfg_struct.h), so for the time of this call.
    unsafe { handle.cast::<sys::glue_cfg>().as_ref() }.map(read)
}

/// Returns the thresholds that marks and pings count to.
pub fn mark_rules(module: &Module) -> MarkRules {
    let rules = module.settings.mark;
    let current = with_values(|values| {
        let probing = if module.shared.old_threshold.load(SeqCst) == 0 {
            values.probing_threshold
        } else {
            values.probing_threshhold
        };
        MarkRules {
            probing_threshold: u32::try_from(probing).unwrap_or(0),
            inactive_threshold: u32::try_from(values.inactive_threshold).unwrap_or(0),
            ..rules
        }
    });
    current.unwrap_or(rules)
}

/// The values of passive health that can change.
#[derive(Clone, Copy, Debug)]
pub struct ConfiguredPassive {
    /// Failures in a row that eject.
    pub failures: u32,
    /// Seconds of the first ejection.
    pub eject_s: u32,
    /// The most seconds that a `Retry-After` ejects for.
    pub retry_after_s: u32,
}

impl ConfiguredPassive {
    /// The values of a config that has no passive health.
    const DEFAULT: Self = ConfiguredPassive {
        failures: 5,
        eject_s: 30,
        retry_after_s: 60,
    };

    const fn of(passive: &Passive) -> Self {
        ConfiguredPassive {
            failures: passive.failures,
            eject_s: passive.eject_s,
            retry_after_s: passive.retry_after_s,
        }
    }
}

/// Returns the seconds of a slow start, as they are now.
pub fn slow_start_s(module: &Module) -> u32 {
    let current = with_values(|values| u32::try_from(values.slow_start).unwrap_or(0));
    current.unwrap_or(module.settings.slow_start_s)
}

/// Returns the values of passive health of this moment.
pub fn passive(configured: &Passive) -> ConfiguredPassive {
    let number = |value| u32::try_from(value).unwrap_or(0);
    let current = with_values(|values| ConfiguredPassive {
        failures: number(values.passive_failures),
        eject_s: number(values.eject_time),
        retry_after_s: number(values.retry_after_max),
    });
    current.unwrap_or(ConfiguredPassive::of(configured))
}

/// Returns the replies that are good beside the usual ones.
pub fn reply_codes() -> ReplyCodes {
    let codes = with_values(|values| {
        // SAFETY: a string of the group, which stays as long as the group.
        let text = unsafe { text::bytes(&values.ping_reply_codes) };
        ReplyCodes::parse(text)
    });
    codes.unwrap_or_default()
}

/// Notes that `probing_threshold`, or its old name, has changed: the one that was set last counts.
/// The framework calls it in one process.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_cfg_threshold(_group: *mut sys::str_, name: *mut sys::str_) {
    guard(|| {
        // SAFETY: the framework's own string, which stays for the call (cfg/cfg_ctx.c).
        let name = unsafe { text::bytes_at(name) };
        if let Some(module) = Module::get() {
            let is_old = name == Some(b"probing_threshhold");
            module.shared.old_threshold.store(is_old.into(), SeqCst);
        }
    });
}

/// Refuses a new value of `ping_reply_codes` that cannot be read.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_cfg_reply_codes(
    _values: *mut c_void,
    _group: *mut sys::str_,
    _name: *mut sys::str_,
    value: *mut *mut c_void,
) -> InitRet {
    guard(|| {
        // SAFETY: null, or the framework's own pointer to the new string (cfg/cfg_ctx.c).
        let text = unsafe { value.as_ref() }.map_or(core::ptr::null_mut(), |value| value.cast());
        // SAFETY: null, or a string that stays for the call (cfg/cfg_ctx.c).
        let text = unsafe { text::bytes_at(text) }.unwrap_or_default();
        InitRet::of(ping_params::takes_reply_codes(text))
    })
}
