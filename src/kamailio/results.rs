//! The results of a selection, where scripts and later calls find them: XAVPs, and the old-time
//! AVPs beside them.
//!
//! Order: the chosen destination first, then the failover order. A later selection puts its
//! results in front. Source: `features.md` 3.8.

use core::cell::{Cell, RefCell};
use core::ptr;

use super::params::Results;
use super::{compat, sys, text};
use crate::dispatch::dest::SetId;
use crate::shm::dest::Dest;

/// Names of the fields of a destination's XAVP.
mod field {
    pub const URI: &[u8] = b"uri";
    pub const GROUP: &[u8] = b"grp";
    pub const ATTRS: &[u8] = b"attrs";
    pub const SOCK: &[u8] = b"sock";
    pub const SOCKET: &[u8] = b"socket";
    pub const SOCKNAME: &[u8] = b"sockname";
    pub const DUID: &[u8] = b"dstid";
    pub const PLACE: &[u8] = b"dstidx";
    pub const COUNT: &[u8] = b"cnt";
}

/// A value for a field. Every byte is set, padding too: the server copies it whole into shared
/// memory, and memcheck would take what another process writes there later for undefined.
fn value(fill: impl FnOnce(&mut sys::sr_xval_t)) -> sys::sr_xval_t {
    // SAFETY: integers, pointers and a union of such; zero is a value of each.
    let mut value = unsafe { core::mem::zeroed::<sys::sr_xval_t>() };
    fill(&mut value);
    value
}

fn text_value(text: &[u8]) -> sys::sr_xval_t {
    let text = text::as_str(text);
    value(|x| {
        x.type_ = sys::SR_XTYPE_STR;
        // SAFETY: writes to a union of plain data.
        let s = unsafe { &mut x.v.s };
        s.s = text.s;
        s.len = text.len;
    })
}

fn number_value(number: i32) -> sys::sr_xval_t {
    value(|x| compat::set_xavp_number(x, number))
}

fn pointer_value(pointer: usize) -> sys::sr_xval_t {
    value(|x| compat::set_xavp_pointer(x, pointer))
}

/// The fields of one XAVP while it is made; given back to the server when it is not finished.
struct Fields(*mut sys::sr_xavp_t);

impl Fields {
    /// Adds a field; `None` when the server has no memory.
    fn add(&mut self, name: &[u8], mut value: sys::sr_xval_t) -> Option<()> {
        let mut name = text::as_str(name);
        // SAFETY: the server copies name and value into shared memory (core/xavp.c).
        let added = unsafe { sys::xavp_add_value(&raw mut name, &raw mut value, &raw mut self.0) };
        (!added.is_null()).then_some(())
    }

    /// Makes an XAVP of the fields, behind `after`, or in front of all when there is none.
    fn finish(mut self, name: &[u8], after: *mut sys::sr_xavp_t) -> Option<*mut sys::sr_xavp_t> {
        let mut name = text::as_str(name);
        let fields = core::mem::replace(&mut self.0, ptr::null_mut());
        let mut value = value(|x| {
            x.type_ = sys::SR_XTYPE_XAVP;
            x.v.xavp = fields;
        });
        // SAFETY: null, or in the current list.
        let behind = unsafe { after.as_mut() }.map_or(ptr::null_mut(), |after| &raw mut after.next);
        // SAFETY: the server takes the list of fields over and puts it where `behind` points, or in
        // front of the current list.
        let made = unsafe { sys::xavp_add_value(&raw mut name, &raw mut value, behind) };
        if made.is_null() {
            self.0 = fields;
        }
        (!made.is_null()).then_some(made)
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        // SAFETY: a list that nobody else has; null is an empty one.
        unsafe { sys::xavp_destroy_list(&raw mut self.0) };
    }
}

/// The results of several selections that are one list, in their order: where the next one's go.
#[derive(Default)]
pub struct Tail {
    last: Cell<Option<ptr::NonNull<sys::sr_xavp_t>>>,
    count: Cell<i32>,
    /// Values for the AVPs, which take new ones only in front.
    avps: RefCell<Vec<AvpTexts>>,
}

/// Values of one destination for the AVPs: URI, attributes, unique id.
type AvpTexts = [Vec<u8>; 3];

fn avp_texts(dest: &Dest) -> [&[u8]; 3] {
    let duid = dest.duid().unwrap_or_default();
    [dest.uri(), dest.attrs_body(), duid]
}

impl Tail {
    /// Number of results so far.
    pub fn count(&self) -> i32 {
        self.count.get()
    }
}

