//! The reply codes of good pings: the parameter `ds_ping_reply_codes`.

use core::fmt;

use crate::dispatch::state::compat::Compat;
use crate::dispatch::text::name_value;

const FIRST: u16 = 100;
const LAST: u16 = 699;
const WORDS: usize = 10;

/// The reply codes that count as good besides those that always do.
///
/// It needs no memory, so that the text can be read anew for each reply: it may change at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyCodes {
    /// One bit per code from [`FIRST`].
    bits: [u64; WORDS],
}

/// The error of an item of the list that is not `name=value`. `Display` names the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodesError<'t> {
    /// The item as written, without the blanks around it.
    pub item: &'t [u8],
}

impl fmt::Display for CodesError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is no code=N or class=N",
            self.item.escape_ascii()
        )
    }
}

impl core::error::Error for CodesError<'_> {}

impl ReplyCodes {
    /// Reads a list such as `class=2;code=403;code=488;class= 3`.
    ///
    /// Names may have any case, blanks may be anywhere but inside names and numbers, and items may be empty. Items that
    /// mean nothing are skipped, see [`ReplyCodes::parse_noting`].
    ///
    /// # Errors
    ///
    /// [`CodesError`] for the first item that is not `name=value`.
    pub fn parse(text: &[u8]) -> Result<ReplyCodes, CodesError<'_>> {
        ReplyCodes::parse_noting(text, |_| ())
    }

    /// Reads a list as [`ReplyCodes::parse`] does. `ignored` is called with each item that is skipped: a name other
    /// than
    /// `code` and `class`, a code outside 100 to 699, a class outside 1 to 6.
    ///
    /// # Errors
    ///
    /// As [`ReplyCodes::parse`].
    pub fn parse_noting<'t>(
        text: &'t [u8],
        mut ignored: impl FnMut(&'t [u8]),
    ) -> Result<ReplyCodes, CodesError<'t>> {
        let mut codes = ReplyCodes::default();
        for item in text.split(|byte| *byte == b';') {
            let item = item.trim_ascii();
            if item.is_empty() {
                continue;
            }
            let (name, value) = name_value(item).ok_or(CodesError { item })?;
            let range = match number(value) {
                Some(code) if name.eq_ignore_ascii_case(b"code") => (code, code),
                Some(class @ 1..=6) if name.eq_ignore_ascii_case(b"class") => {
                    (class * 100, class * 100 + 99)
                }
                _ => (0, 0),
            };
            if range.0 < FIRST || range.1 > LAST {
                ignored(item);
                continue;
            }
            for code in range.0..=range.1 {
                codes.add(code);
            }
        }
        Ok(codes)
    }

    /// Returns true if a reply with this code is good, even one that the server has made itself. Any 2xx is good; in
    /// compat 3.2 only 200.
    #[must_use]
    pub fn accepts(&self, code: i32, compat: Compat) -> bool {
        let always = match compat {
            Compat::V3_2 => code == 200,
            Compat::V5_6 | Compat::V6_0 | Compat::V6_1 => (200..=299).contains(&code),
        };
        always
            || u16::try_from(code).is_ok_and(|code| {
                bit(code).is_some_and(|(word, mask)| {
                    self.bits.get(word).is_some_and(|bits| bits & mask != 0)
                })
            })
    }

    fn add(&mut self, code: u16) {
        let place = bit(code).and_then(|(word, mask)| Some((self.bits.get_mut(word)?, mask)));
        if let Some((bits, mask)) = place {
            *bits |= mask;
        }
    }
}

/// Returns word and mask of a code; `None` below [`FIRST`].
fn bit(code: u16) -> Option<(usize, u64)> {
    let number = code.checked_sub(FIRST)?;
    Some((usize::from(number / 64), 1 << (number % 64)))
}

/// Reads a decimal number; `None` for any other text, and for a number that is far too large.
fn number(text: &[u8]) -> Option<u16> {
    text.iter().try_fold(0u16, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        sum.checked_mul(10)?.checked_add(u16::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Compat::{V3_2, V5_6, V6_1};

    fn good(text: &str, compat: Compat) -> Vec<i32> {
        let codes = ReplyCodes::parse(text.as_bytes()).unwrap();
        (-5..if cfg!(miri) { 705 } else { 70_000 })
            .filter(|code| codes.accepts(*code, compat))
            .collect()
    }

    fn codes(ranges: &[(i32, i32)]) -> Vec<i32> {
        ranges.iter().flat_map(|(from, to)| *from..=*to).collect()
    }

    #[test]
    fn without_a_list_the_2xx_count() {
        assert_eq!(good("", V3_2), [200]);
        assert_eq!(good("", V5_6), codes(&[(200, 299)]));
        assert_eq!(good(" ;; ", V6_1), codes(&[(200, 299)]));
    }

    #[test]
    fn lists() {
        let rows: &[(&str, &[(i32, i32)])] = &[
            // The seed's own example.
            (
                "class=2;code=403;code=488;class= 3",
                &[(200, 399), (403, 403), (488, 488)],
            ),
            (
                "class= 3;class=2 ; CODE = 403\t;\r\n Code\n=488;",
                &[(200, 399), (403, 403), (488, 488)],
            ),
            ("code=100;code=699", &[(100, 100), (200, 200), (699, 699)]),
            ("class=1", &[(100, 200)]),
            ("class=6", &[(200, 200), (600, 699)]),
            ("code=408;code=408", &[(200, 200), (408, 408)]),
            ("code=0404", &[(200, 200), (404, 404)]),
        ];
        for (text, ranges) in rows {
            assert_eq!(good(text, V3_2), codes(ranges), "{text}");
        }
    }

    #[test]
    fn meaningless_items_are_passed_over_and_named() {
        let text = b"code=99; code=700;class=0;class=7;other=3;code=abc;code=-200;code=99999;\
            class=22;code=404;code=65736";
        let mut ignored = Vec::new();
        let codes = ReplyCodes::parse_noting(text, |item| ignored.push(item)).unwrap();
        let want: [&[u8]; 10] = [
            b"code=99",
            b"code=700",
            b"class=0",
            b"class=7",
            b"other=3",
            b"code=abc",
            b"code=-200",
            b"code=99999",
            b"class=22",
            b"code=65736",
        ];
        assert_eq!(ignored, want);
        assert_eq!(codes, ReplyCodes::parse(b"code=404").unwrap());
    }

    #[test]
    fn what_is_no_name_and_value_is_refused() {
        for (text, item) in [
            ("404", "404"),
            ("code=404; 486 ;class=2", "486"),
            ("code", "code"),
            ("=3", "=3"),
            ("code=", "code="),
            ("code = ;class=2", "code ="),
            ("code=404 code=486", "code=404 code=486"),
            ("co de=404", "co de=404"),
            ("code=404,486 ,3", "code=404,486 ,3"),
        ] {
            let error = ReplyCodes::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.item, item.as_bytes(), "{text}");
        }
        let error = ReplyCodes::parse(b"a;b=1\xff").unwrap_err();
        assert_eq!(error.to_string(), "\"a\" is no code=N or class=N");
    }
}
