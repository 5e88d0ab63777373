//! The targets. Each file has the rules of one reader.
//!
//! | module | reads |
//! | --- | --- |
//! | [`list_file`] | A list file. |
//! | [`attrs`] | The attributes of a destination. |
//! | [`row`] | A row of a database table. |
//! | [`extra_attrs`] | `ds_db_extra_attrs`. |
//! | [`db_url`] | A database URL, to be shown without its password. |
//! | [`state_file`] | The file that keeps states. |
//! | [`cursor`] | The failover cursor in a record, which scripts can write. |
//! | [`routes`] | The rules of `ds_select_routes`. |
//! | [`reply_codes`] | `ds_ping_reply_codes`. |
//! | [`states`] | Words and numbers that mean a state. |
//! | [`words`] | Words of commands and scripts. |
//! | [`uris`] | URIs, schemes and addresses. |
//! | [`excerpt`] | Texts that messages show. |
//! | [`hash`] | Texts that are hashed. |

pub mod attrs;
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

/// Returns true if `part` lies within `text`: it is not a copy.
fn lies_in(part: &[u8], text: &[u8]) -> bool {
    let (part, text) = (part.as_ptr_range(), text.as_ptr_range());
    part.is_empty() || text.start <= part.start && part.end <= text.end
}

/// Cuts off the first bytes of an input as a number.
fn number<const N: usize>(input: &mut &[u8]) -> [u8; N] {
    let (first, rest) = input.split_at(N.min(input.len()));
    *input = rest;
    let mut bytes = [0; N];
    bytes[..first.len()].copy_from_slice(first);
    bytes
}
