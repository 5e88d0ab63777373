//! The log lines of the process of the cluster.

use std::collections::HashMap;

use crate::dispatch::cluster::node::action::{Note, Ready};
use crate::dispatch::text::Escaped;
use crate::kamailio::server::log::{log_crit, log_err, log_info, log_warn};

/// Writes a note.
pub fn write(note: &Note) {
    match note {
        Note::Ready(Ready::Synced) => log_info!("cluster: ready, with what the others have"),
        Note::Ready(Ready::Alone) => log_info!("cluster: ready, alone"),
        Note::Ready(Ready::Unsynced) => {
            log_warn!("cluster: ready, but no other server has sent all that it has");
        }
        Note::Restarted(name) => log_info!("cluster: {name} has started again"),
        Note::Left(name) => log_info!("cluster: {name} has left"),
        Note::NameTwice { uri, stopped: true } => log_crit!(
            "cluster: the server at {uri} has the name of this one, and is older: nothing is shared (ds_dmq_node)"
        ),
        Note::NameTwice { uri, .. } => log_crit!(
            "cluster: the server at {uri} has the name of this one, and is younger: it is not listened to (ds_dmq_node)"
        ),
        Note::OthersNameTwice { node, uri } => log_err!(
            "cluster: the server at {uri} has the name of another one, {node}, and is not listened to"
        ),
        Note::StampAhead { node, stamp } => log_err!(
            "cluster: {node} has sent a state from more than a day ahead, which is refused: its clock is wrong, or this \
             one's ({} ms since 1970)",
            stamp.wall_ms()
        ),
        Note::WrongSource { node, source } => log_err!(
            "cluster: a message of {node} came from {}, where its hellos do not come from: refused (ds_dmq_key)",
            Escaped(source)
        ),
        Note::Refused { uri, code } => {
            log_warn!("cluster: the server at {uri} refuses our messages: {code}");
        }
        Note::NotAsked { uri } => log_warn!(
            "cluster: {uri} is not asked, as its host is a name: set ds_dmq_key, or ds_dmq_peer for it"
        ),
        Note::TooManyNodes => log_err!("cluster: there are more servers than are taken"),
        Note::TooManyOrphans => log_warn!(
            "cluster: there are too many states of destinations that are not in the list: the oldest are dropped"
        ),
    }
}

/// How often the log says the same of the same address.
const REFUSED_EVERY_MS: u64 = 60_000;

/// The most addresses that are told apart.
const MOST_ADDRESSES: usize = 1_000;

/// The refusals that have a line in the log.
#[derive(Default)]
pub struct Refusals(HashMap<(String, u16), u64>);

impl Refusals {
    /// Says that a message was refused, at most once a minute for each address and code.
    pub fn say(&mut self, source: String, code: u16, reason: &str, now_ms: u64) {
        if self.0.len() >= MOST_ADDRESSES {
            self.0.retain(|_, next_ms| *next_ms > now_ms);
        }
        let key = (source, code);
        let is_due = self.0.get(&key).is_none_or(|next_ms| *next_ms <= now_ms);
        if !is_due || self.0.len() >= MOST_ADDRESSES {
            return;
        }
        let source = &key.0;
        match code {
            505 => log_warn!("cluster: a message from {source} is of another version: {reason}"),
            _ => log_err!("cluster: a message from {source} was refused: {code} {reason}"),
        }
        self.0.insert(key, now_ms + REFUSED_EVERY_MS);
    }
}
