//! Words of commands and scripts. Blanks divide the words of a command.

use dispatcher::dispatch::list::file;
use dispatcher::dispatch::list::words::{self, CallFilter, Detail, Listed};

use crate::Target;

pub const TARGET: Target = Target {
    name: "words",
    run,
    seeds: &[
        b"full 1 0 100",
        b"short all 2 3",
        b"-1 2 3",
        b"18446744073709551615",
        b"4294967295",
        b"set=3",
        b"duid=set=3",
        b"callid=a@b",
        b"0x1F",
        b"0x+5",
        b" -7\t",
        b"+7",
    ],
    words: &[
        b" ",
        b"full",
        b"SHORT",
        b"all",
        b"set=",
        b"duid=",
        b"callid=",
        b"0x",
        b"0X",
        b"-",
        b"+",
        b"2147483648",
        b"4294967296",
        b"9223372036854775808",
        b"\xff",
    ],
};

fn run(text: &[u8]) {
    let digits = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if let Some(number) = words::integer(text) {
        assert!(is_number);
        assert_eq!(words::integer(number.to_string().as_bytes()), Some(number));
    }
    check_flags(text);
    match words::script_number(text) {
        Some(number) if is_number => assert_eq!(words::integer(text), Some(number)),
        Some(number) if text.trim_ascii().is_empty() => assert_eq!(number, 0),
        Some(_) => assert_ne!(text.trim_ascii(), text, "white space around it"),
        None => assert!(!text.is_empty()),
    }
    check_list(text);
    check_filter(text);
}

/// Checks that flags of a command mean the same as in a list. In a list, the rest of a longer word is attributes.
fn check_flags(text: &[u8]) {
    let flags = words::flags(text);
    if text.iter().any(|byte| b" \t\r\n#\0".contains(byte)) {
        assert_eq!(flags, None);
        return;
    }
    if !text.first().is_some_and(u8::is_ascii_digit) {
        return;
    }
    let line = [b"1 sip:a ", text].concat();
    let mut lines = Vec::new();
    file::parse(&line, &mut lines, &mut |_| {});
    let listed = lines.first().filter(|line| line.attrs.is_empty());
    assert_eq!(flags, listed.map(|line| line.flags));
}

fn check_list(text: &[u8]) {
    let words: Vec<_> = text
        .split(|&byte| byte == b' ')
        .map(<[u8]>::to_vec)
        .collect();
    let Ok(listed) = Listed::read(&words) else {
        return;
    };
    let detail = match listed.detail {
        Detail::Short => "short",
        Detail::Normal => "normal",
        Detail::Full => "full",
    };
    let mut again = vec![detail.to_owned()];
    again.push(listed.set.map_or("all".to_owned(), |set| set.to_string()));
    if let Some(page) = &listed.page {
        assert!(page.start <= page.end && page.end <= 2 * (i32::MAX as usize));
        again.extend([page.start.to_string(), (page.end - page.start).to_string()]);
    }
    let again: Vec<_> = again.into_iter().map(String::into_bytes).collect();
    assert_eq!(Listed::read(&again), Ok(listed));
}

fn check_filter(text: &[u8]) {
    let again = match CallFilter::read(Some(text)) {
        Err(_) => return,
        Ok(CallFilter::All) => b"all".to_vec(),
        Ok(CallFilter::Set(set)) => {
            assert_eq!(words::integer(&text[b"set=".len()..]), Some(set));
            format!("set={set}").into_bytes()
        }
        Ok(CallFilter::Duid(duid)) => [b"duid=", &duid[..]].concat(),
        Ok(CallFilter::CallId(call_id)) => [b"callid=", &call_id[..]].concat(),
    };
    assert_eq!(CallFilter::read(Some(&again)), CallFilter::read(Some(text)));
}
