//! `dispatcher.hash`: the hash that algorithms 0 to 3, 5 and 7 compute.

use crate::dispatch::hash;
use crate::dispatch::list::words::INVALID;
use crate::kamailio::config::instance::Module;
use crate::kamailio::rpc::rpc_reply::{Full, RpcCall, RpcValue};

/// Answers `dispatcher.hash` slots text [text].
///
/// # Errors
/// The text of the fault.
pub fn hash(call: &RpcCall, _module: &Module) -> Result<(), String> {
    let (Some(slots), Some(first)) = (call.number(), call.text()) else {
        return Err(INVALID.into());
    };
    let second = call.text();
    call.all_readable()?;
    let hashed = hash::hash(&first, second.as_deref());
    let slots = u32::try_from(slots).ok();
    let slot = slots.and_then(|slots| hashed.checked_rem(slots));
    let answer = || -> Result<(), Full> {
        let node = call.add_struct()?;
        node.add(c"hashid", RpcValue::Unsigned(hashed))?;
        node.add(c"slot", RpcValue::Unsigned(slot.unwrap_or(0)))
    };
    Ok(answer()?)
}
