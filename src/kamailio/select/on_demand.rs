//! Failover without the list: a selection writes the chosen destination alone, and what is needed to
//! find the one after it; `ds_next_*` makes that one when it is asked for.
//!
//! What is needed is a [`Trail`], a short text in a field of the record: XAVPs travel with the
//! transaction, so it is there in failure routes and branches, whatever process runs them.

use core::ptr;

use super::call_load;
use super::records::{self, Fields, Tail, avp_values};
use super::select_dst::{Failure, Request, conclude, send};
use crate::dispatch::select::cursor::{Text, Trail, Way};
use crate::dispatch::select::failover::{Rule, rest};
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::results_params::Results;
use crate::kamailio::list::unique_id;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::message::{Message, Target};
use crate::kamailio::server::sys;
use crate::shm::dest::destination::Dest;
use crate::shm::set::view::View;
use crate::shm::table::store::Found;

/// Name of the field that holds the trail.
const TRAIL: &[u8] = b"trail";

/// How often a search that found nothing is repeated while states change under it.
const RETRIES: usize = 64;

/// What was chosen.
#[derive(Clone, Copy)]
pub struct Chosen {
    /// Its index.
    pub at: usize,
    /// How the failover order goes on from it; by [`Rule::Calls`] where the call is counted.
    pub rule: Rule,
}

/// Writes the chosen destination, and sends the message there. What is chosen behind other sets is
/// noted for later.
pub fn deliver(
    module: &Module,
    msg: &mut Message,
    request: &Request,
    view: &View,
    chosen: Chosen,
) -> Result<(), Failure> {
    let dest = view.dest(chosen.at).ok_or(Failure::NoneUsable)?;
    let way = Way {
        set: request.set,
        rule: chosen.rule,
        at: chosen.at,
        number: number(module, dest),
    };
    let limit = usize::try_from(request.limit).unwrap_or(0);
    let most = match limit {
        0 => view.dest_count(),
        limit => view.dest_count().min(limit),
    };
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    let results = &module.settings.results;
    let written = match request.behind {
        None => results.write_one(dest, limit, &way, most),
        Some(tail) if tail.count() > 0 => {
            tail.follow(way, most);
            return Ok(());
        }
        Some(tail) => results.write_first(dest, limit, way, most, tail),
    };
    written.ok_or(Failure::NoMemory)?;
    if request.target == Target::Nothing || send(msg, request.target, dest.uri(), dest.socket()) {
        return Ok(());
    }
    match request.behind {
        None => results.drop_current(msg),
        // Its AVPs would have come at the end.
        Some(tail) => {
            results.drop_first(msg);
            tail.forget();
        }
    }
    Err(Failure::Refused)
}

/// The number that tells a destination from all others.
fn number(module: &Module, dest: &Dest) -> u32 {
    unique_id::number(module, dest)
}

/// Goes on to the destination after the current one; `None` when the current record has no trail,
/// as those of a list, and the last one of an order.
pub fn next(module: &Module, msg: &mut Message, target: Target) -> Option<ScriptRet> {
    let results = &module.settings.results;
    let mut trail = Trail::parse(records::text_of(results.current_fields(msg)?, TRAIL)?)?;
    if let Some(calls) = calls(module, &trail) {
        if !call_load::is_counted(calls, msg, trail.way().set) {
            return Some(ScriptRet::FAILED);
        }
    }
    loop {
        let set = trail.way().set;
        if trail.has_more() {
            let step = |view: &View| step(module, msg, target, view, &mut trail);
            let sent = module.store.try_set(Module::process(), set, step);
            if let Found::Done(_) = sent {
                return Some(conclude(set, &sent));
            }
        }
        if !trail.turn() {
            return None;
        }
    }
}

/// The table of calls, where the current set's destinations count them.
fn calls<'m>(module: &'m Module, trail: &Trail) -> Option<&'m call_load::ServerCalls> {
    let counted = trail.way().rule == Rule::Calls;
    module.calls.as_ref().filter(|_| counted)
}

/// Tries the next destination of a set; `None` when it has none left.
fn step(
    module: &Module,
    msg: &mut Message,
    target: Target,
    view: &View,
    trail: &mut Trail,
) -> Option<Result<(), Failure>> {
    let set = trail.way().set;
    let calls = calls(module, trail);
    let takes = |at: usize| {
        calls.is_none_or(|calls| call_load::moves_to(module, calls, msg, (set, view), at))
    };
    let at = find(module, msg, view, trail, takes)?;
    let dest = view.dest(at)?;
    trail.step(at, number(module, dest));
    if module.settings.results.replace(msg, dest, trail).is_none() {
        return Some(Err(Failure::NoMemory));
    }
    let sent = send(msg, target, dest.uri(), dest.socket());
    Some(sent.then_some(()).ok_or(Failure::Refused))
}

