//! What is counted over many runs.

use core::fmt;
use core::ops::AddAssign;

/// What is counted over many runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Runs.
    pub seeds: u64,
    /// Quiet ends that were judged.
    pub ends: u64,
    /// Messages that nodes have sent, their bytes, and how often they were on the wire.
    pub messages: u64,
    pub bytes: u64,
    pub transmissions: u64,
    /// Transmissions that were lost, doubled, or arrived after a later one of the same sender.
    pub lost: u64,
    pub doubled: u64,
    pub stale: u64,
    /// What happened.
    pub acts: u64,
    pub ties: u64,
    pub crashes: u64,
    pub stops: u64,
    pub leaves: u64,
    pub cuts: u64,
    pub splits: u64,
    pub reloads: u64,
    /// Calls, and ends of them that came to another server.
    pub calls: u64,
    pub ends_elsewhere: u64,
    /// Pings that were sent, and that were spared.
    pub pings: u64,
    pub spared: u64,
    /// How much longer than an interval nobody has pinged a destination, at most.
    pub longest_gap_ms: u64,
    /// The longest message.
    pub longest_bytes: usize,
    /// The most registers and peers that a node had.
    pub most_registers: usize,
    pub most_peers: usize,
    /// From the end of all trouble until all registers were equal, and until everything else held: the longest time, and
    /// the seed with it; and the sum.
    pub slowest_equal: Longest,
    pub slowest_calm: Longest,
    pub equal_ms: u64,
}

/// The longest time, and the seed with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Longest {
    pub ms: u64,
    pub seed: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.ends += other.ends;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.transmissions += other.transmissions;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.stale += other.stale;
        self.acts += other.acts;
        self.ties += other.ties;
        self.crashes += other.crashes;
        self.stops += other.stops;
        self.leaves += other.leaves;
        self.cuts += other.cuts;
        self.splits += other.splits;
        self.reloads += other.reloads;
        self.calls += other.calls;
        self.ends_elsewhere += other.ends_elsewhere;
        self.pings += other.pings;
        self.spared += other.spared;
        self.longest_gap_ms = self.longest_gap_ms.max(other.longest_gap_ms);
        self.longest_bytes = self.longest_bytes.max(other.longest_bytes);
        self.most_registers = self.most_registers.max(other.most_registers);
        self.most_peers = self.most_peers.max(other.most_peers);
        self.slowest_equal = self.slowest_equal.max(other.slowest_equal);
        self.slowest_calm = self.slowest_calm.max(other.slowest_calm);
        self.equal_ms += other.equal_ms;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} seeds, {} quiet ends", self.seeds, self.ends)?;
        writeln!(
            f,
            "{} messages, {} bytes, longest {}; {} transmissions, of these {} lost, {} doubled, {} stale",
            self.messages,
            self.bytes,
            self.longest_bytes,
            self.transmissions,
            self.lost,
            self.doubled,
            self.stale
        )?;
        writeln!(
            f,
            "{} acts, of these {} at the same moment; {} crashes, {} stops, {} leaves, {} reloads; {} cuts, {} splits",
            self.acts,
            self.ties,
            self.crashes,
            self.stops,
            self.leaves,
            self.reloads,
            self.cuts,
            self.splits
        )?;
        writeln!(
            f,
            "{} pings, {} spared; at most {} ms longer than an interval without one",
            self.pings, self.spared, self.longest_gap_ms
        )?;
        writeln!(
            f,
            "{} calls, {} ends at another node; at most {} registers and {} peers a node",
            self.calls, self.ends_elsewhere, self.most_registers, self.most_peers
        )?;
        write!(
            f,
            "registers equal after {} ms on average, {} ms at most (seed {}); all well after {} ms at most (seed {})",
            self.equal_ms / self.ends.max(1),
            self.slowest_equal.ms,
            self.slowest_equal.seed,
            self.slowest_calm.ms,
            self.slowest_calm.seed
        )
    }
}
