//! `dispatcher.list`: the sets, all or a part of them.

use core::ffi::{CStr, c_int};
use core::ops::Range;

use super::overload;
use super::ping;
use super::reply::{Call, Full, Node, Value, integer};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::state::compat::Compat;
use crate::kamailio::config::instance::Module;
use crate::kamailio::list::unique_id;
use crate::shm::dest::destination::{self, Dest};
use crate::shm::dest::probing::Health;
use crate::shm::set::view::View;
use crate::shm::table::slots::Table;

/// What a report of load is called here; the order is that of [`overload::state`].
const OVERLOAD: [&CStr; 5] = [c"OCRATE", c"OCIDX", c"OCSEQ", c"OCTIME_SEC", c"OCTIME_USEC"];

/// How much of each destination a list shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Short,
    Normal,
    Full,
}

/// What a caller wants to see.
struct Wanted {
    detail: Detail,
    /// One set; `None` is all.
    set: Option<SetId>,
    /// Destinations by their number in the order of listing; `None` is all.
    page: Option<Range<usize>>,
}

impl Wanted {
    /// Reads `[short|full] [set|all] [offset count]`. A first word that is none of these is the
    /// plain list, as in the C module.
    fn read(call: &Call) -> Result<Self, String> {
        let mut words = call.words().into_iter().peekable();
        let word = words.peek().map(|word| word.to_ascii_lowercase());
        let detail = match word.as_deref() {
            Some(b"short") => Detail::Short,
            Some(b"full") => Detail::Full,
            _ => Detail::Normal,
        };
        let is_set = |word: &Vec<u8>| word == b"all" || integer(word).is_some();
        if !words.peek().is_some_and(is_set) {
            words.next();
        }
        let set = match words.next() {
            None => None,
            Some(word) if word == b"all" => None,
            Some(word) => Some(integer(&word).ok_or("Invalid Parameters")?),
        };
        let page = page(words.next(), words.next())?;
        Ok(Wanted { detail, set, page })
    }
}

/// Reads an offset and a count; `None` where neither is given.
///
/// # Errors
/// The text of the fault.
pub fn page(
    offset: Option<Vec<u8>>,
    count: Option<Vec<u8>>,
) -> Result<Option<Range<usize>>, String> {
    let natural = |word: &[u8]| integer(word).and_then(|number| number.try_into().ok());
    match (offset, count) {
        (None, _) => Ok(None),
        (Some(offset), Some(count)) => {
            let offset: usize = natural(&offset).ok_or("Invalid Parameters")?;
            let count: usize = natural(&count).ok_or("Invalid Parameters")?;
            Ok(Some(offset..offset.saturating_add(count)))
        }
        (Some(_), None) => Err("Invalid Parameters: an offset needs a count".into()),
    }
}

/// Answers the command.
///
/// # Errors
/// The text of the fault.
pub fn list(call: &Call, module: &Module) -> Result<(), String> {
    let wanted = Wanted::read(call)?;
    let pinned = module.pin();
    let Some(table) = pinned.table().filter(|table| !table.is_empty()) else {
        return Err("No Destination Sets".into());
    };
    let sets: Vec<(SetId, &View)> = match wanted.set {
        None => table.sets().collect(),
        Some(set) => table
            .view(set)
            .map(|view| (set, view))
            .into_iter()
            .collect(),
    };
    if sets.is_empty() {
        return Err("No Such Destination Set".into());
    }
    reply(call, module, table, &wanted, &sets).map_err(|Full| {
        "Reply too large for this transport: list one set (dispatcher.list short SET) or a page \
         (dispatcher.list short all OFFSET COUNT), or raise the transport's limits"
            .into()
    })
}

/// A number as the transports have it.
pub fn int(number: usize) -> Value<'static> {
    Value::Int(c_int::try_from(number).unwrap_or(c_int::MAX))
}

fn reply(
    call: &Call,
    module: &Module,
    table: &Table,
    wanted: &Wanted,
    sets: &[(SetId, &View)],
) -> Result<(), Full> {
    let top = call.add_struct()?;
    top.add(
        c"NRSETS",
        int(if wanted.set.is_some() { 1 } else { table.len() }),
    )?;
    if let Some(page) = &wanted.page {
        top.add(
            c"TOTAL",
            int(sets.iter().map(|(_, view)| view.dest_count()).sum()),
        )?;
        top.add(c"OFFSET", int(page.start))?;
    }
    let records = top.add_array(c"RECORDS")?;
    let mut first = 0;
    for &(id, view) in sets {
        let numbers = first..first + view.dest_count();
        first = numbers.end;
        let page = wanted.page.clone().unwrap_or(0..usize::MAX);
        let shown = page.start.clamp(numbers.start, numbers.end) - numbers.start
            ..page.end.clamp(numbers.start, numbers.end) - numbers.start;
        if wanted.page.is_some() && shown.is_empty() {
            continue;
        }
        let set = records.add_struct(c"SET")?;
        set.add(c"ID", Value::Int(id))?;
        let targets = set.add_array(c"TARGETS")?;
        for at in shown {
            if let Some(dest) = view.dest(at) {
                list_dest(module, &targets, (at, dest), wanted.detail)?;
            }
        }
    }
    Ok(())
}

