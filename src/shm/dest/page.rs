//! Pages: destinations as lists describe them, many in one piece, with their texts and addresses.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::dispatch::list::destination::{Addr, DestSpec};

use super::address::AddrNode;
use super::destination::{Dest, LEN_BYTES, LONG, Numbers};
use super::record::DestRecord;
use crate::shm::memory::arena::{Arena, Block, Field, OutOfMemory, Plan, ShmSafe, ShmSlice};
use crate::shm::memory::refcount::Hold;
use crate::shm::memory::slab::MOST;

/// A piece of destinations. Given back with the last of them.
pub struct Page {
    /// Destinations that are not yet given back.
    live: AtomicU32,
    nodes: ShmSlice<AddrNode>,
    /// The local sockets of its destinations, each once.
    sockets: ShmSlice<usize>,
}

// SAFETY: an atomic and shared slices; zeroed it has no destinations.
unsafe impl ShmSafe for Page {}

/// A destination for a page: what its line says, its place in the list, and what runs of it.
pub(crate) struct Draft<'d, A: Arena> {
    pub(crate) spec: DestSpec<'d>,
    pub(crate) line: u32,
    pub(crate) record: Hold<'d, A, DestRecord>,
}

/// Where everything of a page goes.
struct Layout {
    dests: Field<Dest>,
    sockets: Field<usize>,
    nodes: Field<AddrNode>,
    wide: Field<[u8; 16]>,
    text: Field<u8>,
}

/// Where the next destination of a page puts what is its own.
#[derive(Default)]
struct At {
    /// Its socket in the page's, from 1; 0 for none.
    socket: u8,
    node: usize,
    wide: usize,
    text: usize,
}

/// How many of these destinations fit one page.
pub(crate) fn fitting<'d>(specs: impl Iterator<Item = DestSpec<'d>>) -> usize {
    let mut nodes = 0;
    let fits = |spec: &DestSpec<'_>| {
        nodes += spec.addrs.len();
        nodes <= usize::from(u16::MAX)
    };
    // One alone that does not fit is refused by `Page::create`.
    specs.take(MOST).take_while(fits).count().max(1)
}

impl Page {
    /// Copies destinations into shared memory, each over its record, which counts it.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken or counted.
    pub(crate) fn create<A: Arena>(
        arena: &A,
        drafts: &[Draft<'_, A>],
        made: &mut Vec<NonNull<Dest>>,
    ) -> Result<(), OutOfMemory> {
        let specs = || drafts.iter().map(|draft| &draft.spec);
        let addrs = || specs().flat_map(|spec| spec.addrs);
        let texts = specs().map(text_len);
        let wide = addrs().filter(|addr| matches!(addr, Addr::V6(_))).count();
        let sockets = distinct_sockets(specs());
        let mut plan = Plan::<Page>::of_header();
        let layout = Layout {
            dests: plan.array(drafts.len()).ok_or(OutOfMemory)?,
            sockets: plan.array(sockets.len()).ok_or(OutOfMemory)?,
            nodes: plan.array(addrs().count()).ok_or(OutOfMemory)?,
            wide: plan.array(wide).ok_or(OutOfMemory)?,
            text: plan.array(texts.sum()).ok_or(OutOfMemory)?,
        };
        let mut block = plan.alloc(arena)?;
        let filled = layout.fill(&mut block, drafts, &sockets);
        let Ok(dests) = filled else {
            // SAFETY: just made, and seen by nobody.
            unsafe { arena.free(block.header().cast()) };
            return Err(OutOfMemory);
        };
        for (at, draft) in drafts.iter().enumerate() {
            // SAFETY: held by the draft.
            unsafe { draft.record.counted.as_ref() }.retain();
            // SAFETY: within the array.
            made.push(unsafe { dests.add(at) });
        }
        Ok(())
    }

    /// The local sockets of its destinations.
    pub(crate) fn sockets(&self) -> &[usize] {
        self.sockets.get()
    }

    /// One of the addresses, as it came from the arena.
    pub(crate) fn node(&self, at: usize) -> Option<NonNull<AddrNode>> {
        let first = self.nodes.start().filter(|_| at < self.nodes.len())?;
        // SAFETY: within the array.
        Some(unsafe { first.add(at) })
    }

    /// Gives up the place of a destination; with the last one, gives back the page.
    ///
    /// # Safety
    /// The destination came from `create` with this arena, and nobody reads it any more.
    pub(crate) unsafe fn leave(page: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: the caller's destination keeps it.
        let live = unsafe { &(*page.as_ptr()).live };
        if live.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: that was the last one.
            unsafe { arena.free(page.cast()) };
        }
    }
}

