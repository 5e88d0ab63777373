//! A row of a database table. The input has its cells; the first byte of each says its kind.

use dispatcher::dispatch::list::destination::{Line, Origin};
use dispatcher::dispatch::list::row::{self, Cell, Wrong};

use super::{number, reads_as_a_line};
use crate::Target;

pub const TARGET: Target = Target {
    name: "row",
    run,
    seeds: &[
        b"t1|tsip:127.0.0.1:5060|t8|t5|tduid=a|tx|ty",
        b"i\x01|tsip:a|n|n|n|n|n",
        b"i\x01|tsip:a   |t |t  -5 |tduid=a;|u\xff\xff\xff\xff\xff\xff\xff\xff|o",
        b"r\0\0\0\0\0\0\xf0\x3f|tsip:a|r\0\0\0\0\0\0\xf8\x3f|t4294967296|ta=\0",
        b"t2147483648|tsip:a b",
        b"n|t",
    ],
    words: &[
        b"|t", b"|i", b"|u", b"|r", b"|n", b"|o", b"sip:", b"duid=", b" ", b"\0", b"-1", b";",
    ],
};

fn run(input: &[u8]) {
    let cells: Vec<_> = input.split(|&byte| byte == b'|').map(cell).collect();
    let extra = row::extra_attrs(b"xa=c1;xb=c2").0;
    match row::read(7, &cells, &extra) {
        Ok(line) => {
            assert_eq!(line.origin, Origin::Row(7));
            assert!(line.set >= 0);
            assert_eq!(row::check_uri(&line.uri), Ok(()));
            assert_eq!(row::check_attrs(&line.attrs), Ok(()));
            // Each extra attribute adds its name, a `=`, a `;` and a number of up to 330 digits.
            assert!(line.attrs.len() <= input.len() + 2 * 340);
            a_file_says_the_same(&line);
        }
        Err(fault) => {
            assert_eq!(fault.row, 7);
            if fault.wrong == Wrong::NoUri {
                assert_eq!(fault.uri, None);
            }
            assert!(fault.wrong.to_string().len() < 460);
        }
    }
}

fn cell(input: &[u8]) -> Cell<'_> {
    let Some((kind, mut rest)) = input.split_first() else {
        return Cell::Null;
    };
    match kind {
        b'i' => Cell::Int(i64::from_le_bytes(number(&mut rest))),
        b'u' => Cell::Uint(u64::from_le_bytes(number(&mut rest))),
        b'r' => Cell::Real(f64::from_le_bytes(number(&mut rest))),
        b'n' => Cell::Null,
        b'o' => Cell::Other,
        _ => Cell::Text(rest),
    }
}

/// Checks that a line of a file with the same fields means the same, if a file can have them.
fn a_file_says_the_same(row: &Line<'_>) {
    let ends = |byte: &u8| b" \t\r\n".contains(byte);
    if !row.uri.contains(&b'#') && !row.attrs.starts_with(b"#") && !row.attrs.iter().any(ends) {
        reads_as_a_line(row);
    }
}
