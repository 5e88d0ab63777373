//! The attributes of a destination: `name=value;name="value";name`.

use core::fmt;

use nom::branch::alt;
use nom::bytes::complete::{take_till, take_till1};
use nom::character::complete::{char, digit1, one_of};
use nom::combinator::{opt, recognize};
use nom::sequence::{delimited, pair};
use nom::{IResult, Parser};

use crate::dispatch::state::probe::ReplyCodes;
use crate::dispatch::text::{self, Excerpt, is_white, trim, trim_end, trim_start};

/// The attributes that the module knows, out of an attribute text (doc/reference/list-file.md).
///
/// A text is `None` when the attribute is missing or has no `=`. A number then has its default: 0, and 100 for `ocmax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attrs<'a> {
    /// The list has a text for the attributes, be it an empty one.
    pub given: bool,
    /// The unique id of the destination.
    pub duid: Option<&'a [u8]>,
    /// The local socket to send from, `proto:ip:port`.
    pub socket: Option<&'a [u8]>,
    /// The name of the local socket to send from; stronger than `socket`.
    pub sockname: Option<&'a [u8]>,
    /// The local socket of pings.
    pub ping_socket: Option<&'a [u8]>,
    /// The outbound proxy of pings.
    pub obproxy: Option<&'a [u8]>,
    /// The From URI of pings.
    pub ping_from: Option<&'a [u8]>,
    /// The reply codes of its good pings, a text that [`ReplyCodes`] reads.
    pub ping_reply_codes: Option<&'a [u8]>,
    /// The share of algorithm 9, 1 to 100; 0 when not set.
    pub weight: i32,
    /// The share of algorithm 11, 1 to 100; 0 when not set.
    pub rweight: i32,
    /// The most calls of algorithm 10; 0 for no limit.
    pub maxload: i32,
    /// The most calls a second, 1 to 10000, where `ds_cps` is on; 0 when not set.
    pub cps: i32,
    /// Turns congestion control on if it is not 0.
    pub cc: i32,
    /// The latency to begin with, in milliseconds.
    pub latency: i32,
    /// The least share of calls to skip under overload, in percent.
    pub ocmin: i32,
    /// The greatest share of calls to skip under overload, in percent.
    pub ocmax: i32,
    /// The share of calls to skip under overload to begin with, in percent.
    pub ocrate: i32,
}

impl Default for Attrs<'_> {
    fn default() -> Self {
        Attrs {
            given: false,
            duid: None,
            socket: None,
            sockname: None,
            ping_socket: None,
            obproxy: None,
            ping_from: None,
            ping_reply_codes: None,
            weight: 0,
            rweight: 0,
            maxload: 0,
            cps: 0,
            cc: 0,
            latency: 0,
            ocmin: 0,
            ocmax: 100,
            ocrate: 0,
        }
    }
}

impl Attrs<'_> {
    /// Returns them with each empty text as a missing one, which is what it means.
    #[must_use]
    pub fn without_empty(self) -> Self {
        let filled = |text: Option<_>| text.filter(|text: &&[u8]| !text.is_empty());
        Attrs {
            duid: filled(self.duid),
            socket: filled(self.socket),
            sockname: filled(self.sockname),
            ping_socket: filled(self.ping_socket),
            obproxy: filled(self.obproxy),
            ping_from: filled(self.ping_from),
            ..self
        }
    }
}

