//! The rules of `ds_select_routes`.

use std::fmt::Write as _;

use dispatcher::dispatch::select::routes;

use crate::Target;

pub const TARGET: Target = Target {
    name: "routes",
    run,
    seeds: &[
        b"1=8;2=4",
        b"1=8;2",
        b"1=",
        b"1=8;;2=8",
        b"1==8",
        b"99999999999=1",
        b" 1=8",
        b"1;2",
    ],
    words: &[
        b";",
        b"=",
        b"1=8;",
        b"2147483647",
        b"2147483648",
        b"-1",
        b"=64",
    ],
};

fn run(text: &[u8]) {
    match routes::parse(text) {
        Ok(rules) => {
            assert!(!rules.is_empty() && rules.len() <= text.len().div_ceil(2));
            let mut again = String::new();
            for rule in &rules {
                assert!(rule.set >= 0 && rule.algorithm >= 0);
                let _ = write!(again, "{}={};", rule.set, rule.algorithm);
            }
            assert_eq!(routes::parse(again.as_bytes()), Ok(rules));
        }
        Err(bad) => {
            assert!(bad.at <= text.len());
            // The text before the place is the beginning of valid rules.
            let before = &text[..bad.at];
            let plain = |byte: &u8| byte.is_ascii_digit() || b"=;".contains(byte);
            assert!(before.iter().all(plain), "the bad text is at the place");
        }
    }
}
