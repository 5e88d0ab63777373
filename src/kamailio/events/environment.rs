//! The values that belong to the process and not to a message, saved while an event route runs.
//!
//! Event routes run in the middle of scripts and in timers. AVPs, XAVPs, branches, the type of route and the
//! current transaction are variables of the process, which the route must not change for the script.

use core::ffi::c_int;
use core::ptr;

use super::tm::SavedTransaction;
use crate::kamailio::server::message::{Message, MessageNumber};
use crate::kamailio::server::sys;

/// The type of the route that runs, set back when this is dropped.
pub struct SavedRouteType(c_int);

impl SavedRouteType {
    /// Has the server treat the event's route as a request's.
    pub fn request() -> Self {
        // SAFETY: an integer of this process, which has one thread (doc/dev/safety.md).
        let saved = SavedRouteType(unsafe { sys::route_type });
        // SAFETY: an integer of this process, which has one thread (doc/dev/safety.md).
        unsafe { sys::route_type = c_int::try_from(sys::REQUEST_ROUTE).unwrap_or(1) };
        saved
    }
}

impl Drop for SavedRouteType {
    fn drop(&mut self) {
        // SAFETY: an integer of this process, which has one thread (doc/dev/safety.md).
        unsafe { sys::route_type = self.0 };
    }
}

/// The classes of AVPs that belong to a message. The global ones belong to none.
const AVP_CLASSES: [u32; 6] = [
    sys::AVP_TRACK_FROM | sys::AVP_CLASS_URI,
    sys::AVP_TRACK_TO | sys::AVP_CLASS_URI,
    sys::AVP_TRACK_FROM | sys::AVP_CLASS_USER,
    sys::AVP_TRACK_TO | sys::AVP_CLASS_USER,
    sys::AVP_TRACK_FROM | sys::AVP_CLASS_DOMAIN,
    sys::AVP_TRACK_TO | sys::AVP_CLASS_DOMAIN,
];

/// The kinds of XAVPs. The glue passes over those that a version lacks.
const XAVP_KINDS: [c_int; 3] = [sys::GLUE_XAVP, sys::GLUE_XAVU, sys::GLUE_XAVI];

/// A list of values of the route's own, in the place of the script's.
struct Swapped<K, T> {
    kind: K,
    own: *mut T,
    scripts: *mut *mut T,
}

impl<K, T> Swapped<K, T> {
    fn new(kind: K) -> Self {
        Swapped {
            kind,
            own: ptr::null_mut(),
            scripts: ptr::null_mut(),
        }
    }
}

/// The script's values, current again when this is dropped.
struct SavedValues {
    avps: Box<[Swapped<u32, sys::usr_avp>; 6]>,
    xavps: Box<[Swapped<c_int, sys::sr_xavp_t>; 3]>,
}

impl SavedValues {
    fn save() -> Self {
        let mut values = SavedValues {
            avps: Box::new(AVP_CLASSES.map(Swapped::new)),
            xavps: Box::new(XAVP_KINDS.map(Swapped::new)),
        };
        for list in values.avps.iter_mut() {
            // SAFETY: the list lies in a box of the result, which is current until the result is dropped.
            list.scripts = unsafe { sys::set_avp_list(list.kind, &raw mut list.own) };
        }
        for list in values.xavps.iter_mut() {
            // SAFETY: the list lies in a box of the result, which is current until the result is dropped.
            list.scripts = unsafe { sys::glue_set_xavps(list.kind, &raw mut list.own) };
        }
        values
    }
}

impl Drop for SavedValues {
    fn drop(&mut self) {
        for list in self.avps.iter_mut() {
            // SAFETY: the list that the server had before, which belongs to the interrupted script or the core.
            unsafe { sys::set_avp_list(list.kind, list.scripts) };
            // SAFETY: no longer current; it has what the route left there and gave to no transaction.
            unsafe { sys::destroy_avp_list(&raw mut list.own) };
        }
        for list in self.xavps.iter_mut() {
            // SAFETY: the list that the server had before, which belongs to the interrupted script or the core.
            unsafe { sys::glue_set_xavps(list.kind, list.scripts) };
            // SAFETY: no longer current; it has what the route left there and gave to no transaction.
            unsafe { sys::xavp_destroy_list(&raw mut list.own) };
        }
    }
}

