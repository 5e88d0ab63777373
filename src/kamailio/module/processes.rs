//! The module's own processes, beside those of the server: announced before the server counts its processes, and
//! forked when it starts them.

use core::ffi::{CStr, c_int, c_uint, c_void};
use core::ptr;

use super::metrics_file;
use crate::kamailio::cluster::process;
use crate::kamailio::config::list_params::Keep;
use crate::kamailio::config::params::Settings;
use crate::kamailio::list::state_keeper;
use crate::kamailio::probing::resolver::{self, Task};
use crate::kamailio::probing::timer;
use crate::kamailio::rpc::reload;
use crate::kamailio::server::guard::InitRet;
use crate::kamailio::server::log::{log_crit, log_err};
use crate::kamailio::server::sys;

/// A process that calls a function at intervals.
struct Process {
    /// Its name in `core.ps`.
    name: &'static CStr,
    tick: unsafe extern "C" fn(c_uint, *mut c_void),
    /// The argument of the function.
    argument: usize,
    /// Microseconds from one call to the next.
    every_us: c_int,
}

/// Returns all processes that the settings need.
fn all(settings: &Settings) -> Vec<Process> {
    let mut all = Vec::new();
    if settings.pings.is_some() {
        let tasks = [Task::Steady, Task::Doubtful];
        all.extend(tasks.map(|task| resolver(c"dispatcher names", task)));
        all.push(Process {
            name: c"dispatcher pings",
            tick: sys::dsr_ping_tick,
            argument: 0,
            every_us: timer::TICK_US,
        });
    }
    if settings.dns.every_ms > 0 {
        all.push(resolver(c"dispatcher dns", Task::Addresses));
    }
    if settings.keep != Keep::Nowhere {
        all.push(Process {
            name: c"dispatcher states",
            tick: sys::dsr_states_tick,
            argument: 0,
            every_us: state_keeper::TICK_US,
        });
    }
    if settings.cluster.is_some() {
        all.push(Process {
            name: c"dispatcher cluster",
            tick: sys::dsr_cluster_tick,
            argument: 0,
            every_us: process::TICK_US,
        });
        all.push(Process {
            name: c"dispatcher reload",
            tick: sys::dsr_reload_tick,
            argument: 0,
            every_us: reload::TICK_US,
        });
    }
    if settings.metrics.file.is_some() {
        all.push(Process {
            name: c"dispatcher metrics",
            tick: sys::dsr_metrics_tick,
            argument: 0,
            every_us: metrics_file::TICK_US,
        });
    }
    all
}

fn resolver(name: &'static CStr, task: Task) -> Process {
    Process {
        name,
        tick: sys::dsr_names_tick,
        argument: task as usize,
        every_us: resolver::TICK_US,
    }
}

/// Announces the processes; `None` after a log line if the server refuses. For `mod_init`.
pub fn announce(settings: &Settings) -> Option<()> {
    let count = c_int::try_from(all(settings).len()).unwrap_or(c_int::MAX);
    // SAFETY: called from mod_init, before the server counts its processes (core/timer_proc.c).
    if count > 0 && unsafe { sys::register_basic_timers(count) } < 0 {
        log_err!("cannot announce {count} processes");
        return None;
    }
    Some(())
}

/// Forks the processes. For `child_init` of `PROC_MAIN`.
pub fn start(settings: &Settings) -> InitRet {
    for process in all(settings) {
        let name = process.name.as_ptr().cast_mut();
        let argument = ptr::without_provenance_mut::<c_void>(process.argument);
        let (tick, every_us) = (Some(process.tick), process.every_us);
        // SAFETY: called for PROC_MAIN, as fork_process asks. The child calls `tick` forever, with an argument that
        // is a number and no address.
        let pid =
            unsafe { sys::fork_basic_utimer(sys::PROC_TIMER, name, 1, tick, argument, every_us) };
        if pid < 0 {
            log_crit!("cannot fork a process: {}", process.name.to_string_lossy());
            return InitRet::FAILED;
        }
    }
    InitRet::OK
}
