//! The one place in Rust for what differs between the versions of the server. Its twin in C is
//! `kamailio-glue/compat.h`; `doc/dev/versions.md` lists the differences.
//!
//! By feature, never by version number: `server_has` comes from `kamailio-glue/features.c`. Where
//! only the width of an integer differs, the functions here convert and no `cfg` is needed.

use super::sys;

/// Returns a number for the server, in the width that this version has for variables and AVPs: `int` up to
/// 5.8, `long` from 6.0 on.
pub fn wide<T: From<i32>>(number: i32) -> T {
    T::from(number)
}

/// Returns a number from the server; `None` if it does not fit.
pub fn narrow<F, T: TryFrom<F>>(number: F) -> Option<T> {
    T::try_from(number).ok()
}

/// The type of a number in an XAVP. Servers that have both use `int`.
#[cfg(server_has = "xavp_int")]
pub const XAVP_NUMBER: sys::sr_xtype_t = sys::SR_XTYPE_INT;
/// The type of a number in an XAVP. Later servers have only `long`.
#[cfg(not(server_has = "xavp_int"))]
pub const XAVP_NUMBER: sys::sr_xtype_t = sys::SR_XTYPE_LONG;

/// Makes an XAVP's value a number.
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

/// Returns the number in an XAVP's value; `None` if it has another type, or does not fit.
pub fn xavp_number(value: &sys::sr_xval_t) -> Option<i32> {
    if value.type_ != XAVP_NUMBER {
        return None;
    }
    // SAFETY: the type says that this member of the union is set.
    #[cfg(server_has = "xavp_int")]
    let number = unsafe { value.v.i };
    // SAFETY: the type says that this member of the union is set.
    #[cfg(not(server_has = "xavp_int"))]
    let number = unsafe { value.v.l };
    narrow(number)
}

/// Makes an XAVP's value a pointer, given as an opaque address: a number if the server has no pointers there.
pub fn set_xavp_pointer(value: &mut sys::sr_xval_t, pointer: usize) {
    value.type_ = XAVP_POINTER;
    #[cfg(server_has = "xavp_pointer")]
    {
        value.v.vptr = pointer as *mut _;
    }
    #[cfg(not(server_has = "xavp_pointer"))]
    {
        // It fits: addresses of processes are below half of the range (ABI of Linux).
        value.v.l = pointer.try_into().unwrap_or(0);
    }
}

/// Returns the pointer in an XAVP's value of the type [`XAVP_POINTER`].
pub fn xavp_pointer(value: &sys::sr_xval_t) -> usize {
    #[cfg(server_has = "xavp_pointer")]
    // SAFETY: the type says that this member of the union is set; all of them are plain data.
    let pointer = unsafe { value.v.vptr } as usize;
    #[cfg(not(server_has = "xavp_pointer"))]
    // SAFETY: the type says that this member of the union is set; all of them are plain data.
    let pointer = unsafe { value.v.l }.try_into().unwrap_or(0);
    pointer
}

/// The type of a pointer in an XAVP.
#[cfg(server_has = "xavp_pointer")]
pub const XAVP_POINTER: sys::sr_xtype_t = sys::SR_XTYPE_VPTR;
/// The type of a pointer in an XAVP, where there is none of its own.
#[cfg(not(server_has = "xavp_pointer"))]
pub const XAVP_POINTER: sys::sr_xtype_t = sys::SR_XTYPE_LONG;

/// Returns a column's value of an unsigned type; `None` for other types.
pub fn db_unsigned(value: &sys::db_val_t) -> Option<u64> {
    match value.type_ {
        #[cfg(server_has = "db_unsigned")]
        // SAFETY: the type says that the driver has set this member of the union (lib/srdb1/db_val.h).
        sys::DB1_UINT => Some(unsafe { value.val.uint_val }.into()),
        #[cfg(server_has = "db_unsigned")]
        // SAFETY: the type says that the driver has set this member of the union (lib/srdb1/db_val.h).
        sys::DB1_UBIGINT => Some(unsafe { value.val.ull_val }),
        _ => None,
    }
}
