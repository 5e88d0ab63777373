//! Clocks, and how often a process follows changes of the lists. All processes of the machine share the clock that never
//! goes back.

use core::mem::MaybeUninit;

/// Returns the seconds since some moment before the server started. They never wrap, unlike the server's own clock,
/// whose seconds have 28 bits.
pub fn now_s() -> u64 {
    now_us() / 1_000_000
}

/// Returns the microseconds since some moment before the server started.
pub fn now_us() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes only the struct; Linux always has this clock (man clock_gettime).
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000 + nanos / 1_000
}

/// Returns the milliseconds since that moment.
pub fn now_ms() -> u64 {
    now_us() / 1_000
}

/// Returns a moment of that clock as time of day, in microseconds since 1970; 0 for the moment 0.
pub fn wall_of(moment_us: u64) -> u64 {
    match moment_us {
        0 => 0,
        moment => (wall_us() + moment).saturating_sub(now_us()),
    }
}

/// Returns the time of day in microseconds since 1970.
pub fn wall_us() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0))
}

/// Returns a time of day, in microseconds since 1970, as the clock on the wall of this machine shows it, with its
/// distance from UTC: `2026-11-29T20:15:02.123+01:00`. It is the time of the lines in the system's log.
pub fn local_text(wall_us: u64) -> String {
    let seconds = libc::time_t::try_from(wall_us / 1_000_000).unwrap_or(0);
    let mut local = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: reads the seconds, and writes only the struct (localtime_r(3)).
    unsafe { libc::localtime_r(&raw const seconds, local.as_mut_ptr()) };
    // SAFETY: a struct of numbers and a pointer, for which zeroes are a value.
    let local = unsafe { local.assume_init() };
    let minutes = local.tm_gmtoff / 60;
    format!(
        "{}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{}{:02}:{:02}",
        1900 + i64::from(local.tm_year),
        local.tm_mon + 1,
        local.tm_mday,
        local.tm_hour,
        local.tm_min,
        local.tm_sec,
        wall_us / 1_000 % 1_000,
        if minutes < 0 { '-' } else { '+' },
        minutes.abs() / 60,
        minutes.abs() % 60,
    )
}

/// A process that walks may do so for one part of this many of its time.
const REST: u64 = 20;

/// The longest rest: what follows the lists may be this much late.
const MOST_REST_US: u64 = 1_000_000;

/// Lets a process walk over all lists after each change of `V`, their version, but for no more than
/// a twentieth of its time: many edits of a large list then cost its followers few walks, and those
/// of a small list are followed at once.
pub struct Pace<V> {
    seen: Option<V>,
    not_before_us: u64,
}

/// A walk that has begun.
pub struct Walk<V> {
    version: V,
    began_us: u64,
}

impl<V> Default for Pace<V> {
    fn default() -> Self {
        Pace {
            seen: None,
            not_before_us: 0,
        }
    }
}

impl<V: PartialEq> Pace<V> {
    /// Begins a walk; `None` if the last walk saw this version, or ended a moment ago.
    pub fn begin(&self, version: V) -> Option<Walk<V>> {
        let began_us = now_us();
        let is_due = self.seen.as_ref() != Some(&version) && began_us >= self.not_before_us;
        is_due.then_some(Walk { version, began_us })
    }

    /// Returns true if the last walk saw this version.
    pub fn has_seen(&self, version: &V) -> bool {
        self.seen.as_ref() == Some(version)
    }

    /// Ends a walk that has followed the lists.
    pub fn end(&mut self, walk: Walk<V>) {
        let now_us = now_us();
        let rest_us = REST * now_us.saturating_sub(walk.began_us);
        self.not_before_us = now_us + rest_us.min(MOST_REST_US);
        self.seen = Some(walk.version);
    }

    /// Allows the next walk in so many microseconds, after one that could not follow the lists.
    pub fn retry_in(&mut self, us: u64) {
        self.not_before_us = now_us() + us;
    }
}