impl Results {
    /// Writes results behind those of the selections before, which share a tail. Their count is
    /// written by [`Self::finish`].
    pub fn append<'d>(
        &self,
        set: SetId,
        dests: impl Iterator<Item = &'d Dest> + Clone,
        counted: bool,
        tail: &Tail,
    ) -> Option<i32> {
        let mut written = Vec::new();
        let mut last = tail
            .last
            .get()
            .map_or(ptr::null_mut(), ptr::NonNull::as_ptr);
        for dest in dests.clone() {
            let made = self.fields(set, dest, counted);
            match made.and_then(|fields| fields.finish(self.dst, last)) {
                Some(made) => {
                    last = made;
                    written.push(made);
                }
                None => {
                    for record in written {
                        // SAFETY: just put into the current list.
                        unsafe { sys::xavp_rm(record, ptr::null_mut()) };
                    }
                    return None;
                }
            }
        }
        tail.last.set(ptr::NonNull::new(last));
        let count = i32::try_from(written.len()).unwrap_or(i32::MAX);
        tail.count.set(tail.count.get().saturating_add(count));
        if self.avps.names_destinations() {
            let owned = |dest| avp_texts(dest).map(<[u8]>::to_vec);
            tail.avps.borrow_mut().extend(dests.map(owned));
        }
        Some(count)
    }

    /// Takes back all results of a tail, which are in front.
    pub fn take_back(&self, tail: &Tail) {
        (0..tail.count()).for_each(|_| self.drop_first());
        tail.last.set(None);
        tail.count.set(0);
        tail.avps.borrow_mut().clear();
    }

    /// Writes the count of all results of a tail, the first of which are of `set`, and the AVPs.
    pub fn finish(&self, set: SetId, tail: &Tail) -> Option<()> {
        self.write_count(tail.count())?;
        let avps = tail.avps.borrow();
        let texts = avps.iter().map(|texts| texts.each_ref().map(Vec::as_slice));
        self.write_avps(set, texts, tail.count())
    }

    /// Writes the destinations and their count; returns how many there are, or `None` when the
    /// server has no memory for them.
    /// With `counted` the call is counted, and the unique ids go with the destinations.
    pub fn write<'d>(
        &self,
        set: SetId,
        dests: impl Iterator<Item = &'d Dest> + Clone,
        counted: bool,
    ) -> Option<i32> {
        let mut count = 0;
        let written = self
            .write_xavps(set, dests.clone(), counted, &mut count)
            .and_then(|()| self.write_count(count))
            .and_then(|()| self.write_avps(set, dests.map(avp_texts), count));
        if written.is_none() {
            (0..count).for_each(|_| self.drop_first());
        }
        written.map(|()| count)
    }

    fn write_xavps<'d>(
        &self,
        set: SetId,
        dests: impl Iterator<Item = &'d Dest>,
        counted: bool,
        count: &mut i32,
    ) -> Option<()> {
        let mut last = ptr::null_mut();
        for dest in dests {
            last = self.fields(set, dest, counted)?.finish(self.dst, last)?;
            *count += 1;
        }
        Some(())
    }

    fn fields(&self, set: SetId, dest: &Dest, counted: bool) -> Option<Fields> {
        let mut fields = Fields(ptr::null_mut());
        fields.add(field::URI, text_value(dest.uri()))?;
        fields.add(field::GROUP, number_value(set))?;
        self.add_attrs(&mut fields, dest)?;
        if dest.socket != 0 {
            fields.add(field::SOCK, pointer_value(dest.socket))?;
        }
        self.add_socket_texts(&mut fields, dest)?;
        if let Some(duid) = dest.duid().filter(|_| counted) {
            fields.add(field::DUID, text_value(duid))?;
        }
        if self.place {
            let place = i32::try_from(dest.record().position()).unwrap_or(i32::MAX);
            fields.add(field::PLACE, number_value(place))?;
        }
        Some(fields)
    }

    fn add_attrs(&self, fields: &mut Fields, dest: &Dest) -> Option<()> {
        match dest.attrs_body() {
            body if self.attrs && !body.is_empty() => fields.add(field::ATTRS, text_value(body)),
            _ => Some(()),
        }
    }

    fn add_socket_texts(&self, fields: &mut Fields, dest: &Dest) -> Option<()> {
        if !self.socket && !self.sockname || dest.attrs_body().is_empty() {
            return Some(());
        }
        let attrs = dest.attrs();
        if let Some(socket) = attrs.socket.filter(|_| self.socket) {
            fields.add(field::SOCKET, text_value(socket))?;
        }
        if let Some(sockname) = attrs.sockname.filter(|_| self.sockname) {
            fields.add(field::SOCKNAME, text_value(sockname))?;
        }
        Some(())
    }

    fn write_count(&self, count: i32) -> Option<()> {
        if !self.count {
            return Some(());
        }
        let mut fields = Fields(ptr::null_mut());
        fields.add(field::COUNT, number_value(count))?;
        fields.finish(self.ctx, ptr::null_mut())?;
        Some(())
    }

    /// Fills the old-time AVPs. New values go in front, so the last destination is written first.
    fn write_avps<'d>(
        &self,
        set: SetId,
        dests: impl Iterator<Item = [&'d [u8]; 3]>,
        count: i32,
    ) -> Option<()> {
        let avps = &self.avps;
        let wrote = |done: bool| done.then_some(());
        if avps.names_destinations() {
            let dests: Vec<[&[u8]; 3]> = dests.collect();
            for [uri, attrs, duid] in dests.into_iter().rev() {
                let texts = [(avps.dst, uri), (avps.attrs, attrs), (avps.dstid, duid)];
                for (avp, text) in texts {
                    avp.map_or(Some(()), |avp| wrote(avp.push_text(text)))?;
                }
            }
        }
        avps.grp
            .map_or(Some(()), |avp| wrote(avp.push_number(set)))?;
        avps.cnt
            .map_or(Some(()), |avp| wrote(avp.push_number(count)))
    }

    /// The first destination that is left; `None` when there is none.
    pub fn current(&self) -> Option<Current<'_>> {
        let record = self.first()?;
        // SAFETY: just found in the current list, which nobody changes meanwhile.
        let fields = unsafe { &(*record).val };
        if fields.type_ != sys::SR_XTYPE_XAVP {
            return None;
        }
        // SAFETY: the type says which member of the union is set.
        let fields = unsafe { fields.v.xavp };
        let uri = find(fields, field::URI, sys::SR_XTYPE_STR)?;
        let set = find(fields, field::GROUP, compat::XAVP_NUMBER);
        let socket = find(fields, field::SOCK, compat::XAVP_POINTER);
        // SAFETY: a text, by its type.
        let uri = unsafe { &uri.v.s };
        let set = set.and_then(compat::xavp_number);
        let socket = socket.map_or(0, compat::xavp_pointer);
        let duid = find(fields, field::DUID, sys::SR_XTYPE_STR);
        // SAFETY: a text, by its type.
        let duid = duid.map(|value| unsafe { &value.v.s });
        // SAFETY: the text stays until a script or this module changes the list; callers use it
        // before they do.
        let uri = unsafe { text::bytes(uri) };
        // SAFETY: as for the URI.
        let duid = duid.map(|duid| unsafe { text::bytes(duid) });
        Some(Current {
            uri,
            set,
            socket,
            duid,
        })
    }

    /// True when a selection has left results in this transaction, used up or not.
    pub fn has_selected(&self) -> bool {
        xavp(self.ctx).is_some() || self.first().is_some()
    }

    fn first(&self) -> Option<*mut sys::sr_xavp_t> {
        xavp(self.dst)
    }

    /// Takes the current destination away, if there is one.
    pub fn drop_current(&self) {
        self.drop_first();
        let avps = &self.avps;
        let of_dests = [avps.dst, avps.attrs, avps.dstid];
        of_dests.into_iter().flatten().for_each(|avp| avp.pop());
    }

    fn drop_first(&self) {
        if let Some(record) = self.first() {
            // SAFETY: just found in the current list.
            unsafe { sys::xavp_rm(record, ptr::null_mut()) };
        }
    }
}

