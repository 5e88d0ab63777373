//! Pages: slabs of destinations as lists describe them, with their texts and addresses.

use core::ptr::{self, NonNull};

use crate::dispatch::list::destination::{Addr, DestSpec};

use super::destination::Dest;
use super::record::DestRecord;
use crate::shm::dest::rate::Rate;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice, to_u32};
use crate::shm::memory::atomic::{AtomicU32, Ordering};
use crate::shm::memory::refcount::Hold;

/// A slab of destinations. Given back with the last of them.
pub struct Page {
    /// Destinations that are not yet given back.
    live: AtomicU32,
    addrs: ShmSlice<PageAddr>,
}

// SAFETY: an atomic and a shared slice; zeroed it has no destinations.
unsafe impl ShmSafe for Page {}

/// An address as it lies in a page. All its bytes are written, also those behind an IPv4 address: `make valgrind` checks
/// that no process leaves bytes without a value in what others read.
#[derive(Clone, Copy)]
pub(crate) struct PageAddr {
    is_v6: u8,
    bytes: [u8; 16],
}

// SAFETY: bytes; zeroed it is an IPv4 address.
unsafe impl ShmSafe for PageAddr {}

impl From<Addr> for PageAddr {
    fn from(addr: Addr) -> Self {
        match addr {
            Addr::V4([a, b, c, d]) => PageAddr {
                is_v6: 0,
                bytes: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            },
            Addr::V6(bytes) => PageAddr { is_v6: 1, bytes },
        }
    }
}

impl From<PageAddr> for Addr {
    fn from(PageAddr { is_v6, bytes }: PageAddr) -> Self {
        let [a, b, c, d, ..] = bytes;
        match is_v6 {
            0 => Addr::V4([a, b, c, d]),
            _ => Addr::V6(bytes),
        }
    }
}

/// A destination for a page: what its line says, its place in the list, and what runs of it.
pub(crate) struct Draft<'d, A: Arena> {
    pub(crate) spec: &'d DestSpec<'d>,
    pub(crate) line: u32,
    pub(crate) record: Hold<'d, A, DestRecord>,
    /// The admissions of a destination whose calls a second are limited.
    pub(crate) rate: Option<Hold<'d, A, Rate>>,
}

impl Page {
    /// Copies destinations into shared memory, each with the hold on its record.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub(crate) fn create<A: Arena>(
        arena: &A,
        drafts: Vec<Draft<'_, A>>,
        made: &mut Vec<NonNull<Dest>>,
    ) -> Result<(), OutOfMemory> {
        let specs = || drafts.iter().map(|draft| draft.spec);
        let text_len = |spec: &DestSpec<'_>| spec.uri.len() + spec.attrs_body.len();
        let mut plan = Plan::<Page>::of_header();
        let dests = plan.array::<Dest>(drafts.len());
        let addr_field = plan.array(specs().map(|spec| spec.addrs.len()).sum());
        let text = plan.array(specs().map(text_len).sum());
        // Places in a page have 32 bits.
        let mut text_at = text.offset();
        u32::try_from(text_at + specs().map(text_len).sum::<usize>()).map_err(|_| OutOfMemory)?;
        let mut block = plan.alloc(arena)?;
        let (dests, addrs, text) = (
            block.slice(&dests),
            block.slice(&addr_field),
            block.slice(&text),
        );
        let of_page = block.slice(&addr_field);
        let page = block.fill();
        page.live.store(to_u32(drafts.len()), Ordering::Relaxed);
        page.addrs = of_page;
        // SAFETY: the page is ours alone until it is published.
        let mut free_addrs = unsafe { addrs.fill() };
        // SAFETY: the page is ours alone until it is published.
        let mut free_text = unsafe { text.fill() };
        let mut addr_at = 0;
        for (at, draft) in drafts.into_iter().enumerate() {
            let Draft {
                spec,
                line,
                record,
                rate,
            } = draft;
            append(
                &mut free_addrs,
                spec.addrs.iter().copied().map(PageAddr::from),
            );
            append(&mut free_text, spec.uri.iter().copied());
            append(&mut free_text, spec.attrs_body.iter().copied());
            let Some(first) = dests.start() else { break };
            // SAFETY: the array has a place for each draft.
            let mut dest = unsafe { first.add(at) };
            made.push(dest);
            // SAFETY: the page is ours alone until it is published.
            let dest = unsafe { dest.as_mut() };
            (dest.page, dest.record) = (block.header().as_ptr(), record.into_raw().as_ptr());
            dest.rate = rate.map_or(ptr::null_mut(), |rate| rate.into_raw().as_ptr());
            dest.line = line;
            (dest.text_at, dest.addr_at) = (to_u32(text_at), to_u32(addr_at));
            dest.describe(spec);
            text_at += text_len(spec);
            addr_at += spec.addrs.len();
        }
        Ok(())
    }

    /// Returns the addresses of its destinations.
    pub(crate) fn addrs(&self) -> &[PageAddr] {
        self.addrs.get()
    }

    /// Gives up the place of a destination; with the last one, gives back the page.
    ///
    /// # Safety
    /// The destination came from `create` with this arena, and nobody reads it any more.
    pub(crate) unsafe fn leave(page: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the destination, which is in the page, keeps it.
        let live = unsafe { &(*page.as_ptr()).live };
        if live.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: that was the last one.
            unsafe { arena.free(page.cast()) };
        }
    }
}

/// Copies values to the start of what is free.
fn append<T>(free: &mut &mut [T], values: impl ExactSizeIterator<Item = T>) {
    let Some((to, rest)) = core::mem::take(free).split_at_mut_checked(values.len()) else {
        debug_assert!(false, "planned too small");
        return;
    };
    to.iter_mut()
        .zip(values)
        .for_each(|(to, value)| *to = value);
    *free = rest;
}
