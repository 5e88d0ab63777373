//! Words of commands and scripts: numbers, and the arguments that select the output of a command.

use core::ops::Range;

use super::destination::SetId;
use crate::dispatch::text::number;

/// The fault of a command whose words cannot be read.
pub const INVALID: &str = "Invalid Parameters";

/// Reads a number that takes up a whole word.
///
/// Some transports write a negative number as an unsigned number of 32 or 64 bits.
#[must_use]
pub fn integer(word: &[u8]) -> Option<i32> {
    let wide = || Some(i64::from_ne_bytes(number::<u64>(word)?.to_ne_bytes()));
    let number: i64 = number(word).or_else(wide)?;
    let unsigned = || {
        u32::try_from(number)
            .ok()
            .map(|number| i32::from_ne_bytes(number.to_ne_bytes()))
    };
    i32::try_from(number).ok().or_else(unsigned)
}

/// Reads flags as they are written in a list: decimal, or hexadecimal after `0x`.
#[must_use]
pub fn flags(word: &[u8]) -> Option<u32> {
    let hex = word
        .strip_prefix(b"0x")
        .or_else(|| word.strip_prefix(b"0X"));
    match hex {
        // Rust's parser would also accept a sign.
        Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
            u32::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
        }
        Some(_) => None,
        None => number(word),
    }
}

/// Reads a number that a script has computed; white space around it is allowed. An empty text is 0, as in the C module.
#[must_use]
pub fn script_number(text: &[u8]) -> Option<i32> {
    match text.trim_ascii() {
        b"" => Some(0),
        digits => number(digits),
    }
}

/// Reads an offset and a count. Returns `None` if neither is given.
///
/// # Errors
/// The text of the fault.
pub fn page(offset: Option<&[u8]>, count: Option<&[u8]>) -> Result<Option<Range<usize>>, String> {
    let natural = |word: &[u8]| integer(word).and_then(|number| usize::try_from(number).ok());
    match (offset, count) {
        (None, _) => Ok(None),
        (Some(offset), Some(count)) => {
            let offset = natural(offset).ok_or(INVALID)?;
            let count = natural(count).ok_or(INVALID)?;
            Ok(Some(offset..offset.saturating_add(count)))
        }
        (Some(_), None) => Err("Invalid Parameters: an offset needs a count".into()),
    }
}

/// The level of detail for each destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The URI and the state.
    Short,
    /// The fields that most operators need.
    Normal,
    /// All fields.
    Full,
}

/// The part of the list that a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The detail.
    pub detail: Detail,
    /// The set; `None` for all sets.
    pub set: Option<SetId>,
    /// The range of destinations in the order of listing; `None` for all.
    pub page: Option<Range<usize>>,
}

impl Listed {
    /// Reads `[short|full] [set|all] [offset count]`. Any other first word is ignored, as in the C module.
    ///
    /// # Errors
    /// The text of the fault.
    pub fn read(words: &[Vec<u8>]) -> Result<Self, String> {
        let mut words = words.iter().map(Vec::as_slice).peekable();
        let detail = match words.peek() {
            Some(word) if word.eq_ignore_ascii_case(b"short") => Detail::Short,
            Some(word) if word.eq_ignore_ascii_case(b"full") => Detail::Full,
            _ => Detail::Normal,
        };
        let is_set = |word: &&[u8]| *word == b"all" || integer(word).is_some();
        if !words.peek().is_some_and(is_set) {
            words.next();
        }
        let set = match words.next() {
            None | Some(b"all") => None,
            Some(word) => Some(integer(word).ok_or(INVALID)?),
        };
        let page = page(words.next(), words.next())?;
        Ok(Listed { detail, set, page })
    }
}

/// The calls that a caller wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFilter {
    /// All calls.
    All,
    /// The calls of a set.
    Set(SetId),
    /// The calls of destinations with this unique id.
    Duid(Vec<u8>),
    /// The calls with this Call-ID.
    CallId(Vec<u8>),
}

