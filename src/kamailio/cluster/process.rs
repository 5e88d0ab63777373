//! The process that has the state of the cluster: it takes what came, tells the cluster that time has passed, and does
//! what the cluster says.

use core::cell::{Cell, RefCell};
use core::ffi::{c_uint, c_void};
use core::mem;
use core::sync::atomic::Ordering::{Relaxed, Release};
use core::time::Duration;
use std::thread;

use super::show::Showing;
use super::{bus, loads, notes, pings, states};
use crate::dispatch::cluster::node::action::{Action, Command, PeerId};
use crate::dispatch::cluster::node::machine::{Cluster, Counts};
use crate::dispatch::cluster::node::peace::{Attempt, Peace};
use crate::dispatch::cluster::state::clock::Now;
use crate::dispatch::cluster::text::read::read;
use crate::dispatch::state::transition::Flip;
use crate::kamailio::config::cluster_params::ClusterSettings;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::counting::group;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::{log_info, log_warn};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::time::{now_ms, now_s, wall_us};
use crate::shm::cluster::inbox::{self, Received};
use crate::shm::cluster::memory::ClusterMemory;
use crate::shm::cluster::news::NodeEvent;
use crate::shm::dest::destination;

/// Microseconds between two ticks.
pub const TICK_US: i32 = 20_000;

/// While a peer has not acknowledged what it was sent, answers are looked for so often in a tick.
const LOOKS: u32 = 20;

/// The time between two of these looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);

thread_local! {
    /// The node that this process is; `None` before its first tick.
    static NODE: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// A server of the cluster: this one.
struct Node {
    cluster: Cluster,
    /// The counts that stand in the server's counters already.
    counted: Counts,
    refusals: notes::Refusals,
    peace: Peace,
    showing: Showing,
}

/// Does what is to be done in the cluster.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_cluster_tick(_ticks: c_uint, _param: *mut c_void) {
    guard(|| {
        let Some(module) = Module::get() else { return };
        let (Some(settings), Some(memory)) = (&module.settings.cluster, &module.cluster) else {
            return;
        };
        NODE.with_borrow_mut(|node| {
            let node = node.get_or_insert_with(|| Node::start(settings));
            module.shared.cluster_seen_s.store(now_s(), Relaxed);
            for _ in 0..LOOKS {
                node.turn(module, memory);
                if !node.cluster.is_sending() {
                    break;
                }
                thread::sleep(LOOK_EVERY);
            }
        });
    });
}

/// Seconds without work after which the process is said to wait for something.
const LONG_S: u64 = 10;