fn list_dest(
    module: &Module,
    targets: &Node<'_>,
    (at, dest): (usize, &Dest),
    detail: Detail,
) -> Result<(), Full> {
    let more = module.settings.compat.lists_more();
    let overload = module.settings.compat.lists_overload();
    let node = targets.add_struct(c"DEST")?;
    if more {
        node.add(c"IDX", int(at))?;
    }
    node.add(c"URI", Value::Text(dest.uri()))?;
    let letters = dest.record().state().letters(module.settings.compat);
    node.add(c"FLAGS", Value::Text(&letters))?;
    node.add(c"PRIORITY", Value::Int(dest.priority))?;
    if more {
        node.add(
            c"IUID",
            Value::Text(unique_id::unique_id(module, dest).as_bytes()),
        )?;
    }
    if detail == Detail::Full {
        list_address(&node, dest)?;
        if overload {
            overload::state(&node, OVERLOAD, dest)?;
        }
    }
    let has_attrs = !dest.attrs_body().is_empty() || (overload && detail == Detail::Full);
    if detail != Detail::Short && has_attrs {
        list_attrs(&node.add_struct(c"ATTRS")?, dest, module.settings.compat)?;
    }
    if module.settings.latency.is_some() {
        list_latency(&node.add_struct(c"LATENCY")?, dest)?;
    }
    if detail == Detail::Full && module.settings.pings.is_some() {
        ping::health(&node.add_struct(c"PING")?, module, dest)?;
    }
    if module.calls.is_some() {
        let load = usize::try_from(dest.record().load()).unwrap_or(0);
        node.add_struct(c"RUNTIME")?.add(c"DLGLOAD", int(load))?;
    }
    Ok(())
}

fn list_address(node: &Node<'_>, dest: &Dest) -> Result<(), Full> {
    node.add(c"HOST", Value::Text(dest.host()))?;
    let address = dest
        .addrs()
        .next()
        .map(|addr| destination::ip(addr).to_string());
    node.add(
        c"IPADDR",
        Value::Text(address.unwrap_or_default().as_bytes()),
    )?;
    node.add(c"PORT", Value::Int(dest.port.into()))?;
    node.add(c"PROTOID", Value::Int(dest.proto.0.into()))?;
    let asked_us = dest.record().health().map_or(0, Health::asked_us);
    let number = |number: u64| Value::Int(c_int::try_from(number).unwrap_or(c_int::MAX));
    node.add(c"DNSTIME_SEC", number(asked_us / 1_000_000))?;
    node.add(c"DNSTIME_USEC", number(asked_us % 1_000_000))
}

fn list_latency(node: &Node<'_>, dest: &Dest) -> Result<(), Full> {
    let latency = dest.record().latency();
    let whole = |number: u32| int(usize::try_from(number).unwrap_or(0));
    node.add(c"AVG", Value::Double(latency.average))?;
    node.add(c"STD", Value::Double(latency.deviation))?;
    node.add(c"EST", Value::Double(latency.estimate))?;
    node.add(c"MAX", whole(latency.max))?;
    node.add(c"TIMEOUT", whole(latency.timeouts))
}

fn list_attrs(node: &Node<'_>, dest: &Dest, compat: Compat) -> Result<(), Full> {
    let more = compat.lists_more();
    let attrs = dest.attrs();
    let text = |name: &'static CStr, value: Option<&[u8]>| {
        node.add(name, value.map_or(Value::Null, Value::Text))
    };
    text(
        c"BODY",
        Some(dest.attrs_body()).filter(|body| !body.is_empty()),
    )?;
    text(c"DUID", attrs.duid)?;
    if more {
        let (_, counted) = dest.record().status();
        node.add(
            c"PROBING_COUNT",
            Value::Int(c_int::try_from(counted).unwrap_or(c_int::MAX)),
        )?;
    }
    node.add(c"MAXLOAD", Value::Int(attrs.maxload))?;
    node.add(c"WEIGHT", Value::Int(attrs.weight))?;
    node.add(c"RWEIGHT", Value::Int(attrs.rweight))?;
    text(c"SOCKET", attrs.socket)?;
    text(c"SOCKNAME", attrs.sockname)?;
    if more {
        text(c"PING_SOCKET", attrs.ping_socket)?;
    }
    text(c"OBPROXY", attrs.obproxy)?;
    if compat.lists_overload() {
        node.add(c"OCMIN", Value::Int(attrs.ocmin))?;
        node.add(c"OCMAX", Value::Int(attrs.ocmax))?;
    }
    Ok(())
}
