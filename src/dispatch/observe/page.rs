//! What the page gets: answers in JSON, none larger than what fits through a connection, and a text for people without
//! a browser.

use core::fmt::Write as _;

use serde_json::{Value, json};

use super::shown::{Shown, Tally};
use crate::dispatch::list::destination::SetId;

/// The most bytes of an answer.
pub const MOST: usize = 96_000;
/// The most bytes of the sets in an answer, so that there is room for destinations.
const MOST_OF_SETS: usize = 40_000;
/// The most sets in an answer.
pub const MOST_SETS: usize = 200;
/// The most bytes of a text.
const MOST_OF_TEXT: usize = 200;

/// Returns bytes as text, cut at 200 bytes; what is no text becomes U+FFFD.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let start = bytes.get(..=MOST_OF_TEXT).unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(start).into_owned();
    if text.len() > MOST_OF_TEXT {
        let mut end = MOST_OF_TEXT - "…".len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The sets and destinations, as far as they are asked for.
#[derive(Debug)]
pub struct Data {
    /// The name of the machine.
    pub host: String,
    /// The server and its version.
    pub server: String,
    /// The version of the module.
    pub version: &'static str,
    /// Milliseconds since 1970.
    pub now: u64,
    /// Where the list comes from.
    pub source: String,
    /// Whether pings are sent, and if not, why.
    pub pings: String,
    /// What is counted and measured.
    pub has: Has,
    /// The numbers of all sets together.
    pub totals: Totals,
    /// The sets, the worst first.
    pub sets: Vec<Set>,
    /// Sets that are not among them.
    pub sets_omitted: usize,
    /// The number of destinations that are found, by state, whatever states are asked for.
    pub states: States,
    /// The number of destinations that are found.
    pub matches: usize,
    /// The number of those before the first row.
    pub offset: usize,
    /// The destinations.
    pub rows: Vec<Row>,
}

/// What is counted and measured with this config.
#[derive(Clone, Copy, Debug)]
pub struct Has {
    /// Calls.
    pub calls: bool,
    /// Selections and failovers.
    pub counters: bool,
    /// Pings.
    pub pings: bool,
    /// Weights: a destination has one.
    pub weights: bool,
}

/// The numbers of all sets together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Sets.
    pub sets: usize,
    /// Sets without a destination that is up.
    pub down_sets: usize,
    /// Destinations.
    pub destinations: u32,
    /// Destinations that are up.
    pub up: u32,
    /// Calls.
    pub calls: u64,
}

/// The number of destinations in each state.
#[derive(Clone, Copy, Debug)]
pub struct States {
    inactive: u32,
    trying: u32,
    draining: u32,
    disabled: u32,
    active: u32,
}

impl From<Tally> for States {
    fn from(tally: Tally) -> Self {
        States {
            inactive: tally.of(Shown::Inactive),
            trying: tally.of(Shown::Trying),
            draining: tally.of(Shown::Draining),
            disabled: tally.of(Shown::Disabled),
            active: tally.of(Shown::Active),
        }
    }
}

/// A set.
#[derive(Debug)]
pub struct Set {
    /// Its number.
    pub id: SetId,
    /// Its name; empty if it has none.
    pub name: String,
    /// Its destinations by state.
    pub states: States,
    /// Its destinations.
    pub total: u32,
    /// Those that are up.
    pub up: u32,
    /// Its calls.
    pub calls: u64,
    /// Its selections, if they are counted.
    pub selections: Option<u64>,
}

/// Returns what sets are sorted by, so that the worst is first.
#[must_use]
pub fn concern(tally: &Tally, up: u32) -> (bool, Shown, u32) {
    let all = tally.all();
    let permille = u64::from(up) * 1_000 / u64::from(all.max(1));
    let permille = u32::try_from(permille).unwrap_or(u32::MAX);
    (all == 0 || up > 0, tally.worst(), permille)
}

