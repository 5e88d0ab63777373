//! `ds_metrics`: figures for Prometheus.

use core::iter::once;

use super::http::{Reply, Request};
use crate::dispatch::observe::exposition::{CONTENT_TYPE, Page, add_label};
use crate::dispatch::observe::families::Id;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::message::Message;
use crate::kamailio::server::sys;
use crate::shm::table::sets::Table;

/// `ds_metrics()`: answers a request of HTTP with the page.
pub fn ds_metrics(msg: &Message) -> Option<ScriptRet> {
    let request = Request::of(msg, "ds_metrics")?;
    let module = Module::get()?;
    if !request.is_allowed(&["GET"]) {
        return Some(ScriptRet::OK);
    }
    let page = page(module);
    let reply = Reply {
        code: 200,
        reason: c"OK",
        content_type: CONTENT_TYPE,
        headers: &[],
        body: page.text().as_bytes(),
        is_packed: false,
        smaller: "ask for level=set",
    };
    request.answer(&reply).then_some(ScriptRet::OK)
}

fn page(module: &Module) -> Page {
    let mut page = Page::default();
    let mut build = String::new();
    add_label(&mut build, "version", env!("CARGO_PKG_VERSION").as_bytes());
    add_label(&mut build, "server", sys::KSR_VERSION.to_bytes());
    add_label(
        &mut build,
        "compat",
        module.settings.compat.name().as_bytes(),
    );
    page.add(Id::BuildInfo, once((build.as_str(), 1)));
    let pinned = module.pin();
    let sets = pinned.table().map_or(0, Table::len);
    let dests = pinned.table().map_or(0, Table::dest_count);
    page.add(Id::Sets, once(("", sets)));
    page.add(Id::ListDestinations, once(("", dests)));
    page
}
