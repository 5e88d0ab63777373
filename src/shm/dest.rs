//! Destinations as lists describe them: frozen, beside the records of what runs.

use core::net::IpAddr;
use core::ptr::NonNull;

use crate::dispatch::attrs::{self, Attrs};
use crate::dispatch::dest::{Addr, DestSpec, Proto, SetId};
use crate::dispatch::state::State;

use super::addr::AddrNode;
use super::arena::{Arena, OutOfMemory, Plan, ShmSafe, ShmSlice};
use super::counted::Counted;
use super::record::DestRecord;

/// One destination as its list line says it, beside the record of what runs. Frozen.
pub struct Dest {
    record: *mut Counted<DestRecord>,
    /// The server's local socket for it, as an opaque address; 0 when none is set.
    pub socket: usize,
    text: ShmSlice<u8>,
    nodes: ShmSlice<AddrNode>,
    /// The set it belongs to.
    pub set: SetId,
    /// Higher is earlier.
    pub priority: i32,
    /// Position in the list: later is earlier among equal priorities.
    pub line: u32,
    uri_len: u32,
    host_at: u32,
    host_len: u32,
    duid_at: u32,
    duid_len: u32,
    /// State bits that the list asks for.
    pub listed: State,
    /// Calls that it may hold; 0 is no limit.
    pub maxload: i32,
    /// Percentage for algorithm 9.
    pub weight: i32,
    /// Relative weight for algorithm 11.
    pub rweight: i32,
    /// Congestion control when not 0.
    pub cc: i32,
    /// Least share of turns to pass over under overload, in percent.
    pub ocmin: i32,
    /// Greatest share of turns to pass over under overload, in percent.
    pub ocmax: i32,
    /// Port in the URI; 0 when it names none.
    pub port: u16,
    /// Transport as `ds_is_from_list` compares it.
    pub proto: Proto,
}

// SAFETY: integers, arena pointers and shared slices; zeroed it has no text. It is never read
// before `Dest::create` has set its record.
unsafe impl ShmSafe for Dest {}

impl Dest {
    /// Copies a destination into shared memory, pointing to `record`, which counts it.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was taken or counted.
    pub fn create(
        arena: &impl Arena,
        spec: &DestSpec<'_>,
        line: u32,
        record: NonNull<Counted<DestRecord>>,
    ) -> Result<NonNull<Self>, OutOfMemory> {
        let text_len = spec
            .uri
            .len()
            .checked_add(spec.attrs_body.len())
            .ok_or(OutOfMemory)?;
        let (host_at, host_len) = place(spec.uri, Some(spec.host))?;
        let (duid_at, duid_len) = place(spec.attrs_body, spec.attrs.duid)?;
        let mut plan = Plan::<Dest>::of_header();
        let nodes = plan
            .array::<AddrNode>(spec.addrs.len())
            .ok_or(OutOfMemory)?;
        let text = plan.array::<u8>(text_len).ok_or(OutOfMemory)?;
        let uri_len = size(spec.uri.len())?;
        let mut block = plan.alloc(arena)?;
        let at = block.header();
        let (text, nodes) = (block.slice(&text), block.slice(&nodes));
        // SAFETY: the block is ours alone until it is published.
        let bytes = unsafe { text.fill() };
        for (byte, from) in bytes.iter_mut().zip(spec.uri.iter().chain(spec.attrs_body)) {
            *byte = *from;
        }
        // SAFETY: as above.
        for (node, addr) in unsafe { nodes.fill() }.iter_mut().zip(spec.addrs) {
            *node = AddrNode::new(at, *addr);
        }
        let dest = block.fill();
        dest.record = record.as_ptr();
        dest.socket = spec.socket;
        (dest.text, dest.nodes) = (text, nodes);
        (dest.set, dest.priority, dest.line) = (spec.set, spec.priority, line);
        dest.uri_len = uri_len;
        (dest.host_at, dest.host_len) = (host_at, host_len);
        (dest.duid_at, dest.duid_len) = (duid_at, duid_len);
        dest.listed = spec.flags;
        dest.maxload = spec.attrs.maxload;
        (dest.weight, dest.rweight) = (spec.attrs.weight, spec.attrs.rweight);
        dest.cc = spec.attrs.cc;
        (dest.ocmin, dest.ocmax) = (spec.attrs.ocmin, spec.attrs.ocmax);
        (dest.port, dest.proto) = (spec.port, spec.proto);
        // SAFETY: the caller gave a live record.
        unsafe { record.as_ref() }.retain();
        Ok(at)
    }

