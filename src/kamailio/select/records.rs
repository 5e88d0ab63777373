//! The destination records of a selection: XAVPs that scripts and later calls read, and the AVPs of old configs beside
//! them (doc/reference/variables.md).
//!
//! The record of the chosen destination comes first, and then those of the failover order. A later selection puts its
//! records in front.

use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;
use core::ptr;

use crate::dispatch::list::destination::SetId;
use crate::dispatch::select::cursor::{FailoverCursor, Step};
use crate::dispatch::select::failover::Order;
use crate::kamailio::config::results_params::Results;
use crate::kamailio::server::compat;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;
use crate::kamailio::server::text;
use crate::shm::dest::destination::Dest;

/// The names of the fields of a record.
mod field {
    pub const URI: &[u8] = b"uri";
    pub const GROUP: &[u8] = b"grp";
    pub const ATTRS: &[u8] = b"attrs";
    pub const SOCK: &[u8] = b"sock";
    pub const SOCKET: &[u8] = b"socket";
    pub const SOCKNAME: &[u8] = b"sockname";
    pub const DUID: &[u8] = b"dstid";
    pub const PLACE: &[u8] = b"dstidx";
    pub const CURSOR: &[u8] = b"trail";
    pub const COUNT: &[u8] = b"cnt";
}

/// Returns a value for a field. Every byte is set, padding too: the server copies the whole value into shared memory,
/// and memcheck would report bytes there as undefined.
fn value(fill: impl FnOnce(&mut sys::sr_xval_t)) -> sys::sr_xval_t {
    // SAFETY: the struct has integers, pointers and a union of such (core/xavp.h); zero is a value of each of them.
    let mut value = unsafe { core::mem::zeroed::<sys::sr_xval_t>() };
    fill(&mut value);
    value
}

fn text_value(text: &[u8]) -> sys::sr_xval_t {
    let text = text::as_str(text);
    value(|x| {
        x.type_ = sys::SR_XTYPE_STR;
        // SAFETY: a reference to a member of a union of plain data, all of which is zeroed, so it is a value of the
        // member.
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

/// The fields of one record while it is made. They are given back to the server if it is not finished.
struct Fields(*mut sys::sr_xavp_t);

impl Fields {
    /// Adds a field; `None` when the server has no memory.
    fn add(&mut self, name: &[u8], mut value: sys::sr_xval_t) -> Option<()> {
        let mut name = text::as_str(name);
        // SAFETY: the list is one that `add` made or `finish_tail` lent, and the server copies name and value into
        // shared memory (core/xavp.c, xavp_add_value).
        let added = unsafe { sys::xavp_add_value(&raw mut name, &raw mut value, &raw mut self.0) };
        (!added.is_null()).then_some(())
    }

    /// Takes the list of fields, which the caller has to give back.
    fn take(&mut self) -> *mut sys::sr_xavp_t {
        core::mem::replace(&mut self.0, ptr::null_mut())
    }

    /// Makes a record of the fields, behind `after`, or in front of all others if that is null.
    fn finish(self, name: &[u8], after: *mut sys::sr_xavp_t) -> Option<*mut sys::sr_xavp_t> {
        let mut name = text::as_str(name);
        let fields = ManuallyDrop::new(self);
        let mut value = value(|x| {
            x.type_ = sys::SR_XTYPE_XAVP;
            x.v.xavp = fields.0;
        });
        // SAFETY: null, or a record that the caller has found or made in the current list.
        let behind = unsafe { after.as_mut() }.map_or(ptr::null_mut(), |after| &raw mut after.next);
        // SAFETY: the server copies the name, takes the list of fields over, and puts the record where `behind` points,
        // or in front of the current list (core/xavp.c, xavp_add_value).
        let made = unsafe { sys::xavp_add_value(&raw mut name, &raw mut value, behind) };
        if made.is_null() {
            drop(ManuallyDrop::into_inner(fields));
            return None;
        }
        Some(made)
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the list was made by `add`, and `take` leaves null, so nobody else has it.
            unsafe { sys::xavp_destroy_list(&raw mut self.0) };
        }
    }
}

/// The records of several selections that make one list, and the place where the next one's records go.
pub struct Tail {
    last: Cell<*mut sys::sr_xavp_t>,
    count: Cell<i32>,
    /// True once a set has chosen where the message goes.
    follows: Cell<bool>,
    /// The values for the AVPs, which take new values only in front.
    avps: RefCell<Vec<AvpTexts>>,
    /// The failover cursor, if failover is on demand.
    cursor: RefCell<Option<FailoverCursor>>,
}

/// The values of one destination for the AVPs: URI, attributes, unique id, and local socket.
struct AvpTexts {
    texts: [Vec<u8>; 3],
    socket: usize,
}

impl AvpTexts {
    fn of(dest: &Dest) -> Self {
        let (texts, socket) = avp_values(dest);
        let texts = texts.map(<[u8]>::to_vec);
        AvpTexts { texts, socket }
    }

    fn values(&self) -> AvpValues<'_> {
        (self.texts.each_ref().map(Vec::as_slice), self.socket)
    }
}

/// As [`AvpTexts`], but borrowed.
type AvpValues<'a> = ([&'a [u8]; 3], usize);

