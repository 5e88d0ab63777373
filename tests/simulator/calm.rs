//! What a cluster sends to which nothing happens, and what one act, many acts and one more node cost.

use core::fmt;

use dispatcher::dispatch::cluster::node::machine::Cluster;
use dispatcher::dispatch::cluster::state::key::Key;
use dispatcher::dispatch::cluster::state::rules::Sound;
use dispatcher::dispatch::cluster::state::view::View;
use dispatcher::dispatch::state::transition::State;

use crate::plan::{Incident, Memory, Plan};
use crate::server::Server;
use crate::world::World;

/// Messages, and the bytes of their bodies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    pub messages: u64,
    pub bytes: u64,
}

/// What was sent by all nodes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calm {
    pub nodes: usize,
    /// Hellos within ten seconds.
    pub hellos: Sent,
    /// Registers after one act, and after how long it was everywhere.
    pub act: Sent,
    pub act_ms: u64,
    /// Registers after an act on each destination, or on so many of them.
    pub acts: Sent,
    pub count: usize,
    /// After how long the last of these was everywhere.
    pub acts_ms: u64,
    /// Figures once each destination has a view of one node, and some have calls on each; after how long they were everywhere.
    pub figures: Sent,
    pub figures_ms: u64,
    /// Figures after one call more on each of as many destinations, and after how long they were everywhere.
    pub calls: Sent,
    pub calls_ms: u64,
    /// On how many destinations calls were counted.
    pub counted: usize,
    /// Registers when one node starts again that has none of them, and after how long it was ready.
    pub join: Sent,
    pub join_ms: u64,
}

/// How often it is looked, in milliseconds.
const STEP_MS: u64 = 10;

/// The most destinations that are acted on.
const MOST_ACTS: usize = 10_000;

/// The most destinations on which calls are counted.
const MOST_COUNTED: usize = 10_000;

/// Measures a cluster of this many nodes, with this many destinations.
///
/// # Errors
/// What does not hold.
pub fn measure(nodes: usize, destinations: u64) -> Result<Calm, String> {
    let (plan, random) = Plan::calm(nodes, destinations);
    let mut world = World::<Sound>::of(1, false, &plan, random);
    world.is_calm = true;
    world.run_until(12_000)?;
    let mut calm = Calm {
        nodes,
        ..Calm::default()
    };
    let data = |world: &World<Sound>| Sent {
        messages: world.data_messages,
        bytes: world.data_bytes,
    };
    let before = (world.figures.messages, world.figures.bytes);
    world.run_until(world.time_ms + 10_000)?;
    calm.hellos = Sent {
        messages: world.figures.messages - before.0,
        bytes: world.figures.bytes - before.1,
    };
    let mut before = data(&world);
    let mut since = |world: &World<Sound>| {
        let now = data(world);
        let sent = Sent {
            messages: now.messages - before.messages,
            bytes: now.bytes - before.bytes,
        };
        before = now;
        sent
    };
    world.incident(Incident::Act(0, plan.keys[0], 4));
    calm.act_ms = equal(&mut world)?;
    world.run_until(world.time_ms + 3_000)?;
    calm.act = since(&world);
    for &key in plan.keys.iter().take(MOST_ACTS) {
        world.incident(Incident::Act(0, key, 64));
        calm.count += 1;
    }
    calm.acts_ms = equal(&mut world)?;
    world.run_until(world.time_ms + 3_000)?;
    calm.acts = since(&world);
    measure_figures(&mut world, &plan.keys, &mut calm)?;
    _ = since(&world);
    let last = nodes - 1;
    world.incident(Incident::Kill(last));
    let begin_ms = world.time_ms;
    world.incident(Incident::Start(last, Memory::NONE));
    while !world.servers[last].is_ready() {
        world.run_until(world.time_ms + STEP_MS)?;
    }
    calm.join_ms = world.time_ms - begin_ms;
    world.run_until(world.time_ms + 3_000)?;
    calm.join = since(&world);
    Ok(calm)
}

/// Has the nodes tell views and calls, and measures what that takes.
fn measure_figures(world: &mut World<Sound>, keys: &[Key], calm: &mut Calm) -> Result<(), String> {
    let nodes = world.servers.len();
    let counted = keys.get(..MOST_COUNTED).unwrap_or(keys);
    calm.counted = counted.len();
    for (at, &key) in keys.iter().enumerate() {
        let view = View {
            bits: State::PROBING.bits(),
            ..View::default()
        };
        if let Some(node) = &mut world.servers[at % nodes].node {
            node.set_view(key, Some(view));
        }
    }
    (calm.figures, calm.figures_ms) = count(world, counted, 1)?;
    (calm.calls, calm.calls_ms) = count(world, counted, 2)?;
    Ok(())
}

/// Sets the calls of each destination on one node, and goes on until all others have them. Returns what was sent, and how
/// long it took.
fn count(world: &mut World<Sound>, counted: &[Key], calls: u32) -> Result<(Sent, u64), String> {
    let nodes = world.servers.len();
    for (at, &key) in counted.iter().enumerate() {
        if let Some(node) = &mut world.servers[at % nodes].node {
            node.set_calls(key, calls);
        }
    }
    let begin = (world.time_ms, world.figure_messages, world.figure_bytes);
    // Behind the last one of each node there is nothing more.
    let last: Vec<(usize, Key)> = (counted.iter().copied().enumerate())
        .skip(counted.len().saturating_sub(nodes))
        .map(|(at, key)| (at % nodes, key))
        .collect();
    let has_all = |(at, one): (usize, &Server<Sound>)| {
        let has = |node: &Cluster, key| node.calls_elsewhere(key) == calls;
        let node = one.node.as_ref();
        node.is_some_and(|node| last.iter().all(|&(by, key)| by == at || has(node, key)))
    };
    while !world.servers.iter().enumerate().all(has_all) {
        world.run_until(world.time_ms + STEP_MS)?;
    }
    let took_ms = world.time_ms - begin.0;
    world.run_until(world.time_ms + 3_000)?;
    let sent = Sent {
        messages: world.figure_messages - begin.1,
        bytes: world.figure_bytes - begin.2,
    };
    Ok((sent, took_ms))
}

/// Goes on until all nodes have the same registers; returns how long that took.
fn equal(world: &mut World<Sound>) -> Result<u64, String> {
    let begin_ms = world.time_ms;
    while !crate::judge::are_equal(&world.servers) {
        world.run_until(world.time_ms + STEP_MS)?;
    }
    Ok(world.time_ms - begin_ms)
}

impl fmt::Display for Calm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, hellos, .. } = self;
        let per_node = |sent: u64| sent as f64 / 10.0 / *nodes as f64;
        write!(
            f,
            "{nodes} nodes: {:.1} hellos a second and node, {} bytes each; one act: {}, {} ms; {} acts: {}, {} ms; \
            a view of each destination and calls on {}: {}, {} ms; one call more on each: {}, {} ms; \
            a start: {}, ready after {} ms",
            per_node(hellos.messages),
            hellos.bytes / hellos.messages.max(1),
            self.act,
            self.act_ms,
            self.count,
            self.acts,
            self.acts_ms,
            self.counted,
            self.figures,
            self.figures_ms,
            self.calls,
            self.calls_ms,
            self.join,
            self.join_ms
        )
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages, {} bytes", self.messages, self.bytes)
    }
}