/// A destination.
#[derive(Debug)]
pub struct Row {
    /// Its set.
    pub set: SetId,
    /// The name of its set; empty if it has none.
    pub set_name: String,
    /// Its URI.
    pub uri: String,
    /// Its unique id; empty if it has none.
    pub duid: String,
    /// Its local socket; empty if the list names none.
    pub socket: String,
    /// Its description; empty if it has none.
    pub desc: String,
    /// The other attributes that the operator wants to see, with their names.
    pub attrs: Vec<(String, String)>,
    /// Its state.
    pub state: &'static str,
    /// The letters of its state.
    pub letters: String,
    /// Whether new calls may come to it.
    pub up: bool,
    /// The seconds since its state was set, if that was after the start.
    pub for_s: Option<u64>,
    /// Why it is in its state.
    pub why: String,
    /// The server that pings it for this one, or this one; `None` without a cluster.
    pub watched_by: Option<String>,
    /// The findings of other servers that ping it, in words, if they are the opposite of what this one has found.
    pub elsewhere: Option<String>,
    /// Its calls; with those of other servers, if these are counted together.
    pub calls: u32,
    /// Its calls through this server, if calls are counted together.
    pub calls_here: Option<u32>,
    /// The calls that it may have; 0 for no limit.
    pub maxload: i32,
    /// How often it was selected, if that is counted.
    pub selections: Option<u64>,
    /// How often it was left for the next destination, if that is counted.
    pub failovers: Option<u64>,
    /// Its pings, if they are counted.
    pub pings: Option<u64>,
    /// Those of them that failed.
    pub pings_failed: Option<u64>,
    /// The milliseconds that the last ping took, if it was answered.
    pub round_trip_ms: Option<f64>,
    /// Its priority.
    pub priority: i32,
    /// Its weight.
    pub weight: i32,
    /// Its relative weight.
    pub rweight: i32,
}

/// A change of a state.
#[derive(Debug)]
pub struct Change {
    /// Milliseconds since 1970.
    pub at: u64,
    /// The set.
    pub set: SetId,
    /// The name of the set; empty if it has none.
    pub set_name: String,
    /// The URI.
    pub uri: String,
    /// The state before.
    pub from: &'static str,
    /// The state since.
    pub to: &'static str,
    /// Who has changed it, and what was found.
    pub why: String,
}

impl Change {
    fn json(&self) -> Value {
        json!({
            "at": self.at, "set": self.set, "set_name": self.set_name, "uri": self.uri, "from": self.from,
            "to": self.to, "why": self.why,
        })
    }
}

/// Returns changes in JSON, as many as fit; `None` says that none are kept.
#[must_use]
pub fn history(changes: Option<&[Change]>) -> String {
    let room = MOST - r#"{"changes":[]}"#.len();
    let changes = changes.map(|all| fit(all.iter().map(Change::json).collect(), room));
    json!({ "changes": changes }).to_string()
}

/// Drops the end of a list, so that the rest takes at most so many bytes.
fn fit(mut list: Vec<Value>, most: usize) -> Vec<Value> {
    let mut left = most;
    let fits = list.iter().take_while(|one| {
        let rest = left.checked_sub(one.to_string().len() + ",".len());
        left = rest.unwrap_or(0);
        rest.is_some()
    });
    let fits = fits.count();
    list.truncate(fits);
    list
}

/// Adds lines to a text as long as it has at most so many bytes. Returns how many it has taken.
fn add_lines(text: &mut String, lines: impl Iterator<Item = String>, most: usize) -> usize {
    let fits = lines.take_while(|line| {
        let fits = text.len() + line.len() <= most;
        if fits {
            text.push_str(line);
        }
        fits
    });
    fits.count()
}

impl Set {
    fn json(&self) -> Value {
        let states = &self.states;
        json!({
            "id": self.id, "name": self.name, "total": self.total, "up": self.up, "calls": self.calls,
            "selections": self.selections, "inactive": states.inactive, "trying": states.trying,
            "draining": states.draining, "disabled": states.disabled, "active": states.active,
        })
    }
}

impl Row {
    fn json(&self) -> Value {
        let mut row = json!({
            "set": self.set, "set_name": self.set_name, "uri": self.uri, "duid": self.duid, "socket": self.socket,
            "desc": self.desc, "attrs": self.attrs, "state": self.state, "letters": self.letters, "up": self.up,
            "for_s": self.for_s, "why": self.why, "calls": self.calls, "maxload": self.maxload,
            "selections": self.selections, "failovers": self.failovers, "pings": self.pings,
            "pings_failed": self.pings_failed, "round_trip_ms": self.round_trip_ms, "priority": self.priority,
            "weight": self.weight, "rweight": self.rweight,
        });
        if let (Some(name), Some(row)) = (&self.watched_by, row.as_object_mut()) {
            row.insert("watched_by".into(), name.as_str().into());
        }
        if let (Some(elsewhere), Some(row)) = (&self.elsewhere, row.as_object_mut()) {
            row.insert("elsewhere".into(), elsewhere.as_str().into());
        }
        if let (Some(calls), Some(row)) = (self.calls_here, row.as_object_mut()) {
            row.insert("calls_here".into(), calls.into());
        }
        row
    }
}