fn avp_values(dest: &Dest) -> AvpValues<'_> {
    let duid = dest.duid().unwrap_or_default();
    ([dest.uri(), dest.attrs_body(), duid], dest.socket())
}

/// Returns the socket as C prints a pointer; empty for none.
fn pointer_text(socket: usize) -> String {
    if socket == 0 {
        return String::new();
    }
    format!("{socket:#x}")
}

impl Default for Tail {
    fn default() -> Self {
        Tail {
            last: Cell::new(ptr::null_mut()),
            count: Cell::new(0),
            follows: Cell::new(false),
            avps: RefCell::default(),
            cursor: RefCell::default(),
        }
    }
}

impl Tail {
    /// Returns the number of destinations so far.
    pub fn count(&self) -> i32 {
        self.count.get()
    }

    /// Returns true if no set has chosen yet where the message goes.
    pub fn leads(&self) -> bool {
        !self.follows.get()
    }

    /// Says that a set has chosen where the message goes.
    pub fn has_led(&self) {
        self.follows.set(true);
    }

    /// Adds the choice in one more set, which gives at most `most` destinations on demand.
    pub fn follow(&self, choice: Step, most: i32) {
        self.count.set(self.count.get().saturating_add(most));
        if let Some(cursor) = self.cursor.borrow_mut().as_mut() {
            cursor.add(choice);
        }
    }

    /// Begins anew.
    pub fn forget(&self) {
        self.last.set(ptr::null_mut());
        self.count.set(0);
        self.avps.borrow_mut().clear();
        self.cursor.replace(None);
    }
}

impl Results {
    /// Writes the records of these destinations, each with its index in the set, in front of all others, and their
    /// count; returns how many there are, or `None` when the server has no memory for them. With `counted` the records
    /// say which unique id has the call.
    pub fn write<'d>(
        &self,
        set: SetId,
        dests: impl Iterator<Item = (usize, &'d Dest)>,
        counted: bool,
    ) -> Option<i32> {
        let (mut avps, with_avps) = (Vec::new(), self.avps.names_destinations());
        let note = |(_, dest): &(usize, &'d Dest)| {
            if with_avps {
                avps.push(avp_values(dest));
            }
        };
        let (count, _) = self.write_xavps(set, dests.inspect(note), counted, ptr::null_mut())?;
        self.finish_records(count, || {
            self.write_count(count)?;
            self.write_avps(set, avps.into_iter(), count)
        })
    }

    /// Writes the records of these destinations behind those of the selections before, which share a tail. Their count
    /// is written by [`Self::finish_tail`].
    pub fn append<'d>(
        &self,
        set: SetId,
        dests: impl Iterator<Item = (usize, &'d Dest)>,
        counted: bool,
        tail: &Tail,
    ) -> Option<i32> {
        let (mut avps, with_avps) = (Vec::new(), self.avps.names_destinations());
        let note = |(_, dest): &(usize, &'d Dest)| {
            if with_avps {
                avps.push(AvpTexts::of(dest));
            }
        };
        let (count, last) = self.write_xavps(set, dests.inspect(note), counted, tail.last.get())?;
        tail.last.set(last);
        tail.count.set(tail.count.get().saturating_add(count));
        tail.avps.borrow_mut().append(&mut avps);
        Some(count)
    }

