//! `dispatcher.ping_active` and `dispatcher.ping_status`: the switch of the pings, and the reasons for
//! the states of destinations.

use super::rpc_reply::{Full, RpcCall, RpcNode};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::file::with_scheme;
use crate::dispatch::list::words::integer;
use crate::kamailio::cluster::pings::Watchers;
use crate::kamailio::cluster::states::Names;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::list_params::Keep;
use crate::kamailio::config::names;
use crate::kamailio::list::state_keeper;
use crate::kamailio::observe::why::{is_pinged_now, switch, why};
use crate::kamailio::probing::ping::{pings_on, set_pings};
use crate::kamailio::server::heap;
use crate::kamailio::server::log::log_warn;
use crate::kamailio::server::time::{now_ms, now_us};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::probing::Health;
use crate::shm::observe::counters::Moment;
use crate::shm::set::view::View;

/// Answers `dispatcher.ping_active` [0|1].
///
/// # Errors
/// The text of the fault.
pub fn active(call: &RpcCall, module: &Module) -> Result<(), String> {
    let wanted = match call.text() {
        None => None,
        Some(word) => match integer(&word) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => return Err("Invalid Parameters: expected 0 or 1".into()),
        },
    };
    call.all_readable()?;
    let old = match wanted {
        None => pings_on(module),
        Some(on) => set_pings(module, on),
    };
    let answer = || {
        let node = call.add_struct()?;
        if let Some(new) = wanted {
            node.add(c"NewPingState", i32::from(new))?;
        }
        node.add(c"OldPingState", i32::from(old))?;
        let is_lost = wanted.is_some()
            && matches!(module.settings.keep, Keep::File(_))
            && !state_keeper::is_keeping(module);
        if is_lost {
            node.add(c"REMARK", "It will not survive a restart: see the log.")?;
        }
        Ok(())
    };
    if wanted == Some(true) && module.settings.pings.is_none() {
        log_warn!("dispatcher.ping_active 1 has no effect: ds_ping_interval is 0");
    }
    answer().map_err(|error: Full| error.into())
}

/// Answers `dispatcher.ping_status` [set [URI|duid=ID]].
///
/// # Errors
/// The text of the fault.
pub fn status(call: &RpcCall, module: &Module) -> Result<(), String> {
    let set = match call.text().as_deref() {
        None | Some(b"all") => None,
        Some(word) => Some(integer(word).ok_or("Invalid Parameters: expected a set or `all`")?),
    };
    let address = call.text();
    let wanted = |dest: &Dest| match &address {
        None => true,
        Some(word) => match word.strip_prefix(b"duid=") {
            Some(duid) => dest.has_duid(duid),
            None => dest.uri().eq_ignore_ascii_case(&with_scheme(word)),
        },
    };
    let pinned = module.pin();
    let Some(table) = pinned.table().filter(|table| !table.is_empty()) else {
        return Err("No Destination Sets".into());
    };
    heap::need(table.len() * size_of::<(SetId, &View)>() * 4)?;
    let sets: Vec<(SetId, &View)> = table
        .sets()
        .filter(|(id, _)| set.is_none_or(|set| set == *id))
        .collect();
    if sets.is_empty() {
        return Err("No Such Destination Set".into());
    }
    let dests = || {
        let all = sets
            .iter()
            .flat_map(|(id, view)| view.dests().map(move |dest| (*id, dest)));
        all.filter(|(_, dest)| wanted(dest))
    };
    if dests().next().is_none() {
        return Err("No Such Destination".into());
    }
    let nodes = Names::new(module);
    let watchers = Watchers::now(module);
    let answer = || {
        let top = call.add_struct()?;
        top.add(c"PINGS", switch(module))?;
        let targets = top.add_array(c"TARGETS")?;
        for (set, dest) in dests() {
            let node = targets.add_struct(c"DEST")?;
            node.add(c"SET", set)?;
            if let Some(name) = names::name(set) {
                node.add(c"NAME", name)?;
            }
            node.add(c"URI", dest.uri())?;
            if let Some(description) = dest.attribute(b"desc") {
                node.add(c"DESC", description)?;
            }
            let letters = dest.record().shown_state().letters(module.settings.compat);
            node.add(c"FLAGS", &letters)?;
            node.add(c"WHY", &why(module, &nodes, dest))?;
            health(&node, module, dest)?;
            if let Some(watchers) = &watchers {
                watched(&node, watchers, dest)?;
            }
            if module.settings.shares_load() {
                node.add(c"CALLS", dest.record().whole_load())?;
                node.add(c"OWN", dest.record().load())?;
            }
            ping_counts(&node, dest)?;
            selection_counts(&node, dest)?;
            traffic(&node, module, dest)?;
        }
        set_counts(&top, &sets)?;
        Ok(())
    };
    answer().map_err(|Full| {
        "Reply too large for this transport: ask for one set (dispatcher.ping_status SET) or one \
         destination (dispatcher.ping_status SET URI)"
            .into()
    })
}

