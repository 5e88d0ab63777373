//! The index of addresses: which destinations have this IP address, or this address and port.
//!
//! Two hash tables over the same nodes. A node lies in the allocation of its destination, so the
//! index itself takes no memory per destination but its buckets. Chains are in the order of the
//! whole table: by set as they are listed, then by position; the first match is the answer.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::dispatch::list::destination::{Addr, Proto, SetId};

use super::destination::Dest;
use crate::shm::memory::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};

/// One address of one destination. It lies behind its destination, in the same page.
pub struct AddrNode {
    /// Next node with this hash of address and port.
    by_addr: AtomicPtr<AddrNode>,
    /// Next node with this hash of the address alone.
    by_ip: AtomicPtr<AddrNode>,
    /// How far behind its destination it is, in bytes; the lowest bit is 1 for IPv6.
    back: u32,
    /// An IPv4 address; or how far behind the node an IPv6 address is, in bytes.
    ip: u32,
}

// SAFETY: integers and arena pointers; zeroed it is in no chain. It is never read before
// `AddrNode::fill`.
unsafe impl ShmSafe for AddrNode {}

/// The bit of [`AddrNode::back`] for IPv6: distances are multiples of 8.
const WIDE: u32 = 1;

impl AddrNode {
    /// Writes a node that is in no chain yet; `wide` is where the bytes of an IPv6 address are.
    ///
    /// # Errors
    /// [`OutOfMemory`] where it is too far from its destination.
    ///
    /// # Safety
    /// All three are of one piece, in this order, which nobody else sees yet.
    pub(crate) unsafe fn fill(
        mut node: ptr::NonNull<Self>,
        dest: ptr::NonNull<Dest>,
        addr: Addr,
        wide: Option<*mut [u8; 16]>,
    ) -> Result<(), OutOfMemory> {
        let here = node.as_ptr() as usize;
        let distance = |from: usize, to: usize| {
            let bytes = to
                .checked_sub(from)
                .and_then(|bytes| u32::try_from(bytes).ok());
            bytes.ok_or(OutOfMemory)
        };
        let back = distance(dest.as_ptr() as usize, here)?;
        // SAFETY: the caller's promise.
        let node = unsafe { node.as_mut() };
        (node.back, node.ip) = match addr {
            Addr::V4(bytes) => (back, u32::from_ne_bytes(bytes)),
            Addr::V6(_) => {
                let wide = wide.ok_or(OutOfMemory)?;
                (back | WIDE, distance(here, wide as usize)?)
            }
        };
        Ok(())
    }

    /// The address.
    ///
    /// # Safety
    /// `node` is of a page that is there.
    pub(crate) unsafe fn addr(node: ptr::NonNull<Self>) -> Addr {
        // SAFETY: the caller's promise.
        let &AddrNode { back, ip, .. } = unsafe { node.as_ref() };
        if back & WIDE == 0 {
            return Addr::V4(ip.to_ne_bytes());
        }
        // SAFETY: `fill` was given the place, which is in the same piece.
        let bytes = unsafe { node.byte_add(ip as usize) }.cast::<[u8; 16]>();
        // SAFETY: as above; written before the page was published.
        Addr::V6(unsafe { bytes.read() })
    }

    /// The destination that it is an address of.
    ///
    /// # Safety
    /// `node` is of a page that is there for `'d`.
    unsafe fn dest_of<'d>(node: ptr::NonNull<Self>) -> &'d Dest {
        // SAFETY: the caller's promise.
        let back = unsafe { node.as_ref() }.back & !WIDE;
        // SAFETY: the node is this far behind its destination, in the same piece.
        let dest = unsafe { node.byte_sub(back as usize) }.cast::<Dest>();
        // SAFETY: the caller's promise.
        unsafe { dest.as_ref() }
    }
}

/// An address as it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// An IPv4 address, or the first half of an IPv6 one.
    low: u64,
    /// The second half of an IPv6 one.
    high: u64,
    wide: bool,
}

impl Key {
    /// An IPv4 address.
    #[inline]
    pub fn v4(bytes: [u8; 4]) -> Self {
        Key {
            low: u32::from_ne_bytes(bytes).into(),
            high: 0,
            wide: false,
        }
    }

