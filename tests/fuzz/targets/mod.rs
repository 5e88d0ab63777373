//! The targets. Each file has the rules of one reader.
//!
//! | module | text |
//! | --- | --- |
//! | [`list_file`] | A list file. |
//! | [`attrs`] | The attributes of a destination. |
//! | [`row`] | A row of a database table. |
//! | [`extra_attrs`] | The parameter `ds_db_extra_attrs`. |
//! | [`db_url`] | A database URL, to be shown without its password. |
//! | [`state_file`] | The state file. |
//! | [`cluster`] | Messages between the servers of a cluster. |
//! | [`cursor`] | The failover cursor in a record, which scripts can write. |
//! | [`routes`] | The rules of `ds_select_routes`. |
//! | [`reply_codes`] | The parameter `ds_ping_reply_codes`. |
//! | [`states`] | Words and numbers for states. |
//! | [`words`] | Words of commands and scripts. |
//! | [`uris`] | URIs, schemes and addresses. |
//! | [`excerpt`] | Texts that messages quote. |
//! | [`hash`] | Texts that are hashed. |

use dispatcher::dispatch::list::destination::{Line, Origin};
use dispatcher::dispatch::list::file;

pub mod attrs;
pub mod cluster;
pub mod cursor;
pub mod db_url;
pub mod excerpt;
pub mod extra_attrs;
pub mod hash;
pub mod list_file;
pub mod reply_codes;
pub mod routes;
pub mod row;
pub mod state_file;
pub mod states;
pub mod uris;
pub mod words;

/// Returns true if `part` is a piece of `text` and not a copy.
fn lies_in(part: &[u8], text: &[u8]) -> bool {
    let (part, text) = (part.as_ptr_range(), text.as_ptr_range());
    part.is_empty() || text.start <= part.start && part.end <= text.end
}

/// Checks that a list file with this destination alone is read as the same destination, without a problem.
fn reads_as_a_line(line: &Line<'_>) {
    let mut text = format!("{} ", line.set).into_bytes();
    text.extend_from_slice(&line.uri);
    text.extend_from_slice(format!(" {} {} ", line.flags, line.priority).as_bytes());
    text.extend_from_slice(&line.attrs);
    let mut lines = Vec::new();
    file::parse(&text, &mut lines, &mut |problem| panic!("{problem}"));
    let want = Line {
        origin: Origin::Line(1),
        ..line.clone()
    };
    assert_eq!(lines, [want]);
}

/// Takes the first bytes off an input, with zeros behind them if it is too short.
fn number<const N: usize>(input: &mut &[u8]) -> [u8; N] {
    let (first, rest) = input.split_at(N.min(input.len()));
    *input = rest;
    let mut bytes = [0; N];
    bytes[..first.len()].copy_from_slice(first);
    bytes
}
