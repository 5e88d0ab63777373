//! Destinations as lists describe them: frozen, beside the records of what runs.

use core::net::IpAddr;
use core::ptr::NonNull;

use crate::dispatch::list::attrs::{self, Attrs};
use crate::dispatch::list::destination::{Addr, DestSpec, Proto, SetId};
use crate::dispatch::state::transition::State;

use super::address::AddrNode;
use super::page::Page;
use super::record::DestRecord;
use crate::shm::memory::arena::{Arena, ShmSafe};
use crate::shm::memory::refcount::Counted;

/// One destination as its list line says it, beside the record of what runs. Frozen.
///
/// Its texts and addresses lie in the same [`Page`] behind all destinations of the page.
pub struct Dest {
    pub(crate) record: *mut Counted<DestRecord>,
    /// The piece that it is in, as it came from the arena.
    pub(crate) page: *mut Page,
    /// The set it belongs to.
    pub set: SetId,
    /// Higher is earlier.
    pub priority: i32,
    /// Position in the list: later is earlier among equal priorities.
    pub line: u32,
    /// State bits that the list asks for.
    pub listed: State,
    /// Calls that it may hold; 0 is no limit.
    pub maxload: i32,
    /// Where its URI begins, in bytes from the start of the page; its attributes are behind it.
    pub(crate) text_at: u32,
    pub(crate) uri_len: u16,
    /// [`LONG`] when it does not fit: its length is before it then.
    pub(crate) attrs_len: u16,
    pub(crate) host_at: u16,
    pub(crate) host_len: u16,
    /// [`LONG`] when it does not fit: it is looked for then.
    pub(crate) duid_at: u16,
    pub(crate) duid_len: u16,
    /// Its addresses in the page's: the first one, and how many.
    pub(crate) node_at: u16,
    pub(crate) node_count: u16,
    /// Port in the URI; 0 when it names none.
    pub port: u16,
    /// Transport as `ds_is_from_list` compares it.
    pub proto: Proto,
    pub(crate) numbers: Numbers,
}

/// The length, or place, of what is not less than this.
pub(crate) const LONG: u16 = u16::MAX;

/// Bytes of a length that is before a text.
pub(crate) const LEN_BYTES: u32 = 4;

/// What is at most 255 of a destination.
pub(crate) struct Numbers {
    /// At most 100; [`CC`] is on top for congestion control.
    weight: u8,
    rweight: u8,
    ocmin: u8,
    ocmax: u8,
    /// The socket in the page's, from 1; 0 for none.
    socket: u8,
}

/// The bit for congestion control.
const CC: u8 = 0x80;

impl Numbers {
    /// Those of a line. They are percentages: `dispatch::attrs` sees to that.
    pub(crate) fn of(spec: &DestSpec<'_>, socket: u8) -> Self {
        let small = |number: i32| u8::try_from(number.clamp(0, 100)).unwrap_or(0);
        let cc = if spec.attrs.cc == 0 { 0 } else { CC };
        Numbers {
            weight: small(spec.attrs.weight) | cc,
            rweight: small(spec.attrs.rweight),
            ocmin: small(spec.attrs.ocmin),
            ocmax: small(spec.attrs.ocmax),
            socket,
        }
    }
}

const _: () = assert!(size_of::<Dest>() <= 64, "a cache line");

// SAFETY: integers and arena pointers; zeroed it has no text. It is never read before `Page::create`
// has set its record and its page.
unsafe impl ShmSafe for Dest {}

impl Dest {
    /// Frees a destination and lets its record go.
    ///
    /// # Safety
    /// `dest` is of a page of this arena, and no reader can reach it any more.
    pub unsafe fn free(dest: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: still ours to read.
        let &Dest { record, page, .. } = unsafe { dest.as_ref() };
        if let Some(record) = NonNull::new(record) {
            // SAFETY: the page counted it, and it goes with this destination.
            unsafe { Counted::release(record, arena) };
        }
        if let Some(page) = NonNull::new(page) {
            // SAFETY: the destination counted itself in, and nobody reads it any more.
            unsafe { Page::leave(page, arena) };
        }
    }

    /// A text of its page.
    fn text(&self, at: u32, len: u32) -> &[u8] {
        // SAFETY: the page was made with room for all its texts, and lives as long as this.
        let start = unsafe { self.page.cast::<u8>().add(at as usize) };
        // SAFETY: as above; texts are written before anybody else sees the page.
        unsafe { core::slice::from_raw_parts(start, len as usize) }
    }

    /// The whole URI, as listed.
    pub fn uri(&self) -> &[u8] {
        self.text(self.text_at, self.uri_len.into())
    }

    /// The attributes, as listed; empty when there are none.
    pub fn attrs_body(&self) -> &[u8] {
        let at = self.text_at + u32::from(self.uri_len);
        if self.attrs_len < LONG {
            return self.text(at, self.attrs_len.into());
        }
        // Very long ones have their length before them.
        let &[a, b, c, d] = self.text(at, LEN_BYTES) else {
            return &[];
        };
        self.text(at + LEN_BYTES, u32::from_ne_bytes([a, b, c, d]))
    }

