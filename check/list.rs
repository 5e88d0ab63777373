//! Reads a list as a load does, and collects the messages that its text decides.

use std::collections::BTreeMap;

use dispatcher::dispatch::admission::remarks::{SwitchedOn, on_attributes};
use dispatcher::dispatch::list::attrs::Attrs;
use dispatcher::dispatch::list::destination::{Line, Origin, SetId};
use dispatcher::dispatch::list::file::{self, Severity};
use dispatcher::dispatch::list::order;
use dispatcher::dispatch::list::reading::{self, LeftOut, Place};
use dispatcher::dispatch::select::remarks::on_weights;
use dispatcher::dispatch::state::flags::State;

/// The values of the module's parameter `ds_load_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadMode {
    /// 0: a destination that cannot be used is left out.
    #[default]
    LeaveOut,
    /// 1: it refuses the list.
    Refuse,
}

/// The level at which the server logs a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The list is refused.
    Error,
    /// The list is taken.
    Warning,
}

/// Something that the server would log of the list.
pub struct Message {
    /// The level.
    pub level: Level,
    /// The number of the line, from 1.
    pub line: usize,
    /// The column, in bytes from 1, where the message has one.
    pub column: Option<usize>,
    /// The text as it is logged, without the name of the file.
    pub text: String,
}

/// A local socket in an attribute, of which only the server knows whether it has it.
pub struct Socket {
    /// The number of the line, from 1.
    pub line: usize,
    /// The name of the attribute.
    pub attribute: &'static str,
    /// Its value.
    pub value: Vec<u8>,
}

/// The result of reading a list.
#[derive(Default)]
pub struct Checked {
    /// The messages that the server would log, in its order.
    pub messages: Vec<Message>,
    /// The remarks of `dispatcher.check`, for a server whose parameters turn each attribute on.
    pub remarks: Vec<String>,
    /// The number of sets that are left.
    pub sets: usize,
    /// The number of destinations that are left; each has a URI that is left to the server.
    pub destinations: usize,
    /// The number of destinations that are left out.
    pub left_out: usize,
    /// The number of destinations whose host is left to the server.
    pub hosts: usize,
    /// Local sockets that are left to the server.
    pub sockets: Vec<Socket>,
}

impl Checked {
    /// Returns true if the server would refuse the list.
    pub fn is_refused(&self) -> bool {
        let mut levels = self.messages.iter().map(|message| message.level);
        levels.any(|level| level == Level::Error)
    }

    fn tell(&mut self, level: Level, line: usize, column: Option<usize>, text: String) {
        self.messages.push(Message {
            level,
            line,
            column,
            text,
        });
    }

    /// Notes the local sockets that attributes name. Of two that are for the same, the server asks for one.
    fn note_sockets(&mut self, line: usize, attrs: &Attrs<'_>) {
        let named = match (attrs.sockname, attrs.socket) {
            (Some(name), _) => Some(("sockname", name)),
            (None, place) => place.map(|place| ("socket", place)),
        };
        let pinged = attrs.ping_socket.map(|place| ("ping_socket", place));
        let sockets = named.into_iter().chain(pinged);
        self.sockets
            .extend(sockets.map(|(attribute, value)| Socket {
                line,
                attribute,
                value: value.to_vec(),
            }));
    }
}

/// Checks the text of a list.
pub fn check(text: &[u8], mode: LoadMode) -> Checked {
    let mut checked = Checked::default();
    let mut lines = Vec::new();
    file::parse(text, &mut lines, &mut |problem| {
        let level = match problem.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        };
        checked.tell(
            level,
            problem.line,
            Some(problem.column),
            problem.to_string(),
        );
    });
    let mut sets = BTreeMap::<SetId, Set<'_>>::new();
    for line in &lines {
        let number = number(line);
        // ds_attrs_none gives destinations an attribute that no check looks at.
        match reading::read(line, false) {
            Ok(read) => {
                for warning in &read.attrs.warnings {
                    let text = format!("{}: {warning}", Place(line));
                    checked.tell(Level::Warning, number, None, text);
                }
                let attrs = &read.attrs.attrs;
                checked.destinations += 1;
                checked.hosts += usize::from(!State(line.flags).contains(State::NODNS));
                checked.note_sockets(number, attrs);
                let place = sets.len();
                let set = sets.entry(line.set).or_insert_with(|| Set::at(place));
                set.priorities.push(line.priority);
                set.weights.push((attrs.weight, attrs.rweight));
                set.bodies.push(read.attrs.body);
            }
            Err(fault) => {
                let what = format!("{}: {fault}", line.origin);
                let (level, text) = match mode {
                    LoadMode::LeaveOut => (Level::Warning, LeftOut(&what).to_string()),
                    LoadMode::Refuse => (Level::Error, what),
                };
                checked.tell(level, number, None, text);
                checked.left_out += usize::from(mode == LoadMode::LeaveOut);
            }
        }
    }
    checked.sets = sets.len();
    checked.remarks = remarks(sets);
    checked
}