/// Adds the probing result of a destination.
///
/// # Errors
/// [`Full`].
pub fn health(node: &RpcNode<'_>, module: &Module, dest: &Dest) -> Result<(), Full> {
    let record = dest.record();
    let last = record.health().and_then(Health::last);
    let result = last.map(|last| last.ended.to_string());
    node.add(c"LAST_RESULT", result.as_ref())?;
    let now_ms = now_ms();
    let ago = last.map(|last| now_ms.saturating_sub(last.at_ms));
    node.add(c"LAST_AGO_MS", ago)?;
    let round_trip = last.map(|last| f64::from(last.round_trip_us) / 1_000.0);
    node.add(c"ROUND_TRIP_MS", round_trip.filter(|&ms| ms > 0.0))?;
    let bad = last.map_or(0, |last| last.bad_in_row);
    node.add(c"BAD_IN_ROW", bad)?;
    let waits = record
        .health()
        .and_then(Health::sent_us)
        .map(|sent| now_us().saturating_sub(sent) / 1_000);
    node.add(c"WAITING_MS", waits)?;
    let next = record.health().and_then(Health::due_ms);
    let next = next.filter(|_| is_pinged_now(module, dest));
    let next = next.map(|due| due.saturating_sub(now_ms));
    node.add(c"NEXT_IN_MS", next)
}

/// Adds who pings a destination, and what the other servers find that ping it.
///
/// # Errors
/// [`Full`].
pub fn watched(node: &RpcNode<'_>, watchers: &Watchers<'_>, dest: &Dest) -> Result<(), Full> {
    let found = Watchers::found_elsewhere(dest);
    node.add(c"WATCHED_BY", watchers.of(dest).as_ref())?;
    node.add(c"UP_ELSEWHERE", u32::from(found.up))?;
    node.add(c"DOWN_ELSEWHERE", u32::from(found.down))
}

/// Adds the findings of the requests to a destination, if they are watched.
///
/// # Errors
/// [`Full`].
pub fn traffic(node: &RpcNode<'_>, module: &Module, dest: &Dest) -> Result<(), Full> {
    let watched = module.settings.passive.as_ref();
    let Some(traffic) = watched.and_then(|_| dest.record().traffic()) else {
        return Ok(());
    };
    let node = node.add_struct(c"TRAFFIC")?;
    let (good, failed) = traffic.branches();
    let standing = traffic.standing();
    node.add(c"GOOD", good)?;
    node.add(c"FAILED", failed)?;
    node.add(c"FAILED_IN_ROW", standing.row)?;
    node.add(
        c"LAST_FAILURE",
        Some(traffic.last_failure())
            .filter(|&last| last != 0)
            .map(u32::from),
    )?;
    node.add(c"EJECTIONS", traffic.ejections())?;
    let left_ms = standing.at_ms.saturating_sub(now_ms());
    node.add(c"EJECTED_MS", standing.phase.is_out().then_some(left_ms))
}

/// Adds how many pings there were, if destinations are pinged.
fn ping_counts(node: &RpcNode<'_>, dest: &Dest) -> Result<(), Full> {
    let Some(health) = dest.record().health() else {
        return Ok(());
    };
    node.add(c"PINGS", health.pings())?;
    node.add(c"PINGS_FAILED", health.pings_failed())
}

/// Adds what was counted of the selections of a destination, with `counters` 2.
fn selection_counts(node: &RpcNode<'_>, dest: &Dest) -> Result<(), Full> {
    let Some(counts) = dest.record().counted() else {
        return Ok(());
    };
    node.add(c"SELECTIONS", counts.selections())?;
    node.add(c"FAILOVERS", counts.failovers())?;
    let ago_ms = |moment: Moment| now_ms().saturating_sub(moment.at_ms);
    let failover = counts.last_failover();
    node.add(c"LAST_FAILOVER_CODE", failover.map(|last| last.code))?;
    node.add(c"LAST_FAILOVER_AGO_MS", failover.map(ago_ms))?;
    let mark = counts.last_mark();
    node.add(c"LAST_MARK_CODE", mark.map(|last| last.code))?;
    node.add(c"LAST_MARK_AGO_MS", mark.map(ago_ms))
}

/// Adds what was counted of the selections of sets, with `counters` 2.
fn set_counts(top: &RpcNode<'_>, sets: &[(SetId, &View)]) -> Result<(), Full> {
    if sets
        .iter()
        .all(|(_, view)| view.record().counted().is_none())
    {
        return Ok(());
    }
    let array = top.add_array(c"SETS")?;
    for (set, view) in sets {
        let Some(counts) = view.record().counted() else {
            continue;
        };
        let node = array.add_struct(c"SET")?;
        node.add(c"ID", *set)?;
        node.add(c"SELECTIONS", counts.selections())?;
        node.add(c"SELECTIONS_FAILED", counts.selections_failed())?;
        node.add(c"FAILOVERS", counts.failovers())?;
    }
    Ok(())
}