impl CallFilter {
    /// Reads `all`, `set=N`, `duid=ID` or `callid=ID`; no word means all.
    ///
    /// # Errors
    /// The text of the fault.
    pub fn read(word: Option<&[u8]>) -> Result<Self, String> {
        let word = word.unwrap_or(b"all");
        let named = |name: &[u8]| word.strip_prefix(name).map(<[u8]>::to_vec);
        match (named(b"set="), named(b"duid="), named(b"callid=")) {
            _ if word == b"all" => Ok(CallFilter::All),
            (Some(set), ..) => Ok(CallFilter::Set(integer(&set).ok_or(INVALID)?)),
            (_, Some(duid), _) => Ok(CallFilter::Duid(duid)),
            (.., Some(call_id)) => Ok(CallFilter::CallId(call_id)),
            _ => Err("Invalid Parameters: expected all, set=N, duid=ID or callid=ID".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_all_of_a_word() {
        for (word, number) in [("7", 7), ("-7", -7), ("0", 0), ("2147483647", i32::MAX)] {
            assert_eq!(integer(word.as_bytes()), Some(number), "{word}");
        }
        for word in ["", " 7", "7a", "0x7", "1.5", "4294967296", "\u{ff}"] {
            assert_eq!(integer(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn a_number_without_a_sign_may_be_a_negative_one() {
        assert_eq!(integer(b"4294967295"), Some(-1));
        assert_eq!(integer(b"18446744073709551615"), Some(-1));
    }

    #[test]
    fn flags_are_decimal_or_hexadecimal() {
        for (word, number) in [
            ("8", 8),
            ("0x1F", 31),
            ("0Xff", 255),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(flags(word.as_bytes()), Some(number), "{word}");
        }
        for word in ["", "0x", "0x+5", "0x100000000", "-1", "1f", "8 "] {
            assert_eq!(flags(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn numbers_of_scripts_are_all_of_the_text() {
        for (text, number) in [("7", 7), (" -7\t", -7), ("", 0), (" ", 0), ("+7", 7)] {
            assert_eq!(script_number(text.as_bytes()), Some(number), "{text:?}");
        }
        for text in ["7a", "a", "0x7", "7 7", "2147483648"] {
            assert_eq!(script_number(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(script_number(b"\xff"), None);
    }

    #[test]
    fn a_page_has_an_offset_and_a_count() {
        let page = |words: [Option<&str>; 2]| {
            let [offset, count] = words.map(|word| word.map(str::as_bytes));
            page(offset, count)
        };
        assert_eq!(page([None, None]), Ok(None));
        assert_eq!(page([Some("2"), Some("3")]), Ok(Some(2..5)));
        assert!(page([Some("-1"), Some("3")]).is_err());
        assert!(page([Some("2"), None]).is_err());
    }

    #[test]
    fn a_list_has_a_detail_a_set_and_a_page() {
        let read = |words: &str| {
            let words: Vec<_> = words
                .split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect();
            Listed::read(&words)
        };
        let listed = |detail, set, page| Ok(Listed { detail, set, page });
        assert_eq!(read("FULL"), listed(Detail::Full, None, None));
        assert_eq!(read("short 3"), listed(Detail::Short, Some(3), None));
        assert_eq!(
            read("other all 2 3"),
            listed(Detail::Normal, None, Some(2..5))
        );
        assert_eq!(read("-1 2 3"), listed(Detail::Normal, Some(-1), Some(2..5)));
        assert!(read("full x").is_err() && read("full 1 2").is_err());
    }

    #[test]
    fn calls_are_shown_by_one_property() {
        assert_eq!(CallFilter::read(None), Ok(CallFilter::All));
        assert_eq!(CallFilter::read(Some(b"set=3")), Ok(CallFilter::Set(3)));
        assert_eq!(
            CallFilter::read(Some(b"duid=set=3")),
            Ok(CallFilter::Duid(b"set=3".to_vec()))
        );
        assert_eq!(
            CallFilter::read(Some(b"callid=")),
            Ok(CallFilter::CallId(vec![]))
        );
        assert!(CallFilter::read(Some(b"set=x")).is_err() && CallFilter::read(Some(b"")).is_err());
    }
}
