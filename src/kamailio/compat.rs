//! The one place in Rust for what differs between the versions of the server. Its twin in C is
//! `kamailio-glue/compat.h`; `doc/versions.md` lists the differences.
//!
//! By feature, never by version number: `server_has` comes from `kamailio-glue/features.c`. Where
//! only the width of an integer differs, the functions here convert and no `cfg` is needed.

use super::sys;

/// A number for the server, in the width that this version takes: `int` up to 5.8, `long` from 6.0
/// on for variables and AVPs.
pub fn wide<T: From<i32>>(number: i32) -> T {
    T::from(number)
}

/// A number from the server; `None` where it does not fit.
pub fn narrow<F, T: TryFrom<F>>(number: F) -> Option<T> {
    T::try_from(number).ok()
}

/// Makes a number of an XAVP's value.
pub fn set_xavp_number(value: &mut sys::sr_xval_t, number: i32) {
    value.type_ = XAVP_NUMBER;
    #[cfg(not(server_has = "xavp_int"))]
    {
        value.v.l = wide(number);
    }
    #[cfg(server_has = "xavp_int")]
    {
        value.v.i = number;
    }
}

/// The number in an XAVP's value; `None` where it is none, or does not fit.
pub fn xavp_number(value: &sys::sr_xval_t) -> Option<i32> {
    if value.type_ != XAVP_NUMBER {
        return None;
    }
    // SAFETY: the type says which member of the union is set.
    #[cfg(not(server_has = "xavp_int"))]
    let number = unsafe { value.v.l };
    // SAFETY: as above.
    #[cfg(server_has = "xavp_int")]
    let number = unsafe { value.v.i };
    narrow(number)
}

/// The type of an XAVP's value that is a number.
#[cfg(not(server_has = "xavp_int"))]
pub const XAVP_NUMBER: sys::sr_xtype_t = sys::SR_XTYPE_LONG;
/// The type of an XAVP's value that is a number.
#[cfg(server_has = "xavp_int")]
pub const XAVP_NUMBER: sys::sr_xtype_t = sys::SR_XTYPE_INT;
