//! `dispatcher.reload` and `dispatcher.check`: the whole list.

use super::rpc_reply::{Full, RpcCall, RpcNode};
use crate::dispatch::state::event::Cause;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::patience;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::list::reload::{self, Checked, Loaded, WhenEmpty};
use crate::kamailio::list::reload_delta;
use crate::kamailio::server::log::log_warn;
use crate::shm::table::new_table::Changes;

/// Refuses a change of the lists if `reload_delta` has not passed since the last one.
///
/// # Errors
/// The text of the fault.
pub fn check_reload_delta(module: &Module) -> Result<(), String> {
    if reload_delta::lets_change(module) {
        Ok(())
    } else {
        Err("Ongoing reload".into())
    }
}

/// Loads the list anew, and answers with what changed.
///
/// # Errors
/// The text of the fault.
pub fn reload_command(call: &RpcCall, module: &Module) -> Result<(), String> {
    let loaded = reload(module, call.text().as_deref())?;
    // The text comes last: of several values a JSON reply keeps only that one.
    let counted = call
        .add_struct()
        .and_then(|node| count(&node, loaded.changes, loaded.rejected));
    if let Err(Full) = counted {
        log_warn!("no room for the counts in the reply of a reload");
    }
    call.say("Ok. Dispatcher successfully reloaded.");
    Ok(())
}

/// Loads the lists anew for an operator's command. With the word `empty` a list without destinations is taken as well.
///
/// # Errors
/// The text of the fault.
pub fn reload(module: &Module, word: Option<&[u8]>) -> Result<Loaded, String> {
    check_reload_delta(module)?;
    let when_empty = match word {
        Some(b"empty") => WhenEmpty::Take,
        _ => WhenEmpty::Refuse,
    };
    let mut feed = Feed::new(module, Cause::Reload);
    let loaded = reload::load(module, when_empty, &mut feed, patience::of_command());
    let loaded = loaded.map_err(|error| format!("Reload Failed: {error}"))?;
    feed.note_all_down();
    feed.post();
    Ok(loaded)
}

/// Adds the counts of a load.
fn count(node: &RpcNode<'_>, changes: Changes, rejected: usize) -> Result<(), Full> {
    node.add(c"ADDED", changes.added)?;
    node.add(c"CHANGED", changes.changed)?;
    node.add(c"REMOVED", changes.removed)?;
    node.add(c"KEPT", changes.kept)?;
    node.add(c"REJECTED", rejected)
}

/// Says what a reload would do, without doing it.
///
/// # Errors
/// The text of the fault.
pub fn check_command(call: &RpcCall, module: &Module) -> Result<(), String> {
    let checked = reload::check(module).map_err(|error| format!("Check Failed: {error}"))?;
    Ok(report(call, &checked)?)
}

fn report(call: &RpcCall, checked: &Checked) -> Result<(), Full> {
    let top = call.add_struct()?;
    let refused = checked.refused.as_ref().map(ToString::to_string);
    let result = if refused.is_some() { "refused" } else { "ok" };
    top.add(c"RESULT", result)?;
    top.add(c"REFUSED", refused.as_ref())?;
    count(&top, checked.changes, checked.rejected)?;
    let texts = [
        (c"REASONS", &checked.reasons),
        (c"REMARKS", &checked.remarks),
    ];
    texts.into_iter().try_for_each(|(name, texts)| {
        let array = top.add_array(name)?;
        texts
            .iter()
            .try_for_each(|text| array.push(text.as_bytes()))
    })
}
