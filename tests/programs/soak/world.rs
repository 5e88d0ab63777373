//! The soak's lists: what every good file has, what only some have, and how a file can be bad.

use std::collections::BTreeMap;
use std::path::Path;

/// The set that calls go to: all of its destinations answer.
pub const CALLED: i64 = 1;
/// The set that is selected from: its first destination is always active.
pub const SELECTED: i64 = 2;
/// Sets whose destinations are edited, one editor each; the selected one too.
pub const EDITED: [i64; 5] = [SELECTED, 10, 11, 12, 13];
/// Destinations of an edited set that are in every good file.
pub const LASTING: usize = 8;

/// Numbers by chance, the same in each run.
pub struct Chance(pub u64);

impl Chance {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// The URI of a destination that is in every good file.
pub fn lasting(set: i64, n: usize) -> String {
    format!("sip:127.0.{set}.{n}:7001")
}

/// The duid of such a destination; every other one has none.
pub fn duid(set: i64, n: usize) -> Option<String> {
    (n % 2 == 0).then(|| format!("d{set}-{n}"))
}

/// The URI of a destination that comes and goes. Those of the called set answer as well.
pub fn passing(set: i64, n: usize, called: &str) -> String {
    match set {
        CALLED => format!("{called};n={n}"),
        _ => format!("sip:127.1.{set}.{n}:7001"),
    }
}

/// Lines of a good file: the lasting ones first, then some of the passing ones.
pub fn good(chance: &mut Chance, called: &[String]) -> String {
    let line = |uri| format!("{CALLED} {uri}\n");
    let mut list: String = called.iter().map(line).collect();
    for set in EDITED {
        for n in 0..LASTING {
            let attrs = duid(set, n).map_or("weight=5".to_owned(), |duid| format!("duid={duid}"));
            list += &format!("{set} {} 0 {} {attrs}\n", lasting(set, n), n % 3);
        }
    }
    for set in EDITED.into_iter().chain([CALLED, 20, 21, 22]) {
        for n in 0..chance.below(20) {
            let (uri, priority) = (passing(set, n, &called[0]), chance.below(3));
            list += &format!("{set} {uri} {} {priority}\n", [0, 8][n % 2]);
        }
    }
    list
}

/// What stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A good list.
    Good,
    /// Cut behind the lasting lines: still a list.
    Shorter,
    /// Cut inside a line, so that it is none.
    Truncated,
    /// Nothing.
    Empty,
    /// Bytes by chance.
    Garbage,
}

/// A file by chance, and whether a reload takes it.
pub fn version(chance: &mut Chance, called: &[String]) -> (Version, Vec<u8>) {
    let list = good(chance, called);
    let lasting_end = list
        .match_indices('\n')
        .nth(called.len() + EDITED.len() * LASTING - 1);
    let lasting_end = lasting_end.expect("all lasting lines").0 + 1;
    match chance.below(8) {
        0 => (Version::Empty, Vec::new()),
        1 => {
            let bytes = (0..500).map(|_| u8::try_from(chance.below(256)).expect("a byte"));
            // A first line that can be none, whatever the bytes are.
            let garbage = b"\xFF\xFE{".iter().copied().chain(bytes).collect();
            (Version::Garbage, garbage)
        }
        2 => {
            let lines: Vec<&str> = list.lines().collect();
            let cut = 1 + chance.below(lines.len() - 1);
            let set = lines[cut].split(' ').next().expect("a set");
            let text = lines[..cut].join("\n") + "\n" + set;
            (Version::Truncated, text.into_bytes())
        }
        3 => {
            let rest: Vec<&str> = list[lasting_end..].lines().collect();
            let kept = chance.below(rest.len() + 1);
            let text = list[..lasting_end].to_owned() + &rest[..kept].join("\n");
            (Version::Shorter, text.into_bytes())
        }
        _ => (Version::Good, list.into_bytes()),
    }
}

/// Puts a file in the place of another at once.
pub fn replace(path: &Path, content: &[u8]) {
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, content).expect("the fresh file");
    std::fs::rename(&fresh, path).expect("the fresh file takes its place");
}

/// URIs of each set in the order of a list: priority going down, then the last line first.
pub fn order(list: &str) -> BTreeMap<i64, Vec<String>> {
    let mut sets: BTreeMap<i64, Vec<(i64, String)>> = BTreeMap::new();
    for line in list.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| {
            words
                .get(at)
                .map_or(0, |word| word.parse().expect("a number"))
        };
        let dest = (number(3), words[1].to_owned());
        sets.entry(number(0)).or_default().insert(0, dest);
    }
    let sorted = |(set, mut dests): (i64, Vec<(i64, String)>)| {
        dests.sort_by_key(|(priority, _)| -priority);
        (set, dests.into_iter().map(|(_, uri)| uri).collect())
    };
    sets.into_iter().map(sorted).collect()
}