/// The branches that the script has made so far, set back when this is dropped. All of them are variables of
/// this process, which has one thread (doc/dev/safety.md).
struct SavedBranches {
    branches: Vec<sys::branch_t>,
    ruri_q: sys::qvalue_t,
    ruri_flags: sys::flag_t,
    ruri_is_new: c_int,
    iterator: c_int,
}

/// Returns the address of a branch; null if there is none.
fn branch_at(index: u32) -> *mut sys::branch_t {
    let index = c_int::try_from(index).unwrap_or(c_int::MAX);
    // SAFETY: the server checks the index against its number of branches (core/dset.c).
    unsafe { sys::get_sip_branch(index) }
}

impl SavedBranches {
    fn save() -> Self {
        // SAFETY: an integer of this process, see the struct.
        let count = unsafe { sys::nr_branches };
        let branch = |index| {
            // SAFETY: null, or one of the server's array, which is not changed meanwhile.
            unsafe { branch_at(index).as_ref() }.copied()
        };
        let mut ruri_flags = 0;
        // SAFETY: the server writes the flags of branch 0, the R-URI, into our variable (core/dset.c).
        unsafe { sys::getbflagsval(0, &raw mut ruri_flags) };
        let saved = SavedBranches {
            branches: (0..count).filter_map(branch).collect(),
            // SAFETY: a call without arguments that reads an integer of this process.
            ruri_q: unsafe { sys::get_ruri_q() },
            ruri_flags,
            // SAFETY: an integer of this process, see the struct.
            ruri_is_new: unsafe { sys::ruri_is_new },
            // SAFETY: a call without arguments that reads an integer of this process.
            iterator: unsafe { sys::get_branch_iterator() },
        };
        // SAFETY: a call without arguments that sets variables of this process; they are saved.
        unsafe { sys::clear_branches() };
        saved
    }
}

impl Drop for SavedBranches {
    fn drop(&mut self) {
        // SAFETY: a call without arguments that sets variables of this process.
        unsafe { sys::clear_branches() };
        // SAFETY: the array had as many branches when they were saved, so it has room for them.
        unsafe { sys::nr_branches = u32::try_from(self.branches.len()).unwrap_or(0) };
        for (index, branch) in (0..).zip(&self.branches) {
            // SAFETY: null, or one of the server's array, to which nobody else has a reference.
            if let Some(slot) = unsafe { branch_at(index).as_mut() } {
                *slot = *branch;
            }
        }
        // SAFETY: sets an integer of this process to a value that it had.
        unsafe { sys::set_ruri_q(self.ruri_q) };
        // SAFETY: sets an integer of this process to a value that it had.
        unsafe { sys::setbflagsval(0, self.ruri_flags) };
        // SAFETY: an integer of this process, see the struct.
        unsafe { sys::ruri_is_new = self.ruri_is_new };
        // SAFETY: sets an integer of this process to a value that it had.
        unsafe { sys::set_branch_iterator(self.iterator) };
    }
}

/// All that an event route on a faked message could disturb, set back when this is dropped.
pub struct SavedEnvironment {
    // Dropped in this order: a transaction that the route made takes no values of the script along.
    _transaction: Option<SavedTransaction>,
    _values: SavedValues,
    _branches: SavedBranches,
    _route: SavedRouteType,
}

impl SavedEnvironment {
    /// Saves all for a route on `msg`, which must outlive the result.
    pub fn save(msg: &Message, interrupted: Option<MessageNumber>) -> Self {
        SavedEnvironment {
            _transaction: SavedTransaction::save(msg, interrupted),
            _values: SavedValues::save(),
            _branches: SavedBranches::save(),
            _route: SavedRouteType::request(),
        }
    }
}