    /// Writes the record of one destination, after which failover goes on as `cursor` says, and how many destinations
    /// there are at most. Returns 1, the number of records.
    #[inline(always)]
    pub fn write_one(&self, dest: &Dest, cursor: &FailoverCursor, most: i32) -> Option<i32> {
        let fields = self.fields_on(dest, cursor, cursor.encode())?;
        fields.finish(self.dst, ptr::null_mut())?;
        self.finish_records(1, || {
            self.write_count(most)?;
            self.write_avps(cursor.here().set, core::iter::once(avp_values(dest)), most)
        })
    }

    /// Writes the record of the first destination of several sets, as [`Self::write_one`] does; the cursor is written
    /// when all sets have chosen.
    pub fn write_first(
        &self,
        dest: &Dest,
        cursor: FailoverCursor,
        most: i32,
        tail: &Tail,
    ) -> Option<i32> {
        let fields = self.fields_on(dest, &cursor, None)?;
        fields.finish(self.dst, ptr::null_mut())?;
        tail.count.set(most);
        tail.cursor.replace(Some(cursor));
        tail.avps.replace(vec![AvpTexts::of(dest)]);
        Some(1)
    }

    /// Writes what all records of a tail have in common: the failover cursor, the count, and the AVPs. The first
    /// records are of `set`.
    pub fn finish_tail(&self, set: SetId, tail: &Tail) -> Option<()> {
        let cursor = tail.cursor.borrow();
        if let Some(text) = cursor.as_ref().and_then(FailoverCursor::encode) {
            self.change_current(|list| {
                let mut fields = Fields(*list);
                let added = fields.add(field::CURSOR, text_value(text.as_bytes()));
                *list = fields.take();
                added
            })??;
        }
        self.write_count(tail.count())?;
        let avps = tail.avps.borrow();
        self.write_avps(set, avps.iter().map(AvpTexts::values), tail.count())
    }

    /// Puts a destination in the place of the current one. If it fails, only the AVPs have changed.
    #[inline(always)]
    pub fn replace(&self, _msg: &mut Message, dest: &Dest, cursor: &FailoverCursor) -> Option<()> {
        let mut fields = self.fields_on(dest, cursor, cursor.encode())?;
        self.pop_avps();
        self.push_avps(avp_values(dest))?;
        // The old fields are freed here.
        self.change_current(|list| drop(Fields(core::mem::replace(list, fields.take()))))
    }

    /// Takes the records that were just written away again if `more` fails.
    fn finish_records(&self, written: i32, more: impl FnOnce() -> Option<()>) -> Option<i32> {
        let done = more();
        if done.is_none() {
            (0..written).for_each(|_| self.undo_behind(ptr::null_mut()));
        }
        done.map(|()| written)
    }

    /// Writes records behind `after`, or in front of all others if that is null. Returns how many there are and which
    /// one is the last; `None`, and none is left, when the server has no memory.
    fn write_xavps<'d>(
        &self,
        set: SetId,
        dests: impl Iterator<Item = (usize, &'d Dest)>,
        counted: bool,
        after: *mut sys::sr_xavp_t,
    ) -> Option<(i32, *mut sys::sr_xavp_t)> {
        let (mut count, mut last) = (0, after);
        for (at, dest) in dests {
            let fields = self.fields(set, at, dest, counted);
            let Some(made) = fields.and_then(|fields| fields.finish(self.dst, last)) else {
                (0..count).for_each(|_| self.undo_behind(after));
                return None;
            };
            (count, last) = (count + 1, made);
        }
        Some((count, last))
    }

    /// Returns the fields of a destination that failover on demand has come to.
    fn fields_on(
        &self,
        dest: &Dest,
        cursor: &FailoverCursor,
        text: Option<String>,
    ) -> Option<Fields> {
        let Step { set, at, order, .. } = cursor.here();
        let mut fields = self.fields(set, at, dest, order == Order::Calls)?;
        if let Some(text) = text {
            fields.add(field::CURSOR, text_value(text.as_bytes()))?;
        }
        Some(fields)
    }