/// An attribute that has no effect, or not the written one. `Display` says which value is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrWarning<'a> {
    /// The value of `name` is not, or not only, a number that fits; `used` is used instead.
    NotANumber {
        /// The attribute.
        name: &'static str,
        /// The value as written.
        value: &'a [u8],
        /// The number that is used.
        used: i32,
    },
    /// A number that `name` cannot have; `used` is used instead.
    OutOfRange {
        /// The attribute.
        name: &'static str,
        /// The number as read.
        value: i32,
        /// The least and the greatest allowed number.
        range: (i32, i32),
        /// The number that is used.
        used: i32,
    },
    /// A `maxload` below 0: the destination gets no calls.
    NoCalls(i32),
    /// A `ping_reply_codes` that cannot be read: the parameter `ds_ping_reply_codes` counts then.
    NotReplyCodes(&'a [u8]),
    /// An `ocmin` above `ocmax`: `ocmin` is 0 then.
    Bounds(i32, i32),
    /// A `ping_socket` that is no local socket: the pings are sent as without it.
    NoPingSocket(&'a [u8]),
    /// A text that is not UTF-8, which replies in JSON cannot show as it is.
    NotUtf8(&'a [u8]),
    /// Text after `,` or `>`, which end the attributes.
    Ignored(&'a [u8]),
}

impl AttrWarning<'_> {
    /// Returns the value that is used instead, or what becomes of the text; empty if it has its effect as it stands.
    fn instead(&self) -> String {
        match self {
            AttrWarning::NotANumber { used, .. } | AttrWarning::OutOfRange { used, .. } => {
                format!(", using {used}")
            }
            AttrWarning::Bounds(..) => ", using 0".into(),
            AttrWarning::NotReplyCodes(_) => ", using ds_ping_reply_codes".into(),
            AttrWarning::NoPingSocket(_) | AttrWarning::Ignored(_) => ", ignored".into(),
            AttrWarning::NoCalls(_) | AttrWarning::NotUtf8(_) => String::new(),
        }
    }

    /// Returns true if it is about a number of this attribute.
    #[must_use]
    pub fn is_of(&self, attribute: &str) -> bool {
        matches!(self, AttrWarning::NotANumber { name, .. } | AttrWarning::OutOfRange { name, .. } if *name == attribute)
    }

    /// Returns true if the attribute does not have the effect that is written.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        !self.instead().is_empty()
    }

    /// Returns what is wrong, for a command that is refused because of it.
    #[must_use]
    pub fn fault(&self) -> String {
        match self {
            AttrWarning::NotANumber { name, value, .. } => {
                format!("{name}: expected a number, found {}", Excerpt(value))
            }
            AttrWarning::OutOfRange {
                name,
                value,
                range: (least, greatest),
                ..
            } => {
                format!("{name}: expected a number from {least} to {greatest}, found {value}")
            }
            AttrWarning::NoCalls(limit) => {
                format!("maxload: {limit} is below 0, the destination gets no calls")
            }
            AttrWarning::NotReplyCodes(value) => format!(
                "ping_reply_codes: expected code=N and class=N, separated by ; and in quotes, found {}",
                Excerpt(value)
            ),
            AttrWarning::Bounds(least, greatest) => {
                format!("ocmin: {least} is above ocmax {greatest}")
            }
            AttrWarning::NoPingSocket(place) => {
                format!(
                    "ping_socket: expected a local socket, found {}",
                    Excerpt(place)
                )
            }
            AttrWarning::NotUtf8(text) => {
                format!("expected text in UTF-8, found {}", Excerpt(text))
            }
            AttrWarning::Ignored(text) => format!(
                "expected ; or the end of the attributes, found {}",
                Excerpt(text)
            ),
        }
    }
}

impl fmt::Display for AttrWarning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.fault(), self.instead())
    }
}

/// Why an attribute text cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttrError {
    /// The column, in bytes from 1 in the given text.
    pub column: usize,
    /// The kind of error.
    pub kind: AttrErrorKind,
}

/// The kinds of errors in an attribute text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrErrorKind {
    /// The text ends after a `;`.
    NoName,
    /// `=` with a `;` or `,` right after it.
    NoValue,
    /// A quote that is not closed.
    OpenQuote,
    /// Another byte than `;` after a name or value.
    NoSeparator(u8),
}

impl fmt::Display for AttrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attributes, column {}: ", self.column)?;
        match self.kind {
            AttrErrorKind::NoName => f.write_str("expected a name after ;, found nothing"),
            AttrErrorKind::NoValue => f.write_str("expected a value after =, found none"),
            AttrErrorKind::OpenQuote => f.write_str("expected a closing quote, found none"),
            AttrErrorKind::NoSeparator(found) => {
                write!(f, "expected ;, found {}", Excerpt(&[found]))
            }
        }
    }
}

/// Returns the attribute text without white space around it and without one trailing `;`.
///
/// This is the text that lists and scripts show.
#[must_use]
pub fn trim_body(body: &[u8]) -> &[u8] {
    let body = trim(body);
    body.strip_suffix(b";").unwrap_or(body)
}

