//! The parameter `ds_db_extra_attrs`.

use dispatcher::dispatch::list::row::{self, Columns, LAST_VERSION};
use dispatcher::dispatch::text::Parameters;

use super::lies_in;
use crate::Target;

pub const TARGET: Target = Target {
    name: "extra_attrs",
    run,
    seeds: &[
        b" xa=c1; xb = c2 ;",
        b"xa=c1;;xb=\"c2\"",
        b"xa=c1,xb=c2",
        b"xa=c1=c2;xb='c2' z;x a=c1;=c1;xa=",
    ],
    words: &[b";", b"=", b",", b"\"", b"'", b" ", b"xa=c1"],
};

fn run(text: &[u8]) {
    let mut parts = Parameters::of(text);
    let mut count = 0;
    for part in parts.by_ref() {
        count += 1;
        for piece in [part.item, part.name, part.value] {
            assert!(lies_in(piece, text) && piece.len() <= text.len());
        }
        assert!(part.item.starts_with(part.name));
    }
    assert!(count <= 1 + text.iter().filter(|&&byte| byte == b';').count());
    assert!(parts.next().is_none() && text.ends_with(parts.unread));

    let (extra, all) = row::extra_attrs(text);
    assert!(extra.len() <= count);
    let columns = Columns {
        names: [b"s", b"d", b"f", b"p", b"a"],
        extra: extra.clone(),
    };
    let names = columns.of_version(LAST_VERSION).expect("a known version");
    assert_eq!(names.len(), 5 + extra.len());

    // Pairs that are written again are read as they were.
    let quoted = |column: &[u8]| if column.contains(&b'"') { "'" } else { "\"" };
    let mut again = Vec::new();
    for pair in &extra {
        again.extend_from_slice(pair.attr);
        let quote = quoted(pair.column).as_bytes();
        again.extend_from_slice(&[b"=", quote, pair.column, quote, b";"].concat());
    }
    let both = |column: &[u8]| column.contains(&b'"') && column.contains(&b'\'');
    if !extra.iter().any(|pair| both(pair.column)) {
        assert_eq!(row::extra_attrs(&again), (extra, true));
    }
    // If all was read, only empty parts were left out.
    assert!(!all || parts.unread.is_empty());
}