/// Returns the number of a line of a file.
fn number(line: &Line<'_>) -> usize {
    match line.origin {
        Origin::Line(number) | Origin::Row(number) => number,
        Origin::Command => 0,
    }
}

/// The destinations of one set, in the order of the list.
struct Set<'t> {
    /// The place of the set among the others in the order of the list.
    place: usize,
    priorities: Vec<i32>,
    /// Weights and relative weights.
    weights: Vec<(i32, i32)>,
    /// The texts of attributes.
    bodies: Vec<&'t [u8]>,
}

impl Set<'_> {
    fn at(place: usize) -> Self {
        Set {
            place,
            priorities: Vec::new(),
            weights: Vec::new(),
            bodies: Vec::new(),
        }
    }
}

/// Returns what becomes of the weights and other attributes of each set, where that is not what is written, in the order
/// of the sets in the list.
fn remarks(sets: BTreeMap<SetId, Set<'_>>) -> Vec<String> {
    let on = SwitchedOn {
        cps: true,
        fails: true,
        slow_start: true,
    };
    let mut sets: Vec<_> = sets.into_iter().collect();
    sets.sort_by_key(|(_, set)| set.place);
    let remarks = sets.iter().flat_map(|(id, set)| {
        let members = order::order_set(&set.priorities);
        let weights = members
            .iter()
            .filter_map(|&at| set.weights.get(at).copied());
        let bodies = members.iter().filter_map(|&at| set.bodies.get(at).copied());
        let on_weights = on_weights(*id, &weights.collect::<Vec<_>>());
        on_weights.into_iter().chain(on_attributes(*id, on, bodies))
    });
    remarks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] =
        b"# gateways\n1 sip:a 0 0 weight=30;socket=udp:a:1\n1 sip:b 16 0 weight=x\nx sip:c\n\
        2 sip:d 0 0 a=\"b\n2 sip:e 1k\n";

    fn texts(checked: &Checked) -> Vec<(Level, usize, Option<usize>, &str)> {
        let messages = checked.messages.iter();
        let parts = messages.map(|one| (one.level, one.line, one.column, one.text.as_str()));
        parts.collect()
    }

    #[test]
    fn messages_come_in_the_order_of_a_load() {
        let checked = check(LIST, LoadMode::LeaveOut);
        let expected = [
            (
                Level::Error,
                4,
                Some(1),
                "line 4, column 1: expected a set id (a number), found \"x\"",
            ),
            (
                Level::Warning,
                6,
                Some(9),
                "line 6, column 9: expected flags (a number), found \"1k\", taken as attributes",
            ),
            (
                Level::Warning,
                3,
                None,
                "line 3: weight: expected a number, found \"x\", using 0",
            ),
            (
                Level::Warning,
                5,
                None,
                "line 5: set 2, sip:d: bad attributes: attributes, column 3: expected a closing quote, found none \
                 \"a=\"b\": destination left out",
            ),
        ];
        assert_eq!(texts(&checked), expected);
        assert!(checked.is_refused());
        assert_eq!(
            checked.remarks,
            [
                "set 1: weights add up to 30, not 100: algorithm 9 gives the last destination 70 of 100 calls on top"
            ]
        );
        let numbers = (
            checked.sets,
            checked.destinations,
            checked.left_out,
            checked.hosts,
        );
        assert_eq!(numbers, (2, 3, 1, 2));
        let sockets: Vec<_> = checked
            .sockets
            .iter()
            .map(|one| (one.line, one.attribute))
            .collect();
        assert_eq!(sockets, [(2, "socket")]);
    }

    #[test]
    fn load_mode_1_refuses_what_would_be_left_out() {
        let list = b"1 sip:a 0 0 a=1;;\n";
        let (left_out, refused) = (
            check(list, LoadMode::LeaveOut),
            check(list, LoadMode::Refuse),
        );
        assert!(!left_out.is_refused() && left_out.left_out == 1);
        assert!(refused.is_refused() && refused.left_out == 0);
        let [message] = &refused.messages[..] else {
            panic!("one message")
        };
        assert!(message.level == Level::Error && !message.text.contains("left out"));
    }
}
