//! Destinations as lists describe them: frozen, each with a record of its state.

use core::net::IpAddr;
use core::ptr::NonNull;

use crate::dispatch::list::attr_text;
use crate::dispatch::list::attrs::{self, Attrs};
use crate::dispatch::list::destination::{Addr, DestSpec, Proto, SetId};
use crate::dispatch::state::transition::State;

use super::address::Key;
use super::page::{Page, PageAddr};
use super::record::DestRecord;
use crate::shm::dest::rate::Rate;
use crate::shm::memory::arena::{Arena, ShmSafe, to_u32};
use crate::shm::memory::refcount::Counted;

/// Bit of a destination with congestion control.
const CC: u8 = 1;
/// Bit of a destination that has attributes, be their text empty.
const HAS_ATTRS: u8 = 2;

/// A destination as its list line describes it, with its record. Frozen.
///
/// Its texts and addresses lie in the same [`Page`] behind all destinations of the page.
pub struct Dest {
    pub(crate) record: *mut Counted<DestRecord>,
    /// Its admissions, if its calls a second are limited; else null.
    pub(crate) rate: *mut Counted<Rate>,
    /// The page that it is in.
    pub(crate) page: *mut Page,
    socket: usize,
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
    uri_len: u32,
    attrs_len: u32,
    host_at: u32,
    host_len: u32,
    duid_at: u32,
    duid_len: u32,
    /// Where its addresses begin among those of the page.
    pub(crate) addr_at: u32,
    addr_count: u32,
    /// Port in the URI; 0 when it names none.
    pub port: u16,
    /// Transport as `ds_is_from_list` compares it.
    pub proto: Proto,
    weight: u8,
    rweight: u8,
    ocmin: u8,
    ocmax: u8,
    /// [`CC`] and [`HAS_ATTRS`].
    bits: u8,
}

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
        let &Dest {
            record, rate, page, ..
        } = unsafe { dest.as_ref() };
        if let Some(rate) = NonNull::new(rate) {
            // SAFETY: the page counted it, and it goes with this destination.
            unsafe { Counted::release(rate, arena) };
        }
        if let Some(record) = NonNull::new(record) {
            // SAFETY: the page counted it, and it goes with this destination.
            unsafe { Counted::release(record, arena) };
        }
        if let Some(page) = NonNull::new(page) {
            // SAFETY: the destination counted itself in, and nobody reads it any more.
            unsafe { Page::leave(page, arena) };
        }
    }

    /// Copies what a line says, except for its texts and addresses, which lie in the page.
    pub(crate) fn describe(&mut self, spec: &DestSpec<'_>) {
        let percent = |number: i32| u8::try_from(number.clamp(0, 100)).unwrap_or(0);
        let attrs = &spec.attrs;
        (self.set, self.priority, self.socket) = (spec.set, spec.priority, spec.socket);
        (self.listed, self.maxload) = (spec.flags, attrs.maxload);
        (self.uri_len, self.attrs_len) = (to_u32(spec.uri.len()), to_u32(spec.attrs_body.len()));
        (self.host_at, self.host_len) = (to_u32(spec.host.start), to_u32(spec.host.len()));
        (self.duid_at, self.duid_len) = place(spec.attrs_body, attrs.duid.unwrap_or_default());
        self.addr_count = to_u32(spec.addrs.len());
        (self.port, self.proto) = (spec.port, spec.proto);
        (self.weight, self.rweight) = (percent(attrs.weight), percent(attrs.rweight));
        (self.ocmin, self.ocmax) = (percent(attrs.ocmin), percent(attrs.ocmax));
        self.bits = if attrs.cc == 0 { 0 } else { CC } | if attrs.given { HAS_ATTRS } else { 0 };
    }

    /// Returns a text of its page.
    fn text(&self, at: u32, len: u32) -> &[u8] {
        // SAFETY: the page was made with room for all its texts, and lives as long as this.
        let start = unsafe { self.page.cast::<u8>().add(at as usize) };
        // SAFETY: `Page::create` wrote so many bytes there before anybody else saw the page.
        unsafe { core::slice::from_raw_parts(start, len as usize) }
    }

    /// Returns its size in bytes, with its texts and addresses. Its admissions may go on without it.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.uri_len as usize + self.attrs_len as usize;
        size_of::<Self>() + texts + size_of_val(self.addr_slice())
    }

    /// Returns the whole URI, as listed.
    pub fn uri(&self) -> &[u8] {
        self.text(self.text_at, self.uri_len)
    }

    /// Returns the attributes, as listed; empty when there are none.
    pub fn attrs_body(&self) -> &[u8] {
        self.text(self.text_at + self.uri_len, self.attrs_len)
    }

    /// Returns the server's local socket for it, as an opaque address; 0 when none is set.
    pub fn socket(&self) -> usize {
        self.socket
    }

    /// Percentage for algorithm 9, share for algorithm 15.
    pub fn weight(&self) -> i32 {
        self.weight.into()
    }

    /// Relative weight for algorithm 11.
    pub fn rweight(&self) -> i32 {
        self.rweight.into()
    }

    /// True with congestion control.
    pub fn cc(&self) -> bool {
        self.bits & CC != 0
    }

    /// Least share of turns to pass over under overload, in percent.
    pub fn ocmin(&self) -> i32 {
        self.ocmin.into()
    }

    /// Greatest share of turns to pass over under overload, in percent.
    pub fn ocmax(&self) -> i32 {
        self.ocmax.into()
    }

    /// Returns true if the list has attributes, be their text empty.
    pub fn has_attrs(&self) -> bool {
        self.bits & HAS_ATTRS != 0
    }

    /// Parses its attributes. An empty text counts as a missing one.
    pub fn attrs(&self) -> Attrs<'_> {
        self.written_attrs().without_empty()
    }

    /// Parses its attributes, with the texts as they are written, empty ones too.
    pub fn written_attrs(&self) -> Attrs<'_> {
        // They were parsed before they were copied here, so they can be parsed.
        let parsed = attrs::parse(self.attrs_body()).map(|(attrs, _)| attrs);
        Attrs {
            given: self.has_attrs(),
            ..parsed.unwrap_or_default()
        }
    }

    /// Returns the value of one of its attributes, known or not; `None` if it has none, or an empty one.
    pub fn attribute(&self, name: &[u8]) -> Option<&[u8]> {
        attr_text::value(self.attrs_body(), name)
    }

    /// Returns its unique id, if the list gives one.
    pub fn duid(&self) -> Option<&[u8]> {
        let at = self.text_at + self.uri_len + self.duid_at;
        (self.duid_len > 0).then(|| self.text(at, self.duid_len))
    }

    /// Returns the host part of the URI.
    pub fn host(&self) -> &[u8] {
        self.text(self.text_at + self.host_at, self.host_len)
    }

    /// Returns its resolved addresses.
    pub fn addrs(&self) -> impl Iterator<Item = Addr> {
        self.addr_slice().iter().copied().map(Addr::from)
    }

    /// Returns its resolved addresses, where they lie.
    fn addr_slice(&self) -> &[PageAddr] {
        // SAFETY: its page lives as long as this.
        let of_page = unsafe { &*self.page }.addrs();
        let own = of_page.get(self.addr_at as usize..);
        let own = own.and_then(|own| own.get(..self.addr_count as usize));
        own.unwrap_or_default()
    }

    /// Returns true if this is one of its addresses.
    pub(crate) fn has_addr(&self, key: Key) -> bool {
        self.addrs().any(|addr| Key::from(addr) == key)
    }

    /// Returns the list line that would describe it.
    pub fn spec(&self) -> DestSpec<'_> {
        DestSpec {
            set: self.set,
            uri: self.uri().into(),
            host: self.host_at as usize..(self.host_at + self.host_len) as usize,
            port: self.port,
            proto: self.proto,
            addrs: self.addrs().collect(),
            flags: self.listed,
            priority: self.priority,
            attrs_body: self.attrs_body(),
            attrs: self.attrs(),
            socket: self.socket(),
        }
    }

    /// Returns true if a list means this destination, whatever else it says of it.
    pub fn is_same(&self, spec: &DestSpec<'_>) -> bool {
        match (self.duid(), spec.attrs.duid) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            _ => self.uri() == &*spec.uri && self.socket() == spec.socket,
        }
    }

    /// Returns true if a list asks for nothing else than what is known of this destination. Flags that
    /// were written to the list since it was loaded are nothing new.
    pub fn is_as(&self, spec: &DestSpec<'_>) -> bool {
        self.uri() == &*spec.uri
            && self.attrs_body() == spec.attrs_body
            && self.has_attrs() == spec.attrs.given
            && (self.record().listed(), self.priority, self.socket())
                == (spec.flags, spec.priority, spec.socket)
    }

    /// Returns true if it has this unique id.
    pub fn has_duid(&self, duid: &[u8]) -> bool {
        self.duid()
            .is_some_and(|own| own.eq_ignore_ascii_case(duid))
    }

    /// Returns true if it may take one more call.
    pub fn has_room(&self) -> bool {
        self.record().has_room(self.maxload)
    }

    /// Returns its admissions, if its calls a second are limited (`ds_cps`).
    pub fn rate(&self) -> Option<&Rate> {
        // SAFETY: null, or counted for this destination by its page, so that it lives at least as long.
        Some(unsafe { self.rate.as_ref() }?)
    }

    /// Returns them for another holder, see [`Dest::counted`].
    pub(crate) fn counted_rate(&self) -> Option<NonNull<Counted<Rate>>> {
        NonNull::new(self.rate)
    }

    /// Returns its record.
    pub fn record(&self) -> &DestRecord {
        // SAFETY: its page was given a live record and counted it for this destination, so the
        // record lives at least as long.
        unsafe { &*self.record }
    }

    /// Returns its record for another holder: as it came from the arena, so that the last holder may free
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

/// Returns where `part` lies in `text`, of which it is a slice, and its length; 0 and 0 for any other part.
fn place(text: &[u8], part: &[u8]) -> (u32, u32) {
    match (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize) {
        Some(at) if at + part.len() <= text.len() => (to_u32(at), to_u32(part.len())),
        _ => (0, 0),
    }
}
