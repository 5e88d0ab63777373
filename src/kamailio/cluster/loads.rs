//! Calls that are counted, between this server and the cluster: the others are told how many there are here, and
//! selections see how many there are elsewhere.

use core::cell::RefCell;
use core::mem;
use std::thread;

use super::lists::Lists;
use super::states;
use crate::dispatch::cluster::node::machine::Cluster;
use crate::dispatch::cluster::state::clock::Now;
use crate::dispatch::cluster::state::ends::{CallEnd, Fate};
use crate::dispatch::cluster::state::key::Key;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::counting::group;
use crate::kamailio::server::time::Pace;
use crate::shm::dest::destination::Dest;
use crate::shm::table::store::Pinned;

/// The others are told so often, unless there are many of them.
const PERIOD_MS: u64 = 100;

/// For each other server the period is at least this long.
const PERIOD_EACH_MS: u64 = 10;

/// So many destinations are followed one by one; if there are more, all are.
const MOST_DUE: usize = 10_000;

/// So often it is tried to end a call whose lock somebody holds.
const TRIES: usize = 100;

/// The calls as this process knows them.
#[derive(Default)]
struct Loads {
    /// Follows the number of the period.
    pace: Pace<u64>,
    /// The version of the lists whose destinations have what others count for them.
    version: u64,
    /// Destinations for which others count another number of calls than before.
    due: Vec<Key>,
    /// All destinations may be such ones.
    are_all_due: bool,
    /// Ends that the others are to hear of.
    ends: Vec<CallEnd>,
}

thread_local! {
    static LOADS: RefCell<Loads> = RefCell::default();
}

/// Takes notice that others count another number of calls for a destination; for all of them if it is `None`.
pub fn counted(key: Option<Key>) {
    LOADS.with_borrow_mut(|loads| {
        let Some(key) = key.filter(|_| loads.due.len() < MOST_DUE) else {
            loads.are_all_due = true;
            return;
        };
        loads.due.push(key);
    });
}

/// Takes the end of a call that is not counted here. The others hear of it with the next counts.
pub fn take(end: CallEnd) {
    LOADS.with_borrow_mut(|loads| loads.ends.push(end));
}

/// Does with a call what another server has told of it, if the call is counted here.
pub fn end(end: &CallEnd) {
    let module = Module::get();
    let Some((module, calls)) = module.and_then(|module| Some((module, module.calls.as_ref()?)))
    else {
        return;
    };
    let [call_id, from, to] = end.texts().map(str::as_bytes);
    let to = Some(to).filter(|_| end.fate != Fate::Cancelled);
    let call = calls.key().call(call_id, from, to);
    // A worker that was stopped under a lock must not stop this process, which others would take for dead.
    for _ in 0..TRIES {
        if !calls.is_busy(&call) {
            calls.meet(&module.store, Module::process(), &call, end.fate);
            return;
        }
        thread::yield_now();
    }
    group::CLUSTER_ENDS_DROPPED.count();
}

/// Tells the cluster how many calls are counted here, once in each period.
pub fn tell(module: &Module, cluster: &mut Cluster, now: Now) {
    let others = cluster.alive().saturating_sub(1) as u64;
    let period_ms = PERIOD_MS.max(PERIOD_EACH_MS * others);
    LOADS.with_borrow_mut(|loads| {
        let Some(walk) = loads.pace.begin(now.steady_ms / period_ms) else {
            return;
        };
        if module.settings.shares_load() {
            states::with_lists(module, |lists, pinned| {
                lists.calls(pinned, |key, calls| cluster.set_calls(key, calls));
            });
        }
        mem::take(&mut loads.ends)
            .into_iter()
            .for_each(|end| cluster.tell_end(end));
        loads.pace.end(walk);
    });
}

/// Has destinations follow what others count for them.
pub fn settle(module: &Module, cluster: &mut Cluster) {
    if !module.settings.shares_load() {
        return;
    }
    LOADS.with_borrow_mut(|loads| {
        let is_due = loads.are_all_due || !loads.due.is_empty();
        if !is_due && loads.version == module.store.version() {
            return;
        }
        states::with_lists(module, |lists, pinned| {
            if loads.version != lists.version() {
                loads.version = lists.version();
                loads.are_all_due = true;
                cluster.keep_calls(|key| lists.has(key));
            }
            loads.settle(module, cluster, (lists, pinned));
        });
    });
}

impl Loads {
    fn settle(
        &mut self,
        module: &Module,
        cluster: &Cluster,
        (lists, pinned): (&mut Lists, &Pinned<'_>),
    ) {
        let mut due = mem::take(&mut self.due);
        if mem::take(&mut self.are_all_due) {
            for (key, dest) in lists.dests(pinned) {
                follow(module, dest, cluster.calls_elsewhere(key));
            }
            return;
        }
        due.sort_unstable();
        due.dedup();
        for key in due {
            if let Some((_, dest)) = lists.find(pinned, key) {
                follow(module, dest, cluster.calls_elsewhere(key));
            }
        }
    }
}

/// Has a destination follow what others count for it.
fn follow(module: &Module, dest: &Dest, calls: u32) {
    let record = dest.record();
    if record.elsewhere() != calls {
        record.set_elsewhere(calls);
        let (store, process) = (&module.store, Module::process());
        store.sync_load(process, record.set(), record);
    }
}
