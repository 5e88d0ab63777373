//! A clean stage for an event route: the variables of the script that it interrupts are put aside.
//!
//! Event routes run in the middle of scripts, of RPC commands and of timers, on a message of their
//! own. AVPs, XAVPs, branches and the current transaction belong to the process, not to a message.

use core::ffi::c_int;
use core::ptr;

use super::tm::{Aside, Tm};
use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;

/// The type of route that runs; the one before is back when this is dropped.
pub struct RouteType(c_int);

impl RouteType {
    /// Says that an event's route runs, which may do what a request's route may.
    pub fn request() -> Self {
        // SAFETY: a variable of the process.
        let before = RouteType(unsafe { sys::route_type });
        // SAFETY: as above.
        unsafe { sys::route_type = c_int::try_from(sys::REQUEST_ROUTE).unwrap_or(1) };
        before
    }
}

impl Drop for RouteType {
    fn drop(&mut self) {
        // SAFETY: a variable of the process.
        unsafe { sys::route_type = self.0 };
    }
}

/// The classes of AVPs that belong to a message; the global ones belong to nobody.
const AVP_LISTS: [u32; 6] = [
    sys::AVP_TRACK_FROM | sys::AVP_CLASS_URI,
    sys::AVP_TRACK_TO | sys::AVP_CLASS_URI,
    sys::AVP_TRACK_FROM | sys::AVP_CLASS_USER,
    sys::AVP_TRACK_TO | sys::AVP_CLASS_USER,
    sys::AVP_TRACK_FROM | sys::AVP_CLASS_DOMAIN,
    sys::AVP_TRACK_TO | sys::AVP_CLASS_DOMAIN,
];

/// The kinds of lists of the new kind of AVPs; those that a version lacks are left alone.
const XAVP_LISTS: [c_int; 3] = [sys::GLUE_XAVP, sys::GLUE_XAVU, sys::GLUE_XAVI];

/// Empty lists that the server works on, at a place that stays.
struct Lists {
    avps: [sys::avp_list_t; AVP_LISTS.len()],
    xavps: [*mut sys::sr_xavp_t; XAVP_LISTS.len()],
}

/// Lists of values of the event route's own; those of the script are back when this is dropped.
struct Values {
    own: Box<Lists>,
    avps: [*mut sys::avp_list_t; AVP_LISTS.len()],
    xavps: [*mut *mut sys::sr_xavp_t; XAVP_LISTS.len()],
}

impl Values {
    fn put_aside() -> Self {
        let mut values = Values {
            own: Box::new(Lists {
                avps: [ptr::null_mut(); AVP_LISTS.len()],
                xavps: [ptr::null_mut(); XAVP_LISTS.len()],
            }),
            avps: [ptr::null_mut(); AVP_LISTS.len()],
            xavps: [ptr::null_mut(); XAVP_LISTS.len()],
        };
        let lists = AVP_LISTS.iter().zip(&mut values.own.avps);
        for ((&class, list), before) in lists.zip(&mut values.avps) {
            // SAFETY: the list lives until the one before is back.
            *before = unsafe { sys::set_avp_list(class, list) };
        }
        let lists = XAVP_LISTS.iter().zip(&mut values.own.xavps);
        for ((&kind, list), before) in lists.zip(&mut values.xavps) {
            // SAFETY: as above.
            *before = unsafe { sys::glue_set_xavps(kind, list) };
        }
        values
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        for (&class, &before) in AVP_LISTS.iter().zip(&self.avps) {
            // SAFETY: the list that the server had before, which the interrupted script still has.
            unsafe { sys::set_avp_list(class, before) };
        }
        for (&kind, &before) in XAVP_LISTS.iter().zip(&self.xavps) {
            // SAFETY: as above.
            unsafe { sys::glue_set_xavps(kind, before) };
        }
        for list in &mut self.own.avps {
            // SAFETY: ours alone now; what the route put there and did not give to a transaction.
            unsafe { sys::destroy_avp_list(list) };
        }
        for list in &mut self.own.xavps {
            // SAFETY: as above.
            unsafe { sys::xavp_destroy_list(list) };
        }
    }
}

/// The branches that a script has made so far; back when this is dropped.
struct Branches {
    branches: Vec<sys::branch_t>,
    ruri_q: sys::qvalue_t,
    ruri_flags: sys::flag_t,
    ruri_is_new: c_int,
    iterator: c_int,
}

/// The place of a branch; null where there is none.
fn branch_at(index: u32) -> *mut sys::branch_t {
    let index = c_int::try_from(index).unwrap_or(c_int::MAX);
    // SAFETY: looks at variables of the process.
    unsafe { sys::get_sip_branch(index) }
}

impl Branches {
    fn put_aside() -> Self {
        // SAFETY: a variable of the process.
        let count = unsafe { sys::nr_branches };
        let branch = |index| {
            // SAFETY: a branch that is there, or null.
            unsafe { branch_at(index).as_ref() }.copied()
        };
        let mut ruri_flags = 0;
        // SAFETY: reads a variable of the process into ours.
        unsafe { sys::getbflagsval(0, &raw mut ruri_flags) };
        let branches = Branches {
            branches: (0..count).filter_map(branch).collect(),
            // SAFETY: reads a variable of the process.
            ruri_q: unsafe { sys::get_ruri_q() },
            ruri_flags,
            // SAFETY: as above.
            ruri_is_new: unsafe { sys::ruri_is_new },
            // SAFETY: as above.
            iterator: unsafe { sys::get_branch_iterator() },
        };
        // SAFETY: writes variables of the process.
        unsafe { sys::clear_branches() };
        branches
    }
}

impl Drop for Branches {
    fn drop(&mut self) {
        // SAFETY: writes variables of the process.
        unsafe { sys::clear_branches() };
        // SAFETY: as many as there were, so they fit.
        unsafe { sys::nr_branches = u32::try_from(self.branches.len()).unwrap_or(0) };
        for (index, branch) in (0..).zip(&self.branches) {
            // SAFETY: a branch that is there, or null.
            if let Some(slot) = unsafe { branch_at(index).as_mut() } {
                *slot = *branch;
            }
        }
        // SAFETY: writes variables of the process.
        unsafe { sys::set_ruri_q(self.ruri_q) };
        // SAFETY: as above.
        unsafe { sys::setbflagsval(0, self.ruri_flags) };
        // SAFETY: as above.
        unsafe { sys::ruri_is_new = self.ruri_is_new };
        // SAFETY: as above.
        unsafe { sys::set_branch_iterator(self.iterator) };
    }
}

/// All that an event route on a message of its own could disturb, put aside until this is dropped.
pub struct Stage<'t> {
    // Dropped in this order: transactions that the route made take nothing of the script's along.
    _transaction: Option<Aside<'t>>,
    _values: Values,
    _branches: Branches,
    _route: RouteType,
}

impl<'t> Stage<'t> {
    /// Clears the stage for a route on `msg`, which must outlive it.
    pub fn clear(msg: &Message, tm: Option<&'t Tm>) -> Self {
        Stage {
            _transaction: tm.map(|tm| tm.put_aside(msg)),
            _values: Values::put_aside(),
            _branches: Branches::put_aside(),
            _route: RouteType::request(),
        }
    }
}