    /// An IPv6 address.
    #[inline]
    pub fn v6([a, b, c, d, e, f, g, h, rest @ ..]: [u8; 16]) -> Self {
        Key {
            low: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            high: u64::from_ne_bytes(rest),
            wide: true,
        }
    }

    /// Its bits, mixed.
    #[inline]
    fn mix(self) -> u64 {
        let step = |mixed: u64, half: u64| (mixed ^ half).wrapping_mul(MIX).rotate_left(29);
        let mixed = step(0, self.low);
        if self.wide {
            step(mixed, self.high)
        } else {
            mixed
        }
    }
}

impl From<Addr> for Key {
    fn from(addr: Addr) -> Self {
        match addr {
            Addr::V4(bytes) => Key::v4(bytes),
            Addr::V6(bytes) => Key::v6(bytes),
        }
    }
}

/// Whom a request came from, or a URI points to.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its address.
    pub addr: Key,
    /// Its port; 0 when there is none.
    pub port: u16,
    /// Its transport.
    pub proto: Proto,
}

/// What must agree for a source to be from a list.
#[derive(Clone, Copy, Debug)]
pub struct Match {
    /// The port, unless the destination names none.
    pub port: bool,
    /// The transport.
    pub proto: bool,
    /// Only this set.
    pub set: Option<SetId>,
}

/// The chains' heads.
pub struct AddrIndex {
    by_addr: ShmSlice<Link>,
    by_ip: ShmSlice<Link>,
    /// Addresses in the index. Changed by writers only.
    nodes: AtomicUsize,
    /// Those of destinations that name no port.
    portless: AtomicUsize,
}

// SAFETY: shared slices and an atomic; zeroed it is an index without addresses.
unsafe impl ShmSafe for AddrIndex {}

/// An odd number with its bits well spread (2^64 by the golden ratio).
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// The bucket of an address that is mixed already, and a port.
#[inline]
fn bucket<T>(buckets: &[T], mixed: u64, port: u16) -> Option<&T> {
    let mixed = (mixed ^ u64::from(port)).wrapping_mul(MIX);
    // The high half, as a part of the whole: any number of buckets will do.
    let at = ((mixed >> 32) * buckets.len() as u64) >> 32;
    buckets.get(usize::try_from(at).unwrap_or(0))
}

/// Fewest buckets of an index: room for what is added later.
const MIN_BUCKETS: usize = 64;

/// Where a chain goes on: a bucket, or a link of a node.
type Link = AtomicPtr<AddrNode>;

/// One of the two links of a node.
type Next = fn(&AddrNode) -> &Link;

/// A node of the chains, which is live while the writer lock is held.
fn live<'n>(node: *mut AddrNode) -> Option<&'n AddrNode> {
    // SAFETY: whoever calls this holds the writer lock (`AddrIndex::add` and its like), and nodes
    // are in chains only while their destinations are in the index's table.
    unsafe { node.as_ref() }
}

/// The destination of such a node.
fn live_dest<'n>(node: *mut AddrNode) -> Option<&'n Dest> {
    // SAFETY: as in `live`.
    ptr::NonNull::new(node).map(|node| unsafe { AddrNode::dest_of(node) })
}

