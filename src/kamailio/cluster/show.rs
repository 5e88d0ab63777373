//! The members, and whether this server is ready, as the process of the cluster shows them to the others.

use core::sync::atomic::Ordering::Relaxed;

use crate::dispatch::cluster::node::machine::Cluster;
use crate::dispatch::cluster::node::peer::Member;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::memory::ShmArena;
use crate::shm::cluster::memory::ClusterMemory;

/// Milliseconds after which the members are shown anew, changed or not.
const SHOW_EVERY_MS: u64 = 250;

/// A member as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place; `None` for this server.
    pub peer: Option<usize>,
    /// The name; `None` if nothing was ever heard from there.
    pub name: Option<String>,
    /// Where it is reached.
    pub uri: String,
    /// The word for its state.
    pub state: String,
    /// When it was last heard, in milliseconds of the clock that never goes back.
    pub heard_at_ms: Option<u64>,
    /// Which life of it this is.
    pub incarnation: u64,
    /// How many changes of this server it has not acknowledged.
    pub behind: u64,
    /// How far its wall clock is ahead of that of this server.
    pub clock_ms: i64,
    /// True if it has the same registers.
    pub same: bool,
    /// Messages that were sent to it.
    pub sent: u64,
    /// Messages that were sent to it again.
    pub retried: u64,
    /// Messages that it has refused.
    pub refused: u64,
}

/// Between the fields of a row. No name and no URI has it.
const SEPARATOR: char = '\t';

impl Row {
    fn of(member: &Member<'_>, now_ms: u64) -> Self {
        Row {
            peer: member.peer.map(|peer| peer.0),
            name: member.name.map(str::to_owned),
            uri: member.uri.to_owned(),
            state: member.state.word().to_owned(),
            heard_at_ms: member.heard_ms.map(|ago| now_ms.saturating_sub(ago)),
            incarnation: member.incarnation,
            behind: member.behind,
            clock_ms: member.clock_ms,
            same: member.same,
            sent: member.counts.sent,
            retried: member.counts.retried,
            refused: member.counts.refused,
        }
    }

    fn write(&self) -> String {
        let optional = |number: Option<u64>| number.map_or(String::new(), |n| n.to_string());
        let fields = [
            self.name.clone().unwrap_or_default(),
            self.uri.clone(),
            self.state.clone(),
            optional(self.heard_at_ms),
            self.incarnation.to_string(),
            self.behind.to_string(),
            self.clock_ms.to_string(),
            u8::from(self.same).to_string(),
            self.sent.to_string(),
            self.retried.to_string(),
            self.refused.to_string(),
            optional(self.peer.map(|peer| peer as u64)),
        ];
        fields.join(&SEPARATOR.to_string())
    }

    fn read(text: &str) -> Option<Self> {
        let mut fields = text.split(SEPARATOR);
        let mut field = || fields.next();
        let row = Row {
            peer: None,
            name: field().filter(|name| !name.is_empty()).map(str::to_owned),
            uri: field()?.to_owned(),
            state: field()?.to_owned(),
            heard_at_ms: field()?.parse().ok(),
            incarnation: field()?.parse().ok()?,
            behind: field()?.parse().ok()?,
            clock_ms: field()?.parse().ok()?,
            same: field()? == "1",
            sent: field()?.parse().ok()?,
            retried: field()?.parse().ok()?,
            refused: field()?.parse().ok()?,
        };
        let peer = field()?.parse().ok();
        Some(Row { peer, ..row })
    }
}

/// When the members were last shown.
#[derive(Default)]
pub struct Showing {
    round: u64,
    next_ms: u64,
}

impl Showing {
    /// Shows the members, if it is time for that or something has changed that others wait for.
    pub fn show(&mut self, module: &Module, cluster: &Cluster, now_ms: u64, has_changed: bool) {
        let Some(memory) = &module.cluster else {
            return;
        };
        if !has_changed && now_ms < self.next_ms {
            return;
        }
        self.next_ms = now_ms + SHOW_EVERY_MS;
        self.round += 1;
        let rows: Vec<String> = cluster
            .members()
            .map(|member| Row::of(&member, now_ms).write())
            .collect();
        memory.board.show(self.round, &rows);
        let shared = module.shared;
        let alive = u32::try_from(cluster.alive()).unwrap_or(u32::MAX);
        shared.cluster_nodes.store(alive, Relaxed);
        shared
            .cluster_ready
            .store(cluster.is_ready().into(), Relaxed);
    }
}

/// Returns the members as they were last shown, this server first. Empty until the process has begun.
pub fn rows(memory: &ClusterMemory<ShmArena>) -> Vec<Row> {
    let rows = memory.board.rows();
    rows.iter().filter_map(|row| Row::read(row)).collect()
}

/// `ds_dmq_ready`(): true if this server has what the others have, or is alone by its config.
pub fn ds_dmq_ready() -> Option<ScriptRet> {
    let module = Module::get()?;
    let is_ready = module.cluster.is_none() || module.shared.cluster_ready.load(Relaxed) != 0;
    is_ready.then_some(ScriptRet::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::cluster::board::MOST_TEXT;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let row = Row {
            peer: Some(127),
            name: Some("n".repeat(64)),
            uri: "u".repeat(128),
            state: "suspect".into(),
            heard_at_ms: Some(u64::MAX),
            incarnation: u64::MAX,
            behind: u64::MAX,
            clock_ms: i64::MIN,
            same: true,
            sent: u64::MAX,
            retried: u64::MAX,
            refused: u64::MAX,
        };
        let unheard = Row {
            peer: None,
            name: None,
            heard_at_ms: None,
            same: false,
            ..row.clone()
        };
        for row in [row, unheard] {
            let text = row.write();
            assert!(text.len() <= MOST_TEXT, "{}", text.len());
            assert_eq!(Row::read(&text), Some(row));
        }
        assert_eq!(Row::read("cut\tsip:a"), None);
    }
}
