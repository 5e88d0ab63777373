//! The size of a reply over HTTP. The server cuts what neither the socket nor its queue takes, after the answer 200, so
//! a reply that is too large is refused before.

use core::cell::Cell;
use core::ffi::CStr;

use crate::kamailio::server::sys;
use crate::kamailio::server::tcp_room::{Shortage, shortage};

/// Room for the head of an HTTP reply.
const HEAD: usize = 512;

/// The length of a reply as jsonrpcs writes it.
#[derive(Default)]
pub struct JsonLength {
    /// Names, values, and the signs around them.
    content: Cell<usize>,
    /// Tabs and line ends, which the parameter `pretty_format` of jsonrpcs turns off.
    layout: Cell<usize>,
}

/// The place of a member in a reply.
#[derive(Clone, Copy)]
pub struct Place {
    /// The number of tabs in front of it.
    depth: usize,
    /// Each member of an array has a structure of its own around it.
    in_array: bool,
}

impl Place {
    /// The place of the members of a reply's first structure.
    pub const TOP: Place = Place {
        depth: 2,
        in_array: false,
    };

    /// Returns the place of the members of a structure here.
    pub fn in_struct(self) -> Self {
        Place {
            depth: self.depth + 1,
            in_array: false,
        }
    }

    /// Returns the place of the members of an array here.
    pub fn in_array(self) -> Self {
        Place {
            depth: self.depth + 2,
            in_array: true,
        }
    }
}

impl JsonLength {
    /// Counts a member with a value of this length.
    pub fn add_value(&self, place: Place, name: &CStr, value: usize) {
        self.add(
            name.count_bytes() + r#""":,"#.len() + value,
            place.depth + 2,
        );
        if place.in_array {
            // Servers from 6.1 on give each brace a line of its own.
            self.add("{},".len(), 2 * place.depth);
        }
    }

    /// Counts a structure or an array without its members.
    pub fn add_node(&self, place: Place, name: &CStr) {
        self.add_value(place, name, "{}".len());
        self.add(0, place.depth + 1);
    }

    /// Counts a text in an array.
    pub fn add_item(&self, place: Place, text: &[u8]) {
        self.add(text_length(text) + ",".len(), place.depth);
    }

    fn add(&self, content: usize, layout: usize) {
        self.content.set(self.content.get() + content);
        self.layout.set(self.layout.get() + layout);
    }

    /// Refuses a reply over HTTP that is larger than what the server can send at the moment. Elsewhere there is no such
    /// limit; `is_json` is true for a call through jsonrpcs.
    ///
    /// # Errors
    /// The text of the fault, short enough for jsonrpcs.
    pub fn check(&self, is_json: bool) -> Result<(), String> {
        // SAFETY: a call without arguments that reads the table of processes.
        let over_http = is_json && unsafe { sys::glue_is_tcp_receiver() } != 0;
        if !over_http {
            return Ok(());
        }
        // SAFETY: a call without arguments that reads a parameter of a loaded module.
        let is_compact = unsafe { sys::glue_json_is_compact() } != 0;
        let layout = if is_compact { 0 } else { self.layout.get() };
        let size = HEAD + self.content.get() + layout;
        let Some(Shortage { room, .. }) = shortage(size) else {
            return Ok(());
        };
        Err(format!(
            "Reply of {size} bytes, HTTP takes {room} (tcp_conn_wq_max)"
        ))
    }
}

/// Returns the length of a text in JSON, with its quotes.
pub fn text_length(text: &[u8]) -> usize {
    let escaped = text.iter().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..=31 => r"\u0000".len(),
        _ => 1,
    });
    escaped.sum::<usize>() + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_reply_is_that_of_its_text() {
        let length = JsonLength::default();
        let top = Place::TOP;
        length.add_value(top, c"NRSETS", 1);
        length.add_node(top, c"RECORDS");
        let records = top.in_array();
        length.add_node(records, c"SET");
        length.add_value(records.in_struct(), c"ID", 1);
        let compact = r#""NRSETS":1,"RECORDS":[{"SET":{"ID":1,},},],"#;
        let pretty = "\t\t\"NRSETS\":\t1,\n\t\t\"RECORDS\":\t[{\n\t\t\t\t\"SET\":\t{\n\
                      \t\t\t\t\t\"ID\":\t1\n\t\t\t\t}\n\t\t\t}]\n";
        assert_eq!(length.content.get(), compact.len());
        let whole = length.content.get() + length.layout.get();
        assert!(
            (pretty.len()..pretty.len() + 16).contains(&whole),
            "{whole}"
        );
    }

    #[test]
    fn a_text_is_escaped() {
        assert_eq!(text_length(b"a\"b\\\n"), r#""a\"b\\\n""#.len());
        assert_eq!(text_length(b"\x01"), r#""\u0001""#.len());
        assert_eq!(text_length("\u{e9}".as_bytes()), 4);
    }
}