/// The position of the next destination in the order of a trail that takes the message.
fn find(
    module: &Module,
    msg: &Message,
    view: &View,
    trail: &Trail,
    takes: impl Fn(usize) -> bool,
) -> Option<usize> {
    let here = position(view, &trail.way());
    let tried = |at: usize| {
        let number = view.dest(at).map(|dest| dest.record().drawn_number());
        number.is_some_and(|number| trail.has_tried(number))
    };
    // The set's own choice, though it drains: it was made for a call in progress.
    let fits = |at: usize| view.is_usable(at) || view.serves_calls(at) && msg.is_in_dialog();
    let own = here.filter(|&at| trail.is_fresh() && !tried(at) && fits(at));
    if let Some(at) = own.filter(|&at| takes(at)) {
        return Some(at);
    }
    let at = here.unwrap_or(trail.way().at);
    for _ in 0..RETRIES {
        let changes = view.record().changes();
        let rule = trail.way().rule;
        let mut rest = rest(view, rule, at, module.settings.use_default, &tried);
        let found = rest.find(|&at| takes(at));
        // One may have come up behind the search just before another went down ahead of it.
        if found.is_some() || view.record().changes() == changes {
            return found;
        }
    }
    None
}

/// Where the destination is that a trail has come to; `None` when it left the set.
fn position(view: &View, way: &Way) -> Option<usize> {
    let is = |dest: &Dest| way.number != 0 && dest.record().drawn_number() == way.number;
    if view.dest(way.at).is_some_and(is) {
        return Some(way.at);
    }
    // The set was changed since.
    view.dests().position(is)
}

impl Results {
    /// Writes one destination with the trail that begins there, and how many destinations there
    /// are at most.
    fn write_one(&self, dest: &Dest, limit: usize, way: &Way, most: i32) -> Option<()> {
        let text = Trail::encode_first(limit, way);
        let fields = self.fields_on(dest, way, text.as_ref())?;
        fields.finish(self.dst, ptr::null_mut())?;
        let written = self
            .write_count(most)
            .and_then(|()| self.write_avps(way.set, core::iter::once(avp_values(dest)), most));
        if written.is_none() {
            self.undo_first();
        }
        written
    }

    /// Writes the first destination of several sets, whose trail comes when all have chosen.
    fn write_first(
        &self,
        dest: &Dest,
        limit: usize,
        way: Way,
        most: i32,
        tail: &Tail,
    ) -> Option<()> {
        let fields = self.fields_on(dest, &way, None)?;
        fields.finish(self.dst, ptr::null_mut())?;
        tail.lead(Trail::begin(limit, way), dest, most);
        Some(())
    }

    /// Writes the trail of several sets to the first record.
    pub fn write_trail(&self, trail: &Trail) -> Option<()> {
        let Some(text) = trail.encode() else {
            return Some(());
        };
        self.change_current(|list| {
            let mut fields = Fields(*list);
            let added = fields.add(TRAIL, records::text_value(text.bytes()));
            // The same list, longer by one or as it was.
            *list = fields.take();
            added
        })?
    }

    /// The fields of a destination with a trail.
    fn fields_on(&self, dest: &Dest, way: &Way, trail: Option<&Text>) -> Option<Fields> {
        let mut fields = self.fields(way.set, dest, way.rule == Rule::Calls)?;
        if let Some(trail) = trail {
            fields.add(TRAIL, records::text_value(trail.bytes()))?;
        }
        Some(fields)
    }

    /// Puts a destination in the place of the current one. Nothing has changed when it fails, but
    /// for the AVPs.
    fn replace(&self, _msg: &mut Message, dest: &Dest, trail: &Trail) -> Option<()> {
        let text = trail.encode();
        let mut fields = self.fields_on(dest, &trail.way(), text.as_ref())?;
        self.pop_avps();
        self.push_avps(avp_values(dest))?;
        // What was there before goes with this.
        self.change_current(|list| drop(Fields(core::mem::replace(list, fields.take()))))
    }

    /// Changes the list of fields of the current record; `None` when there is none.
    fn change_current<R>(&self, change: impl FnOnce(&mut *mut sys::sr_xavp_t) -> R) -> Option<R> {
        // SAFETY: found in the current list, which nobody else changes while a function runs.
        let value = unsafe { &mut (*self.first()?).val };
        if value.type_ != sys::SR_XTYPE_XAVP {
            return None;
        }
        // SAFETY: the type says which member of the union is set.
        Some(change(unsafe { &mut value.v.xavp }))
    }
}
