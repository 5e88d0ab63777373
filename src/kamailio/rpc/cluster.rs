//! `dispatcher.cluster`: the servers of the cluster, and what an operator can ask of this one.

use super::reload;
use super::rpc_reply::{Full, RpcCall, RpcNode};
use crate::dispatch::cluster::node::action::Answer;
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::register::Register;
use crate::dispatch::cluster::state::rules::{Rules, Sound};
use crate::dispatch::list::destination::SetId;
use crate::dispatch::list::file::with_scheme;
use crate::dispatch::list::words::{INVALID, integer};
use crate::dispatch::state::seen::Seen;
use crate::dispatch::state::transition::State;
use crate::dispatch::text::Escaped;
use crate::kamailio::cluster::bus;
use crate::kamailio::cluster::lists::{keys_of, look_at};
use crate::kamailio::cluster::pings::{self, Watchers};
use crate::kamailio::cluster::show::{self, Row};
use crate::kamailio::cluster::states::Names;
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::time::{local_text, now_ms};
use crate::shm::cluster::inbox::{Command, Received};
use crate::shm::dest::destination::Dest;
use crate::shm::dest::register::RegisterCell;
use crate::shm::table::edit::EditError;

/// Answers `dispatcher.cluster` [nodes|dest SET URI|reload|sync|leave|forget NAME].
///
/// # Errors
/// The text of the fault.
pub fn cluster(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (what, name, uri) = (call.text(), call.text(), call.text());
    call.all_readable()?;
    let Some(memory) = &module.cluster else {
        return Err("No Cluster (enable_dmq is 0)".into());
    };
    let rows = show::rows(memory);
    if let (Some(b"dest"), Some(set), Some(uri)) = (what.as_deref(), &name, &uri) {
        let set = integer(set).ok_or(INVALID)?;
        return dests(call, module, set, &with_scheme(uri));
    }
    if uri.is_some() {
        return Err(INVALID.into());
    }
    let command = match (what.as_deref(), name) {
        (None | Some(b"nodes"), None) => return Ok(nodes(call, &rows)?),
        (Some(b"reload"), None) => {
            let answers = reload::everywhere(module, memory)?;
            return Ok(reloaded(call, &answers)?);
        }
        (Some(b"sync"), None) => Command::Sync,
        (Some(b"leave"), None) => Command::Leave,
        (Some(b"forget"), Some(name)) => {
            let name = String::from_utf8_lossy(&name).into_owned();
            // This server is the first.
            let mut others = rows.iter().skip(1);
            if !others.any(|row| row.name.as_ref() == Some(&name)) {
                return Err("No Such Node".into());
            }
            Command::Forget(name)
        }
        _ => return Err(INVALID.into()),
    };
    if !bus::post(&Received::Command(command)) {
        return Err("Too Many Messages Wait".into());
    }
    call.say("Ok.");
    Ok(())
}

/// Answers what the cluster has decided on the destinations of a set with this URI.
fn dests(call: &RpcCall, module: &Module, set: SetId, uri: &[u8]) -> Result<(), String> {
    let decided: Vec<Decided> = {
        let pinned = module.pin();
        let view = pinned.view(set);
        let dests = view.into_iter().flat_map(|view| {
            let keys = keys_of(set, view);
            let found = view.find_uri(uri);
            found.filter_map(move |at| Some((*keys.get(at)?, view.dest(at)?)))
        });
        dests
            .map(|(key, dest)| Decided::on(module, key, dest))
            .collect()
    };
    if decided.is_empty() {
        let missing = EditError::NotFound;
        return Err(format!("set {set}, {}: {missing}", Escaped(uri)));
    }
    let names = Names::new(module);
    let answer = || -> Result<(), Full> {
        let array = call.add_struct()?.add_array(c"DESTS")?;
        for one in &decided {
            one.show(module, &names, &array.add_struct(c"DEST")?)?;
        }
        Ok(())
    };
    Ok(answer()?)
}

/// Returns what the cluster has decided for a destination, if anything.
struct Decided {
    key: Key,
    uri: Vec<u8>,
    duid: Option<Vec<u8>>,
    seen: Seen,
    register: Option<Register>,
    watcher: Option<String>,
    /// The calls that all servers count, and those of this one, if they are counted together.
    calls: Option<[u32; 2]>,
}

impl Decided {
    fn on(module: &Module, key: Key, dest: &Dest) -> Self {
        let register = dest.record().register().and_then(RegisterCell::get);
        let watchers = Watchers::now(module);
        let shares_load = module.settings.shares_load();
        Decided {
            key,
            uri: dest.uri().to_vec(),
            duid: dest.duid().map(<[u8]>::to_vec),
            seen: look_at(module, dest.record()),
            register: register.map(|(_, register)| register),
            watcher: watchers.and_then(|watchers| watchers.of(dest)),
            calls: shares_load.then(|| [dest.record().whole_load(), dest.record().load()]),
        }
    }