/// Reads an attribute text that [`trim_body`] has trimmed.
///
/// Names are case-insensitive. If an attribute is there twice, the first one counts; of `maxload`, `ocmin`, `ocmax` and
/// `ocrate` the first with a `=`. Names that the module does not know are skipped.
///
/// # Errors
///
/// [`AttrError`] where the server's own parameter parser finds one (core/parser/parse_param.c, parse_params).
pub fn parse(body: &[u8]) -> Result<(Attrs<'_>, Vec<AttrWarning<'_>>), AttrError> {
    if body.is_empty() {
        return Ok((Attrs::default(), Vec::new()));
    }
    let mut found = AttrReader::default();
    found.attrs.given = true;
    let body = trim_end(body);
    let mut rest = trim_start(body);
    let end = body.len();
    let error = |rest: &[u8], kind| AttrError {
        column: end.saturating_sub(rest.len()).saturating_add(1),
        kind,
    };
    while !rest.is_empty() {
        let (name, value, after) = parameter(rest).map_err(|(at, kind)| error(at, kind))?;
        found.set(name, value);
        match after.split_first() {
            None => break,
            Some((b',' | b'>', _)) => {
                found.warnings.push(AttrWarning::Ignored(after));
                break;
            }
            Some((b';', next)) => rest = trim_start(next),
            Some((other, _)) => return Err(error(after, AttrErrorKind::NoSeparator(*other))),
        }
        if rest.is_empty() {
            return Err(error(rest, AttrErrorKind::NoName));
        }
    }
    found.order_bounds();
    Ok((found.attrs, found.warnings))
}

/// A name, its value if it has a `=`, and the text after it without leading white space.
pub(super) type Parameter<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// Reads one parameter, or returns what is wrong with it and where.
pub(super) fn parameter(input: &[u8]) -> Result<Parameter<'_>, (&[u8], AttrErrorKind)> {
    let (rest, name) = name(input).unwrap_or((input, b""));
    let rest = trim_start(rest);
    let Some(rest) = rest.strip_prefix(b"=") else {
        return Ok((name, None, rest));
    };
    let rest = trim_start(rest);
    if rest.is_empty() {
        return Ok((name, Some(b""), rest));
    }
    match value(rest) {
        Ok((rest, value)) => Ok((name, Some(value), trim_start(rest))),
        Err(_) if matches!(rest.first(), Some(b'"' | b'\'')) => {
            Err((rest, AttrErrorKind::OpenQuote))
        }
        Err(_) => Err((rest, AttrErrorKind::NoValue)),
    }
}

/// Returns true for a text that can be the name of an attribute.
pub(super) fn is_name(text: &[u8]) -> bool {
    let whole = name(text).is_ok_and(|(rest, name)| rest.is_empty() && !name.is_empty());
    whole && !text.iter().any(u8::is_ascii_control)
}

/// Reads a name, which may be empty.
fn name(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_till(|byte: u8| is_white(byte) || matches!(byte, b',' | b'=' | b';')).parse(input)
}

/// Reads a value in quotes of either kind, or without quotes. A backslash has no special meaning.
fn value(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let double = delimited(char('"'), take_till(|byte| byte == b'"'), char('"'));
    let single = delimited(char('\''), take_till(|byte| byte == b'\''), char('\''));
    match input.first() {
        Some(b'"' | b'\'') => alt((double, single)).parse(input),
        _ => take_till1(|byte| is_white(byte) || matches!(byte, b',' | b';')).parse(input),
    }
}

/// Returns the number that a value begins with, or the nearest one that fits `i32`, and true if the value is just that
/// number.
fn integer(value: &[u8]) -> Option<(i32, bool)> {
    let signed: IResult<&[u8], &[u8]> = recognize(pair(opt(one_of("+-")), digit1)).parse(value);
    let (rest, text) = signed.ok()?;
    let nearest = if text.starts_with(b"-") {
        i32::MIN
    } else {
        i32::MAX
    };
    let number: Option<i32> = text::number(text);
    Some((
        number.unwrap_or(nearest),
        number.is_some() && rest.is_empty(),
    ))
}

/// The names that the module knows. The index of each is its bit in [`AttrReader::seen`].
const NAMES: [&str; 16] = [
    "duid",
    "socket",
    "sockname",
    "ping_socket",
    "obproxy",
    "ping_from",
    "ping_reply_codes",
    "weight",
    "rweight",
    "maxload",
    "cc",
    "latency",
    "ocmin",
    "ocmax",
    "ocrate",
    "cps",
];

