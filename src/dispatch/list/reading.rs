//! What the text of a destination decides, before the server is asked for the rest. The server and the offline checker
//! read every destination by it, and so say the same.

use core::fmt;
use std::borrow::Cow;

use super::attrs::{self, AttrWarning, Attrs};
use super::destination::{Line, Origin, SetId};
use super::file;
use crate::dispatch::text::Escaped;

/// Longest URI of a destination: no longer one fits a message (core/config.h, BUF_SIZE).
const MAX_URI: usize = 65_000;

/// A destination as its text describes it.
pub struct ReadLine<'t> {
    /// The whole URI, with its scheme. Only the server's parser knows whether it is one.
    pub uri: Cow<'t, [u8]>,
    /// The attributes.
    pub attrs: ReadAttrs<'t>,
}

/// Attributes as their text describes them.
pub struct ReadAttrs<'t> {
    /// The text, as it is kept.
    pub body: &'t [u8],
    /// The attributes in it.
    pub attrs: Attrs<'t>,
    /// Attributes that were not taken as they stand.
    pub warnings: Vec<AttrWarning<'t>>,
}

/// Names a destination in front of what is wrong with it.
pub struct Fault<'f> {
    /// Its set.
    pub set: SetId,
    /// Its URI.
    pub uri: &'f [u8],
    /// What is wrong.
    pub what: &'f str,
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { set, uri, what } = self;
        write!(f, "set {set}, {}: {what}", Escaped(uri))
    }
}

/// Says that a destination is left out, after the reason.
pub struct LeftOut<'f>(pub &'f dyn fmt::Display);

impl fmt::Display for LeftOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: destination left out", self.0)
    }
}

/// Names a line in front of a warning that names neither set nor URI: a line of a file can be looked up, a row only by
/// what it holds.
pub struct Place<'l>(pub &'l Line<'l>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place(line) = self;
        match line.origin {
            Origin::Row(_) => {
                write!(
                    f,
                    "{}: set {}, {}",
                    line.origin,
                    line.set,
                    Escaped(&line.uri)
                )
            }
            Origin::Line(_) | Origin::Command => write!(f, "{}", line.origin),
        }
    }
}

/// Reads a destination. The error names it and says what is wrong. A text that is not UTF-8 is a warning, but in a
/// command an error.
///
/// # Errors
/// A text for the log or the command's fault.
pub fn read<'t>(line: &'t Line<'_>, attrs_none: bool) -> Result<ReadLine<'t>, String> {
    let uri = file::with_scheme(&line.uri);
    let fault = |what: &str| {
        let (set, uri) = (line.set, &uri);
        Fault { set, uri, what }.to_string()
    };
    if uri.len() > MAX_URI {
        return Err(fault("a URI longer than any message"));
    }
    let mut attrs = read_attrs(&line.attrs, attrs_none).map_err(|what| fault(&what))?;
    let texts: [&[u8]; 2] = [&line.uri, &line.attrs];
    let other = texts
        .into_iter()
        .find(|text| core::str::from_utf8(text).is_err());
    if let Some(text) = other {
        let warning = AttrWarning::NotUtf8(text);
        if line.origin == Origin::Command {
            return Err(fault(&warning.to_string()));
        }
        attrs.warnings.push(warning);
    }
    Ok(ReadLine { uri, attrs })
}

/// Reads attributes; with `attrs_none` those of an empty text are `none=yes`. The error says what is wrong with them.
///
/// # Errors
/// A text for the log or the command's fault.
pub fn read_attrs(text: &[u8], attrs_none: bool) -> Result<ReadAttrs<'_>, String> {
    let body = match attrs::trim_body(text) {
        b"" if attrs_none => b"none=yes",
        body => body,
    };
    let given = !body.is_empty() || !text.is_empty();
    let (attrs, warnings) = attrs::parse(body)
        .map_err(|error| format!("bad attributes: {error} \"{}\"", Escaped(body)))?;
    Ok(ReadAttrs {
        body,
        attrs: Attrs {
            given,
            ..attrs.without_empty()
        },
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(origin: Origin, uri: &'static [u8], attrs: &'static [u8]) -> Line<'static> {
        Line {
            origin,
            set: 7,
            uri: uri.into(),
            flags: 0,
            priority: 0,
            attrs: attrs.into(),
        }
    }

    #[test]
    fn the_text_alone_decides_length_attributes_and_utf_8() {
        let said = |line: &Line<'_>| match read(line, false) {
            Ok(read) => read
                .attrs
                .warnings
                .iter()
                .map(ToString::to_string)
                .collect(),
            Err(fault) => vec![fault],
        };
        let place = Origin::Line(3);
        assert!(said(&line(place, b"a:5060", b"duid=a;weight=1")).is_empty());
        assert_eq!(
            said(&line(place, b"a:5060", b"a=\"b")),
            [
                "set 7, sip:a:5060: bad attributes: attributes, column 3: expected a closing quote, found none \
               \"a=\"b\""
            ]
        );
        let latin = line(place, b"sip:\xe9", b"weight=x");
        assert_eq!(
            said(&latin),
            [
                "weight: expected a number, found \"x\", using 0",
                "expected text in UTF-8, found \"sip:\\xe9\""
            ]
        );
        let command = line(Origin::Command, b"sip:\xe9", b"");
        assert_eq!(
            said(&command),
            ["set 7, sip:\\xe9: expected text in UTF-8, found \"sip:\\xe9\""]
        );
        static LONG: [u8; MAX_URI - 3] = [b'a'; MAX_URI - 3];
        assert!(said(&line(place, &LONG[1..], b"")).is_empty());
        assert!(said(&line(place, &LONG, b""))[0].ends_with(": a URI longer than any message"));
    }

    #[test]
    fn an_empty_text_may_have_an_attribute() {
        let body = |text, none| read_attrs(text, none).map(|read| read.body.to_vec());
        assert_eq!(body(b" ;", true), Ok(b"none=yes".to_vec()));
        assert_eq!(body(b" ;", false), Ok(b"".to_vec()));
        assert_eq!(body(b"a=1;", true), Ok(b"a=1".to_vec()));
    }
}
