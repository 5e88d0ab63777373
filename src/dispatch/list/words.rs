//! Words of commands and scripts: numbers, and the arguments that select the output of a command.

use core::net::IpAddr;
use core::ops::Range;
use std::borrow::Cow;

use super::destination::SetId;
use super::file::with_scheme;
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

/// Reads a set, or `all`, which gives `None`.
///
/// # Errors
/// The text of the fault.
pub fn set_or_all(word: &[u8]) -> Result<Option<SetId>, String> {
    match word {
        b"all" => Ok(None),
        number => Ok(Some(integer(number).ok_or(INVALID)?)),
    }
}

/// The destinations that a command means, of a set or of all sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address<'w> {
    /// All destinations.
    All,
    /// The destinations at a host, whatever their port, transport and user.
    Host(Host<'w>),
    /// The destinations with this unique id.
    Duid(&'w [u8]),
    /// The destinations whose URI equals this one but for letter case.
    Uri(Cow<'w, [u8]>),
}

impl<'w> Address<'w> {
    /// Reads `all`, `host=` and a host, or a URI, whose `sip:` may be left out.
    ///
    /// # Errors
    /// The text of the fault.
    pub fn read(word: &'w [u8]) -> Result<Self, String> {
        match word.strip_prefix(b"host=") {
            _ if word == b"all" => Ok(Address::All),
            Some(b"") => Err(format!("{INVALID}: expected a host behind host=")),
            Some(host) => Ok(Address::Host(Host::read(host))),
            None => Ok(Address::Uri(with_scheme(word))),
        }
    }
}

/// A host as a command names it: an address, or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'w> {
    text: &'w [u8],
    ip: Option<IpAddr>,
}

impl<'w> Host<'w> {
    fn read(text: &'w [u8]) -> Self {
        let ip = ip(text);
        Host { text, ip }
    }

    /// Returns true if this is the host of a URI: the same address, however it is written, or the same name but for
    /// letter case.
    #[must_use]
    pub fn is(&self, of_uri: &[u8]) -> bool {
        match self.ip {
            Some(own) => ip(of_uri) == Some(own),
            None => of_uri.eq_ignore_ascii_case(self.text),
        }
    }
}

/// Reads an address, with or without the brackets that one of IPv6 has in a URI.
fn ip(host: &[u8]) -> Option<IpAddr> {
    let bare = host
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    core::str::from_utf8(bare.unwrap_or(host))
        .ok()?
        .parse()
        .ok()
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
    fn a_host_is_an_address_or_a_name() {
        let is = |asked: &str, listed: &str| Host::read(asked.as_bytes()).is(listed.as_bytes());
        for (asked, listed) in [
            ("192.0.2.10", "192.0.2.10"),
            ("2001:db8::1", "[2001:DB8:0:0::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("GW.example", "gw.Example"),
        ] {
            assert!(is(asked, listed), "{asked} {listed}");
        }
        for (asked, listed) in [
            ("192.0.2.1", "192.0.2.10"),
            ("192.0.2.10", "gw.example"),
            ("gw.example", "a.gw.example"),
            ("2001:db8::1", "[2001:db8::2]"),
            ("gw.example", ""),
        ] {
            assert!(!is(asked, listed), "{asked} {listed}");
        }
    }

    #[test]
    fn an_address_is_all_a_host_or_a_uri() {
        assert_eq!(Address::read(b"all"), Ok(Address::All));
        let uri = |uri: &'static [u8]| Ok(Address::Uri(Cow::Borrowed(uri)));
        assert_eq!(Address::read(b"192.0.2.1:5060"), uri(b"sip:192.0.2.1:5060"));
        assert_eq!(Address::read(b"ALL"), uri(b"ALL"));
        assert_eq!(Address::read(b"Host=x"), uri(b"sip:Host=x"));
        assert_eq!(
            Address::read(b"host=x"),
            Ok(Address::Host(Host::read(b"x")))
        );
        assert!(Address::read(b"host=").is_err());
        assert_eq!(set_or_all(b"all"), Ok(None));
        assert_eq!(set_or_all(b"7"), Ok(Some(7)));
        assert!(set_or_all(b"x").is_err() && set_or_all(b"").is_err());
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
