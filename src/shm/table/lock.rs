//! The writer lock: who holds it, how long others wait for it, and why they do not get it.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::thread;
use std::time::Instant;

use lock_api::{Mutex, MutexGuard, RawMutex};

use crate::shm::memory::arena::{OutOfMemory, ShmSafe};
use crate::shm::memory::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::shm::memory::epoch::Held;
use crate::shm::memory::watch::Watch;

/// How long a process waits for the writer lock.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Milliseconds; with 0 it tries once.
    pub wait_ms: u64,
    /// The clock that the lock is watched by, in seconds.
    pub now_s: fn() -> u64,
}

impl Patience {
    /// A minute, for tests and measurements.
    #[cfg(any(test, feature = "internals"))]
    pub const LONG: Self = Patience {
        wait_ms: 60_000,
        now_s: || 0,
    };
}

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// A holder that has let go meanwhile, or has not yet said who it is.
const UNKNOWN: Held = Held { pid: 0, for_s: 0 };

/// Why nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Shared memory is full.
    Memory(OutOfMemory),
    /// Another process holds the writer lock.
    Busy(Held),
    /// So many bytes of what was replaced cannot be given back, and that is all that may be; with the reader that has
    /// read longest.
    Kept(u64, Option<Held>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::Memory(error) => write!(f, "{error}"),
            Refusal::Busy(holder) => write!(f, "{}", Doing(holder, "changing the lists")),
            Refusal::Kept(bytes, reader) => {
                write!(f, "{bytes} bytes of replaced lists cannot be freed")?;
                let reader = reader.map(|reader| Doing(reader, "reading them"));
                reader.map_or(Ok(()), |reader| write!(f, ": {reader}"))
            }
        }
    }
}

impl From<OutOfMemory> for Refusal {
    fn from(error: OutOfMemory) -> Self {
        Refusal::Memory(error)
    }
}

/// Says of a process what it does, and for how long.
struct Doing(Held, &'static str);

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Doing(Held { pid, for_s }, what) = *self;
        match pid {
            0 => f.write_str("another process")?,
            pid => write!(f, "process {pid}")?,
        }
        match for_s {
            0 => write!(f, " is {what}"),
            for_s => write!(f, " has been {what} for {for_s} s"),
        }
    }
}

/// The writer lock, over what only its holder may touch.
pub(crate) struct WriterLock<L, T> {
    lock: Mutex<L, T>,
    /// The process id of the holder above, and below how often the lock was taken; 0 while nobody holds it. The lock
    /// alone orders what is done behind it. A process that asks whether it is the holder itself always reads what it
    /// has written, or what others wrote since, so `Relaxed` is enough; reports of other processes are figures.
    holder: AtomicU64,
    turns: AtomicU32,
    /// The number of processes that wait for it.
    waiting: AtomicU32,
    /// How long it has been held.
    watch: Watch,
}

// SAFETY: atomics, and a lock of which zeroes are a value, over data of which zeroes are one.
unsafe impl<L: ShmSafe, T: ShmSafe> ShmSafe for WriterLock<L, T> {}

/// The data that the lock protects, while it is held.
pub(crate) struct Locked<'l, L: RawMutex, T> {
    guard: MutexGuard<'l, L, T>,
    holder: &'l AtomicU64,
}

impl<L: RawMutex, T> WriterLock<L, T> {
    /// Makes the lock free, in zeroed memory.
    pub(crate) fn start(&mut self, lock: L, data: T) {
        self.lock = Mutex::from_raw(lock, data);
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when it was not free within that time.
    pub(crate) fn take(&self, patience: Patience) -> Result<Locked<'_, L, T>, Refusal> {
        if let Some(locked) = self.try_take() {
            return Ok(locked);
        }
        self.waiting.fetch_add(1, Relaxed);
        let taken = self.wait(patience);
        self.waiting.fetch_sub(1, Relaxed);
        taken
    }

    fn wait(&self, patience: Patience) -> Result<Locked<'_, L, T>, Refusal> {
        let begun = Instant::now();
        let wait = Duration::from_millis(patience.wait_ms);
        let mut pause = Duration::from_micros(20);
        loop {
            if let Some(locked) = self.try_take() {
                return Ok(locked);
            }
            let left = wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(Refusal::Busy(
                    self.held((patience.now_s)()).unwrap_or(UNKNOWN),
                ));
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_take(&self) -> Option<Locked<'_, L, T>> {
        let guard = self.lock.try_lock()?;
        let turn = self.turns.fetch_add(1, Relaxed);
        let pid = u64::from(std::process::id());
        self.holder.store((pid << 32) | u64::from(turn), Relaxed);
        Some(Locked {
            guard,
            holder: &self.holder,
        })
    }

    /// Returns the number of processes that wait for the lock.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Returns true if this process holds the lock.
    pub(crate) fn is_ours(&self) -> bool {
        self.holder.load(Relaxed) >> 32 == u64::from(std::process::id())
    }

    /// Returns who holds the lock, and since when as far as that was watched.
    pub(crate) fn held(&self, now_s: u64) -> Option<Held> {
        let holder = self.holder.load(Relaxed);
        let pid = u32::try_from(holder >> 32).unwrap_or(0);
        let for_s = self.watch.seconds(holder, now_s);
        (pid != 0).then_some(Held { pid, for_s })
    }

    /// Looks at the lock, once a second. Returns its holder, if it has just become one for long.
    pub(crate) fn watch(&self, now_s: u64) -> Option<Held> {
        let holder = self.holder.load(Relaxed);
        let for_s = self.watch.look(holder, now_s)?;
        let pid = u32::try_from(holder >> 32).unwrap_or(0);
        Some(Held { pid, for_s })
    }

    /// Returns what the lock protects, whoever holds it, for the end of the server.
    pub(crate) fn data_ptr(&self) -> *mut T {
        self.lock.data_ptr()
    }
}

impl<L: RawMutex, T> Deref for Locked<'_, L, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<L: RawMutex, T> DerefMut for Locked<'_, L, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<L: RawMutex, T> Drop for Locked<'_, L, T> {
    fn drop(&mut self) {
        // The guard is dropped after this, and the next holder comes after that.
        self.holder.store(0, Relaxed);
    }
}
