//! Which arguments of the script functions are numbers and which are texts, for the server's reading of the config.

use core::ffi::c_int;

use crate::kamailio::server::fixup::FixupArg;
use crate::kamailio::server::guard::{InitRet, guard};

/// Functions whose arguments are all numbers.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_numbers(arg: FixupArg, _position: c_int) -> InitRet {
    guard(|| arg.number())
}

/// `ds_is_from_list`(set, mode, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_from_list(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| {
        if position == 3 {
            arg.text()
        } else {
            arg.number()
        }
    })
}

/// `ds_is_active`(set, uri), and others whose second argument is a URI.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_is_active(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| {
        if position == 2 {
            arg.text()
        } else {
            arg.number()
        }
    })
}

/// `ds_select_routes`(rules, mode, limit).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_routes(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| {
        if position == 3 {
            arg.number()
        } else {
            arg.text()
        }
    })
}

/// `ds_mark_addr`(state, set, uri).
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_mark_addr(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| {
        if position == 2 {
            arg.number()
        } else {
            arg.text()
        }
    })
}
