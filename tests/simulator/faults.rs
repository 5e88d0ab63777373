//! Wrong rules, which the simulator must find.

use dispatcher::dispatch::cluster::state::register::Register;
use dispatcher::dispatch::cluster::state::rules::Rules;

/// Two acts with the same stamp: the one that was there stays.
#[derive(Debug)]
pub struct LostTieBreak;

impl Rules for LostTieBreak {
    fn wins(new: &Register, old: &Register) -> bool {
        new.stamp > old.stamp
    }
}

/// Messages are taken whatever their number is.
#[derive(Debug)]
pub struct StaleNumber;

impl Rules for StaleNumber {
    fn is_new(_: u64, _: u64) -> bool {
        true
    }
}

/// A register is applied also where another list asks for other flags.
#[derive(Debug)]
pub struct OtherList;

impl Rules for OtherList {
    fn applies(_: &Register, _: u32) -> bool {
        true
    }
}

/// Calls of a node that is dead count for ever.
#[derive(Debug)]
pub struct EternalCalls;

impl Rules for EternalCalls {
    fn left(calls: u32, _: u64, _: u64) -> u32 {
        calls
    }
}

/// The word of a member is believed for as long as it counts as alive.
#[derive(Debug)]
pub struct StaleWord;

impl Rules for StaleWord {
    fn believes(_: bool) -> bool {
        true
    }
}

/// The failures of a watcher count for ever, whatever this node finds.
#[derive(Debug)]
pub struct EternalRow;

impl Rules for EternalRow {
    fn counts_row(_: bool) -> bool {
        true
    }
}

/// Figures that are taken back are forgotten once the first member has heard of that.
#[derive(Debug)]
pub struct EarlyOblivion;

impl Rules for EarlyOblivion {
    fn all_have(reached: impl Iterator<Item = u64>) -> Option<u64> {
        reached.max()
    }
}

/// Registers that were sent to an earlier life are taken.
#[derive(Debug)]
pub struct OtherLife;

impl Rules for OtherLife {
    fn is_for(_: u64, _: u64) -> bool {
        true
    }
}
