//! The reply codes of good pings: the parameter `ds_ping_reply_codes`.

use crate::dispatch::state::compat::Compat;
use crate::dispatch::text::Parameters;

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

impl ReplyCodes {
    /// Reads a list such as `class=2;code=403;code=488;class= 3`, as the C module does.
    ///
    /// Names may have any case, blanks may be anywhere but inside names and numbers, values may have quotes, and what
    /// follows the digits of a number does not count. What cannot be read is skipped, see
    /// [`ReplyCodes::parse_noting`].
    #[must_use]
    pub fn parse(text: &[u8]) -> ReplyCodes {
        ReplyCodes::parse_noting(text, |_| ())
    }

    /// Reads a list as [`ReplyCodes::parse`] does. `skipped` is called with each part that means nothing: a name other
    /// than `code` and `class`, a code outside 100 to 699, a class outside 1 to 6, and all that follows a comma.
    #[must_use]
    pub fn parse_noting<'t>(text: &'t [u8], mut skipped: impl FnMut(&'t [u8])) -> ReplyCodes {
        let mut codes = ReplyCodes::default();
        let mut parts = Parameters::of(text);
        for part in parts.by_ref().filter(|part| !part.item.is_empty()) {
            let range = match number(part.value) {
                code if part.name.eq_ignore_ascii_case(b"code") => (code, code),
                class @ 1..=6 if part.name.eq_ignore_ascii_case(b"class") => {
                    (class * 100, class * 100 + 99)
                }
                _ => (0, 0),
            };
            if range.0 < FIRST || range.1 > LAST {
                skipped(part.item);
                continue;
            }
            for code in range.0..=range.1 {
                codes.add(code);
            }
        }
        if !parts.unread.is_empty() {
            skipped(parts.unread);
        }
        codes
    }

    /// Returns true if a reply with this code is good, even one that the server has made itself. Any 2xx is good; in
    /// compat 3.2 only 200.
    #[must_use]
    pub fn accepts(&self, code: i32, compat: Compat) -> bool {
        let always = match compat {
            Compat::V3_2 => code == 200,
            Compat::V5_6 | Compat::V6_0 | Compat::V6_1 => (200..=299).contains(&code),
        };
        always || u16::try_from(code).is_ok_and(|code| self.has(code))
    }

    /// Returns true if the list has this code.
    #[must_use]
    pub fn has(&self, code: u16) -> bool {
        let place = bit(code).and_then(|(word, mask)| Some((self.bits.get(word)?, mask)));
        place.is_some_and(|(bits, mask)| bits & mask != 0)
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

/// Returns the number that a text begins with; 0 if it begins with none. A number that is far too large is the largest.
fn number(text: &[u8]) -> u16 {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0u16, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u16::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Compat::{V3_2, V5_6, V6_1};

    fn good(text: &str, compat: Compat) -> Vec<i32> {
        let codes = ReplyCodes::parse(text.as_bytes());
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
    fn what_the_c_module_reads_is_read() {
        // Recorded from the C module 5.6.3: the text, and the codes besides 2xx.
        let rows: &[(&str, &[(i32, i32)])] = &[
            ("501,403,404", &[]),
            ("200", &[]),
            ("404;403", &[]),
            ("code:404", &[]),
            ("code=404;503", &[(404, 404)]),
            ("class=2;x", &[]),
            ("class=2;code=404,code=480", &[(404, 404)]),
            ("class=4xx", &[(400, 499)]),
            ("code=404x", &[(404, 404)]),
            ("x=404;code=503", &[(503, 503)]),
            ("code = 404", &[(404, 404)]),
            ("code=\"404\";code='503'", &[(404, 404), (503, 503)]),
            ("code=+404", &[(404, 404)]),
            ("code=-404;code=4x04;code=x404;code=4040", &[]),
            ("class=44;class=0;class=7;class=-4", &[]),
            ("code=65940;code=4294967700", &[]),
            ("code=404:code=503", &[(404, 404)]),
            ("code==404", &[]),
            ("code=404=503", &[(404, 404)]),
            ("a=\"b;code=404\";code=503", &[(503, 503)]),
            (",code=404", &[]),
            ("code=404;class;class=;=5", &[(404, 404)]),
            ("\"code\"=404", &[]),
            ("code=4\"04\"", &[]),
        ];
        for (text, ranges) in rows {
            let mut want = codes(ranges);
            want.extend(200..=299);
            want.sort_unstable();
            assert_eq!(good(text, V5_6), want, "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_skipped_and_named() {
        let text = b"code=99; code=700;class=0;class=7;other=3;code=abc;code=-200;code=99999;\
            class=22;code=404;code=65736;486;code,code=503 ;x";
        let mut skipped = Vec::new();
        let codes = ReplyCodes::parse_noting(text, |item| skipped.push(item));
        let want: [&[u8]; 13] = [
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
            b"486",
            b"code",
            b"code=503 ;x",
        ];
        assert_eq!(skipped, want);
        assert_eq!(codes, ReplyCodes::parse(b"code=404"));
    }
}
