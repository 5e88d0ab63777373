//! Small texts of HTTP: the query of a URL, and what a client takes.

use crate::dispatch::text::trim;

/// Returns the path and the query of a URL, both still escaped; the query is empty where there is none.
#[must_use]
pub fn path_and_query(url: &[u8]) -> (&[u8], &[u8]) {
    split_at_first(url, b'?')
}

/// Returns the names and values in a query, without escapes. A word without `=` has an empty value.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let words = query.split(|&byte| byte == b'&');
    words.filter(|word| !word.is_empty()).map(|word| {
        let (name, value) = split_at_first(word, b'=');
        (unescaped(name), unescaped(value))
    })
}

/// Returns true if the header Accept-Encoding of a request allows gzip.
#[must_use]
pub fn takes_gzip(accept_encoding: &[u8]) -> bool {
    // A word for gzip itself counts more than one for all encodings.
    ["gzip", "*"]
        .iter()
        .find_map(|encoding| {
            let mut words = accept_encoding.split(|&byte| byte == b',');
            words.find_map(|word| {
                let (name, quality) = split_at_first(word, b';');
                trim(name)
                    .eq_ignore_ascii_case(encoding.as_bytes())
                    .then(|| !is_zero(quality))
            })
        })
        .unwrap_or(false)
}

/// Returns true for a quality such as `q=0` or `q=0.000`.
fn is_zero(quality: &[u8]) -> bool {
    let (_, value) = split_at_first(quality, b'=');
    let value = trim(value);
    !value.is_empty() && value.iter().all(|byte| matches!(byte, b'0' | b'.'))
}

fn split_at_first(text: &[u8], sign: u8) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |&byte| byte == sign);
    let mut next = || parts.next().unwrap_or_default();
    (next(), next())
}

/// Returns a text with `%41` and `+` resolved; what is no escape stays as it is.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.first_chunk::<2>().filter(|_| first == b'%');
        let escaped = escaped.and_then(|&[high, low]| {
            let digit = |sign: u8| char::from(sign).to_digit(16);
            u8::try_from(digit(high)? * 16 + digit(low)?).ok()
        });
        bytes.push(match (first, escaped) {
            (_, Some(byte)) => byte,
            (b'+', None) => b' ',
            (other, None) => other,
        });
        rest = if escaped.is_some() {
            behind.get(2..).unwrap_or_default()
        } else {
            behind
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Vec<(String, String)> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        pairs(query.as_bytes())
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_query_has_names_and_values() {
        let (path, query) = path_and_query(b"/metrics?set=1%2c2&up&q=a+b%&&x=?=");
        assert_eq!(path, b"/metrics");
        let expected = [
            pair("set", "1,2"),
            pair("up", ""),
            pair("q", "a b%"),
            pair("x", "?="),
        ];
        assert_eq!(of(core::str::from_utf8(query).unwrap()), expected);
        assert_eq!(path_and_query(b"/m"), (&b"/m"[..], &b""[..]));
        assert!(of("").is_empty());
        assert_eq!(of("%4"), [pair("%4", "")]);
        assert_eq!(of("%+1=%zz"), [pair("% 1", "%zz")]);
    }

    #[test]
    fn gzip_is_taken_where_the_client_says_so() {
        for yes in [
            "gzip",
            "deflate, GZIP;q=0.5",
            "*",
            "gzip;q=1.0",
            "*;q=0, gzip",
        ] {
            assert!(takes_gzip(yes.as_bytes()), "{yes}");
        }
        for no in ["", "deflate", "gzip;q=0", "*, gzip; q=0.0", "gzipped"] {
            assert!(!takes_gzip(no.as_bytes()), "{no}");
        }
    }
}
