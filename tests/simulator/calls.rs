//! Calls that servers count, and ends that come to another server than their calls did.

use std::collections::{BTreeMap, BTreeSet};

use dispatcher::dispatch::cluster::node::machine::Cluster;
use dispatcher::dispatch::cluster::node::peer::Shown;
use dispatcher::dispatch::cluster::state::ends::{CallEnd, Fate};
use dispatcher::dispatch::cluster::state::key::Key;
use dispatcher::dispatch::cluster::state::rules::Rules;
use rand::Rng;

use crate::server::Server;
use crate::world::World;

/// The calls of a server, and what others count, as it was told.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// The destination of each call that is up.
    pub up: BTreeMap<u64, Key>,
    /// The calls that others count, by destination; without those that are 0.
    pub elsewhere: BTreeMap<Key, u32>,
}

/// An end that was told, and the server whose call it is. Its call must end, unless one of them begins another life, or
/// the first one takes the other for dead.
#[derive(Clone, Debug)]
pub struct Told {
    from: usize,
    /// The life of the teller, and its incarnation.
    life: (u64, u64),
    to: usize,
    to_life: (u64, u64),
    call: u64,
}

fn life_of<R: Rules>(server: &Server<R>) -> Option<(u64, u64)> {
    Some((server.life, server.node.as_ref()?.incarnation()))
}

/// Tells whether a server has another one as a member, in the life in which that is.
fn knows<R: Rules>(server: &Server<R>, other: &Server<R>) -> bool {
    let (Some(node), Some((_, incarnation))) = (&server.node, life_of(other)) else {
        return false;
    };
    let settings = &other.settings;
    node.members().any(|one| {
        one.name == Some(&settings.node)
            && one.uri == settings.uri
            && one.incarnation == incarnation
            && matches!(one.state, Shown::Ready | Shown::Joining)
    })
}

impl<R: Rules> Server<R> {
    /// Tells the node how many calls are counted for each destination.
    pub fn count_calls(&mut self) {
        let mut counts: BTreeMap<Key, u32> = BTreeMap::new();
        for key in self.calls.up.values() {
            *counts.entry(*key).or_default() += 1;
        }
        let Some(node) = &mut self.node else { return };
        for key in self.list.keys() {
            node.set_calls(*key, counts.get(key).copied().unwrap_or(0));
        }
        node.keep_calls(|key| self.list.contains_key(&key));
    }

    /// Has a destination follow what others count for it.
    pub fn follow_calls(&mut self, key: Key) {
        let Some(node) = &self.node else { return };
        match node.calls_elsewhere(key) {
            0 => _ = self.calls.elsewhere.remove(&key),
            calls => _ = self.calls.elsewhere.insert(key, calls),
        }
    }

    /// Has all destinations follow what others count for them.
    pub fn follow_all_calls(&mut self, keys: &[Key]) {
        keys.iter().for_each(|key| self.follow_calls(*key));
    }
}

impl<R: Rules> World<R> {
    /// A call comes to a server.
    pub(crate) fn call_begins(&mut self, server: usize, key: Key) {
        let one = &mut self.servers[server];
        if one.node.is_some() && one.list.contains_key(&key) {
            self.figures.calls += 1;
            one.calls.up.insert(self.figures.calls, key);
            one.count_calls();
        }
    }

    /// The end of any call comes to a server.
    pub(crate) fn call_ends(&mut self, server: usize) {
        let all = self.servers.iter().enumerate();
        let all = all.flat_map(|(at, one)| one.calls.up.keys().map(move |&call| (at, call)));
        let all: Vec<(usize, u64)> = all.collect();
        if all.is_empty() || self.servers[server].node.is_none() {
            return;
        }
        let (to, call) = all[self.random.random_range(0..all.len())];
        if to == server {
            self.servers[server].end_call(call);
            return;
        }
        let (teller, holder) = (&self.servers[server], &self.servers[to]);
        let (life, to_life) = (life_of(teller), life_of(holder));
        // Whoever has just forgotten the other one, as an operator can have it do, listens to nothing of it.
        let know_each_other = knows(teller, holder) && knows(holder, teller);
        let Some(node) = &mut self.servers[server].node else {
            return;
        };
        let call_id = format!("call-{call}");
        let end = CallEnd::of(Fate::Over, call_id.as_bytes(), b"", b"").expect("short words");
        let before = node.counts().ends_told;
        node.tell_end(end);
        // A node that leaves, or whose name another one has, tells nothing.
        let waits = node.counts().ends_told > before;
        if let (true, Some(life), Some(to_life)) = (waits && know_each_other, life, to_life) {
            self.figures.ends_elsewhere += 1;
            self.told.push(Told {
                from: server,
                life,
                to,
                to_life,
                call,
            });
        }
    }

    /// A node takes another one for dead, or has forgotten it: it tells it nothing, and listens to nothing of it.
    pub(crate) fn is_down(&mut self, server: usize, name: &str) {
        let servers = &self.servers;
        let is = |other: usize| servers[other].settings.node == name;
        self.told.retain(|told| {
            !(told.from == server && is(told.to) || told.to == server && is(told.from))
        });
    }
}

impl<R: Rules> Server<R> {
    /// A call ends, if it is up here.
    pub fn end_call(&mut self, call: u64) {
        if self.calls.up.remove(&call).is_some() {
            self.count_calls();
        }
    }
}

/// Returns what is wrong with the calls at a quiet end.
pub fn judge<R: Rules>(servers: &[Server<R>], told: &[Told]) -> Result<(), String> {
    let own = |server: &Server<R>| {
        let listed = server.calls.up.values();
        let listed = listed.filter(|key| server.list.contains_key(key));
        let mut counts: BTreeMap<Key, u32> = BTreeMap::new();
        for key in listed {
            *counts.entry(*key).or_default() += 1;
        }
        counts
    };
    for (at, server) in servers.iter().enumerate() {
        let Some(node) = &server.node else { continue };
        let name = &server.settings.node;
        let mut right: BTreeMap<Key, u32> = BTreeMap::new();
        let others = servers.iter().enumerate();
        let others = others.filter(|(other, one)| *other != at && one.node.is_some());
        for (_, other) in others {
            for (key, calls) in own(other) {
                *right.entry(key).or_default() += calls;
            }
        }
        let keys: BTreeSet<Key> = right
            .keys()
            .chain(server.calls.elsewhere.keys())
            .copied()
            .collect();
        for key in keys {
            let right = right.get(&key).copied().unwrap_or(0);
            let seen = Cluster::calls_elsewhere(node, key);
            if seen != right {
                let by: Vec<_> = node.calls_by_node(key).collect();
                return Err(format!(
                    "{name} counts {seen} calls elsewhere and not {right} for {key:x?}: {by:?}"
                ));
            }
        }
        if server.calls.elsewhere != right {
            let seen = &server.calls.elsewhere;
            return Err(format!(
                "{name} was told of {seen:x?} calls and not {right:x?}"
            ));
        }
    }
    for told in told {
        let lives = [told.from, told.to].map(|server| life_of(&servers[server]));
        let same = lives == [Some(told.life), Some(told.to_life)];
        if same && servers[told.to].calls.up.contains_key(&told.call) {
            return Err(format!("a call goes on, though its end was told: {told:?}"));
        }
    }
    Ok(())
}
