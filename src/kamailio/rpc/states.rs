//! `dispatcher.set_state` and `dispatcher.set_duid_state`.

use super::rpc_reply::RpcCall;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::file::with_scheme;
use crate::dispatch::list::words::INVALID;
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Outcome, State, apply_set};
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::list::state_keeper;
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::table::edit::EditError;

/// Sets the state of the destinations with a URI, or of a whole set.
///
/// # Errors
/// The text of the fault.
pub fn set_state(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (state, set, address) = state_arguments(call)?;
    let uri = (address != b"all").then(|| with_scheme(&address));
    let changed = change_states(module, state, set, uri.as_deref(), |_| true);
    answer(call, module, changed, set, &address)
}

/// Sets the state of the destinations with a unique id, or of a whole set.
///
/// # Errors
/// The text of the fault.
pub fn set_duid_state(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (state, set, duid) = state_arguments(call)?;
    let wanted = |dest: &Dest| duid == b"all" || dest.has_duid(&duid);
    let changed = change_states(module, state, set, None, wanted);
    answer(call, module, changed, set, &duid)
}

/// Reads a state, a set and a word.
fn state_arguments(call: &RpcCall) -> Result<(State, SetId, Vec<u8>), String> {
    let (state, set, word) = (call.text(), call.number(), call.text());
    let (Some(state), Some(set), Some(word)) = (state, set, word) else {
        return Err(INVALID.into());
    };
    let state = State::parse_rpc(&state).map_err(|error| error.to_string())?;
    Ok((state, set, word))
}

/// Answers a command that has changed the state of so many destinations; `named` is its word for them.
fn answer(
    call: &RpcCall,
    module: &Module,
    changed: usize,
    set: SetId,
    named: &[u8],
) -> Result<(), String> {
    if changed == 0 {
        let missing = match module.pin().view(set) {
            Some(_) => EditError::NotFound,
            None => EditError::NoSet,
        };
        let named = Escaped(named);
        return Err(format!(
            "State Update Failed: set {set}, {named}: {missing}"
        ));
    }
    call.say(if state_keeper::is_keeping(module) {
        "Ok. Dispatcher state updated."
    } else {
        "Ok. Dispatcher state updated. It will not survive a restart: see the log."
    });
    Ok(())
}

/// Sets a state for an operator's command; `uri` is `None` for all destinations of the set. Returns
/// the number of destinations that are in that state now: 0 if there is no such set or destination.
pub fn change_states(
    module: &Module,
    state: State,
    set: SetId,
    uri: Option<&[u8]>,
    wanted: impl Fn(&Dest) -> bool,
) -> usize {
    let compat = module.settings.compat;
    let change = |old, failures| apply_set(old, failures, state, compat);
    let mut feed = Feed::new(module, Cause::Rpc);
    let on_change = |dest: &Dest, old, outcome: Outcome| {
        dest.record().set_cause(Cause::Rpc, now_ms());
        feed.note(dest.set, dest.uri(), old, outcome.state);
    };
    let changed = module
        .store
        .change(Module::process(), set, uri, wanted, change, on_change);
    feed.post();
    changed.unwrap_or(0)
}