impl Data {
    /// Returns it in JSON, with as many sets and rows as fit.
    #[must_use]
    pub fn json(&self) -> String {
        let (has, totals, states) = (&self.has, &self.totals, &self.states);
        let sets = fit(self.sets.iter().map(Set::json).collect(), MOST_OF_SETS);
        let mut all = json!({
            "host": self.host, "server": self.server, "version": self.version, "now": self.now,
            "source": self.source, "pings": self.pings,
            "has": {
                "calls": has.calls, "counters": has.counters, "pings": has.pings, "weights": has.weights,
            },
            "totals": {
                "sets": totals.sets, "down_sets": totals.down_sets, "destinations": totals.destinations,
                "up": totals.up, "calls": totals.calls,
            },
            "sets_omitted": self.sets_omitted + self.sets.len() - sets.len(),
            "sets": sets,
            "states": {
                "inactive": states.inactive, "trying": states.trying, "draining": states.draining,
                "disabled": states.disabled, "active": states.active,
            },
            "matches": self.matches, "offset": self.offset, "next": usize::MAX, "rows": [],
        });
        let room = MOST.saturating_sub(all.to_string().len());
        let rows = fit(self.rows.iter().map(Row::json).collect(), room);
        // A row that is too long by itself is passed over.
        let end = self.offset.saturating_add(rows.len().max(1));
        let next = Some(end).filter(|&end| end < self.matches);
        if let Some(all) = all.as_object_mut() {
            all.extend([
                ("next".to_owned(), json!(next)),
                ("rows".to_owned(), rows.into()),
            ]);
        }
        all.to_string()
    }

