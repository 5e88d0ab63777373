//! The filter of a page of metrics: the words that a script and the query of a URL may give.

use core::fmt;

use super::families::{Families, Id};
use super::http_text::pairs;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::text::{Escaped, number};

/// The words of a filter, for messages.
pub const WORDS: &str = "level=set|destination, set=1,2, metrics=a,-b, states=0|1, up=0|1";

/// A filter of metrics. Without any words it shows all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Single destinations are shown.
    destinations: bool,
    /// The sets that are shown, in order; `None` for all.
    sets: Option<Vec<SetId>>,
    families: Families,
    /// The value of the word `states`.
    states: Option<bool>,
    /// The destinations that are shown: those that are up, or those that are not; `None` for all.
    up: Option<bool>,
}

/// A word that a filter does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown word \"{}\", expected {WORDS}", self.0)
    }
}

impl Filter {
    /// The filter without words.
    pub const ALL: Filter = Filter {
        destinations: true,
        sets: None,
        families: Families::ALL,
        states: None,
        up: None,
    };

    /// Reads the words of a filter, joined by `&`.
    ///
    /// # Errors
    /// [`Wrong`] names the word.
    pub fn parse(text: &[u8]) -> Result<Self, Wrong> {
        let mut filter = Filter::ALL;
        for (name, value) in pairs(text) {
            let read = filter.add(&name, &value);
            read.ok_or_else(|| {
                let word = [name.as_slice(), b"=", value.as_slice()].concat();
                Wrong(Escaped(&word).to_string())
            })?;
        }
        Ok(filter)
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let switch = || match value {
            b"0" => Some(false),
            b"1" => Some(true),
            _ => None,
        };
        match (name, value) {
            (b"level", b"set") => self.destinations = false,
            (b"level", b"destination") => self.destinations = true,
            (b"set", sets) => {
                let sets = sets.split(|&byte| byte == b',').map(number);
                let mut sets: Vec<SetId> = sets.collect::<Option<_>>()?;
                sets.sort_unstable();
                self.sets = Some(sets);
            }
            (b"metrics", names) => self.families = families(core::str::from_utf8(names).ok()?)?,
            (b"states", _) => self.states = Some(switch()?),
            (b"up", _) => self.up = Some(switch()?),
            _ => return None,
        }
        Some(())
    }
}

/// Reads names of families: those that are shown, and with `-` those that are not.
fn families(names: &str) -> Option<Families> {
    let (mut shown, mut hidden, mut any) = (Families::NONE, Families::NONE, false);
    for name in names.split(',') {
        if let Some(name) = name.strip_prefix('-') {
            hidden = hidden.with(Families::named(name)?);
        } else {
            shown = shown.with(Families::named(name)?);
            any = true;
        }
    }
    let shown = if any { shown } else { Families::ALL };
    Some(shown.without(hidden))
}

/// The filter of a page: that of the script, narrowed by that of the request.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The filter of the script.
    pub script: Filter,
    /// The filter of the request.
    pub query: Filter,
}

impl Wanted {
    fn both(&self, holds: impl Fn(&Filter) -> bool) -> bool {
        holds(&self.script) && holds(&self.query)
    }

    /// Returns true if the page shows single destinations, as far as there are not too many.
    #[must_use]
    pub fn destinations(&self) -> bool {
        self.both(|filter| filter.destinations)
    }

    /// Returns true if the page shows this set.
    #[must_use]
    pub fn has_set(&self, set: SetId) -> bool {
        self.both(|filter| {
            let sets = filter.sets.as_ref();
            sets.is_none_or(|sets| sets.binary_search(&set).is_ok())
        })
    }

    /// Returns true if the page shows a destination that is up or not.
    #[must_use]
    pub fn has_up(&self, up: bool) -> bool {
        self.both(|filter| filter.up.is_none_or(|wanted| wanted == up))
    }

    /// Returns how many lines the page has at most for each destination.
    #[must_use]
    pub fn lines_of_destination(&self) -> usize {
        let most = |filter: &Filter| filter.families.of_destinations();
        let further_states = if self.has(Id::DestinationState) { 4 } else { 0 };
        most(&self.script).min(most(&self.query)) + further_states
    }

    /// Returns true if the page shows this family. Only a script can ask for the one with a line for each state.
    #[must_use]
    pub fn has(&self, id: Id) -> bool {
        let states = || self.script.states == Some(true) && self.query.states != Some(false);
        self.both(|filter| filter.families.has(id)) && (id != Id::DestinationState || states())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(script: &str, query: &str) -> Wanted {
        let filter = |text: &str| Filter::parse(text.as_bytes()).unwrap();
        Wanted {
            script: filter(script),
            query: filter(query),
        }
    }

    #[test]
    fn without_words_all_is_shown_but_the_states() {
        let all = wanted("", "");
        assert!(all.destinations() && all.has_set(7) && all.has_up(true) && all.has_up(false));
        assert!(all.has(Id::Sets) && all.has(Id::DestinationUp) && !all.has(Id::DestinationState));
    }

    #[test]
    fn a_query_narrows_and_never_widens() {
        let some = wanted("set=1,2&level=destination", "set=4,2,3,2&up=0");
        assert!(some.has_set(2) && !some.has_set(1) && !some.has_set(3));
        assert!(some.has_up(false) && !some.has_up(true));
        assert!(!wanted("level=set", "level=destination").destinations());
        assert!(!wanted("", "level=set").destinations());
        let narrow = wanted(
            "metrics=sets,destination_up",
            "metrics=destination_up,loads_total",
        );
        assert!(narrow.has(Id::DestinationUp) && !narrow.has(Id::Sets) && !narrow.has(Id::Loads));
        let without = wanted("metrics=-kamailio_dispatcher_sets", "");
        assert!(!without.has(Id::Sets) && without.has(Id::Loads));
        assert!(!wanted("up=1", "up=0").has_up(false));
        assert_eq!(narrow.lines_of_destination(), 1);
        let states = wanted("states=1&metrics=destination_state,destination_up", "");
        assert_eq!(states.lines_of_destination(), 6);
        for (script, query, shown) in [
            ("states=1", "", true),
            ("states=1", "states=1", true),
            ("states=1", "states=0", false),
            ("states=1", "metrics=-destination_state", false),
            ("", "states=1", false),
            ("states=0", "states=1", false),
        ] {
            let has = wanted(script, query).has(Id::DestinationState);
            assert_eq!(has, shown, "{script} {query}");
        }
    }

    #[test]
    fn other_words_are_named() {
        for (text, word) in [
            ("level=all", "level=all"),
            ("level=set&nodes=1", "nodes=1"),
            ("set=1,", "set=1,"),
            ("set=x", "set=x"),
            ("up=2", "up=2"),
            ("states", "states="),
            ("metrics=sets,up", "metrics=sets,up"),
            ("metrics=", "metrics="),
            ("q=%0d%0aX", "q=\\r\\nX"),
        ] {
            let wrong = Filter::parse(text.as_bytes()).unwrap_err().to_string();
            assert_eq!(wrong, format!("unknown word \"{word}\", expected {WORDS}"));
        }
    }
}
