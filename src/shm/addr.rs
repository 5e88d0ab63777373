//! The index of addresses: which destinations have this IP address, or this address and port.
//!
//! Two hash tables over the same nodes. A node lies in the allocation of its destination, so the
//! index itself takes no memory per destination but its buckets. Chains are in the order of the
//! whole table: by set as they are listed, then by position; the first match is the answer.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::dispatch::dest::{Addr, Proto, SetId};

use super::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use super::dest::Dest;

/// One address of one destination.
pub struct AddrNode {
    /// Next node with this hash of address and port.
    by_addr: AtomicPtr<AddrNode>,
    /// Next node with this hash of the address alone.
    by_ip: AtomicPtr<AddrNode>,
    dest: *mut Dest,
    bytes: [u8; 16],
    v6: u8,
}

// SAFETY: integers and arena pointers; zeroed it is 0.0.0.0 of no destination.
unsafe impl ShmSafe for AddrNode {}

impl AddrNode {
    /// A node that is in no chain yet.
    pub fn new(dest: ptr::NonNull<Dest>, addr: Addr) -> Self {
        let (bytes, v6) = widen(addr);
        let chain = || AtomicPtr::new(ptr::null_mut());
        AddrNode {
            by_addr: chain(),
            by_ip: chain(),
            dest: dest.as_ptr(),
            bytes,
            v6,
        }
    }

    /// The address.
    pub fn addr(&self) -> Addr {
        match self.bytes {
            [a, b, c, d, ..] if self.v6 == 0 => Addr::V4([a, b, c, d]),
            bytes => Addr::V6(bytes),
        }
    }

    /// The destination that it is an address of.
    fn dest_of(&self) -> &Dest {
        // SAFETY: the node lies in that destination's own allocation.
        unsafe { &*self.dest }
    }
}

fn widen(addr: Addr) -> ([u8; 16], u8) {
    match addr {
        Addr::V4([a, b, c, d]) => ([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0),
        Addr::V6(bytes) => (bytes, 1),
    }
}

/// Whom a request came from, or a URI points to.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its address.
    pub addr: Addr,
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
    by_addr: ShmSlice<AtomicPtr<AddrNode>>,
    by_ip: ShmSlice<AtomicPtr<AddrNode>>,
    /// Addresses in the index. Changed by writers only.
    nodes: AtomicUsize,
}

// SAFETY: shared slices and an atomic; zeroed it is an index without addresses.
unsafe impl ShmSafe for AddrIndex {}

/// An odd number with its bits well spread (2^64 by the golden ratio).
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes an address and a port into a bucket number.
fn bucket<T>(buckets: &[T], addr: Addr, port: u16) -> Option<&T> {
    let (bytes, _) = widen(addr);
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let halves = [[a, b, c, d, e, f, g, h], rest];
    let mixed = halves
        .iter()
        .fold(u64::from(port), |mixed, half| {
            (mixed ^ u64::from_ne_bytes(*half))
                .wrapping_mul(MIX)
                .rotate_left(29)
        })
        .wrapping_mul(MIX);
    buckets.get(usize::try_from(mixed >> 32).unwrap_or(0) & buckets.len().wrapping_sub(1))
}

/// Fewest buckets of an index: room for what is added later.
const MIN_BUCKETS: usize = 64;

/// The two links of a node, and what its chain's bucket is found by.
type Link = fn(&AddrNode) -> &AtomicPtr<AddrNode>;

