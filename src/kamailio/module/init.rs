//! Start, fork, stop.

use core::ffi::{c_int, c_uint, c_void};
use core::ptr;

use parking_lot::lock_api::RawMutex;

use super::processes;
use crate::dispatch::state::event::Cause;
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::params::Settings;
use crate::kamailio::config::ping_params::PingSettings;
use crate::kamailio::config::shared::Shared;
use crate::kamailio::events::feed::{self, Feed};
use crate::kamailio::list::reload;
use crate::kamailio::list::unique_id;
use crate::kamailio::select::call_load;
use crate::kamailio::server::guard::{InitRet, guard};
use crate::kamailio::server::lock::ServerLock;
use crate::kamailio::server::log::{log_crit, log_err};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::sys;
use crate::shm::calls::call_table::Calls;
use crate::shm::calls::sticky::Diverted;
use crate::shm::event_queue::Mailbox;
use crate::shm::table::store::Store;

/// Seconds between two looks at the replaced tables.
const COLLECT_EVERY_S: c_uint = 1;

/// Called once when the module is opened, before its parameters are set.
pub fn on_load() -> InitRet {
    crate::kamailio::module::exports::fill();
    // SAFETY: called before any fork.
    let added = unsafe { sys::glue_kemi_add() };
    if added == 0 {
        InitRet::OK
    } else {
        InitRet::FAILED
    }
}

/// `mod_init`: once, in the main process, before any fork.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_init() -> InitRet {
    guard(|| {
        if start().is_some() {
            InitRet::OK
        } else {
            InitRet::FAILED
        }
    })
}

/// Reads the parameters, makes the store and loads the list; `None` after the message when one of
/// them fails. The server then exits, and with it goes all memory that was taken before.
fn start() -> Option<()> {
    // SAFETY: called from mod_init, as the server asks.
    if unsafe { sys::glue_register_commands() } < 0 {
        log_err!("cannot register the commands");
        return None;
    }
    let settings = Settings::read()?;
    cfg::declare(&settings)?;
    let rules = settings.rules();
    let no_memory = |error| log_err!("cannot make the table of destinations: {error}");
    let store = Store::create(ShmArena, ServerLock::INIT, rules)
        .map_err(no_memory)
        .ok()?;
    let calls = settings
        .call_load
        .map(|load| Calls::create(&ShmArena, load.size, load.lifetimes))
        .transpose()
        .map_err(|error| log_err!("cannot make the table of calls: {error}"))
        .ok()?;
    let shared = Shared::create().map_err(no_memory).ok()?;
    if let Some(pings) = &settings.pings {
        prepare_pings(pings)?;
    }
    processes::announce(&settings)?;
    let diverted = Diverted::create(&ShmArena)
        .map_err(|error| log_err!("cannot make the table of diverted calls: {error}"))
        .ok()?;
    let mailbox = settings
        .listeners
        .hear(Cause::Start)
        .then(|| Mailbox::create(ShmArena))
        .transpose()
        .map_err(|error| log_err!("cannot make the queue of events: {error}"))
        .ok()?;
    let module = Module {
        settings,
        shared,
        id_prefix: unique_id::prefix(),
        store,
        calls,
        diverted,
        mailbox,
    };
    if !module.keep() {
        log_crit!("initialised twice");
        return None;
    }
    let module = Module::get()?;
    let mut feed = Feed::new(module, Cause::Start);
    reload::load(module, &mut feed).ok()?;
    // No process can run routes yet.
    feed.post();
    start_timer(module.settings.secondary_timer)
}

/// Registers the timer that gives back what was replaced and ends calls whose time is over.
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
    // SAFETY: called from mod_init, with tm found.
    let watched = || pings.timeout_ms == 0 || unsafe { sys::glue_tm_watch_pings() } >= 0;
    if !found || !watched() {
        log_err!("ds_ping_interval needs the module tm, loaded before this one");
        return None;
    }
    Some(())
}

/// `child_init`: in each process; `PROC_INIT` comes once before the forks.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_child_init(rank: c_int) -> InitRet {
    guard(|| match rank {
        sys::PROC_INIT => make_slots(),
        sys::PROC_MAIN => {
            Module::get().map_or(InitRet::FAILED, |module| processes::start(&module.settings))
        }
        _ => InitRet::OK,
    })
}

/// Makes a reader slot for each process, now that their number is known.
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

/// Gives replaced tables back, ends calls whose time is over, and tells of what is to be told here.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_tick(_ticks: c_uint, _param: *mut c_void) {
    guard(|| {
        if let Some(module) = Module::get() {
            module.store.collect();
            call_load::expire(module);
            feed::tell_of_posted(module);
        }
    });
}

/// `destroy`: in the main process when the server stops; also when `mod_init` failed or never ran.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_destroy() {
    guard(|| {
        if let Some(module) = Module::get() {
            if let Some(calls) = &module.calls {
                // SAFETY: as below; calls let go of records before the table does.
                unsafe { calls.destroy(&ShmArena) };
            }
            // SAFETY: as below.
            unsafe { module.diverted.destroy(&ShmArena) };
            if let Some(mailbox) = &module.mailbox {
                // SAFETY: as below.
                unsafe { mailbox.destroy() };
            }
            // SAFETY: the children are dead when the server destroys its modules (main.c,
            // cleanup), and it calls nothing of this module any more.
            unsafe { module.store.destroy() };
        }
    });
}
