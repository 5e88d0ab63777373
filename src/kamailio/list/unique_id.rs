//! The numbers of destinations, and the unique ids that `dispatcher.list` shows (`IUID`).

use core::ffi::{c_char, c_int};
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering::SeqCst;

use crate::kamailio::config::instance::Module;
use crate::kamailio::server::sys;
use crate::kamailio::server::text;
use crate::shm::dest::destination::Dest;

/// The prefix if the server gives none.
const PLAIN: &str = "dspt-";

/// Returns the number of a destination, which no other one has or had since the server's start.
pub fn number(module: &Module, dest: &Dest) -> u32 {
    let next = || {
        module
            .shared
            .last_number
            .fetch_add(1, SeqCst)
            .wrapping_add(1)
    };
    dest.record().number(next)
}

/// Returns a destination's unique id.
pub fn unique_id(module: &Module, dest: &Dest) -> String {
    let (prefix, number) = (&module.id_prefix, number(module, dest));
    format!("{prefix}{number:x}-{}", dest.set)
}

/// Returns what unique ids begin with: a text of the server's that no other start of it has.
pub fn prefix() -> String {
    let text = sruid().unwrap_or_else(|| PLAIN.to_owned());
    // Behind the last separator is the server's own count.
    let end = text.rfind('-').map_or(text.len(), |at| at + 1);
    text.get(..end).unwrap_or(PLAIN).to_owned()
}

/// Returns a unique id of the server's.
fn sruid() -> Option<String> {
    let mut id = MaybeUninit::<sys::sruid_t>::zeroed();
    let mut name = *b"dspt\0";
    let separator = c_char::try_from(b'-').unwrap_or_default();
    let (name, mode) = (name.as_mut_ptr().cast(), c_int::try_from(sys::SRUID_INC));
    // SAFETY: the server fills the struct, and copies the name (core/utils/sruid.c).
    if unsafe { sys::sruid_init(id.as_mut_ptr(), separator, name, mode.unwrap_or(0)) } < 0 {
        return None;
    }
    // SAFETY: a struct that `sruid_init` has filled.
    if unsafe { sys::sruid_next(id.as_mut_ptr()) } < 0 {
        return None;
    }
    // SAFETY: numbers, pointers and bytes, of which zeroed memory is a value.
    let id = unsafe { id.assume_init_ref() };
    // SAFETY: the text lies in the struct (core/utils/sruid.h), which outlives this call.
    Some(String::from_utf8_lossy(unsafe { text::bytes(&id.uid) }).into_owned())
}
