//! The arguments of the script functions, for the server's reading of the config.
//!
//! A constant that is no number where one belongs is refused then, as in the C module: each call would fail.

use core::ffi::c_int;

use crate::dispatch::text::Escaped;
use crate::kamailio::observe::{http, metrics};
use crate::kamailio::server::fixup::FixupArg;
use crate::kamailio::server::guard::{InitRet, guard};
use crate::kamailio::server::log::log_err;

/// An argument of a script function.
enum Expected {
    /// A number, with its name in doc/reference/functions.md.
    Number(&'static str),
    /// A text.
    Text,
}
use Expected::{Number, Text};

const SELECTION: &[Expected] = &[Number("set"), Number("algorithm"), Number("limit")];
const SET: &[Expected] = &[Number("set")];
const SET_AND_URI: &[Expected] = &[Number("set"), Text];
const REPORT: &[Expected] = &[
    Number("set"),
    Text,
    Number("rate"),
    Number("milliseconds"),
    Number("number"),
];

/// Prepares an argument; false after a log line if it is not what the function expects.
fn fix(function: &str, expected: &[Expected], arg: &FixupArg, position: c_int) -> InitRet {
    let at = usize::try_from(position).unwrap_or(0).wrapping_sub(1);
    let Some(Number(name)) = expected.get(at) else {
        return InitRet::of(arg.fix_text());
    };
    let written = arg.written();
    let fixed = arg.fix_number();
    if !fixed {
        log_err!(
            "{function}: argument {position} ({name}): found \"{}\", expected a number, or one variable that holds it",
            Escaped(&written)
        );
    }
    InitRet::of(fixed)
}

/// The arguments of `ds_select_dst`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_select_dst(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_select_dst", SELECTION, &arg, position))
}

/// The arguments of `ds_select_domain`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_select_domain(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_select_domain", SELECTION, &arg, position))
}

/// The arguments of `ds_select`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_select(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_select", SELECTION, &arg, position))
}

/// The arguments of `ds_select_routes`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_routes(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| {
        fix(
            "ds_select_routes",
            &[Text, Text, Number("limit")],
            &arg,
            position,
        )
    })
}

/// The arguments of `ds_is_from_list`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_from_list(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| {
        fix(
            "ds_is_from_list",
            &[Number("set"), Number("mode"), Text],
            &arg,
            position,
        )
    })
}

/// The arguments of `ds_list_exist`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_list_exist(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_list_exist", SET, &arg, position))
}

/// The arguments of `ds_list_exists`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_list_exists(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_list_exists", SET, &arg, position))
}

/// The arguments of `ds_is_active`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_is_active(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_is_active", SET_AND_URI, &arg, position))
}

/// The arguments of `ds_dsg_fetch`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_dsg_fetch(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_dsg_fetch", SET, &arg, position))
}

/// The arguments of `ds_dsg_fetch_uri`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_dsg_fetch_uri(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_dsg_fetch_uri", SET_AND_URI, &arg, position))
}

/// The arguments of `ds_mark_addr`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_mark_addr(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_mark_addr", &[Text, Number("set"), Text], &arg, position))
}

/// The arguments of `ds_oc_set_attrs`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_oc_set_attrs(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_oc_set_attrs", REPORT, &arg, position))
}

/// The arguments of `ds_load_unset`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_load_unset(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| fix("ds_load_unset", &[Text], &arg, position))
}

/// The filter of `ds_metrics`, if it has one. Without xhttp it can never answer, nor with a constant that is no filter.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_metrics(arg: FixupArg, position: c_int) -> InitRet {
    guard(|| {
        let written = if position == 0 {
            Vec::new()
        } else {
            arg.written()
        };
        let is_good = written.contains(&b'$') || metrics::filter(&written).is_some();
        InitRet::of(http::is_loaded("ds_metrics") && is_good && (position == 0 || arg.fix_text()))
    })
}

/// `ds_page` has no arguments; without xhttp it can never answer.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_fixup_page(_: FixupArg, _: c_int) -> InitRet {
    guard(|| InitRet::of(http::is_loaded("ds_page")))
}
