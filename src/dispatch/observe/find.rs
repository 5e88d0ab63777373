//! The query of the page: which destinations it asks for, in which order, and how many of them.

use core::cmp::Reverse;

use super::http_text::pairs;
use super::shown::Shown;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::text::number;

/// The most destinations in an answer.
const MOST: usize = 500;
/// The destinations in an answer that asks for no number.
const USUAL: usize = 100;
/// The most bytes of the words that are looked for.
const MOST_OF_WORDS: usize = 200;
/// The most words that are looked for, so that a query does not decide how long the lists are pinned.
const MOST_WORDS: usize = 8;
/// The most sets that are asked for, for the same reason.
const MOST_SETS: usize = 200;

/// The property that destinations are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// State, the worst first.
    State,
    /// URI.
    Uri,
    /// Number of the set.
    Set,
    /// Time in this state.
    For,
    /// Calls.
    Calls,
    /// Selections.
    Selections,
    /// Failovers.
    Failovers,
    /// Failed pings.
    PingsFailed,
    /// Time that the last ping took.
    RoundTrip,
    /// Priority.
    Priority,
    /// Weight.
    Weight,
}

impl Sort {
    const NAMES: [(&'static [u8], Self); 11] = [
        (b"state", Sort::State),
        (b"uri", Sort::Uri),
        (b"set", Sort::Set),
        (b"for", Sort::For),
        (b"calls", Sort::Calls),
        (b"selections", Sort::Selections),
        (b"failovers", Sort::Failovers),
        (b"pings_failed", Sort::PingsFailed),
        (b"round_trip", Sort::RoundTrip),
        (b"priority", Sort::Priority),
        (b"weight", Sort::Weight),
    ];
}

/// The facts about a destination by which destinations are chosen and sorted.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'d> {
    /// Its set.
    pub set: SetId,
    /// The name of its set; empty if it has none.
    pub set_name: &'d str,
    /// Its URI.
    pub uri: &'d [u8],
    /// Its attributes, as listed.
    pub attrs: &'d [u8],
    /// Its state.
    pub shown: Shown,
    /// Whether new calls may come to it.
    pub is_up: bool,
}

/// The key by which a destination is sorted: a number, then a text.
pub type Key<'d> = (i64, &'d [u8]);

/// A request for destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// The sets, in order; empty for all.
    sets: Vec<SetId>,
    /// What each destination has in its URI, its attributes or the name of its set, in small letters.
    words: Vec<Vec<u8>>,
    states: Vec<Wanted>,
    /// What they are sorted by.
    pub sort: Sort,
    is_descending: bool,
    /// The number of those that are passed over.
    pub offset: usize,
    /// The most that are shown.
    pub count: usize,
}

/// States that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    Up,
    Down,
    Is(Shown),
}

impl Wanted {
    fn read(word: &[u8]) -> Option<Self> {
        match word {
            b"up" => Some(Wanted::Up),
            b"down" => Some(Wanted::Down),
            _ => {
                let mut all = Shown::ALL.into_iter();
                all.find(|shown| shown.word().as_bytes() == word)
                    .map(Wanted::Is)
            }
        }
    }
}

