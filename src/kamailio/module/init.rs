//! Start, fork, stop.

use core::ffi::{c_int, c_uint, c_void};
use core::ptr;
use core::sync::atomic::Ordering::SeqCst;

use lock_api::RawMutex;

use super::processes;
use crate::dispatch::state::event::Cause;
use crate::kamailio::cluster::{bus, process};
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::names;
use crate::kamailio::config::params::Settings;
use crate::kamailio::config::patience;
use crate::kamailio::config::ping_params::PingSettings;
use crate::kamailio::config::shared::Shared;
use crate::kamailio::events::feed::{self, Feed};
use crate::kamailio::list::reload::{self, WhenEmpty};
use crate::kamailio::list::state_keeper;
use crate::kamailio::list::unique_id;
use crate::kamailio::observe::changes::line;
use crate::kamailio::observe::counting::{counts, group};
use crate::kamailio::passive::{ejected, watch};
use crate::kamailio::select::{call_load, trace};
use crate::kamailio::server::guard::{InitRet, guard, in_first_thread};
use crate::kamailio::server::lock::ServerLock;
use crate::kamailio::server::log::{self, log_crit, log_err, log_warn};
use crate::kamailio::server::memory::{self, ShmArena, leave_holes};
use crate::kamailio::server::rand;
use crate::kamailio::server::sys;
use crate::shm::calls::call_table::Calls;
use crate::shm::calls::sticky::StickyCalls;
use crate::shm::cluster::memory::ClusterMemory;
use crate::shm::event_queue::EventQueue;
use crate::shm::memory::epoch::Held;
use crate::shm::observe::changes::history::History;
use crate::shm::table::store::Store;

/// Seconds from one round of housekeeping to the next.
const COLLECT_EVERY_S: c_uint = 1;

/// `mod_init`: once, in the main process, before any fork.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_init() -> InitRet {
    guard(|| InitRet::of(start().is_some()))
}

/// Reads the parameters, makes the store and loads the list; `None` after a log line if one of them fails.
///
/// A failure ends the server. The parts that are kept by then are given back by [`dsr_destroy`]; before that,
/// they go with the server's shared memory.
fn start() -> Option<()> {
    // SAFETY: called from mod_init, as rpc_register_array asks.
    if unsafe { sys::glue_register_commands() } < 0 {
        log_err!("cannot register the commands");
        return None;
    }
    let settings = Settings::read()?;
    names::read()?;
    cfg::declare(&settings)?;
    if let Some(pings) = &settings.pings {
        prepare_pings(pings)?;
    }
    if settings.passive.is_some() {
        watch::prepare()?;
    }
    if let Some(cluster) = &settings.cluster {
        bus::join(cluster)?;
    }
    processes::announce(&settings)?;
    group::register(&settings)?;
    log::wait_while(Module::holds);
    if !make(settings)?.keep() {
        log_crit!("initialised twice");
        return None;
    }
    let module = Module::get()?;
    trace::look(module);
    let mut feed = Feed::new(module, Cause::Start);
    let tried = reload::load(module, WhenEmpty::Refuse, &mut feed, patience::none());
    tried.ok()?;
    feed.note_all_down();
    // No process can run routes yet.
    feed.post();
    start_timer(module.settings.secondary_timer)
}

/// Makes everything that lies in shared memory; `None` after a log line if there is no memory for it.
fn make(settings: Settings) -> Option<Module> {
    let no_table = |error| log_err!("cannot make the table of destinations: {error}");
    let store = Store::create(ShmArena, ServerLock::INIT, settings.rules());
    let store = store.inspect(|store| store.bound_backlog((memory::size() / 4) as u64));
    let calls = settings
        .call_load
        .map(|load| Calls::create(&ShmArena, load.size, rand::fingerprint_key(), load.limits))
        .transpose()
        .map_err(|error| log_err!("cannot make the table of calls: {error}"));
    let sticky = StickyCalls::create(&ShmArena, rand::fingerprint_key())
        .map_err(|error| log_err!("cannot make the table of diverted calls: {error}"));
    let listeners = &settings.listeners;
    let hears_cluster = settings.shares_states() && listeners.hear(Cause::Cluster);
    let event_queue =
        (listeners.hear(Cause::Start) || listeners.hear_after_load() || hears_cluster)
            .then(|| EventQueue::create(ShmArena))
            .transpose()
            .map_err(|error| log_err!("cannot make the queue of events: {error}"));
    let history = (settings.history_size > 0)
        .then(|| History::create(&ShmArena, settings.history_size))
        .transpose()
        .map_err(|error| log_err!("cannot make the history of changes: {error}"));
    let cluster = (settings.cluster.is_some())
        .then(|| ClusterMemory::create(ShmArena))
        .transpose()
        .map_err(|error| log_err!("cannot make the memory of the cluster: {error}"));
    let shared = Shared::create().map_err(no_table).ok()?;
    let pings_off = !settings.ping_active_init;
    shared.pings_off.store(pings_off.into(), SeqCst);
    Some(Module {
        store: store.map_err(no_table).ok()?,
        shared,
        id_prefix: unique_id::prefix(),
        calls: calls.ok()?,
        sticky: sticky.ok()?,
        event_queue: event_queue.ok()?,
        history: history.ok()?,
        cluster: cluster.ok()?,
        settings,
    })
}

