//! Why a destination is in its state, in words: `dispatcher.ping_status` and the page say the same.

use crate::dispatch::state::event::Cause;
use crate::dispatch::state::transition::State;
use crate::kamailio::admission::slow_start;
use crate::kamailio::cluster::states::{self, Names};
use crate::kamailio::config::instance::Module;
use crate::kamailio::passive::ejected;
use crate::kamailio::probing::ping::{pings_on, would_be_pinged};
use crate::kamailio::server::time::now_ms;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::probing::{Health, Last};
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::register::RegisterCell;

const AS_LISTED: &str = "as the list has it";
const BY_COMMAND: &str = "set by a command";

/// Returns true if the destination is pinged, as things are now.
pub fn is_pinged_now(module: &Module, dest: &Dest) -> bool {
    would_be_pinged(module, dest.record().state())
}

/// Says if pings are sent, and if not, why.
pub fn switch(module: &Module) -> &'static str {
    match (&module.settings.pings, pings_on(module)) {
        (None, _) => "off: ds_ping_interval is 0",
        (_, false) => "off: dispatcher.ping_active 0",
        _ => "on",
    }
}

/// Says in one sentence why a destination is in its state.
pub fn why(module: &Module, names: &Names<'_>, dest: &Dest) -> String {
    let record = dest.record();
    let (state, counted) = record.status();
    let (cause, since_ms) = record.cause();
    let compat = module.settings.compat;
    let by = match cause {
        Cause::Start | Cause::Reload => AS_LISTED.to_owned(),
        Cause::Script => "set by the script (ds_mark_dst)".to_owned(),
        Cause::Rpc => BY_COMMAND.to_owned(),
        Cause::Cluster => by_cluster(module, names, record),
        // No state of a record has this cause.
        Cause::Traffic => AS_LISTED.to_owned(),
        Cause::Ping => match record.health().and_then(Health::last) {
            Some(last) => by_ping(last),
            None => "found by pings".to_owned(),
        },
    };
    // Neither marks nor pings begin to drain: what they have found is the rest of the state.
    let drains_besides = state.drains() && matches!(cause, Cause::Script | Cause::Ping);
    let what = if drains_besides {
        let found = state.without(State::DRAINING).words(compat);
        let by = if record.listed().drains() {
            AS_LISTED
        } else {
            BY_COMMAND
        };
        format!("draining (no new calls), {by}; {found}")
    } else {
        state.words(compat)
    };
    let since = match since_ms {
        0 => String::new(),
        since => format!(" for {} s", now_ms().saturating_sub(since) / 1_000),
    };
    let counted = match (counted, state.contains(State::INACTIVE)) {
        (0, _) => String::new(),
        (n, true) => format!("; {n} good in a row so far"),
        (n, false) => format!("; {n} bad counted so far"),
    };
    let not_pinged = if is_pinged_now(module, dest) {
        ""
    } else {
        "; not pinged"
    };
    let slow = slow_start::why(module, dest).map_or_else(String::new, |slow| format!("; {slow}"));
    let why = format!("{what}{since}: {by}{counted}{not_pinged}{slow}");
    match ejected::why(record) {
        Some(ejected) => format!("{ejected}; beside that {why}"),
        None => why,
    }
}

/// Says who has decided a state that the cluster has set. Of states that were set before there was a cluster it knows
/// nothing.
fn by_cluster(module: &Module, names: &Names<'_>, record: &DestRecord) -> String {
    let register = record.register().and_then(RegisterCell::get);
    let node = register.map(|(_, register)| register.node);
    match node.filter(|node| Some(*node) != states::own_node(module)) {
        Some(node) => format!("set on {} (cluster)", names.of(node)),
        None => BY_COMMAND.to_owned(),
    }
}

fn by_ping(last: Last) -> String {
    match last.bad_in_row {
        0 => format!("the last ping was good ({})", last.ended),
        n => format!("{n} bad pings in a row, the last one: {}", last.ended),
    }
}