impl Find {
    /// Reads the query of a URL, such as `set=1,2&state=down&sort=-calls&offset=100`.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub fn read(query: &[u8]) -> Result<Self, String> {
        let mut find = Find {
            sets: Vec::new(),
            words: Vec::new(),
            states: Vec::new(),
            sort: Sort::State,
            is_descending: false,
            offset: 0,
            count: USUAL,
        };
        for (name, value) in pairs(query) {
            let done = match &*name {
                b"set" => list(&value, number).map(|sets| find.sets = sets),
                b"state" => list(&value, Wanted::read).map(|states| find.states = states),
                b"q" if value.len() <= MOST_OF_WORDS => {
                    let words = words(&value, u8::is_ascii_whitespace, |word| {
                        Some(word.to_ascii_lowercase())
                    });
                    words.map(|words| find.words = words)
                }
                b"sort" => find.sort_by(&value),
                b"offset" => number(&value).map(|offset| find.offset = offset),
                b"count" => number(&value).map(|count: usize| find.count = count.clamp(1, MOST)),
                _ => None,
            };
            done.ok_or(
                "expected set=1,2 q=words state=up,down,inactive,trying,draining,disabled,active \
                 sort=[-]state,uri,set,for,calls,selections,failovers,pings_failed,round_trip,priority,weight \
                 offset=N count=N\n",
            )?;
        }
        if find.sets.len() > MOST_SETS {
            return Err(format!("more than {MOST_SETS} sets are asked for\n"));
        }
        if find.words.len() > MOST_WORDS {
            return Err(format!("more than {MOST_WORDS} words are looked for\n"));
        }
        Ok(find)
    }

    fn sort_by(&mut self, word: &[u8]) -> Option<()> {
        let name = word.strip_prefix(b"-");
        self.is_descending = name.is_some();
        let name = name.unwrap_or(word);
        let found = Sort::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|&(_, sort)| self.sort = sort)
    }

    /// Returns true for a set that is asked for.
    #[must_use]
    pub fn has_set(&self, set: SetId) -> bool {
        self.sets.is_empty() || self.sets.binary_search(&set).is_ok()
    }

    /// Returns true for a destination with the words that are looked for, whatever its set and its state are.
    #[must_use]
    pub fn finds(&self, facts: &Facts<'_>) -> bool {
        let has = |text: &[u8], word: &[u8]| {
            text.windows(word.len())
                .any(|part| part.eq_ignore_ascii_case(word))
        };
        self.words.iter().all(|word| {
            let texts = [facts.uri, facts.attrs, facts.set_name.as_bytes()];
            texts.into_iter().any(|text| has(text, word))
        })
    }

    /// Returns true for a state that is asked for.
    #[must_use]
    pub fn wants(&self, facts: &Facts<'_>) -> bool {
        let is = |wanted: &Wanted| match *wanted {
            Wanted::Up => facts.is_up,
            Wanted::Down => !facts.is_up,
            Wanted::Is(shown) => facts.shown == shown,
        };
        self.states.is_empty() || self.states.iter().any(is)
    }

    /// Puts the destinations that are asked for into order; `T` tells where each one is, in the order of listing.
    /// Returns those to show.
    #[must_use]
    pub fn page<T: Copy + Ord>(&self, mut hits: Vec<(Key<'_>, T)>) -> Vec<T> {
        let end = self.offset.saturating_add(self.count);
        // Equal ones stay in the order of listing, whichever way they are sorted.
        let by_key = |one: &(Key<'_>, T), other: &(Key<'_>, T)| {
            let order = if self.is_descending {
                Reverse(one.0).cmp(&Reverse(other.0))
            } else {
                one.0.cmp(&other.0)
            };
            order.then(one.1.cmp(&other.1))
        };
        if end < hits.len() {
            hits.select_nth_unstable_by(end, by_key);
            hits.truncate(end);
        }
        hits.sort_unstable_by(by_key);
        hits.into_iter()
            .skip(self.offset)
            .map(|(_, place)| place)
            .collect()
    }
}