/// The first XAVP with a name.
fn xavp(name: &[u8]) -> Option<*mut sys::sr_xavp_t> {
    let mut name = text::as_str(name);
    // SAFETY: searches the server's current list.
    let record = unsafe { sys::xavp_get(&raw mut name, ptr::null_mut()) };
    (!record.is_null()).then_some(record)
}

/// A field of one type in a list of fields.
fn find<'x>(
    fields: *mut sys::sr_xavp_t,
    name: &[u8],
    kind: sys::sr_xtype_t,
) -> Option<&'x sys::sr_xval_t> {
    if fields.is_null() {
        // For the server, null would mean the current list itself.
        return None;
    }
    let mut name = text::as_str(name);
    // SAFETY: a list of fields in the current list.
    let found = unsafe { sys::xavp_get(&raw mut name, fields) };
    // SAFETY: one of them, or null.
    unsafe { found.as_ref() }
        .map(|field| &field.val)
        .filter(|value| value.type_ == kind)
}

/// The destination that a message is on its way to.
pub struct Current<'x> {
    /// Its URI, as listed.
    pub uri: &'x [u8],
    /// Its set; `None` where a script has changed the record.
    pub set: Option<SetId>,
    /// Its local socket as an opaque address; 0 when it has none.
    pub socket: usize,
    /// Its unique id, where the call is counted.
    pub duid: Option<&'x [u8]>,
}
