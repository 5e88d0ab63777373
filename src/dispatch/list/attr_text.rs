//! The text of attributes, one attribute at a time: read by its name, set, or taken out.

use std::borrow::Cow;

use super::attrs::{is_name, parameter};
use crate::dispatch::text::{is_white, trim_end, trim_start};

/// The attributes of a text that can be read, in order.
struct Parts<'a> {
    rest: &'a [u8],
    /// The text behind the last one, from the byte on that ends the attributes; nobody reads it.
    unread: &'a [u8],
}

/// An attribute as it is written, and its name and value.
struct Part<'a> {
    written: &'a [u8],
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(body: &'a [u8]) -> Self {
        Parts {
            rest: trim_start(trim_end(body)),
            unread: b"",
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let Ok((name, value, behind)) = parameter(self.rest) else {
            self.unread = core::mem::take(&mut self.rest);
            return None;
        };
        let written = self.rest.get(..self.rest.len() - behind.len())?;
        (self.rest, self.unread) = match behind.split_first() {
            Some((b';', next)) => (trim_start(next), &b""[..]),
            _ => (&b""[..], behind),
        };
        Some(Part {
            written: trim_end(written),
            name,
            value,
        })
    }
}

/// Returns the value of the first attribute with a name, in upper or lower case; `None` if it has none, or an empty one.
#[must_use]
pub fn value<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let named = Parts::of(body).find(|part| part.name.eq_ignore_ascii_case(name))?;
    named.value.filter(|value| !value.is_empty())
}

/// Returns the text with one attribute set, where the first of its name stood or behind all others; without it if the
/// value is empty. The others stay as they are written.
///
/// # Errors
/// [`Unfit`].
pub fn with(body: &[u8], name: &[u8], value: &[u8]) -> Result<Vec<u8>, Unfit> {
    if !is_name(name) {
        return Err(Unfit::Name);
    }
    let mut new = match value {
        b"" => None,
        value => Some([name, b"=", &*quoted(value).ok_or(Unfit::Value)?].concat()),
    };
    let mut parts = Parts::of(body);
    let mut written: Vec<Cow<'_, [u8]>> = Vec::new();
    for part in parts.by_ref() {
        if part.name.eq_ignore_ascii_case(name) {
            written.extend(new.take().map(Cow::Owned));
        } else {
            written.push(Cow::Borrowed(part.written));
        }
    }
    written.extend(new.map(Cow::Owned));
    let mut text = written.join(&b';');
    text.extend_from_slice(parts.unread);
    Ok(text)
}

/// What cannot be written as an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A text that is no name.
    Name,
    /// A value that needs quotes, and has quotes of both kinds.
    Value,
}

/// Returns a value in quotes, if it needs some and has none; `None` if neither kind of quotes fits.
fn quoted(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let is_quoted = matches!(value, [first, inner @ .., last]
        if is_quote(first) && first == last && !inner.contains(first));
    if is_quoted {
        return Some(Cow::Borrowed(value));
    }
    let parts = |byte: &u8| is_white(*byte) || matches!(byte, b',' | b';');
    if !value.iter().any(parts) && !value.first().is_some_and(is_quote) {
        return Some(Cow::Borrowed(value));
    }
    let fits = |quote: &&[u8; 1]| !value.contains(&quote[0]);
    let quote = [b"\"", b"'"].into_iter().find(fits)?;
    Some(Cow::Owned([quote, value, quote].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::list::attrs;

    fn set(body: &str, name: &str, value: &str) -> Result<String, Unfit> {
        let text = with(body.as_bytes(), name.as_bytes(), value.as_bytes())?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn an_attribute_is_found_by_its_name() {
        let body = b"duid=a; Desc = \"Frankfurt; 1\" ;desc=2;bare;empty=\"\";x=y,desc2=z";
        let found = |name: &str| value(body, name.as_bytes());
        assert_eq!(found("DESC"), Some(&b"Frankfurt; 1"[..]));
        assert_eq!(found("x"), Some(&b"y"[..]));
        for none in ["bare", "empty", "desc2", "", "none"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(value(b"", b"desc"), None);
    }

    #[test]
    fn one_attribute_changes_and_the_others_stay() {
        for (body, name, value, text) in [
            ("", "weight", "10", "weight=10"),
            ("duid=a", "weight", "10", "duid=a;weight=10"),
            (
                "duid=a;weight=5;x=y",
                "WEIGHT",
                "10",
                "duid=a;WEIGHT=10;x=y",
            ),
            (
                "a='1;2' ; weight=5;weight=6 ;;b",
                "weight",
                "7",
                "a='1;2';weight=7;;b",
            ),
            ("duid=a;weight=5", "weight", "", "duid=a"),
            ("weight=5", "weight", "", ""),
            ("duid=a", "weight", "", "duid=a"),
            ("a=b,weight=5", "weight", "6", "a=b;weight=6,weight=5"),
            ("a", "desc", "Frankfurt 1", "a;desc=\"Frankfurt 1\""),
            ("a", "desc", "5\" floor", "a;desc='5\" floor'"),
            ("a", "desc", "\"as is\"", "a;desc=\"as is\""),
            ("a", "desc", "'", "a;desc=\"'\""),
            (
                "a",
                "codes",
                "class=4;code=503",
                "a;codes=\"class=4;code=503\"",
            ),
        ] {
            assert_eq!(
                set(body, name, value).as_deref(),
                Ok(text),
                "{body} {name} {value}"
            );
        }
        for name in ["", "a b", "a=", "a;b", "a,b", "a\n", "\u{7f}"] {
            assert_eq!(set("", name, "1"), Err(Unfit::Name), "{name:?}");
        }
        assert_eq!(set("", "desc", "a \"b' c"), Err(Unfit::Value));
    }

    #[test]
    fn what_is_set_is_read() {
        for value in [
            "7", "a b", "a;b", "a\"b", "a'b", "\u{e9}", "a=b", ">", "' '",
        ] {
            let text = set("x=y;duid=old;z", "duid", value).unwrap();
            let (attrs, warnings) = attrs::parse(text.as_bytes()).unwrap();
            let read = value.trim_matches('\'');
            assert_eq!(attrs.duid, Some(read.as_bytes()), "{text}");
            assert_eq!(super::value(text.as_bytes(), b"DUID"), attrs.duid, "{text}");
            assert!(warnings.is_empty(), "{text}");
        }
    }
}
