//! The process that writes the page of metrics to a file (`metrics_file`), for the textfile collector of node_exporter.

use core::cell::Cell;
use core::ffi::{c_uint, c_void};

use crate::dispatch::observe::filter::{Filter, Wanted};
use crate::dispatch::text::Whole;
use crate::kamailio::config::instance::Module;
use crate::kamailio::list::plain_file::{self, FOR_ALL};
use crate::kamailio::observe::metrics;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::{log_err, log_info};
use crate::kamailio::server::time::now_s;

/// Microseconds between two ticks.
pub const TICK_US: i32 = 1_000_000;

thread_local! {
    /// When the file is due, in seconds.
    static DUE_S: Cell<u64> = const { Cell::new(0) };
    /// True while the last write has failed.
    static FAILED: Cell<bool> = const { Cell::new(false) };
}

/// Writes the file where it is due.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_metrics_tick(_ticks: c_uint, _param: *mut c_void) {
    guard(|| {
        let Some(module) = Module::get() else { return };
        let metrics = &module.settings.metrics;
        let Some(path) = metrics.file.filter(|_| DUE_S.get() <= now_s()) else {
            return;
        };
        DUE_S.set(now_s() + metrics.interval_s);
        match write(module, path) {
            Ok(()) if FAILED.replace(false) => log_info!("metrics_file is kept again"),
            Ok(()) => {}
            Err(why) if FAILED.replace(true) => drop(why),
            Err(why) => log_err!("metrics_file is not kept, trying again: {why}"),
        }
    });
}

fn write(module: &Module, path: &[u8]) -> Result<(), String> {
    let wanted = Wanted {
        script: Filter::ALL,
        query: Filter::ALL,
    };
    let page = metrics::page(module, &wanted)?;
    plain_file::replace(plain_file::path_of(path), page.text().as_bytes(), FOR_ALL)
        .map_err(|error| format!("{}: {error}", Whole(path)))
}
