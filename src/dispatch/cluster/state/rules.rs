//! The decisions on which agreement rests.

use super::register::Register;

/// The decisions on which agreement rests.
///
/// The simulator shows that it watches them: it replaces each one by a wrong one, and must find that out.
pub trait Rules {
    /// Tells whether a register that has arrived replaces the one that is there.
    #[must_use]
    fn wins(new: &Register, old: &Register) -> bool {
        new > old
    }

    /// Tells whether a register is applied to a destination for which the own list asks for these flags.
    ///
    /// Whoever set it saw another list if the flags differ. Then the own list counts, so a state is a function of the
    /// registers and the list.
    #[must_use]
    fn applies(register: &Register, listed: u32) -> bool {
        register.base == listed
    }

    /// Tells whether a message is to be taken, by its number and that of the last one of its kind that was taken.
    #[must_use]
    fn is_new(number: u64, last: u64) -> bool {
        number > last
    }

    /// Tells whether registers are for this node, by the incarnation to which they were sent. In an earlier life it may
    /// have had what is not repeated here.
    #[must_use]
    fn is_for(incarnation: u64, own: u64) -> bool {
        incarnation == own
    }

    /// Returns how many of some calls still count, so long after the node that has counted them has died. They end one
    /// after the other, and nobody sees it: so they become fewer, evenly, until the time is over after which none is left.
    #[must_use]
    fn left(calls: u32, since_ms: u64, hold_ms: u64) -> u32 {
        let left_ms = hold_ms.saturating_sub(since_ms);
        let left = (u64::from(calls) * left_ms).div_ceil(hold_ms.max(1));
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Returns the last change that all members have of this node, from the last one that each of them has; `None` without
    /// members. A node forgets the figures that it has taken back up to there.
    #[must_use]
    fn all_have(reached: impl Iterator<Item = u64>) -> Option<u64> {
        reached.min()
    }

    /// Tells whether the word of a member is believed: only while there are fresh signs that it pings.
    #[must_use]
    fn believes(is_fresh: bool) -> bool {
        is_fresh
    }

    /// Tells whether the failures of a watcher count here: only until this node has found the destination good itself.
    #[must_use]
    fn counts_row(is_refuted: bool) -> bool {
        !is_refuted
    }
}

/// The decisions as they are.
#[derive(Clone, Copy, Debug)]
pub struct Sound;

impl Rules for Sound {}
