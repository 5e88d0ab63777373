//! How many lines a second may have, over all processes, and how much else: one word holds all that there is to know.

/// The most lines of the log in one window.
pub const MOST: u64 = 10;

/// The length of a window in milliseconds. It begins with the first thing in it.
pub const WINDOW_MS: u64 = 1_000;

/// Bits of the word below the start of the window: how many it had. The bits above are enough for 34 years.
const COUNT_BITS: u32 = 24;

/// Returns the word after one more line, or whatever is counted, at this time; `None` if the window has had the most that
/// it may have.
///
/// The word is 0 before the first one. The time is of a clock that never goes back; processes may come with times in
/// another order than they took them.
#[must_use]
pub const fn admit(word: u64, now_ms: u64, most: u64) -> Option<u64> {
    let (start_ms, count) = (word >> COUNT_BITS, word & ((1 << COUNT_BITS) - 1));
    if count == 0 || now_ms >= start_ms + WINDOW_MS {
        return Some((now_ms << COUNT_BITS) | 1);
    }
    if count < most { Some(word + 1) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns which of these times are admitted.
    fn admitted(times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut word = 0;
        let mut admits = |now_ms: &u64| match admit(word, *now_ms, MOST) {
            Some(more) => {
                word = more;
                true
            }
            None => false,
        };
        times.into_iter().filter(|now_ms| admits(now_ms)).collect()
    }

    #[test]
    fn a_burst_has_ten_lines_and_the_next_second_ten_more() {
        assert_eq!(admitted([5_000; 1_000]), [5_000; 10]);
        let lines = admitted((0..3_000).map(|at| 7_777 + at));
        let starts = [7_777, 8_777, 9_777];
        let expected = starts.into_iter().flat_map(|start| start..start + 10);
        assert_eq!(lines, expected.collect::<Vec<_>>());
    }

    #[test]
    fn rare_lines_are_all_admitted() {
        let times: Vec<u64> = (0..100).map(|at| at * 101).collect();
        assert_eq!(admitted(times.clone()), times);
        // From the first moment of the clock on, and from one to the next end of the window.
        assert_eq!(admitted([0, 999, 1_000]), [0, 999, 1_000]);
    }

    #[test]
    fn no_second_has_more_than_twice_the_lines_of_a_window() {
        let lines = admitted((0..10_000).filter(|at| at % 7 == 0 || at % 1_000 > 900));
        for start in 0..10_000 {
            let within = lines
                .iter()
                .filter(|&&at| at >= start && at < start + 1_000);
            assert!(within.count() as u64 <= 2 * MOST, "from {start}");
        }
    }

    #[test]
    fn a_process_that_is_late_opens_no_window() {
        let full = (0..MOST).fold(0, |word, _| admit(word, 5_000, MOST).unwrap());
        assert_eq!(admit(full, 4_000, MOST), None);
        assert_eq!(admit(full, 5_999, MOST), None);
        assert!(admit(full, 6_000, MOST).is_some());
    }
}