thread_local! {
    /// True while the log says so, by this process.
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// Says so if the process of the cluster does nothing. For the timer process.
pub fn watch(module: &Module) {
    let seen_s = module.shared.cluster_seen_s.load(Relaxed);
    let for_s = now_s().saturating_sub(seen_s);
    let waits = seen_s > 0 && for_s >= LONG_S;
    if waits && !WAITS.replace(waits) {
        log_warn!(
            "cluster: its process has done nothing for {for_s} s: if it waits for the module dmq, set ds_dmq_peer"
        );
    }
    WAITS.set(waits);
}

fn now() -> Now {
    Now {
        wall_ms: wall_us() / 1_000,
        steady_ms: now_ms(),
    }
}

impl Node {
    fn start(settings: &ClusterSettings) -> Self {
        let now = now();
        let settings = settings.cluster.clone();
        let (listed, kept) = states::beginning();
        log_info!(
            "cluster: this server is {} of {}, at {}",
            settings.node,
            settings.cluster,
            settings.uri
        );
        Node {
            cluster: Cluster::new(settings, now.wall_ms, now, listed, kept),
            counted: Counts::default(),
            refusals: notes::Refusals::default(),
            peace: Peace::default(),
            showing: Showing::default(),
        }
    }

    /// Takes what came, and does what follows from it and from the time.
    fn turn(&mut self, module: &Module, memory: &ClusterMemory<ShmArena>) {
        let (now, mut actions) = (now(), Vec::new());
        let mut has_changed = false;
        for came in memory.inbox.take() {
            has_changed |= matches!(came, Received::Command(_));
            self.take(memory, now, came, &mut actions);
        }
        self.cluster.set_pings(pings::own(module));
        states::tick(module, &mut self.cluster, now, &mut actions);
        loads::tell(module, &mut self.cluster, now);
        self.cluster.tick(now, &mut actions);
        pings::show_relied(module, memory, &self.cluster);
        // What cannot be sent has its answer at once, which may lead to further actions.
        while !actions.is_empty() {
            for action in mem::take(&mut actions) {
                has_changed |= is_shown(&action);
                self.act(module, memory, action, &mut actions);
            }
        }
        loads::settle(module, &mut self.cluster);
        self.count();
        self.showing
            .show(module, &self.cluster, now.steady_ms, has_changed);
    }

    fn take(
        &mut self,
        memory: &ClusterMemory<ShmArena>,
        now: Now,
        came: Received,
        actions: &mut Vec<Action>,
    ) {
        match came {
            Received::Message { source, body } => {
                let source = destination::ip(source).to_string();
                // It was checked before it was left here.
                if let Ok(message) = read(&body) {
                    self.cluster
                        .receive(now, source.as_bytes(), &message, actions);
                }
            }
            Received::Refused {
                source,
                code,
                reason,
            } => {
                let source = destination::ip(source).to_string();
                self.refusals.say(source, code, &reason, now.steady_ms);
            }
            Received::Answer { peer, number, code } => {
                self.cluster
                    .answered(PeerId(peer.into()), number, code, actions);
            }
            Received::CallEnd(end) => loads::take(end),
            Received::Command(command) => {
                let command = match &command {
                    inbox::Command::Sync => Command::Sync,
                    inbox::Command::Leave => Command::Leave,
                    inbox::Command::Forget(name) => Command::Forget(name),
                    inbox::Command::Reload(ticket) => Command::Reload(*ticket),
                    inbox::Command::Views { ticket, key } => {
                        return pings::answer(memory, &self.cluster, *ticket, *key);
                    }
                };
                // Whoever asked was told before whether there is such a node.
                _ = self.cluster.command(command, actions);
            }
            Received::Reloaded { request, outcome } => {
                self.cluster.reloaded(request, &outcome, actions);
            }
        }
    }

    fn act(
        &mut self,
        module: &Module,
        memory: &ClusterMemory<ShmArena>,
        action: Action,
        next: &mut Vec<Action>,
    ) {
        match action {
            Action::Send {
                peer,
                uri,
                number,
                body,
            } => {
                if !self.send(&uri, &body, peer, number) {
                    self.cluster.answered(peer, number, NO_ANSWER, next);
                }
            }
            Action::Broadcast { body } => _ = bus::broadcast(&body),
            Action::Changed { .. } | Action::Viewed { .. } => {}
            Action::Counted { key } => loads::counted(Some(key)),
            Action::CountedAll => loads::counted(None),
            Action::CallEnded(end) => loads::end(&end),
            Action::Believed => states::look_at_watchers(),
            Action::NodeUp { name, uri } => {
                log_info!("cluster: {name} is up");
                tell(memory, Flip::Up, name, uri);
            }
            Action::NodeDown { name, uri } => {
                log_info!("cluster: {name} is down");
                // Its views count no more.
                states::look_at_watchers();
                tell(memory, Flip::Down, name, uri);
            }
            Action::Reload { request, name } => {
                log_info!("cluster: {name} asks for a reload");
                module.shared.reload_asked.store(request, Release);
            }
            // An operator who finds no answer is told so.
            Action::Told(told) => _ = memory.answers.post(&told),
            Action::Log(note) => notes::write(&note),
        }
    }

    /// Sends a message. Returns false if that is not possible. Where it is not, or takes long, it is not tried for a while:
    /// nothing else is done meanwhile, and the server logs each failure.
    fn send(&mut self, uri: &str, body: &[u8], peer: PeerId, number: u64) -> bool {
        let began_ms = now_ms();
        if self.peace.has(uri, began_ms) {
            return false;
        }
        let sent = bus::send(uri, body, peer, number);
        let attempt = Attempt {
            began_ms,
            ended_ms: now_ms(),
            sent,
            to_member: self.cluster.is_member(peer),
        };
        if self.peace.after(uri, attempt, self.cluster.settings()) {
            log_warn!("cluster: nothing can be sent to {uri}: it is tried again later");
        }
        sent
    }

    /// Adds what the cluster has counted since the last call to the server's counters.
    fn count(&mut self) {
        let counts = self.cluster.counts();
        let last = mem::replace(&mut self.counted, counts);
        let more = |counter: &group::Counter, now: u64, last: u64| {
            counter.add(usize::try_from(now.saturating_sub(last)).unwrap_or(0));
        };
        more(&group::CLUSTER_SENT, counts.sent, last.sent);
        more(
            &group::CLUSTER_BYTES_OUT,
            counts.sent_bytes,
            last.sent_bytes,
        );
        more(&group::CLUSTER_RECEIVED, counts.received, last.received);
        more(&group::CLUSTER_RETRIES, counts.retried, last.retried);
        more(&group::CLUSTER_REFUSED, counts.refused, last.refused);
        more(&group::CLUSTER_MERGED, counts.merged, last.merged);
        more(&group::CLUSTER_STALE, counts.stale, last.stale);
        more(&group::CLUSTER_ENDS, counts.ends_told, last.ends_told);
        more(
            &group::CLUSTER_ENDS_DROPPED,
            counts.ends_dropped,
            last.ends_dropped,
        );
    }
}

/// Tells whether members are shown anew after an action.
const fn is_shown(action: &Action) -> bool {
    !matches!(
        action,
        Action::Send { .. }
            | Action::Broadcast { .. }
            | Action::Viewed { .. }
            | Action::Counted { .. }
            | Action::CountedAll
            | Action::CallEnded(_)
    )
}

/// Has the timer process run the route for a member that came or went.
fn tell(memory: &ClusterMemory<ShmArena>, flip: Flip, name: String, uri: String) {
    if memory.news.post(&NodeEvent { flip, name, uri }).is_err() {
        group::EVENTS_DROPPED.count();
    }
}

/// The code of a message that nobody has answered.
const NO_ANSWER: u16 = 408;
