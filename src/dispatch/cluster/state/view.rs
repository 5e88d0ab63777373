//! The view of a destination: what a node that pings it has found.

/// What a node that pings a destination has found, as it tells the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Failures in a row.
    pub failures: u32,
    /// The state of the destination on that node.
    pub bits: u32,
    /// When it pings: at this millisecond of its interval, by its clock that never goes back.
    pub phase_ms: u32,
}
