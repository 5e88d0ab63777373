//! The one place in Rust for what differs between the versions of the server. Its twin in C is
//! `kamailio-glue/compat.h`; `doc/dev/versions.md` lists the differences.
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

/// The type of an XAVP's value that is a number. Later servers have no other than `long`; those that
/// have both use `int`.
#[cfg(server_has = "xavp_int")]
pub const XAVP_NUMBER: sys::sr_xtype_t = sys::SR_XTYPE_INT;
/// As above.
#[cfg(not(server_has = "xavp_int"))]
pub const XAVP_NUMBER: sys::sr_xtype_t = sys::SR_XTYPE_LONG;

/// Makes a number of an XAVP's value.
pub fn set_xavp_number(value: &mut sys::sr_xval_t, number: i32) {
    value.type_ = XAVP_NUMBER;
    #[cfg(server_has = "xavp_int")]
    {
        value.v.i = number;
    }
    #[cfg(not(server_has = "xavp_int"))]
    {
        value.v.l = wide(number);
    }
}

/// The number in an XAVP's value; `None` where it is none, or does not fit.
pub fn xavp_number(value: &sys::sr_xval_t) -> Option<i32> {
    if value.type_ != XAVP_NUMBER {
        return None;
    }
    // SAFETY: the type says which member of the union is set.
    #[cfg(server_has = "xavp_int")]
    let number = unsafe { value.v.i };
    // SAFETY: as above.
    #[cfg(not(server_has = "xavp_int"))]
    let number = unsafe { value.v.l };
    narrow(number)
}

/// Makes a pointer, as an opaque address, of an XAVP's value: a number where there is no such type.
pub fn set_xavp_pointer(value: &mut sys::sr_xval_t, pointer: usize) {
    value.type_ = XAVP_POINTER;
    #[cfg(server_has = "xavp_pointer")]
    {
        value.v.vptr = pointer as *mut _;
    }
    #[cfg(not(server_has = "xavp_pointer"))]
    {
        // Addresses of processes are below half of the range (ABI of Linux).
        value.v.l = pointer.try_into().unwrap_or(0);
    }
}

/// The pointer in an XAVP's value of the type [`XAVP_POINTER`].
pub fn xavp_pointer(value: &sys::sr_xval_t) -> usize {
    #[cfg(server_has = "xavp_pointer")]
    // SAFETY: all members of the union are plain data; this one is the type's.
    let pointer = unsafe { value.v.vptr } as usize;
    #[cfg(not(server_has = "xavp_pointer"))]
    // SAFETY: as above.
    let pointer = unsafe { value.v.l }.try_into().unwrap_or(0);
    pointer
}

/// The type of an XAVP's value that is a pointer.
#[cfg(server_has = "xavp_pointer")]
pub const XAVP_POINTER: sys::sr_xtype_t = sys::SR_XTYPE_VPTR;
/// The type of an XAVP's value that is a pointer.
#[cfg(not(server_has = "xavp_pointer"))]
pub const XAVP_POINTER: sys::sr_xtype_t = sys::SR_XTYPE_LONG;

/// A column's value of a type without sign; `None` for other types.
pub fn db_unsigned(value: &sys::db_val_t) -> Option<u64> {
    match value.type_ {
        #[cfg(server_has = "db_unsigned")]
        // SAFETY: the type says which field the driver has filled (lib/srdb1/db_val.h).
        sys::DB1_UINT => Some(unsafe { value.val.uint_val }.into()),
        #[cfg(server_has = "db_unsigned")]
        // SAFETY: as above.
        sys::DB1_UBIGINT => Some(unsafe { value.val.ull_val }),
        _ => None,
    }
}
