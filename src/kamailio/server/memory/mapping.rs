//! The mapping that the server's pool lies in, for tools that keep notes of memory. It is never in a release.

use core::ops::Range;

/// Returns the addresses of the mapping that an address is in.
pub fn of(address: usize) -> Option<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut ranges = maps.lines().filter_map(range);
    ranges.find(|range| range.contains(&address))
}

/// Returns the addresses of a line of `/proc/self/maps`: `from-to rights ...`, in hexadecimal.
fn range(line: &str) -> Option<Range<usize>> {
    let (start, rest) = line.split_once('-')?;
    let end = rest.split(' ').next()?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}
