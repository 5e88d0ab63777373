//! All that the process which speaks with the other servers shares with the rest of the server.

use super::answers::Answers;
use super::board::Board;
use super::inbox::Inbox;
use super::news::News;
use super::relied::Members;
use crate::shm::memory::arena::{Arena, OutOfMemory};

/// The shared memory of the cluster. Made before the server forks, then copied by the fork.
pub struct ClusterMemory<A: Arena> {
    /// Messages, answers and commands for the process.
    pub inbox: Inbox<A>,
    /// The members, as the process knows them.
    pub board: Board,
    /// The servers with their views and calls of the destination that somebody has asked for, by the ticket of that question.
    pub views: Board,
    /// The members on whose word this server relies.
    pub relied: Members,
    /// Members that came and went.
    pub news: News<A>,
    /// The outcome of a reload of all servers.
    pub answers: Answers<A>,
    arena: A,
}

impl<A: Arena + Clone> ClusterMemory<A> {
    /// Makes all of it.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the arena is full. What was made by then stays until the server ends.
    pub fn create(arena: A) -> Result<Self, OutOfMemory> {
        Ok(ClusterMemory {
            inbox: Inbox::create(arena.clone())?,
            board: Board::create(&arena)?,
            views: Board::create(&arena)?,
            relied: Members::create(&arena)?,
            news: News::create(arena.clone())?,
            answers: Answers::create(arena.clone())?,
            arena,
        })
    }

    /// Gives all of it back, at the end of the server.
    ///
    /// # Safety
    /// No other process is left, and nothing of it is used again.
    pub unsafe fn destroy(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.inbox.destroy() };
        // SAFETY: the caller's promise.
        unsafe { self.board.destroy(&self.arena) };
        // SAFETY: the caller's promise.
        unsafe { self.views.destroy(&self.arena) };
        // SAFETY: the caller's promise.
        unsafe { self.relied.destroy(&self.arena) };
        // SAFETY: the caller's promise.
        unsafe { self.news.destroy() };
        // SAFETY: the caller's promise.
        unsafe { self.answers.destroy() };
    }
}