impl AddrIndex {
    /// An index without addresses, with buckets for `nodes` of them.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken.
    pub fn create(arena: &impl Arena, nodes: usize) -> Result<ptr::NonNull<Self>, OutOfMemory> {
        let buckets = nodes.max(MIN_BUCKETS).checked_next_power_of_two();
        let buckets = buckets.ok_or(OutOfMemory)?;
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

    /// Both chains that a node belongs to: the head, and the link that the chain goes by.
    fn chains(&self, node: &AddrNode) -> [(Option<&AtomicPtr<AddrNode>>, Link); 2] {
        let port = node.dest_of().port;
        [
            (bucket(self.by_addr.get(), node.addr(), port), |node| {
                &node.by_addr
            }),
            (bucket(self.by_ip.get(), node.addr(), 0), |node| &node.by_ip),
        ]
    }

    /// Puts a destination's addresses into their chains, behind all that `before` says are
    /// earlier. Readers may walk the chains meanwhile.
    pub fn add(&self, dest: &Dest, before: impl Fn(&Dest, &Dest) -> bool) {
        self.nodes.fetch_add(dest.nodes().len(), Ordering::Relaxed);
        for node in dest.nodes() {
            for (head, next) in self.chains(node) {
                let Some(mut link) = head else { continue };
                // SAFETY: nodes in a chain are live while the writer lock is held.
                while let Some(other) = unsafe { link.load(Ordering::Acquire).as_ref() } {
                    if !before(other.dest_of(), dest) {
                        break;
                    }
                    link = next(other);
                }
                next(node).store(link.load(Ordering::Acquire), Ordering::Release);
                link.store(ptr::from_ref(node).cast_mut(), Ordering::Release);
            }
        }
    }

    /// Takes a destination's addresses out of their chains. Its nodes still lead readers on that
    /// stand on them.
    pub fn remove(&self, dest: &Dest) {
        self.nodes.fetch_sub(dest.nodes().len(), Ordering::Relaxed);
        for node in dest.nodes() {
            for (head, next) in self.chains(node) {
                let Some(mut link) = head else { continue };
                // SAFETY: nodes in a chain are live while the writer lock is held.
                while let Some(other) = unsafe { link.load(Ordering::Acquire).as_ref() } {
                    if ptr::eq(other, node) {
                        link.store(next(node).load(Ordering::Acquire), Ordering::Release);
                        break;
                    }
                    link = next(other);
                }
            }
        }
    }

    /// Puts a destination's addresses at the front of their chains.
    ///
    /// Adding all destinations of a table from its last to its first leaves the chains in order.
    pub fn add_first(&self, dest: &Dest) {
        self.nodes.fetch_add(dest.nodes().len(), Ordering::Relaxed);
        for node in dest.nodes() {
            for (head, next) in self.chains(node) {
                let Some(head) = head else { continue };
                next(node).store(head.load(Ordering::Acquire), Ordering::Release);
                head.store(ptr::from_ref(node).cast_mut(), Ordering::Release);
            }
        }
    }

    /// The first destination of a chain that fits; all are looked at where the chain is in no
    /// order.
    fn first<'i>(
        &'i self,
        chain: Chain<'i>,
        fits: impl Fn(&AddrNode) -> bool,
        in_order: bool,
        earlier: impl Fn(&'i Dest, &'i Dest) -> &'i Dest,
    ) -> Option<&'i Dest> {
        let mut fitting = chain.filter(|node| fits(node)).map(AddrNode::dest_of);
        if in_order {
            fitting.next()
        } else {
            fitting.reduce(earlier)
        }
    }

    /// The first destination in the table's order that matches and that `accept` takes.
    ///
    /// `before` says which of two destinations is earlier; with `in_order` the chains are known to
    /// be in that order, and the first match is the answer.
    pub fn find(
        &self,
        source: Source,
        want: Match,
        accept: impl Fn(&Dest) -> bool,
        before: impl Fn(&Dest, &Dest) -> bool,
        in_order: bool,
    ) -> Option<&Dest> {
        let (bytes, v6) = widen(source.addr);
        let fits = |node: &AddrNode, port: Option<u16>| {
            let dest = node.dest_of();
            node.bytes == bytes
                && node.v6 == v6
                && port.is_none_or(|port| dest.port == port)
                && (!want.proto || dest.proto == source.proto)
                && want.set.is_none_or(|set| dest.set == set)
                && accept(dest)
        };
        let earlier = |one, other| if before(other, one) { other } else { one };
        let first = |chain, port| self.first(chain, |node| fits(node, port), in_order, earlier);
        if !want.port {
            return first(Chain::by_ip(self, source.addr), None);
        }
        let by_addr = |port| first(Chain::by_addr(self, source.addr, port), Some(port));
        let named = by_addr(source.port);
        if source.port == 0 {
            return named;
        }
        let any = by_addr(0);
        match (named, any) {
            (Some(named), Some(any)) => Some(earlier(named, any)),
            (named, any) => named.or(any),
        }
    }
}

/// The nodes of one bucket.
struct Chain<'i> {
    at: *mut AddrNode,
    next: Link,
    of: core::marker::PhantomData<&'i AddrIndex>,
}

impl<'i> Chain<'i> {
    fn by_addr(index: &'i AddrIndex, addr: Addr, port: u16) -> Self {
        Self::new(bucket(index.by_addr.get(), addr, port), |node| {
            &node.by_addr
        })
    }

    fn by_ip(index: &'i AddrIndex, addr: Addr) -> Self {
        Self::new(bucket(index.by_ip.get(), addr, 0), |node| &node.by_ip)
    }

    fn new(head: Option<&'i AtomicPtr<AddrNode>>, next: Link) -> Self {
        let at = head.map_or(ptr::null_mut(), |head| head.load(Ordering::Acquire));
        Chain {
            at,
            next,
            of: core::marker::PhantomData,
        }
    }
}

impl<'i> Iterator for Chain<'i> {
    type Item = &'i AddrNode;

    fn next(&mut self) -> Option<&'i AddrNode> {
        // SAFETY: a node is in a chain only while its destination is in the index's table, and
        // both are freed together (`Table::free`).
        let node = unsafe { self.at.as_ref::<'i>() }?;
        self.at = (self.next)(node).load(Ordering::Acquire);
        Some(node)
    }
}
