//! `dispatcher.list`: the sets, all or a part of them.

use core::ffi::CStr;
use core::net::IpAddr;

use super::overload;
use super::ping;
use super::rpc_reply::{Full, RpcCall, RpcNode};
use crate::dispatch::list::destination::{Addr, SetId};
use crate::dispatch::list::words::{Detail, Listed};
use crate::dispatch::state::compat::Compat;
use crate::kamailio::cluster::pings::Watchers;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::names;
use crate::kamailio::list::unique_id;
use crate::kamailio::server::heap;
use crate::kamailio::server::net;
use crate::kamailio::server::time::now_us;
use crate::shm::dest::destination::{self, Dest};
use crate::shm::dest::probing::Health;
use crate::shm::set::view::View;
use crate::shm::table::sets::Table;

/// The names of a report of load in `dispatcher.list`, in the order of [`overload::state`].
const OVERLOAD: [&CStr; 5] = [c"OCRATE", c"OCIDX", c"OCSEQ", c"OCTIME_SEC", c"OCTIME_USEC"];

/// Answers the command.
///
/// # Errors
/// The text of the fault.
pub fn list(call: &RpcCall, module: &Module) -> Result<(), String> {
    let wanted = Listed::read(&call.words())?;
    let pinned = module.pin();
    let Some(table) = pinned.table().filter(|table| !table.is_empty()) else {
        return Err("No Destination Sets".into());
    };
    let sets: Vec<(SetId, &View)> = match wanted.set {
        None => {
            heap::need(table.len() * size_of::<(SetId, &View)>() * 4)?;
            table.sets().collect()
        }
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
    })?;
    let advice = ": ask for a page (dispatcher.list short all OFFSET COUNT)";
    call.check_length().map_err(|fault| fault + advice)
}

fn reply(
    call: &RpcCall,
    module: &Module,
    table: &Table,
    wanted: &Listed,
    sets: &[(SetId, &View)],
) -> Result<(), Full> {
    let top = call.add_struct()?;
    top.add(
        c"NRSETS",
        if wanted.set.is_some() { 1 } else { table.len() },
    )?;
    if let Some(page) = &wanted.page {
        top.add(
            c"TOTAL",
            sets.iter()
                .map(|(_, view)| view.dest_count())
                .sum::<usize>(),
        )?;
        top.add(c"OFFSET", page.start)?;
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
        set.add(c"ID", id)?;
        if let Some(name) = names::name(id) {
            set.add(c"NAME", name)?;
        }
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
    targets: &RpcNode<'_>,
    (at, dest): (usize, &Dest),
    detail: Detail,
) -> Result<(), Full> {
    let more = module.settings.compat.lists_more();
    let overload = module.settings.compat.lists_overload();
    let node = targets.add_struct(c"DEST")?;
    if more {
        node.add(c"IDX", at)?;
    }
    node.add(c"URI", dest.uri())?;
    let letters = dest.record().shown_state().letters(module.settings.compat);
    node.add(c"FLAGS", &letters)?;
    node.add(c"PRIORITY", dest.priority)?;
    if more {
        node.add(c"IUID", &unique_id::unique_id(module, dest))?;
    }
    if detail == Detail::Full {
        list_address(module, &node, dest)?;
        if overload {
            // The C module has doubles here, and whole numbers in `dispatcher.oclist`.
            overload::state(&node, OVERLOAD, dest, |number| f64::from(number).into())?;
        }
    }
    let has_attrs = dest.has_attrs() || (overload && detail == Detail::Full);
    if detail != Detail::Short && has_attrs {
        list_attrs(&node.add_struct(c"ATTRS")?, dest, module.settings.compat)?;
    }
    if module.settings.latency.is_some() {
        list_latency(&node.add_struct(c"LATENCY")?, dest)?;
    }
    if detail == Detail::Full && module.settings.pings.is_some() {
        let node = node.add_struct(c"PING")?;
        ping::health(&node, module, dest)?;
        if let Some(watchers) = &Watchers::now(module) {
            ping::watched(&node, watchers, dest)?;
        }
    }
    if detail == Detail::Full {
        ping::traffic(&node, module, dest)?;
    }
    let with_rate = module.settings.cps && detail == Detail::Full;
    if module.calls.is_some() || with_rate {
        let runtime = node.add_struct(c"RUNTIME")?;
        if module.calls.is_some() {
            runtime.add(c"DLGLOAD", dest.record().whole_load())?;
            if detail == Detail::Full && module.settings.shares_load() {
                runtime.add(c"OWN", dest.record().load())?;
            }
        }
        if with_rate {
            let admitted = dest.rate().map(|rate| rate.recent(now_us()));
            runtime.add(c"CPS", admitted)?;
        }
    }
    Ok(())
}

fn list_address(module: &Module, node: &RpcNode<'_>, dest: &Dest) -> Result<(), Full> {
    node.add(c"HOST", dest.host())?;
    // Where names are resolved for each match only, the C module keeps no address.
    let shown = !module.settings.dns.at_match_only || net::literal(dest.host()).is_none();
    let address = dest.addrs().next().filter(|_| shown).map(ip_text);
    node.add(c"IPADDR", &address.unwrap_or_default())?;
    node.add(c"PORT", dest.port)?;
    node.add(c"PROTOID", dest.proto.0)?;
    let asked_us = dest.record().health().map_or(0, Health::asked_us);
    node.add_time([c"DNSTIME_SEC", c"DNSTIME_USEC"], asked_us)
}

/// Returns an address as the server writes it into URIs. It has the last four bytes of `::192.0.2.1` in decimal, too.
fn ip_text(addr: Addr) -> String {
    match destination::ip(addr) {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => match (ip.segments(), ip.to_ipv4()) {
            ([0, 0, 0, 0, 0, 0, high, _], Some(low)) if high != 0 => format!("[::{low}]"),
            _ => format!("[{ip}]"),
        },
    }
}

fn list_latency(node: &RpcNode<'_>, dest: &Dest) -> Result<(), Full> {
    let latency = dest.record().latency();
    node.add(c"AVG", latency.average)?;
    node.add(c"STD", latency.deviation)?;
    node.add(c"EST", latency.estimate)?;
    node.add(c"MAX", latency.max)?;
    node.add(c"TIMEOUT", latency.timeouts)
}

fn list_attrs(node: &RpcNode<'_>, dest: &Dest, compat: Compat) -> Result<(), Full> {
    let more = compat.lists_more();
    let attrs = dest.written_attrs();
    node.add(c"BODY", attrs.given.then(|| dest.attrs_body()))?;
    node.add(c"DUID", attrs.duid)?;
    if more {
        let (_, counted) = dest.record().status();
        node.add(c"PROBING_COUNT", counted)?;
    }
    node.add(c"MAXLOAD", attrs.maxload)?;
    node.add(c"WEIGHT", attrs.weight)?;
    node.add(c"RWEIGHT", attrs.rweight)?;
    node.add(c"SOCKET", attrs.socket)?;
    node.add(c"SOCKNAME", attrs.sockname)?;
    if more {
        node.add(c"PING_SOCKET", attrs.ping_socket)?;
    }
    node.add(c"OBPROXY", attrs.obproxy)?;
    if compat.lists_overload() {
        node.add(c"OCMIN", f64::from(attrs.ocmin))?;
        node.add(c"OCMAX", f64::from(attrs.ocmax))?;
    }
    Ok(())
}
