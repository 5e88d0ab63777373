//! Pings that this server need not send, because another one of the cluster watches the destination and finds it good.
//!
//! This server's own pings still decide whether a destination is up: the word of another one only says when to send
//! them. As long as it is good and fresh, there is no need to. When it turns bad, the own ping is due at once.

use core::sync::atomic::Ordering::SeqCst;

use crate::dispatch::cluster::node::pinging::spared_until;
use crate::dispatch::cluster::state::rules::Sound;
use crate::dispatch::state::probe::awaits_ping;
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::counting::group;
use crate::shm::dest::record::DestRecord;

/// Returns when to look again at a destination whose ping is due, if that ping is spared; `None` if it is to be sent.
///
/// The first ping after a state was set is always sent where it adds the letter `P`, so that all servers show the same.
pub fn until(module: &Module, record: &DestRecord, now_ms: u64) -> Option<u64> {
    if awaits_ping(record.state(), &cfg::mark_rules(module)) {
        return None;
    }
    let watcher = record.ping_word()?.watcher()?;
    let relied = module.cluster.as_ref()?.relied.get(watcher.peer.into());
    let until = spared_until::<Sound>(record.status(), &relied, watcher.phase_ms, now_ms)?;
    leave(module, record);
    group::CLUSTER_PINGS_SPARED.count();
    Some(until)
}

/// Says that this server does not ping a destination.
pub fn leave(module: &Module, record: &DestRecord) {
    if record.ping_word().is_some_and(|word| word.leave()) {
        module.shared.ping_words.fetch_add(1, SeqCst);
    }
}

/// Says what a ping of this server has found.
pub fn found(module: &Module, record: &DestRecord) {
    let (state, failures) = record.status();
    if record
        .ping_word()
        .is_some_and(|word| word.found(state, failures))
    {
        module.shared.ping_words.fetch_add(1, SeqCst);
    }
}

/// Returns the failures to count before a bad ping of this server.
pub fn failures_before(record: &DestRecord, failures: u32, threshold: u32) -> u32 {
    let word = record.ping_word();
    word.map_or(failures, |word| {
        word.doubt().failures_before::<Sound>(failures, threshold)
    })
}