    /// Returns it as a text with a line for each set, and one for each row, as many as fit.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let all = &self.totals;
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "{} ({}), module {}\n\
             {} of {} destinations up in {} sets, {} sets down, {} calls, pings {}\n",
            self.host,
            self.server,
            self.version,
            all.up,
            all.destinations,
            all.sets,
            all.down_sets,
            all.calls,
            self.pings
        );
        let sets = self.sets.iter().map(|set| {
            let States {
                inactive,
                trying,
                draining,
                disabled,
                active,
            } = set.states;
            format!(
                "set {} {}: {} of {} up; {active} active, {trying} trying, {inactive} inactive, \
                 {draining} draining, {disabled} disabled\n",
                set.id, set.name, set.up, set.total
            )
        });
        let shown = add_lines(&mut text, sets, MOST_OF_SETS);
        let rest = self.sets_omitted + self.sets.len() - shown;
        if rest > 0 {
            let _ = writeln!(text, "and {rest} more sets");
        }
        text.push('\n');
        let rows = self.rows.iter().map(|row| {
            let elsewhere = row.elsewhere.as_ref();
            let elsewhere = elsewhere.map_or(String::new(), |found| format!("; {found}"));
            format!(
                "set {} {}: {} ({}), {}{elsewhere}\n",
                row.set, row.uri, row.state, row.letters, row.why
            )
        });
        let shown = add_lines(
            &mut text,
            rows,
            MOST - "and 18446744073709551615 more\n".len(),
        );
        let rest = self
            .matches
            .saturating_sub(self.offset.saturating_add(shown));
        if rest > 0 {
            let _ = writeln!(text, "and {rest} more");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bytes: &[u8]) -> Row {
        Row {
            set: -1,
            set_name: text(bytes),
            uri: text(bytes),
            duid: text(bytes),
            socket: text(bytes),
            desc: text(bytes),
            attrs: vec![(text(bytes), text(bytes))],
            state: Shown::Inactive.word(),
            letters: "IP".into(),
            up: false,
            for_s: Some(u64::MAX),
            why: text(bytes),
            watched_by: Some(text(bytes)),
            elsewhere: None,
            calls: u32::MAX,
            calls_here: Some(u32::MAX),
            maxload: i32::MIN,
            selections: Some(u64::MAX),
            failovers: None,
            pings: Some(u64::MAX),
            pings_failed: None,
            round_trip_ms: Some(0.25),
            priority: 0,
            weight: 0,
            rweight: 0,
        }
    }

    fn data(rows: usize, sets: usize, bytes: &[u8]) -> Data {
        let states = States::from(Tally::default());
        let set = |id| Set {
            id,
            name: text(bytes),
            states,
            total: 0,
            up: 0,
            calls: 0,
            selections: None,
        };
        Data {
            host: text(bytes),
            server: text(bytes),
            version: "0",
            now: 0,
            source: text(bytes),
            pings: text(bytes),
            has: Has {
                calls: true,
                counters: true,
                pings: true,
                weights: false,
            },
            totals: Totals::default(),
            sets: (0..sets).map(|_| set(1)).collect(),
            sets_omitted: 0,
            states,
            matches: rows,
            offset: 0,
            rows: (0..rows).map(|_| row(bytes)).collect(),
        }
    }

    fn parsed(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(text(b"sip:gw"), "sip:gw");
        assert_eq!(text(&[b'a'; MOST_OF_TEXT]), "a".repeat(MOST_OF_TEXT));
        for long in [
            vec![b'a'; MOST_OF_TEXT + 1],
            vec![0xff; 70_000],
            "\u{20ac}".repeat(100).into_bytes(),
            "a\u{20ac}".repeat(100).into_bytes(),
        ] {
            let text = text(&long);
            assert!(text.len() <= MOST_OF_TEXT && text.ends_with('…'), "{text}");
        }
    }

    #[test]
    fn any_bytes_come_back_out_of_the_json() {
        let hostile =
            b"\"\\</script>\n\r\t\0\x1f\x7f\xff\xc3\xe2\x80\xa8&'\xf0\x9f\x98\x80\xed\xa0\x80";
        let parsed = parsed(&data(1, 1, hostile).json());
        let expected = String::from_utf8_lossy(hostile);
        for name in ["uri", "duid", "why", "desc"] {
            assert_eq!(parsed["rows"][0][name], *expected, "{name}");
        }
        assert_eq!(parsed["rows"][0]["attrs"][0][0], *expected);
        assert_eq!(parsed["sets"][0]["name"], *expected);
        assert_eq!(parsed["sets"][0]["trying"], 0);
    }

    #[test]
    fn an_answer_is_never_too_long_and_never_without_a_row() {
        for bytes in [&[b'a'; 300][..], &[1; 300], &[0xff; 300], b"gw"] {
            let json = data(500, MOST_SETS, bytes).json();
            assert!(json.len() <= MOST, "{} bytes", json.len());
            let parsed = parsed(&json);
            let rows = parsed["rows"].as_array().unwrap().len();
            assert!(rows > 1, "{rows} rows");
            assert_eq!(parsed["next"], rows);
            let sets = parsed["sets"].as_array().unwrap().len();
            assert_eq!(parsed["sets_omitted"], MOST_SETS - sets);
        }
        let parsed = parsed(&data(3, 1, b"gw").json());
        assert_eq!(parsed["next"], Value::Null);
    }

    #[test]
    fn a_history_is_never_too_long() {
        let change = || Change {
            at: u64::MAX,
            set: 1,
            set_name: text(&[1; 300]),
            uri: text(&[1; 300]),
            from: "active",
            to: "inactive",
            why: text(&[1; 300]),
        };
        let changes: Vec<_> = (0..500).map(|_| change()).collect();
        let json = history(Some(&changes));
        assert!(
            (MOST - 5_000..=MOST).contains(&json.len()),
            "{}",
            json.len()
        );
        assert!(parsed(&json)["changes"].as_array().unwrap().len() > 10);
        assert_eq!(history(Some(&[])), r#"{"changes":[]}"#);
        assert_eq!(history(None), r#"{"changes":null}"#);
    }

    #[test]
    fn a_set_without_a_usable_destination_is_the_worst() {
        let tally = |shown: &[Shown]| {
            let mut tally = Tally::default();
            shown.iter().for_each(|&shown| tally.count(shown));
            tally
        };
        let (up, down) = (Shown::Active, Shown::Inactive);
        let order = [
            concern(&tally(&[down]), 0),
            concern(&tally(&[Shown::Disabled]), 0),
            concern(&tally(&[up, down, down]), 1),
            concern(&tally(&[up, down]), 1),
            concern(&tally(&[up, Shown::Trying]), 2),
            concern(&tally(&[up]), 1),
        ];
        assert!(order.is_sorted(), "{order:?}");
        assert!(concern(&Tally::default(), 0) > order[4]);
    }

    #[test]
    fn the_text_has_a_line_for_each_set_and_row() {
        let mut data = data(2, 1, b"x");
        data.matches = 5;
        let text = data.text();
        assert!(text.contains("set 1 x: 0 of 0 up"), "{text}");
        assert!(text.contains("set -1 x: inactive (IP), x\n") && text.ends_with("and 3 more\n"));
        data.rows[0].elsewhere = Some("up on 1 other server".into());
        let text = data.text();
        assert!(text.contains(" (IP), x; up on 1 other server\n"), "{text}");
        data.offset = 3;
        assert!(data.text().ends_with("set -1 x: inactive (IP), x\n"));
    }

    #[test]
    fn a_text_is_never_too_long_and_counts_what_it_leaves_out() {
        for bytes in [&[b'a'; 300][..], &[0xff; 300]] {
            let text = data(500, MOST_SETS, bytes).text();
            assert!(
                (MOST - 1_000..=MOST).contains(&text.len()),
                "{} bytes",
                text.len()
            );
            let lines = |part: &str| text.lines().filter(|line| line.contains(part)).count();
            let (sets, rows) = (lines(": 0 of 0 up"), lines(": inactive (IP)"));
            assert!(
                text.contains(&format!("\nand {} more sets\n", MOST_SETS - sets)),
                "{text}"
            );
            assert!(
                text.ends_with(&format!("\nand {} more\n", 500 - rows)),
                "{text}"
            );
        }
    }
}
