//! Destinations get the addresses that their names have now: all of a set in one edit.

use core::ptr;

use lock_api::RawMutex;
use rand::RngCore;

use crate::dispatch::list::destination::SetId;

use super::edit::{Edit, EditError, Revision, revise};
use super::lock::Patience;
use super::new_table::Loose;
use super::store::Store;
use crate::shm::dest::destination::Dest;
use crate::shm::dest::page::{Draft, Page};
use crate::shm::dest::record::DestRecord;
use crate::shm::memory::arena::{Arena, OutOfMemory};
use crate::shm::memory::refcount::Hold;
use crate::shm::set::view::View;

/// Most destinations of one page, as in a list that is loaded.
const OF_PAGE: usize = 64;

/// The answer for the name of a destination.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The record of the destination.
    pub record: &'a DestRecord,
    /// The URI whose host was asked for.
    pub uri: &'a [u8],
    /// What it is now.
    pub now: Revision<'a>,
}

impl<A: Arena, L: RawMutex> Store<A, L> {
    /// Revises destinations of a set as the answers say. One that has left the set or has got another URI meanwhile is
    /// passed over.
    ///
    /// # Errors
    /// [`EditError::NoSet`], [`EditError::Refused`]: nothing has changed.
    pub fn readdress(
        &self,
        patience: Patience,
        set: SetId,
        answers: &[Answer<'_>],
        random: &mut impl RngCore,
    ) -> Result<(), EditError> {
        let mut writer = self.write(patience)?;
        let table = writer.table().ok_or(EditError::NoSet)?;
        let view = table.view(set).ok_or(EditError::NoSet)?;
        let mut places: Vec<(usize, &Answer<'_>)> = answers
            .iter()
            .filter_map(|answer| Some((place(view, answer)?, answer)))
            .collect();
        places.sort_by_key(|(at, _)| *at);
        places.dedup_by_key(|(at, _)| *at);
        if places.is_empty() {
            return Ok(());
        }
        let made = self.revised(view, &places)?;
        let edit = Edit {
            table,
            set,
            old: Some(view),
            added: made.dests.clone(),
            dropped: places.iter().map(|(at, _)| *at).collect(),
        };
        let note = self.apply(&writer, &edit, made, random, || {})?;
        // SAFETY: the edit is published, so only readers of before reach what it drops.
        unsafe { writer.retire(note) };
        Ok(())
    }

    /// Makes the destinations that take these places.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    fn revised(
        &self,
        view: &View,
        places: &[(usize, &Answer<'_>)],
    ) -> Result<Loose<'_, A>, OutOfMemory> {
        let arena = self.arena();
        let mut made = Loose::new(arena);
        for places in places.chunks(OF_PAGE) {
            let dests = places.iter().filter_map(|(at, answer)| {
                let dest = view.dest(*at)?;
                Some((dest, revise(dest, answer.now)))
            });
            let dests: Vec<_> = dests.collect();
            let drafts = dests.iter().map(|(dest, spec)| Draft {
                spec,
                line: dest.line,
                // SAFETY: the running table holds it; the writer lock is held.
                record: unsafe { Hold::new(dest.counted(), arena) },
                rate: dest.counted_rate().map(|rate| {
                    // SAFETY: the running table holds it; the writer lock is held.
                    unsafe { Hold::new(rate, arena) }
                }),
            });
            Page::create(arena, drafts.collect(), &mut made.dests)?;
        }
        Ok(made)
    }
}

/// Returns the place of the destination that an answer is for.
fn place(view: &View, answer: &Answer<'_>) -> Option<usize> {
    view.find_uri(answer.uri).find(|&at| {
        let is_its =
            |dest: &Dest| ptr::eq(dest.record(), answer.record) && dest.uri() == answer.uri;
        view.dest(at).is_some_and(is_its)
    })
}