    #[inline(always)]
    fn fields(&self, set: SetId, at: usize, dest: &Dest, counted: bool) -> Option<Fields> {
        let mut fields = Fields(ptr::null_mut());
        fields.add(field::URI, text_value(dest.uri()))?;
        fields.add(field::GROUP, number_value(set))?;
        let attrs = dest.attrs_body();
        if self.attrs && !attrs.is_empty() {
            fields.add(field::ATTRS, text_value(attrs))?;
        }
        if dest.socket() != 0 {
            fields.add(field::SOCK, pointer_value(dest.socket()))?;
        }
        if self.socket || self.sockname {
            self.add_socket_texts(&mut fields, dest)?;
        }
        if counted {
            if let Some(duid) = dest.duid() {
                fields.add(field::DUID, text_value(duid))?;
            }
        }
        if self.place {
            let at = i32::try_from(at).unwrap_or(i32::MAX);
            fields.add(field::PLACE, number_value(at))?;
        }
        Some(fields)
    }

    fn add_socket_texts(&self, fields: &mut Fields, dest: &Dest) -> Option<()> {
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

    /// Fills the AVPs. New values go in front, so the last destination is written first.
    fn write_avps<'d>(
        &self,
        set: SetId,
        dests: impl DoubleEndedIterator<Item = AvpValues<'d>>,
        count: i32,
    ) -> Option<()> {
        let avps = &self.avps;
        let wrote = |done: bool| done.then_some(());
        if avps.names_destinations() {
            dests.rev().try_for_each(|values| self.push_avps(values))?;
        }
        avps.grp
            .map_or(Some(()), |avp| wrote(avp.push_number(set)))?;
        avps.cnt
            .map_or(Some(()), |avp| wrote(avp.push_number(count)))
    }

    /// Puts the values of one destination in front of the others.
    fn push_avps(&self, ([uri, attrs, duid], socket): AvpValues<'_>) -> Option<()> {
        let avps = &self.avps;
        let wrote = |done: bool| done.then_some(());
        let texts = [(avps.dst, uri), (avps.attrs, attrs), (avps.dstid, duid)];
        for (avp, text) in texts {
            avp.map_or(Some(()), |avp| wrote(avp.push_text(text)))?;
        }
        avps.sock.map_or(Some(()), |avp| {
            wrote(avp.push_text(pointer_text(socket).as_bytes()))
        })
    }

    /// Takes the values of the current destination away.
    fn pop_avps(&self) {
        let avps = &self.avps;
        let of_dests = [avps.dst, avps.attrs, avps.dstid, avps.sock];
        of_dests.into_iter().flatten().for_each(|avp| avp.pop());
    }

    /// Changes the list of fields of the current record; `None` when there is none.
    fn change_current<R>(&self, change: impl FnOnce(&mut *mut sys::sr_xavp_t) -> R) -> Option<R> {
        // SAFETY: `first` has just found it in the current list, which only this process uses (doc/dev/safety.md, 39).
        let value = unsafe { &mut (*self.first()?).val };
        if value.type_ != sys::SR_XTYPE_XAVP {
            return None;
        }
        // SAFETY: the type, tested above, says that this member of the union is set.
        Some(change(unsafe { &mut value.v.xavp }))
    }