    /// The server's local socket for it, as an opaque address; 0 when none is set.
    #[inline]
    pub fn socket(&self) -> usize {
        let Some(number) = usize::from(self.numbers.socket).checked_sub(1) else {
            return 0;
        };
        // SAFETY: the page lives as long as this destination.
        let page = unsafe { self.page.as_ref() };
        let socket = page.and_then(|page| page.sockets().get(number));
        socket.copied().unwrap_or(0)
    }

    /// Percentage for algorithm 9, share for algorithm 15.
    pub fn weight(&self) -> i32 {
        (self.numbers.weight & !CC).into()
    }

    /// Relative weight for algorithm 11.
    pub fn rweight(&self) -> i32 {
        self.numbers.rweight.into()
    }

    /// True with congestion control.
    pub fn cc(&self) -> bool {
        self.numbers.weight & CC != 0
    }

    /// Least share of turns to pass over under overload, in percent.
    pub fn ocmin(&self) -> i32 {
        self.numbers.ocmin.into()
    }

    /// Greatest share of turns to pass over under overload, in percent.
    pub fn ocmax(&self) -> i32 {
        self.numbers.ocmax.into()
    }

    /// Its attributes, parsed anew.
    pub fn attrs(&self) -> Attrs<'_> {
        // They were parsed before they were copied here, so they can be parsed.
        attrs::parse(self.attrs_body())
            .map(|(attrs, _)| attrs)
            .unwrap_or_default()
    }

    /// Its unique id; `None` when the list gives none.
    pub fn duid(&self) -> Option<&[u8]> {
        if self.duid_at == LONG {
            return self.attrs().duid.filter(|duid| !duid.is_empty());
        }
        let rest = self.attrs_body().get(usize::from(self.duid_at)..)?;
        rest.get(..usize::from(self.duid_len))
            .filter(|duid| !duid.is_empty())
    }

    /// The host part of the URI.
    pub fn host(&self) -> &[u8] {
        let rest = self.uri().get(usize::from(self.host_at)..);
        let host = rest.and_then(|rest| rest.get(..usize::from(self.host_len)));
        host.unwrap_or_default()
    }

    /// Its resolved addresses.
    pub fn addrs(&self) -> impl Iterator<Item = Addr> {
        self.nodes().map(|node| {
            // SAFETY: the page's own node.
            unsafe { AddrNode::addr(node) }
        })
    }

    /// Number of its addresses.
    pub(crate) fn node_count(&self) -> usize {
        self.node_count.into()
    }

    /// Its places in the index of addresses.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NonNull<AddrNode>> + use<> {
        let page = NonNull::new(self.page);
        let (at, count) = (usize::from(self.node_at), usize::from(self.node_count));
        // SAFETY: the page lives as long as this destination.
        let first = page.and_then(|page| unsafe { page.as_ref() }.node(at));
        let first = first.filter(|_| count > 0);
        first.into_iter().flat_map(move |first| {
            (0..count).map(move |at| {
                // SAFETY: the page was made with all its nodes.
                unsafe { first.add(at) }
            })
        })
    }

    /// What a list would say of it; `addrs` are its own.
    pub fn spec<'d>(&'d self, addrs: &'d [Addr]) -> DestSpec<'d> {
        DestSpec {
            set: self.set,
            uri: self.uri(),
            host: self.host(),
            port: self.port,
            proto: self.proto,
            addrs,
            flags: self.listed,
            priority: self.priority,
            attrs_body: self.attrs_body(),
            attrs: self.attrs(),
            socket: self.socket(),
        }
    }

    /// True when a list means this destination, whatever else it says of it.
    pub fn is_same(&self, spec: &DestSpec<'_>) -> bool {
        match (self.duid(), spec.attrs.duid) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            _ => self.uri() == spec.uri && self.socket() == spec.socket,
        }
    }

    /// True when a list asks for nothing else than what this is.
    pub fn is_as(&self, spec: &DestSpec<'_>) -> bool {
        self.uri() == spec.uri
            && self.attrs_body() == spec.attrs_body
            && (self.listed, self.priority, self.socket())
                == (spec.flags, spec.priority, spec.socket)
    }

    /// True when it has this unique id.
    pub fn has_duid(&self, duid: &[u8]) -> bool {
        self.duid()
            .is_some_and(|own| own.eq_ignore_ascii_case(duid))
    }

    /// True when it may take one more call.
    pub fn has_room(&self) -> bool {
        self.record().has_room(self.maxload)
    }

    /// What runs.
    pub fn record(&self) -> &DestRecord {
        // SAFETY: its page was given a live record and counted it for this destination, so the
        // record lives at least as long.
        unsafe { &*self.record }
    }

    /// What runs, for another holder. As it came from the arena, so that the last holder may free
    /// it: a pointer made from a reference must not be.
    pub fn counted(&self) -> NonNull<Counted<DestRecord>> {
        // SAFETY: its page was given a record.
        unsafe { NonNull::new_unchecked(self.record) }
    }
}

/// Shows an address as the operator writes it.
pub fn ip(addr: Addr) -> IpAddr {
    match addr {
        Addr::V4(bytes) => IpAddr::from(bytes),
        Addr::V6(bytes) => IpAddr::from(bytes),
    }
}