    fn show(&self, module: &Module, names: &Names<'_>, node: &RpcNode<'_>) -> Result<(), Full> {
        let compat = module.settings.compat;
        node.add(c"URI", &self.uri)?;
        node.add(c"DUID", self.duid.as_ref())?;
        node.add(c"FLAGS", &self.seen.state.letters(compat))?;
        if let Some([all, own]) = self.calls {
            node.add(c"CALLS", all)?;
            node.add(c"OWN", own)?;
        }
        self.show_register(module, names, node)?;
        self.show_servers(module, node)
    }

    /// Adds who pings the destination, what each of these has found, and how many calls each server counts.
    fn show_servers(&self, module: &Module, node: &RpcNode<'_>) -> Result<(), Full> {
        let tells_pings = module.settings.tells_pings();
        if tells_pings {
            node.add(c"WATCHED_BY", self.watcher.as_ref())?;
        }
        if !tells_pings && self.calls.is_none() {
            return Ok(());
        }
        let Some(servers) = pings::on_servers(module, self.key) else {
            return Ok(());
        };
        if tells_pings {
            let array = node.add_array(c"VIEWS")?;
            let pinging = servers
                .iter()
                .filter_map(|one| Some((&one.name, one.view.as_ref()?)));
            for (name, view) in pinging {
                let node = array.add_struct(c"VIEW")?;
                node.add(c"NODE", name)?;
                node.add(c"FLAGS", &view.state.letters(module.settings.compat))?;
                node.add(c"FAILURES", view.failures)?;
                node.add(c"WATCHES", i32::from(view.watches))?;
            }
        }
        if self.calls.is_some() {
            let array = node.add_array(c"CALLS_BY")?;
            for one in servers.iter().filter(|one| one.calls > 0) {
                let node = array.add_struct(c"SERVER")?;
                node.add(c"NODE", &one.name)?;
                node.add(c"CALLS", one.calls)?;
            }
        }
        Ok(())
    }

    fn show_register(
        &self,
        module: &Module,
        names: &Names<'_>,
        node: &RpcNode<'_>,
    ) -> Result<(), Full> {
        let compat = module.settings.compat;
        let Some(register) = self.register else {
            return node.add(c"NODE", None::<&String>);
        };
        let wall_us = register.stamp.wall_ms().saturating_mul(1_000);
        let applies = Sound::applies(&register, self.seen.base);
        node.add(c"NODE", &names.of(register.node))?;
        node.add(c"TIME", &local_text(wall_us))?;
        node.add(c"SET_TO", &State(register.bits).words(compat))?;
        node.add(c"APPLIED", i32::from(applies))?;
        node.add(c"KEY", &format!("{:016x}", self.key.0))?;
        node.add(c"STAMP", &format!("{:016x}", register.stamp.0))
    }
}

/// Answers with what came of a reload on each node.
fn reloaded(call: &RpcCall, answers: &[(String, Answer)]) -> Result<(), Full> {
    let is_good = |(_, answer): &&(String, Answer)| matches!(answer, Answer::Ended(Ok(_)));
    let good = answers.iter().filter(is_good).count();
    let top = call.add_struct()?;
    top.add(c"RELOADED", good)?;
    top.add(c"NOT_RELOADED", answers.len() - good)?;
    let array = top.add_array(c"NODES")?;
    for (name, answer) in answers {
        let (result, reason, dests) = match answer {
            Answer::Ended(Ok(dests)) => ("ok", None, Some(*dests)),
            Answer::Ended(Err(reason)) => ("failed", Some(reason.clone()), None),
            Answer::NotTaken(code) => ("not taken", Some(code.to_string()), None),
            Answer::NotAsked(state) => ("not asked", Some(state.clone()), None),
            Answer::Asked => ("no answer", None, None),
        };
        let node = array.add_struct(c"NODE")?;
        node.add(c"NAME", name)?;
        node.add(c"RESULT", result)?;
        node.add(c"REASON", reason.as_ref())?;
        node.add(c"DESTINATIONS", dests)?;
    }
    Ok(())
}

fn nodes(call: &RpcCall, rows: &[Row]) -> Result<(), Full> {
    let array = call.add_struct()?.add_array(c"NODES")?;
    let now_ms = now_ms();
    for row in rows {
        node(&array.add_struct(c"NODE")?, row, now_ms)?;
    }
    Ok(())
}

fn node(node: &RpcNode<'_>, row: &Row, now_ms: u64) -> Result<(), Full> {
    let heard_ms = row.heard_at_ms.map(|at_ms| now_ms.saturating_sub(at_ms));
    let life = row.name.as_ref().map(|_| row.incarnation.to_string());
    node.add(c"NAME", row.name.as_ref())?;
    node.add(c"URI", &row.uri)?;
    node.add(c"STATE", &row.state)?;
    node.add(c"HEARD_MS", heard_ms)?;
    node.add(c"INCARNATION", life.as_ref())?;
    node.add(c"SAME", i32::from(row.same))?;
    node.add(c"BEHIND", row.behind)?;
    node.add(
        c"CLOCK_MS",
        i32::try_from(row.clock_ms).unwrap_or(if row.clock_ms < 0 { i32::MIN } else { i32::MAX }),
    )?;
    node.add(c"SENT", row.sent)?;
    node.add(c"RETRIED", row.retried)?;
    node.add(c"REFUSED", row.refused)
}
