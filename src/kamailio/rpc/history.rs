//! `dispatcher.history`: the last changes of states.

use super::rpc_reply::{Full, RpcCall};
use crate::dispatch::list::file::with_scheme;
use crate::dispatch::list::words::{INVALID, integer};
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::names;
use crate::kamailio::observe::changes::history::{Filter, newest};
use crate::kamailio::server::heap;
use crate::kamailio::server::time::{local_text, wall_of};
use crate::shm::observe::changes::history::{Change, ENTRY_BYTES};

/// Changes that are shown where no count is given.
const DEFAULT_COUNT: usize = 100;

/// Answers `dispatcher.history` [set|URI|all] [count].
///
/// # Errors
/// The text of the fault.
pub fn history(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (which, count) = (call.text(), call.text());
    call.all_readable()?;
    let count = match count {
        None => DEFAULT_COUNT,
        Some(word) => integer(&word)
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(INVALID)?,
    };
    let uri = which.as_deref().map(with_scheme);
    let filter = match (which.as_deref(), &uri) {
        (None | Some(b"all"), _) | (_, None) => Filter::All,
        (Some(word), Some(uri)) => integer(word).map_or(Filter::Uri(uri), Filter::Set),
    };
    if module.history.is_none() {
        return Err("No History (history_size is 0)".into());
    }
    heap::need(module.settings.history_size.min(count) * 2 * ENTRY_BYTES)?;
    reply(call, module, &newest(module, &filter, count)).map_err(|Full| {
        "Reply too large for this transport: ask for fewer changes (dispatcher.history all COUNT)"
            .into()
    })
}

fn reply(call: &RpcCall, module: &Module, changes: &[Change<'_>]) -> Result<(), Full> {
    let compat = module.settings.compat;
    let list = call.add_struct()?.add_array(c"CHANGES")?;
    for change in changes {
        let node = list.add_struct(c"CHANGE")?;
        node.add(c"TIME", &local_text(wall_of(change.at_ms * 1_000)))?;
        node.add(c"SET", change.set)?;
        if let Some(name) = names::name(change.set) {
            node.add(c"NAME", name)?;
        }
        node.add(c"URI", &change.uri)?;
        node.add(c"OLD", &change.old.letters(compat))?;
        node.add(c"NEW", &change.new.letters(compat))?;
        node.add(c"CAUSE", change.cause.name())?;
        node.add(c"CODE", change.code)?;
        node.add(c"WHO", &change.who)?;
        let found = change.found();
        node.add(c"FOUND", Some(&found).filter(|found| !found.is_empty()))?;
    }
    Ok(())
}
