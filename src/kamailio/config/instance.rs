//! The module in one process: its settings and its way to the shared table.

use std::sync::OnceLock;

use super::params::Settings;
use super::shared::Shared;
use crate::dispatch::list::destination::SetId;
use crate::kamailio::server::guard::in_first_thread;
use crate::kamailio::server::lock::ServerLock;
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::sys;
use crate::shm::calls::call_table::Calls;
use crate::shm::calls::sticky::StickyCalls;
use crate::shm::cluster::memory::ClusterMemory;
use crate::shm::event_queue::EventQueue;
use crate::shm::observe::changes::history::History;
use crate::shm::table::sets::Table;
use crate::shm::table::store::{Pinned, Store};

/// The module's state, which `mod_init` makes and every process inherits.
pub struct Module {
    /// The parameters.
    pub settings: Settings,
    /// The shared table.
    pub store: Store<ShmArena, ServerLock>,
    /// The calls that are counted; `None` where call load is off.
    pub calls: Option<Calls<ServerLock>>,
    /// Words that all processes read and write.
    pub shared: &'static Shared,
    /// The beginning of the unique ids of destinations.
    pub id_prefix: String,
    /// The calls that were placed beside a draining destination.
    pub sticky: StickyCalls,
    /// Changes by RPC commands that wait to be told; `None` where nobody wants to know.
    pub event_queue: Option<EventQueue<ShmArena>>,
    /// The last changes of states; `None` where none are kept.
    pub history: Option<History>,
    /// What the process of the cluster shares with the others; `None` if this server is alone.
    pub cluster: Option<ClusterMemory<ShmArena>>,
}

static MODULE: OnceLock<Module> = OnceLock::new();

impl Module {
    /// Keeps the module for this process and its children. Returns false if there is one already.
    pub fn keep(self) -> bool {
        MODULE.set(self).is_ok()
    }

    /// Returns the module; `None` before `mod_init` has succeeded.
    pub fn get() -> Option<&'static Module> {
        MODULE.get()
    }

    /// Returns the number of this process, which is also its reader slot.
    pub fn process() -> usize {
        debug_assert!(in_first_thread(), "a slot has one user");
        // SAFETY: an integer of this process, set by the server when it forked (core/pt.h).
        let number = unsafe { sys::process_no };
        // A negative number, of a process that the server does not count, is far above all slots.
        u32::from_ne_bytes(number.to_ne_bytes()) as usize
    }

    /// Pins the running table.
    pub fn pin(&self) -> Pinned<'_> {
        self.store.pin(Self::process())
    }

    /// Returns true if this process holds a pin or the writer lock, for which others may have to wait.
    pub fn holds() -> bool {
        MODULE
            .get()
            .is_some_and(|module| module.store.is_held_by(Self::process()))
    }

    /// Returns true if there is no set.
    pub fn is_empty(&self) -> bool {
        self.pin().table().is_none_or(Table::is_empty)
    }

    /// Returns true if there is such a set.
    pub fn has_set(&self, set: SetId) -> bool {
        self.pin().view(set).is_some()
    }
}