impl Layout {
    /// Fills a page; yields its first destination.
    ///
    /// # Errors
    /// [`OutOfMemory`] for a text or a number of addresses that is too long for any list.
    fn fill<A: Arena>(
        &self,
        block: &mut Block<Page>,
        drafts: &[Draft<'_, A>],
        sockets: &[usize],
    ) -> Result<NonNull<Dest>, OutOfMemory> {
        let (dests, nodes) = (block.slice(&self.dests), block.slice(&self.nodes));
        let of_page = block.slice(&self.sockets);
        // SAFETY: the page is ours alone until it is published.
        unsafe { of_page.fill() }.copy_from_slice(sockets);
        let page = block.fill();
        page.sockets = of_page;
        page.live = AtomicU32::new(u32::try_from(drafts.len()).map_err(|_| OutOfMemory)?);
        page.nodes = nodes;
        let first = dests.start().ok_or(OutOfMemory)?;
        let mut at = At::default();
        for (number, draft) in drafts.iter().enumerate() {
            // SAFETY: within the array.
            let dest = unsafe { first.add(number) };
            let socket = sockets
                .iter()
                .position(|&socket| socket == draft.spec.socket);
            let socket = socket.map_or(0, |at| at + 1);
            at.socket = u8::try_from(socket).map_err(|_| OutOfMemory)?;
            self.fill_dest(block, dest, draft, &at)?;
            for addr in draft.spec.addrs {
                self.fill_node(block, dest, *addr, &mut at)?;
            }
            at.text += text_len(&draft.spec);
        }
        Ok(first)
    }

    fn fill_dest<A: Arena>(
        &self,
        block: &Block<Page>,
        mut at: NonNull<Dest>,
        draft: &Draft<'_, A>,
        free: &At,
    ) -> Result<(), OutOfMemory> {
        let Draft { spec, line, record } = draft;
        let text = block.slice(&self.text);
        // SAFETY: the page is ours alone until it is published.
        let bytes = unsafe { text.fill() };
        let bytes = bytes.get_mut(free.text..).unwrap_or_default();
        fill_text(bytes, spec).ok_or(OutOfMemory)?;
        // SAFETY: as above.
        let dest = unsafe { at.as_mut() };
        dest.record = record.counted.as_ptr();
        dest.page = block.header().as_ptr();
        (dest.set, dest.priority, dest.line) = (spec.set, spec.priority, *line);
        dest.listed = spec.flags;
        dest.maxload = spec.attrs.maxload;
        dest.text_at = u32::try_from(self.text.offset() + free.text).map_err(|_| OutOfMemory)?;
        dest.uri_len = size(spec.uri.len())?;
        dest.attrs_len = size(spec.attrs_body.len()).unwrap_or(LONG);
        (dest.host_at, dest.host_len) = place(spec.uri, Some(spec.host))?;
        let duid = place(spec.attrs_body, spec.attrs.duid);
        (dest.duid_at, dest.duid_len) = duid.unwrap_or((LONG, LONG));
        (dest.node_at, dest.node_count) = (size(free.node)?, size(spec.addrs.len())?);
        (dest.port, dest.proto) = (spec.port, spec.proto);
        dest.numbers = Numbers::of(spec, free.socket);
        Ok(())
    }

    fn fill_node(
        &self,
        block: &Block<Page>,
        dest: NonNull<Dest>,
        addr: Addr,
        free: &mut At,
    ) -> Result<(), OutOfMemory> {
        let wide = block.slice(&self.wide);
        if let Addr::V6(bytes) = addr {
            // SAFETY: the page is ours alone until it is published.
            let place = unsafe { wide.fill() }.get_mut(free.wide);
            *place.ok_or(OutOfMemory)? = bytes;
        }
        let nodes = block.slice(&self.nodes);
        let first = nodes.start().filter(|_| free.node < nodes.len());
        // SAFETY: within the array.
        let node = unsafe { first.ok_or(OutOfMemory)?.add(free.node) };
        let behind = wide
            .start()
            .map(|first| first.as_ptr().wrapping_add(free.wide));
        // SAFETY: as above; the node lies behind its destination, and its bytes behind it.
        unsafe { AddrNode::fill(node, dest, addr, behind) }?;
        free.node += 1;
        free.wide += usize::from(matches!(addr, Addr::V6(_)));
        Ok(())
    }
}

/// Bytes that the texts of a destination take.
fn text_len(spec: &DestSpec<'_>) -> usize {
    let is_long = spec.attrs_body.len() >= usize::from(LONG);
    let before = if is_long { LEN_BYTES as usize } else { 0 };
    spec.uri.len() + before + spec.attrs_body.len()
}

/// Copies the texts of a destination to the start of `bytes`; `None` where they do not fit.
fn fill_text(bytes: &mut [u8], spec: &DestSpec<'_>) -> Option<()> {
    let (uri, rest) = bytes.split_at_mut_checked(spec.uri.len())?;
    uri.copy_from_slice(spec.uri);
    let (len, rest) =
        rest.split_at_mut_checked(text_len(spec) - spec.uri.len() - spec.attrs_body.len())?;
    if !len.is_empty() {
        len.copy_from_slice(&u32::try_from(spec.attrs_body.len()).ok()?.to_ne_bytes());
    }
    rest.get_mut(..spec.attrs_body.len())?
        .copy_from_slice(spec.attrs_body);
    Some(())
}

/// The sockets that destinations name, each once.
fn distinct_sockets<'d>(specs: impl Iterator<Item = &'d DestSpec<'d>>) -> Vec<usize> {
    let mut sockets = Vec::new();
    for socket in specs.map(|spec| spec.socket).filter(|&socket| socket != 0) {
        if !sockets.contains(&socket) {
            sockets.push(socket);
        }
    }
    sockets
}

fn size(len: usize) -> Result<u16, OutOfMemory> {
    let short = u16::try_from(len).ok().filter(|&len| len < LONG);
    short.ok_or(OutOfMemory)
}

/// Where `part` lies in `text`, of which it is a slice, and its length.
fn place(text: &[u8], part: Option<&[u8]>) -> Result<(u16, u16), OutOfMemory> {
    let Some(part) = part else { return Ok((0, 0)) };
    match (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize) {
        Some(at) if at + part.len() <= text.len() => Ok((size(at)?, size(part.len())?)),
        _ => Ok((0, 0)),
    }
}