    /// Returns the text of the current record's failover cursor.
    #[inline(always)]
    pub fn cursor<'m>(&self, msg: &'m Message) -> Option<&'m [u8]> {
        text_in(&named(self.current_fields(msg)?, field::CURSOR)?.val)
    }

    /// Returns the first destination that is left, for as long as nobody can change the results.
    pub fn current<'m>(&self, msg: &'m Message) -> Option<Current<'m>> {
        let (mut uri, mut set, mut socket, mut duid) = (None, None, None, None);
        for field in list(self.current_fields(msg)?) {
            let place = match name_of(field) {
                field::URI => &mut uri,
                field::GROUP => &mut set,
                field::SOCK => &mut socket,
                field::DUID => &mut duid,
                _ => continue,
            };
            // The first of a name counts.
            place.get_or_insert(&field.val);
        }
        let socket = socket.filter(|value| value.type_ == compat::XAVP_POINTER);
        Some(Current {
            uri: uri.and_then(text_in)?,
            set: set.and_then(compat::xavp_number),
            socket: socket.map_or(0, compat::xavp_pointer),
            duid: duid.and_then(text_in),
        })
    }

    /// Returns the fields of the first destination, for as long as nobody can change the results.
    fn current_fields<'m>(&self, _msg: &'m Message) -> Option<&'m sys::sr_xavp_t> {
        // SAFETY: just found in the current list. Records leave it in routes, in writes of variables and
        // in `drop_first`, and all of these need the message mutably.
        let value = unsafe { &(*self.first()?).val };
        if value.type_ != sys::SR_XTYPE_XAVP {
            return None;
        }
        // SAFETY: the type says that this member of the union is set.
        let fields = unsafe { value.v.xavp };
        // SAFETY: null, or the record's own list, which goes with the record.
        unsafe { fields.as_ref() }
    }

    /// Returns true if a selection has left records in this transaction, used up or not.
    pub fn has_selected(&self) -> bool {
        xavp(self.ctx).is_some() || self.first().is_some()
    }

    fn first(&self) -> Option<*mut sys::sr_xavp_t> {
        xavp(self.dst)
    }

    /// Takes the current destination away, if there is one.
    pub fn drop_current(&self, msg: &mut Message) {
        self.drop_first(msg);
        self.pop_avps();
    }

    /// Takes the first record away, and leaves the AVPs as they are.
    pub fn drop_first(&self, _msg: &mut Message) {
        self.undo_behind(ptr::null_mut());
    }

    /// Takes a record away that was just written: the one behind `after`, or the first one if that is null.
    fn undo_behind(&self, after: *mut sys::sr_xavp_t) {
        // SAFETY: null, or a record that `write_xavps` was given or made. It is in the current list, which nobody else
        // changes while a function runs.
        let record = match unsafe { after.as_ref() } {
            Some(after) => Some(after.next).filter(|record| !record.is_null()),
            None => self.first(),
        };
        if let Some(record) = record {
            // SAFETY: the record is in the current list: it is the next of one there, or `first` has just found it.
            unsafe { sys::xavp_rm(record, ptr::null_mut()) };
        }
    }
}

/// Returns the first XAVP with a name.
fn xavp(name: &[u8]) -> Option<*mut sys::sr_xavp_t> {
    // SAFETY: a call without arguments, which returns where the server keeps its current list.
    let list = unsafe { sys::xavp_get_crt_list() };
    // SAFETY: there always is a current list (core/xavp.c, _xavp_list_crt).
    let first = unsafe { *list };
    // SAFETY: null, or the first of the server's list, which nobody changes in this function.
    let found = named(unsafe { first.as_ref() }?, name)?;
    Some(ptr::from_ref(found).cast_mut())
}

/// Returns the first of a list of XAVPs that has this name. The server's own search finds the same one, but costs a
/// hash of the name and a call for each.
#[inline]
fn named<'x>(first: &'x sys::sr_xavp_t, name: &[u8]) -> Option<&'x sys::sr_xavp_t> {
    list(first).find(|xavp| name_of(xavp) == name)
}

/// Iterates over the XAVPs of a list.
#[inline]
fn list(first: &sys::sr_xavp_t) -> impl Iterator<Item = &sys::sr_xavp_t> {
    // SAFETY: null, or the next of the same list, which is borrowed as a whole by its first.
    core::iter::successors(Some(first), |here| unsafe { here.next.as_ref() })
}

#[inline]
fn name_of(xavp: &sys::sr_xavp_t) -> &[u8] {
    // SAFETY: the name is the server's own copy, which lies behind the XAVP and goes with it (core/xavp.c,
    // xavp_new_value).
    unsafe { text::bytes(&xavp.name) }
}

/// Returns the text of a value; `None` when the value is not a text.
fn text_in(value: &sys::sr_xval_t) -> Option<&[u8]> {
    if value.type_ != sys::SR_XTYPE_STR {
        return None;
    }
    // SAFETY: the type, tested above, says that this member of the union is set.
    let text = unsafe { &value.v.s };
    // SAFETY: the text is the server's own copy, which goes with the XAVP (core/xavp.c, xavp_new_value).
    Some(unsafe { text::bytes(text) })
}

/// The destination that a message is on its way to.
pub struct Current<'x> {
    /// The URI, as listed.
    pub uri: &'x [u8],
    /// The set; `None` if a script has changed the record.
    pub set: Option<SetId>,
    /// The local socket as an opaque address; 0 for none.
    pub socket: usize,
    /// The unique id, if the call is counted.
    pub duid: Option<&'x [u8]>,
}