/// Reads words with commas between them.
fn list<T: Ord>(text: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<T>> {
    words(text, |&byte| byte == b',', read)
}

/// Reads the words of a text, each once and in order.
fn words<T: Ord>(
    text: &[u8],
    ends: impl Fn(&u8) -> bool,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Option<Vec<T>> {
    let words = text.split(ends).filter(|word| !word.is_empty());
    let mut words: Vec<T> = words.map(read).collect::<Option<_>>()?;
    words.sort_unstable();
    words.dedup();
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Find {
        Find::read(query.as_bytes()).unwrap()
    }

    fn takes(find: &Find, facts: &Facts<'_>) -> bool {
        find.has_set(facts.set) && find.finds(facts) && find.wants(facts)
    }

    fn facts<'d>(set: SetId, uri: &'d str, attrs: &'d str, shown: Shown) -> Facts<'d> {
        Facts {
            set,
            set_name: "Carrier One",
            uri: uri.as_bytes(),
            attrs: attrs.as_bytes(),
            shown,
            is_up: matches!(shown, Shown::Active | Shown::Trying),
        }
    }

    #[test]
    fn a_query_says_which() {
        let gw = facts(7, "sip:GW1.test", "duid=a;desc=\u{e9}", Shown::Trying);
        for query in [
            "",
            "set=",
            "set=1,7",
            "q=gw1",
            "q=Gw+DUID%3Da",
            "q=carrier%20one",
            "q=%C3%A9",
            "state=up",
            "state=down,trying",
        ] {
            let find = read(query);
            assert!(takes(&find, &gw), "{query}");
        }
        for query in ["set=1", "q=gw2", "q=gw+x", "state=down", "state=active"] {
            let find = read(query);
            assert!(!takes(&find, &gw), "{query}");
        }
    }

    #[test]
    fn an_unknown_word_is_an_error() {
        for query in [
            "x",
            "set=a",
            "state=best",
            "sort=-",
            "sort=colour",
            "offset=-1",
            "count=x",
        ] {
            assert!(Find::read(query.as_bytes()).is_err(), "{query}");
        }
        assert!(Find::read(format!("q={}", "a".repeat(MOST_OF_WORDS + 1)).as_bytes()).is_err());
        assert_eq!(read("count=0").count, 1);
        assert_eq!(read("count=1000000").count, MOST);
    }

    #[test]
    fn a_query_does_not_decide_how_long_a_destination_is_looked_at() {
        let often = format!(
            "set={}&state={}&q={}",
            "7,".repeat(999),
            "up,".repeat(999),
            "gw ".repeat(66)
        );
        let find = read(&often);
        let counts = (find.sets.len(), find.states.len(), find.words.len());
        assert_eq!(counts, (1, 1, 1));
        let sets = |most: usize| (0..most).map(|set| format!("{set},")).collect::<String>();
        assert!(read(&format!("set={}", sets(MOST_SETS))).has_set(7));
        let error = Find::read(format!("set={}", sets(MOST_SETS + 1)).as_bytes());
        assert_eq!(error.unwrap_err(), "more than 200 sets are asked for\n");
        assert_eq!(read("q=a+b+c+d+e+f+g+h").words.len(), MOST_WORDS);
        let error = Find::read(b"q=a+b+c+d+e+f+g+h+i");
        assert_eq!(error.unwrap_err(), "more than 8 words are looked for\n");
        assert!(read("set=9,3,7,1").has_set(7) && !read("set=9,3,7,1").has_set(2));
    }

    #[test]
    fn a_page_is_a_part_of_the_order() {
        let hits = || {
            let keys = [3, 1, 2, 1, 0].into_iter().enumerate();
            keys.map(|(place, key)| ((key, &b""[..]), place)).collect()
        };
        for (query, page) in [
            ("", vec![4, 1, 3, 2, 0]),
            ("sort=-state", vec![0, 2, 1, 3, 4]),
            ("count=2", vec![4, 1]),
            ("count=2&offset=2", vec![3, 2]),
            ("count=2&offset=4", vec![0]),
            ("offset=5", vec![]),
            ("offset=18446744073709551615", vec![]),
        ] {
            assert_eq!(read(query).page(hits()), page, "{query}");
        }
    }

    #[test]
    fn texts_are_sorted_as_well() {
        let hits = vec![((0, &b"b"[..]), 0), ((0, &b"a"[..]), 1)];
        assert_eq!(read("sort=uri").page(hits.clone()), [1, 0]);
        assert_eq!(read("sort=-uri").page(hits), [0, 1]);
    }
}