impl AddrIndex {
    /// An index without addresses, with buckets for `nodes` of them.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub fn create(arena: &impl Arena, nodes: usize) -> Result<ptr::NonNull<Self>, OutOfMemory> {
        let buckets = nodes.max(MIN_BUCKETS);
        let mut plan = Plan::<Self>::of_header();
        let by_addr = plan.array(buckets).ok_or(OutOfMemory)?;
        let by_ip = plan.array(buckets).ok_or(OutOfMemory)?;
        let mut block = plan.alloc(arena)?;
        let (by_addr, by_ip) = (block.slice(&by_addr), block.slice(&by_ip));
        let index = block.fill();
        (index.by_addr, index.by_ip) = (by_addr, by_ip);
        Ok(block.header())
    }

    /// True when chains have become long: time for a larger index.
    pub fn is_crowded(&self) -> bool {
        self.nodes.load(Ordering::Relaxed) / 2 > self.by_addr.get().len()
    }

    /// Counts a destination's addresses, before they can be found.
    fn count(&self, dest: &Dest) {
        self.nodes.fetch_add(dest.node_count(), Ordering::Relaxed);
        if dest.port == 0 {
            self.portless
                .fetch_add(dest.node_count(), Ordering::Release);
        }
    }

    /// Both chains that a node belongs to: the head, and the link that the chain goes by.
    fn chains(&self, node: ptr::NonNull<AddrNode>) -> [(Option<&Link>, Next); 2] {
        // SAFETY: whoever calls this has its destination.
        let port = unsafe { AddrNode::dest_of(node) }.port;
        // SAFETY: as above.
        let mixed = Key::from(unsafe { AddrNode::addr(node) }).mix();
        [
            (bucket(self.by_addr.get(), mixed, port), |node| {
                &node.by_addr
            }),
            (bucket(self.by_ip.get(), mixed, 0), |node| &node.by_ip),
        ]
    }

    /// Puts a destination's addresses into their chains, behind all that `before` says are
    /// earlier. Readers may walk the chains meanwhile.
    pub fn add(&self, dest: &Dest, before: impl Fn(&Dest, &Dest) -> bool) {
        self.count(dest);
        for node in dest.nodes() {
            for (head, next) in self.chains(node) {
                let Some(mut link) = head else { continue };
                let mut at = link.load(Ordering::Acquire);
                while live_dest(at).is_some_and(|other| before(other, dest)) {
                    let Some(other) = live(at) else { break };
                    link = next(other);
                    at = link.load(Ordering::Acquire);
                }
                put(link, node, next, at);
            }
        }
    }

    /// Takes a destination's addresses out of their chains. Its nodes still lead readers on that
    /// stand on them.
    pub fn remove(&self, dest: &Dest) {
        for node in dest.nodes() {
            for (head, next) in self.chains(node) {
                let Some(mut link) = head else { continue };
                while let Some(other) = live(link.load(Ordering::Acquire)) {
                    if ptr::eq(other, node.as_ptr()) {
                        link.store(next(other).load(Ordering::Acquire), Ordering::Release);
                        break;
                    }
                    link = next(other);
                }
            }
        }
        self.nodes.fetch_sub(dest.node_count(), Ordering::Relaxed);
        if dest.port == 0 {
            self.portless
                .fetch_sub(dest.node_count(), Ordering::Release);
        }
    }

    /// Puts a destination's addresses at the front of their chains.
    ///
    /// Adding all destinations of a table from its last to its first leaves the chains in order.
    pub fn add_first(&self, dest: &Dest) {
        self.count(dest);
        for node in dest.nodes() {
            for (head, next) in self.chains(node) {
                let Some(head) = head else { continue };
                put(head, node, next, head.load(Ordering::Acquire));
            }
        }
    }

    /// The first destination in the table's order that matches and that `accept` takes.
    ///
    /// `before` says which of two destinations is earlier; with `in_order` the chains are known to
    /// be in that order, and the first match is the answer.
    #[inline]
    pub fn find(
        &self,
        source: Source,
        want: Match,
        accept: impl Fn(&Dest) -> bool,
        before: impl Fn(&Dest, &Dest) -> bool,
        in_order: bool,
    ) -> Option<&Dest> {
        let order = Order { before, in_order };
        if source.addr.wide {
            return self.find_wide(source, want, accept, order);
        }
        let low = source.addr.low;
        let is = |node: &AddrNode, _| u64::from(node.ip) == low && node.back & WIDE == 0;
        self.find_by(is, source, want, accept, order)
    }

    /// The same for an IPv6 address.
    #[inline(never)]
    fn find_wide(
        &self,
        source: Source,
        want: Match,
        accept: impl Fn(&Dest) -> bool,
        order: Order<impl Fn(&Dest, &Dest) -> bool>,
    ) -> Option<&Dest> {
        // SAFETY: `find_by` asks of nodes in the chains, which are of pages that are there.
        let is = |_: &AddrNode, node| Key::from(unsafe { AddrNode::addr(node) }) == source.addr;
        self.find_by(is, source, want, accept, order)
    }

    /// The same; `is` says whether a node is of the source's address.
    #[inline(always)]
    fn find_by(
        &self,
        is: impl Fn(&AddrNode, ptr::NonNull<AddrNode>) -> bool,
        source: Source,
        want: Match,
        accept: impl Fn(&Dest) -> bool,
        order: Order<impl Fn(&Dest, &Dest) -> bool>,
    ) -> Option<&Dest> {
        let mixed = source.addr.mix();
        let fits = |dest: &Dest| {
            (!want.proto || dest.proto == source.proto)
                && want.set.is_none_or(|set| dest.set == set)
                && accept(dest)
        };
        if !want.port {
            let head = bucket(self.by_ip.get(), mixed, 0);
            let chain = Chain::new(head, |node| &node.by_ip, &is);
            return order.first(None, chain.filter(|dest| fits(dest)));
        }
        // Those that name the port, and those that name none, where there are such.
        let (mut found, mut port) = (None, source.port);
        loop {
            let head = bucket(self.by_addr.get(), mixed, port);
            let chain = Chain::new(head, |node| &node.by_addr, &is);
            found = order.first(found, chain.filter(|dest| dest.port == port && fits(dest)));
            if port == 0 || self.portless.load(Ordering::Acquire) == 0 {
                return found;
            }
            port = 0;
        }
    }
}

