//! The parameter `ds_ping_reply_codes` and the attribute `ping_reply_codes`.

use std::fmt::Write as _;

use dispatcher::dispatch::state::compat::Compat;
use dispatcher::dispatch::state::probe::ReplyCodes;

use super::lies_in;
use crate::Target;

pub const TARGET: Target = Target {
    name: "reply_codes",
    run,
    seeds: &[
        b"class=2;code=403;code=488;class= 3",
        b"class= 3;class=2 ; CODE = 403\t;\r\n Code\n=488;",
        b"code=\"404\";code='503'",
        b"code=99; code=700;class=0;class=7;other=3;code=abc;486;code,code=503 ;x",
        b"a=\"b;code=404\";code=503",
        b"code=65940;code=4294967700;code=+404;code=404x",
    ],
    words: &[
        b"code=", b"class=", b";", b",", b"\"", b"'", b" ", b"404", b"+", b"65536",
    ],
};

fn run(text: &[u8]) {
    let mut skipped = 0;
    let codes = ReplyCodes::parse_noting(text, |item| {
        skipped += 1;
        assert!(!item.is_empty() && lies_in(item, text));
    });
    assert_eq!(codes, ReplyCodes::parse(text));
    assert!(skipped <= 2 + text.iter().filter(|&&byte| byte == b';').count());
    for code in [i32::MIN, -1, 0, 99, 700, 65_636, i32::MAX] {
        assert!(!codes.accepts(code, Compat::V5_6), "{code}");
    }
    // In compat 3.2, only 200 and the codes of the list count.
    let mut again = String::new();
    for code in (100..=699).filter(|&code| code != 200 && codes.accepts(code, Compat::V3_2)) {
        let _ = write!(again, "code={code};");
    }
    let read = |text: &str| {
        ReplyCodes::parse_noting(text.as_bytes(), |item| panic!("{item:?} is skipped"))
    };
    assert!(codes == read(&again) || codes == read(&(again + "code=200")));
}
