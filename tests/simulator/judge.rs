//! What must hold.

use std::collections::BTreeMap;

use dispatcher::dispatch::cluster::node::machine::Cluster;
use dispatcher::dispatch::cluster::node::peer::Shown;
use dispatcher::dispatch::cluster::state::key::Key;
use dispatcher::dispatch::cluster::state::register::Register;
use dispatcher::dispatch::cluster::state::rules::Rules;

use crate::server::{Registers, Server};

/// An act, with the life of the server on which it was done.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    pub server: usize,
    pub life: u64,
    pub key: Key,
    pub register: Register,
}

fn running<R: Rules>(servers: &[Server<R>]) -> impl Iterator<Item = (&Server<R>, &Cluster<R>)> {
    servers
        .iter()
        .filter_map(|server| Some((server, server.node.as_ref()?)))
}

/// Tells whether all servers that run have the same registers.
#[must_use]
pub fn are_equal<R: Rules>(servers: &[Server<R>]) -> bool {
    let mut all = running(servers).map(|(_, node)| node);
    let Some(first) = all.next() else { return true };
    all.all(|node| node.registers().eq(first.registers()))
}

/// Returns what does not hold at a quiet end.
pub fn judge<R: Rules>(servers: &[Server<R>], acts: &[Act]) -> Result<(), String> {
    if !are_equal(servers) {
        let registers: Vec<Registers> = servers.iter().map(Server::registers).collect();
        return Err(format!("registers differ: {registers:x?}"));
    }
    for (server, node) in running(servers) {
        let name = &server.settings.node;
        if !node.is_ready() {
            return Err(format!("{name} is not ready"));
        }
        let mut peers = node.members().filter(|member| member.state == Shown::Ready);
        // Views of destinations are sent at any time.
        let is_sending = node.is_sending() && server.pinger.is_idle();
        if is_sending || peers.any(|member| !member.same || member.behind > 0) {
            return Err(format!("{name} does not know yet that all have the same"));
        }
        let expected = states(server);
        if server.applied != expected {
            return Err(format!(
                "{name} has applied {:x?} and not {expected:x?}",
                server.applied
            ));
        }
        members(servers, server, node)?;
    }
    for act in acts {
        let server = &servers[act.server];
        let there = server.node.as_ref().filter(|_| server.life == act.life);
        let register = there.and_then(|node| node.register(act.key));
        if there.is_some() && register.is_none_or(|register| register < act.register) {
            return Err(format!("{act:x?} is lost: {register:x?}"));
        }
    }
    Ok(())
}

/// Returns the states that follow from the registers and the list, whatever the rules are.
fn states<R: Rules>(server: &Server<R>) -> BTreeMap<Key, u32> {
    let registers = server.registers();
    let state = |(&key, &listed): (&Key, &u32)| {
        let register = registers.get(&key).filter(|one| one.base == listed);
        (key, register.map_or(listed, |one| one.bits))
    };
    server.list.iter().map(state).collect()
}

/// A node must see all others that run, in their lives, and nobody else.
fn members<R: Rules>(
    servers: &[Server<R>],
    server: &Server<R>,
    node: &Cluster<R>,
) -> Result<(), String> {
    let alive = |state| matches!(state, Shown::Ready | Shown::Joining | Shown::Suspect);
    let seen: BTreeMap<&str, (&str, u64, Shown)> = node
        .members()
        .filter(|member| alive(member.state))
        .filter_map(|member| Some((member.name?, (member.uri, member.incarnation, member.state))))
        .collect();
    let right = running(servers).map(|(other, node)| {
        let settings = &other.settings;
        let life = (settings.uri.as_str(), node.incarnation(), Shown::Ready);
        (settings.node.as_str(), life)
    });
    let right: BTreeMap<_, _> = right.collect();
    if seen == right {
        Ok(())
    } else {
        let name = &server.settings.node;
        Err(format!("{name} sees {seen:?} and not {right:?}"))
    }
}

/// A node that says that it is ready must have what a node had that was ready when this one began to join, or that became
/// ready since then.
pub fn ready<R: Rules>(server: &Server<R>) -> Result<(), String> {
    let own = server.registers();
    let has = |(key, register): (&Key, &Register)| own.get(key).is_some_and(|one| one >= register);
    let taught = |teacher: &Registers| teacher.iter().all(has);
    if server.teachers.iter().any(taught) {
        Ok(())
    } else {
        let name = &server.settings.node;
        let teachers = &server.teachers;
        Err(format!(
            "{name} is ready with {own:x?}, and nobody had that: {teachers:x?}"
        ))
    }
}