/// Which of several destinations is the answer.
struct Order<F> {
    before: F,
    in_order: bool,
}

impl<F: Fn(&Dest, &Dest) -> bool> Order<F> {
    /// The earliest of what was found before and a chain's destinations, all of which are looked at
    /// where the chain is in no order.
    #[inline(always)]
    fn first<'i>(
        &self,
        found: Option<&'i Dest>,
        fitting: impl Iterator<Item = &'i Dest>,
    ) -> Option<&'i Dest> {
        let mut found = found;
        for dest in fitting {
            found = Some(match found {
                Some(one) => self.earlier(one, dest),
                None => dest,
            });
            if self.in_order {
                break;
            }
        }
        found
    }

    #[inline(never)]
    fn earlier<'i>(&self, one: &'i Dest, other: &'i Dest) -> &'i Dest {
        if (self.before)(other, one) {
            other
        } else {
            one
        }
    }
}

/// Puts a node between a link and what that leads to.
fn put(link: &Link, node: ptr::NonNull<AddrNode>, next: Next, after: *mut AddrNode) {
    // SAFETY: of a page that is there, as its destination is.
    next(unsafe { node.as_ref() }).store(after, Ordering::Release);
    link.store(node.as_ptr(), Ordering::Release);
}

/// The destinations in one bucket that have an address, once for each time that they have it.
struct Chain<'i, F> {
    at: *mut AddrNode,
    next: Next,
    /// Whether a node is of the address.
    is: F,
    of: core::marker::PhantomData<&'i AddrIndex>,
}

impl<'i, F> Chain<'i, F> {
    #[inline]
    fn new(head: Option<&'i Link>, next: Next, is: F) -> Self {
        let at = head.map_or(ptr::null_mut(), |head| head.load(Ordering::Acquire));
        Chain {
            at,
            next,
            is,
            of: core::marker::PhantomData,
        }
    }
}

impl<'i, F: Fn(&AddrNode, ptr::NonNull<AddrNode>) -> bool> Iterator for Chain<'i, F> {
    type Item = &'i Dest;

    #[inline]
    fn next(&mut self) -> Option<&'i Dest> {
        loop {
            let here = ptr::NonNull::new(self.at)?;
            // SAFETY: a node is in a chain only while its destination is in the index's table, and
            // both are freed together (`Table::free`).
            let node = unsafe { here.as_ref() };
            self.at = (self.next)(node).load(Ordering::Acquire);
            if (self.is)(node, here) {
                // SAFETY: as above.
                return Some(unsafe { AddrNode::dest_of::<'i>(here) });
            }
        }
    }
}
