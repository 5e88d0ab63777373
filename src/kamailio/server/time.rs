//! Clocks. All processes of the machine share the one that never goes back.

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