/// Registers the timer that runs [`dsr_tick`].
fn start_timer(secondary: bool) -> Option<()> {
    let every_s = COLLECT_EVERY_S;
    let timer = if secondary {
        let every_s = c_int::try_from(every_s).unwrap_or(1);
        // SAFETY: called from mod_init, as the secondary timer asks (core/timer_proc.c).
        unsafe { sys::sr_wtimer_add(Some(sys::dsr_tick), ptr::null_mut(), every_s) }
    } else {
        // SAFETY: called from mod_init, as register_timer asks (core/timer.c).
        unsafe { sys::register_timer(Some(sys::dsr_tick), ptr::null_mut(), every_s) }
    };
    if timer < 0 {
        log_err!("cannot register the timer that gives replaced lists back");
        return None;
    }
    Some(())
}

/// Finds tm, and has it tell when a ping leaves if pings have a timeout of their own.
fn prepare_pings(pings: &PingSettings) -> Option<()> {
    // SAFETY: called from mod_init, when modules that were loaded before this one are initialised.
    let found = !unsafe { sys::glue_tm_find() }.is_null();
    // SAFETY: called from mod_init, and `found` says that the glue has the interface of tm that it calls.
    let watched =
        || pings.timeout_ms == 0 || unsafe { sys::glue_tm_watch(Some(sys::dsr_ping_leaves)) } >= 0;
    if !found || !watched() {
        log_err!("ds_ping_interval needs the module tm, loaded before this one");
        return None;
    }
    Some(())
}

/// `child_init`: runs in each process, and before the forks once for `PROC_INIT`.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_child_init(rank: c_int) -> InitRet {
    guard(|| {
        patience::set_rank(rank);
        if rank != sys::PROC_INIT {
            counts::start();
        }
        let started = start_child(rank);
        if let Some(module) = Module::get() {
            module.store.introduce(Module::process());
        }
        started
    })
}

fn start_child(rank: c_int) -> InitRet {
    if !in_first_thread() {
        log_crit!(
            "a process starts in a thread that is not its first one: it would share our slots with others"
        );
        return InitRet::FAILED;
    }
    match rank {
        sys::PROC_INIT => {
            // All modules have taken by now what they keep.
            leave_holes();
            // The user that the server runs as is settled by now, too.
            match Module::get().and_then(state_keeper::try_out) {
                Some(()) => make_slots(),
                None => InitRet::FAILED,
            }
        }
        sys::PROC_MAIN => {
            Module::get().map_or(InitRet::FAILED, |module| processes::start(&module.settings))
        }
        _ => InitRet::OK,
    }
}

/// Makes a reader slot for each process, as their number is known now.
fn make_slots() -> InitRet {
    let Some(module) = Module::get() else {
        return InitRet::FAILED;
    };
    // SAFETY: PROC_INIT is when the server has counted its processes (core/pt.c).
    let processes = usize::try_from(unsafe { sys::get_max_procs() }).unwrap_or(0);
    // SAFETY: PROC_INIT comes once, before the first fork (main.c, main_loop).
    let made = unsafe { module.store.make_slots(processes) };
    made.map_err(|error| log_err!("no slots for {processes} processes: {error}"))
        .into()
}

/// Frees replaced tables, ends calls whose time is over, and tells of the events that wait for this process.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_tick(_ticks: c_uint, _param: *mut c_void) {
    guard(|| {
        if let Some(module) = Module::get() {
            warn_of_held(module);
            module.store.collect();
            call_load::expire(module);
            line::say_left_out(module);
            trace::look(module);
            counts::watch_draining(module);
            ejected::watch(module);
            feed::tell_of_posted(module);
            feed::tell_of_nodes(module);
            process::watch(module);
        }
    });
}

/// Warns of processes that have pinned the list or held the writer lock for long, once each.
fn warn_of_held(module: &Module) {
    let (readers, writer) = module.store.watch(patience::watch_s());
    for Held { pid, for_s } in readers {
        log_warn!(
            "process {pid} has been reading the lists for {for_s} s: no replaced list is freed before it ends"
        );
    }
    if let Some(Held { pid, for_s }) = writer {
        log_warn!(
            "process {pid} has been changing the lists for {for_s} s: nobody else can change them"
        );
    }
}

/// `destroy`: runs in the main process when the server stops, also if `mod_init` has failed or never ran.
///
/// The words of [`Shared`] go with the server's shared memory.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_destroy() {
    guard(|| {
        let Some(module) = Module::get() else { return };
        state_keeper::keep_last(module);
        watch::end();
        if let Some(calls) = &module.calls {
            // SAFETY: no process is left that uses it: the server destroys its modules when its children are
            // dead (main.c, cleanup). Calls let go of records before the store does.
            unsafe { calls.destroy(&ShmArena) };
        }
        // SAFETY: no process is left that uses it: the server destroys its modules when its children are dead
        // (main.c, cleanup).
        unsafe { module.sticky.destroy(&ShmArena) };
        if let Some(event_queue) = &module.event_queue {
            // SAFETY: no process is left that uses it: the server destroys its modules when its children are
            // dead (main.c, cleanup).
            unsafe { event_queue.destroy() };
        }
        if let Some(history) = &module.history {
            // SAFETY: no process is left that uses it: the server destroys its modules when its children are
            // dead (main.c, cleanup).
            unsafe { history.destroy(&ShmArena) };
        }
        if let Some(cluster) = &module.cluster {
            // SAFETY: no process is left that uses it: the server destroys its modules when its children are
            // dead (main.c, cleanup).
            unsafe { cluster.destroy() };
        }
        // SAFETY: no process is left that uses it: the server destroys its modules when its children are dead
        // (main.c, cleanup), and calls nothing of this module afterwards.
        unsafe { module.store.destroy() };
    });
}
