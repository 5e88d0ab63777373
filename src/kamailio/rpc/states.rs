//! `dispatcher.set_state` and `dispatcher.set_duid_state`.

use super::rpc_reply::{Full, RpcCall};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::words::{Address, INVALID, set_or_all};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::{Outcome, State, apply_set};
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::list::state_keeper;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::table::edit::EditError;
use crate::shm::table::sets::Table;

/// Sets the state of the destinations with a URI or at a host, or of all; in a set, or in all sets.
///
/// # Errors
/// The text of the fault.
pub fn set_state(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (state, set, word) = state_arguments(call)?;
    let address = Address::read(&word)?;
    set_and_answer(call, module, state, set, (&word, &address))
}

/// Sets the state of the destinations with a unique id, or of all; in a set, or in all sets.
///
/// # Errors
/// The text of the fault.
pub fn set_duid_state(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (state, set, word) = state_arguments(call)?;
    let address = match word.as_slice() {
        b"all" => Address::All,
        duid => Address::Duid(duid),
    };
    set_and_answer(call, module, state, set, (&word, &address))
}

/// Reads a state, a set or `all`, and a word.
fn state_arguments(call: &RpcCall) -> Result<(State, Option<SetId>, Vec<u8>), String> {
    let (state, set, word) = (call.text(), call.text(), call.text());
    let (Some(state), Some(set), Some(word)) = (state, set, word) else {
        return Err(INVALID.into());
    };
    let set = set_or_all(&set)?;
    let state = State::parse_rpc(&state).map_err(|error| error.to_string())?;
    Ok((state, set, word))
}

/// Sets a state, and answers.
fn set_and_answer(
    call: &RpcCall,
    module: &Module,
    state: State,
    set: Option<SetId>,
    (word, address): (&[u8], &Address<'_>),
) -> Result<(), String> {
    let Counted { matched, changed } = change_states(module, state, set, address)?;
    let named = Escaped(word);
    match set {
        _ if matched > 0 => {}
        None => {
            let missing = "no such destination";
            return Err(format!("State Update Failed: all sets, {named}: {missing}"));
        }
        Some(set) => {
            let missing = match module.pin().view(set) {
                Some(_) => EditError::NotFound,
                None => EditError::NoSet,
            };
            return Err(format!(
                "State Update Failed: set {set}, {named}: {missing}"
            ));
        }
    }
    let is_kept = state_keeper::is_keeping(module);
    if !is_counted(set, address) {
        call.say(if is_kept {
            "Ok. Dispatcher state updated."
        } else {
            "Ok. Dispatcher state updated. It will not survive a restart: see the log."
        });
        return Ok(());
    }
    let answer = || -> Result<(), Full> {
        let node = call.add_struct()?;
        node.add(c"MATCHED", matched)?;
        node.add(c"CHANGED", changed)?;
        if !is_kept {
            node.add(c"REMARK", "It will not survive a restart: see the log.")?;
        }
        Ok(())
    };
    Ok(answer()?)
}

/// Returns true if the answer has counts. Those forms of the commands that the C module has, too, are answered as there.
pub fn is_counted(set: Option<SetId>, address: &Address<'_>) -> bool {
    set.is_none() || matches!(address, Address::Host(_))
}

/// The destinations that a command has met.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// How many it meant: all of them have the state now.
    pub matched: usize,
    /// How many of them had another state before.
    pub changed: usize,
}

/// Sets a state for an operator's command; `set` is `None` for all sets. All of it is one feed.
///
/// # Errors
/// [`NoMemory`]: nothing has changed.
pub fn change_states(
    module: &Module,
    state: State,
    set: Option<SetId>,
    address: &Address<'_>,
) -> Result<Counted, NoMemory> {
    let sets = match set {
        Some(set) => vec![set],
        None => all_sets(module)?,
    };
    let compat = module.settings.compat;
    let uri = match address {
        Address::Uri(uri) => Some(&**uri),
        _ => None,
    };
    let mut feed = Feed::new(module, Cause::Rpc);
    let mut counted = Counted::default();
    for set in sets {
        let matched = module.store.change(
            Module::process(),
            set,
            uri,
            |dest| is_meant(dest, address),
            |old, failures| apply_set(old, failures, state, compat),
            |dest, (old, _), outcome: Outcome| {
                dest.record().set_cause(Cause::Rpc, now_ms());
                if !outcome.state.intersects(State::KEPT) {
                    module.store.forgive(Module::process(), dest.record());
                }
                counted.changed += usize::from(old != outcome.state);
                feed.note(dest.set, dest.uri(), old, outcome.state);
            },
        );
        counted.matched += matched.unwrap_or(0);
    }
    feed.post();
    Ok(counted)
}

/// Returns true for a destination that an address means; for a URI the store has found out already.
fn is_meant(dest: &Dest, address: &Address<'_>) -> bool {
    match address {
        Address::All | Address::Uri(_) => true,
        Address::Host(host) => host.is(dest.host()),
        Address::Duid(duid) => dest.has_duid(duid),
    }
}

fn all_sets(module: &Module) -> Result<Vec<SetId>, NoMemory> {
    let pinned = module.pin();
    let mut sets = Vec::new();
    heap::reserve(&mut sets, pinned.table().map_or(0, Table::len))?;
    let listed = pinned.table().into_iter().flat_map(Table::sets);
    sets.extend(listed.map(|(set, _)| set));
    Ok(sets)
}