/// The attributes and warnings that were read so far.
#[derive(Default)]
struct AttrReader<'a> {
    attrs: Attrs<'a>,
    warnings: Vec<AttrWarning<'a>>,
    seen: u32,
    /// The names that stood there without a `=`, and do not count: one warning of each is enough.
    seen_bare: u32,
}

impl<'a> AttrReader<'a> {
    /// Takes over one attribute, unless it is unknown or was read before.
    fn set(&mut self, name: &[u8], value: Option<&'a [u8]>) {
        let known = NAMES.iter().enumerate();
        let Some((bit, name)) = known
            .into_iter()
            .find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes()))
        else {
            return;
        };
        // As in the C module, these do not count without a `=`, so that another one may follow.
        let may_follow = matches!(*name, "maxload" | "ocmin" | "ocmax" | "ocrate");
        let seen = self.seen & (1 << bit) != 0;
        let read = if value.is_none() && may_follow {
            &mut self.seen_bare
        } else {
            &mut self.seen
        };
        if seen || *read & (1 << bit) != 0 {
            return;
        }
        *read |= 1 << bit;
        match *name {
            "duid" => self.attrs.duid = value,
            "socket" => self.attrs.socket = value,
            "sockname" => self.attrs.sockname = value,
            "ping_socket" => self.attrs.ping_socket = value,
            "obproxy" => self.attrs.obproxy = value,
            "ping_from" => self.attrs.ping_from = value,
            "ping_reply_codes" => self.attrs.ping_reply_codes = self.reply_codes(value),
            "weight" => self.attrs.weight = self.ranged(name, value, (1, 100), 0),
            "rweight" => self.attrs.rweight = self.ranged(name, value, (1, 100), 0),
            "maxload" => self.attrs.maxload = self.limit(name, value),
            "cps" => self.attrs.cps = self.ranged(name, value, (1, 10_000), 0),
            "cc" => self.attrs.cc = self.number(name, value, 0),
            "latency" => self.attrs.latency = self.number(name, value, 0),
            "ocmin" => self.attrs.ocmin = self.ranged(name, value, (0, 100), 0),
            "ocmax" => self.attrs.ocmax = self.ranged(name, value, (1, 100), 100),
            "ocrate" => self.attrs.ocrate = self.ranged(name, value, (0, 100), 0),
            _ => {}
        }
    }

    /// Returns the number in `value`, or `default` if there is none.
    fn number(&mut self, name: &'static str, value: Option<&'a [u8]>, default: i32) -> i32 {
        let value = value.unwrap_or_default();
        let (used, clean) = integer(value).unwrap_or((default, false));
        if !clean {
            self.warnings
                .push(AttrWarning::NotANumber { name, value, used });
        }
        used
    }

    /// Returns the number in `value` if it is in `range`, or `default`.
    fn ranged(
        &mut self,
        name: &'static str,
        value: Option<&'a [u8]>,
        range: (i32, i32),
        default: i32,
    ) -> i32 {
        let Some((number, _)) = integer(value.unwrap_or_default()) else {
            return self.number(name, value, default);
        };
        if (range.0..=range.1).contains(&number) {
            return self.number(name, value, default);
        }
        self.warnings.push(AttrWarning::OutOfRange {
            name,
            value: number,
            range,
            used: default,
        });
        default
    }

    /// Returns reply codes that can be read. Empty ones are as absent ones.
    fn reply_codes(&mut self, value: Option<&'a [u8]>) -> Option<&'a [u8]> {
        let codes = value.filter(|codes| !codes.trim_ascii().is_empty())?;
        let mut readable = true;
        let _ = ReplyCodes::parse_noting(codes, |_| readable = false);
        if readable {
            return Some(codes);
        }
        self.warnings.push(AttrWarning::NotReplyCodes(codes));
        None
    }

    /// Sets an `ocmin` that is above `ocmax` to 0.
    fn order_bounds(&mut self) {
        let (least, greatest) = (self.attrs.ocmin, self.attrs.ocmax);
        if least > greatest {
            self.warnings.push(AttrWarning::Bounds(least, greatest));
            self.attrs.ocmin = 0;
        }
    }

    /// Returns the limit in `value`; a limit below 0 is allowed, but hardly meant.
    fn limit(&mut self, name: &'static str, value: Option<&'a [u8]>) -> i32 {
        let limit = self.number(name, value, 0);
        if limit < 0 {
            self.warnings.push(AttrWarning::NoCalls(limit));
        }
        limit
    }
}

#[cfg(test)]
mod tests;
