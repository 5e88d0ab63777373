//! A database URL. The input has the driver, the user, the password and the rest, with blanks between them.

use dispatcher::dispatch::list::db_url::{driver, without_password};

use super::lies_in;
use crate::Target;

pub const TARGET: Target = Target {
    name: "db_url",
    run,
    seeds: &[
        b"mysql u p h/d",
        b"mysql user p@ss:w/rd h:33/d",
        b"postgres://h:54/d",
        b"sqlite:///a:b/c.db",
        b"mysql://u:p@h/d",
        b"text:///etc/kamailio/db",
    ],
    words: &[b"://", b":", b"@", b"/", b" ", b"mysql", b"%40"],
};

fn run(input: &[u8]) {
    let shown = without_password(input);
    assert!(shown.len() <= input.len());
    assert_eq!(
        without_password(&shown).len(),
        shown.len(),
        "nothing more to hide"
    );
    assert!(lies_in(driver(input), input) && input.starts_with(driver(input)));

    let mut parts = input.splitn(4, |&byte| byte == b' ');
    let mut part = |not: &[u8]| {
        let text = parts.next().unwrap_or_default();
        text.iter()
            .copied()
            .filter(|byte| !not.contains(byte))
            .collect::<Vec<_>>()
    };
    let (scheme, user, password, place) = (part(b":"), part(b":@"), part(b""), part(b"@"));
    let url = [&scheme, &b"://"[..], &user, b":", &password, b"@", &place].concat();
    let want = [&scheme, &b"://"[..], &user, b"@", &place].concat();
    assert_eq!(&*without_password(&url), &want[..]);
    assert_eq!(driver(&url), scheme);
}