    /// Frees a destination and lets its record go.
    ///
    /// # Safety
    /// `dest` came from `create` with this arena, and no reader can reach it any more.
    pub unsafe fn free(dest: NonNull<Self>, arena: &impl Arena) {
        // SAFETY: still ours to read.
        let record = unsafe { dest.as_ref() }.record;
        if let Some(record) = NonNull::new(record) {
            // SAFETY: `create` counted it, and it goes with this destination.
            unsafe { Counted::release(record, arena) };
        }
        // SAFETY: the caller's promise.
        unsafe { arena.free(dest.cast()) };
    }

    /// The whole URI, as listed.
    pub fn uri(&self) -> &[u8] {
        self.text.get().get(..self.uri_len as usize).unwrap_or(&[])
    }

    /// The attributes, as listed; empty when there are none.
    pub fn attrs_body(&self) -> &[u8] {
        self.text.get().get(self.uri_len as usize..).unwrap_or(&[])
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
        let rest = self.attrs_body().get(self.duid_at as usize..)?;
        rest.get(..self.duid_len as usize)
            .filter(|duid| !duid.is_empty())
    }

    /// The host part of the URI.
    pub fn host(&self) -> &[u8] {
        let rest = self.uri().get(self.host_at as usize..).unwrap_or(&[]);
        rest.get(..self.host_len as usize).unwrap_or(&[])
    }

    /// Its resolved addresses.
    pub fn addrs(&self) -> impl Iterator<Item = Addr> {
        self.nodes().iter().map(AddrNode::addr)
    }

    /// Its places in the index of addresses.
    pub(super) fn nodes(&self) -> &[AddrNode] {
        self.nodes.get()
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
            socket: self.socket,
        }
    }

    /// True when a list means this destination, whatever else it says of it.
    pub fn is_same(&self, spec: &DestSpec<'_>) -> bool {
        match (self.duid(), spec.attrs.duid) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            _ => self.uri() == spec.uri && self.socket == spec.socket,
        }
    }

    /// True when a list asks for nothing else than what this is.
    pub fn is_as(&self, spec: &DestSpec<'_>) -> bool {
        self.uri() == spec.uri
            && self.attrs_body() == spec.attrs_body
            && (self.listed, self.priority, self.socket) == (spec.flags, spec.priority, spec.socket)
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
        // SAFETY: `create` was given a live record and counted itself in, so the record lives at
        // least as long as this destination.
        unsafe { &*self.record }
    }

    /// What runs, for another holder. As it came from the arena, so that the last holder may free
    /// it: a pointer made from a reference must not be.
    pub fn counted(&self) -> NonNull<Counted<DestRecord>> {
        // SAFETY: `create` was given a record.
        unsafe { NonNull::new_unchecked(self.record) }
    }
}

fn size(len: usize) -> Result<u32, OutOfMemory> {
    u32::try_from(len).map_err(|_| OutOfMemory)
}

/// Where `part` lies in `text`, of which it is a slice, and its length.
fn place(text: &[u8], part: Option<&[u8]>) -> Result<(u32, u32), OutOfMemory> {
    let Some(part) = part else { return Ok((0, 0)) };
    match (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize) {
        Some(at) if at + part.len() <= text.len() => Ok((size(at)?, size(part.len())?)),
        _ => Ok((0, 0)),
    }
}

/// Shows an address as the operator writes it.
pub fn ip(addr: Addr) -> IpAddr {
    match addr {
        Addr::V4(bytes) => IpAddr::from(bytes),
        Addr::V6(bytes) => IpAddr::from(bytes),
    }
}
