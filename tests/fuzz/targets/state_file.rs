//! The state file.

use dispatcher::dispatch::list::state_file;

use crate::Target;

pub const TARGET: Target = Target {
    name: "state_file",
    run,
    seeds: &[
        b"# States\n1 0 4 sip:a\nx 0 4 sip:b\n1 0 sip:c\n1 0 4 sip:d 2 5\n1 0 4\n\n1 0 64 sip:e 2",
        b"-2 8 72 sip:\xffname 3\n1 8 12 sip:192.0.2.1:5060;transport=tcp\r\n",
        b"+1 +0 +4 sip:a 0\n  1\t0 4 sip:a\x0cb  \n",
        b"pings 1 0\n\tpings  0 1\r\npings 1\npings 1 2\npings 0 0 0\nPings 1 0",
        b"1 0 4 sip:a 99999999999999999999\n99999999999 0 0 sip:a\n1 4294967296 0 sip:a",
    ],
    words: &[
        b"\n",
        b" ",
        b"#",
        b"sip:a",
        b" 2",
        b"1 0 4 sip:a\n",
        b"pings 1 0\n",
        b"\r\n",
        b"\x0c",
        b"0",
        b"-",
    ],
};

fn run(text: &[u8]) {
    let (kept, bad) = state_file::read(text);
    let lines: Vec<_> = text.split(|&byte| byte == b'\n').collect();
    let says_something = |line: &&&[u8]| {
        let first = line.iter().find(|byte| !b" \t\r".contains(byte));
        first.is_some_and(|&byte| byte != b'#')
    };
    let is_about_pings = |(at, line): &(usize, &&[u8])| {
        let mut words = line.split(|byte| b" \t\r".contains(byte));
        words.find(|word| !word.is_empty()) == Some(b"pings") && !bad.contains(&(at + 1))
    };
    let pings = lines.iter().enumerate().filter(is_about_pings).count();
    assert_eq!(kept.pings.is_some(), pings > 0);
    assert_eq!(
        lines.iter().filter(says_something).count(),
        kept.states.len() + bad.len() + pings
    );
    assert!(bad.windows(2).all(|two| two[0] < two[1]));
    for &number in &bad {
        assert!(says_something(&&lines[number - 1]));
    }
    for one in &kept.states {
        assert!(!one.uri.is_empty() && one.uri.len() <= text.len());
        assert!(one.number >= 1, "numbers are counted from 1");
    }
    assert_eq!(state_file::read(&state_file::write(&kept)), (kept, vec![]));
}
