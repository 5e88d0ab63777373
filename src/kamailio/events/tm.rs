//! tm's current transaction, put aside while an event route runs on a message of its own.
//!
//! tm keeps the transaction in variables of the process, beside the number of the message that it was found
//! for. For a message of another number it searches again, and counts one more reference to what it finds.
//! So the interrupted script gets back both, or its transaction would never be freed.

use core::ffi::c_int;
use core::ptr;
use std::sync::OnceLock;

use super::faked_msg::FakedMessage;
use crate::kamailio::server::message::{Message, MessageNumber};
use crate::kamailio::server::sys;

/// tm's "not looked for yet" (tm/t_lookup.h, `T_UNDEFINED`).
const UNKNOWN: *mut sys::cell = ptr::without_provenance_mut(usize::MAX);
/// tm's "no branch" (tm/t_lookup.h, `T_BR_UNDEFINED`).
const NO_BRANCH: c_int = -1;

/// The part of tm's interface that is used here.
struct Tm {
    get: unsafe extern "C" fn() -> *mut sys::cell,
    branch: unsafe extern "C" fn() -> c_int,
    set: unsafe extern "C" fn(*mut sys::cell, c_int),
    unref: unsafe extern "C" fn(*mut sys::sip_msg) -> c_int,
    check: unsafe extern "C" fn(*mut sys::sip_msg, *mut c_int) -> c_int,
}

/// tm, found by this process when it first needs it; `None` inside for a config without it.
static TM: OnceLock<Option<Tm>> = OnceLock::new();

impl Tm {
    fn find() -> Option<Self> {
        // SAFETY: all modules are initialised when the first event is told, as load_tm asks.
        let api = unsafe { sys::glue_tm_find() };
        // SAFETY: null, or the glue's own struct, which tm has filled (include/dispatcher_glue.h).
        let api = unsafe { api.as_ref() }?;
        Some(Tm {
            get: api.t_gett?,
            branch: api.t_gett_branch?,
            set: api.t_sett?,
            unref: api.t_unref?,
            check: api.t_check?,
        })
    }

    fn set(&self, cell: *mut sys::cell, branch: c_int) {
        // SAFETY: tm's own function, which writes two variables; the transaction is one that it gave us and
        // that is still referenced, or none (tm/t_lookup.c, set_t).
        unsafe { (self.set)(cell, branch) };
    }
}

/// The transaction of an interrupted script; the script has it again when this is dropped.
pub struct SavedTransaction {
    tm: &'static Tm,
    cell: *mut sys::cell,
    branch: c_int,
    /// The message of the event's route.
    msg: *mut sys::sip_msg,
    /// The number of the message that the transaction was found for, if a script is interrupted.
    number: Option<MessageNumber>,
}

impl SavedTransaction {
    /// Puts the current transaction aside for a route on `msg`, which must outlive the result; `None` for a
    /// config without tm.
    pub fn save(msg: &Message, interrupted: Option<MessageNumber>) -> Option<Self> {
        let tm = TM.get_or_init(Tm::find).as_ref()?;
        // SAFETY: tm's own function, which reads a variable.
        let cell = unsafe { (tm.get)() };
        // SAFETY: tm's own function, which reads a variable.
        let branch = unsafe { (tm.branch)() };
        tm.set(UNKNOWN, NO_BRANCH);
        let has_transaction = !cell.is_null() && cell != UNKNOWN;
        Some(SavedTransaction {
            tm,
            cell,
            branch,
            msg: msg.raw(),
            number: interrupted.filter(|_| has_transaction),
        })
    }

    /// Has tm search for a message of the interrupted one's number, and find nothing.
    fn recall(&self, number: MessageNumber) {
        let Some(mut other) = FakedMessage::to(b"sip:127.0.0.1") else {
            return;
        };
        let mut branch = NO_BRANCH;
        other.set_number(number);
        // SAFETY: a live message. No transaction is like it, so none is referenced (tm/t_lookup.c, t_check).
        unsafe { (self.tm.check)(other.message().raw(), &raw mut branch) };
    }
}

impl Drop for SavedTransaction {
    fn drop(&mut self) {
        // SAFETY: `save`'s caller keeps the message. tm gives a transaction back that the route made or
        // found, as it does after a script.
        unsafe { (self.tm.unref)(self.msg) };
        if let Some(number) = self.number {
            self.recall(number);
        }
        self.tm.set(self.cell, self.branch);
    }
}
