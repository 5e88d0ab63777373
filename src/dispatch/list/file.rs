//! The list file: text in, one [`Line`] for each destination out, and a [`Problem`] for each text
//! that could not be read as its writer meant it.
//!
//! ```text
//! setid uri [flags [priority [attrs]]]   # comment
//! ```

#![forbid(unsafe_code)]

use core::fmt;
use std::borrow::Cow;

use nom::bytes::complete::{tag_no_case, take_till, take_while, take_while1};
use nom::character::complete::{char, digit1, hex_digit1};
use nom::combinator::{opt, recognize};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

use super::destination::{Line, Origin, SetId};
use crate::dispatch::text::{Excerpt, number};

/// What a list holds.
#[derive(Clone, Debug, Default)]
pub struct Parsed<'a> {
    /// The destinations, in the order of the file.
    pub lines: Vec<Line<'a>>,
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem<'a>>,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The line gives no destination.
    Error,
    /// The line gives a destination, but some of its text has no effect or an unlikely one.
    Warning,
}

/// Something that is wrong with one line. `Display` says where, what was expected, what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem<'a> {
    /// Number of the line, from 1.
    pub line: usize,
    /// Where in the line, in bytes from 1.
    pub column: usize,
    /// Whether the line counts at all.
    pub severity: Severity,
    /// What is wrong.
    pub kind: ProblemKind<'a>,
}

/// A number in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The set id, 0 to 2147483647.
    SetId,
    /// The flags, 0 to 4294967295.
    Flags,
    /// The priority, -2147483648 to 2147483647.
    Priority,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind<'a> {
    /// Error: the line does not begin with a number.
    NoSetId(&'a [u8]),
    /// Error: nothing follows the set id.
    NoUri(SetId),
    /// Error: a number that does not fit.
    Range(Field, &'a [u8]),
    /// Error: a NUL byte, as in UTF-16 or binary files.
    Nul,
    /// Warning: this stands where a number belongs; text from there on is taken as attributes,
    /// but does not look like attributes.
    NotANumber(Field, &'a [u8]),
    /// Warning: text after the attributes. They cannot hold blanks.
    Ignored(&'a [u8]),
}

impl ProblemKind<'_> {
    const fn severity(&self) -> Severity {
        match self {
            ProblemKind::NoSetId(_)
            | ProblemKind::NoUri(_)
            | ProblemKind::Range(..)
            | ProblemKind::Nul => Severity::Error,
            ProblemKind::NotANumber(..) | ProblemKind::Ignored(_) => Severity::Warning,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::SetId => "a set id",
            Field::Flags => "flags",
            Field::Priority => "a priority",
        })
    }
}

impl Field {
    pub(crate) const fn range(self) -> &'static str {
        match self {
            Field::SetId => "from 0 to 2147483647",
            Field::Flags => "from 0 to 4294967295",
            Field::Priority => "from -2147483648 to 2147483647",
        }
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.kind
        )
    }
}

impl fmt::Display for ProblemKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProblemKind::NoSetId(found) => {
                write!(
                    f,
                    "expected {} (a number), found {}",
                    Field::SetId,
                    Excerpt(found)
                )
            }
            ProblemKind::NoUri(set) => {
                write!(f, "expected a SIP URI after set id {set}, found nothing")
            }
            ProblemKind::Range(field, found) => {
                write!(
                    f,
                    "expected {field} (a number {}), found {}",
                    field.range(),
                    Excerpt(found)
                )
            }
            ProblemKind::Nul => f.write_str("expected plain text, found a NUL byte"),
            ProblemKind::NotANumber(field, found) => {
                write!(
                    f,
                    "expected {field} (a number), found {}, taken as attributes",
                    Excerpt(found)
                )
            }
            ProblemKind::Ignored(found) => {
                write!(
                    f,
                    "expected the end of the line or a # comment after the attributes, \
                     found {}, ignored",
                    Excerpt(found)
                )
            }
        }
    }
}

/// Reads a whole list. Every line that is neither blank nor a comment gives one [`Line`] or one
/// [`Problem`] of severity [`Severity::Error`], so a list without errors has lost nothing.
///
/// Source: features 3.2, and field report W19 for what the C module swallows silently.
#[must_use]
pub fn parse(text: &[u8]) -> Parsed<'_> {
    let mut parsed = Parsed::default();
    // No growing: few lines of a list are shorter.
    parsed.lines.reserve(text.len() / 16);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let mut reader = Reader {
            line,
            number: index.saturating_add(1),
            problems: Vec::new(),
        };
        match reader.destination() {
            Ok(found) => parsed.lines.extend(found),
            Err(problem) => reader.problems.push(problem),
        }
        parsed.problems.append(&mut reader.problems);
    }
    parsed
}

/// `uri` with `sip:` before it where it has no scheme.
///
/// As in the C module, the schemes are `sip`, `sips`, `tel` and `urn` in any case, and a text of
/// up to four characters stays as it is.
///
/// Source: features 3.2, and the C module 5.6.3 run with 38 texts.
#[must_use]
pub fn with_scheme(uri: &[u8]) -> Cow<'_, [u8]> {
    let starts = |scheme: &[u8]| {
        uri.len() > scheme.len()
            && uri
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let has_scheme = starts(b"sip:") || starts(b"sips:") || starts(b"tel:") || starts(b"urn:");
    if has_scheme || uri.len() <= 4 {
        Cow::Borrowed(uri)
    } else {
        Cow::Owned([b"sip:", uri].concat())
    }
}

/// White space inside a line. `\r` is here, so files with CR LF read the same.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// Skips white space.
fn blanks(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while(is_blank).parse(input)
}

/// A field that ends at white space.
fn word(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_till(is_blank).parse(input)
}

/// A URI ends at white space or a comment.
fn uri(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while1(|byte| !is_blank(byte) && byte != b'#').parse(input)
}

/// Whether a field may end before `rest`.
fn at_field_end(rest: &[u8]) -> bool {
    rest.first()
        .is_none_or(|byte| is_blank(*byte) || *byte == b'#')
}

/// Whether nothing but a comment follows.
fn at_line_end(rest: &[u8]) -> bool {
    rest.first().is_none_or(|byte| *byte == b'#')
}

/// The digits of a number, its value if that fits `T`, and the text after it.
type Number<'a, T> = (&'a [u8], Option<T>, &'a [u8]);

/// Flags: decimal digits, or `0x` and hexadecimal ones as a whole field.
fn flags(input: &[u8]) -> Option<Number<'_, u32>> {
    let hex: IResult<&[u8], &[u8]> = preceded(tag_no_case("0x"), hex_digit1).parse(input);
    if let Some((rest, digits)) = hex.ok().filter(|(rest, _)| at_field_end(rest)) {
        let written = input
            .get(..input.len().saturating_sub(rest.len()))
            .unwrap_or(digits);
        let text = core::str::from_utf8(digits).ok()?;
        return Some((written, u32::from_str_radix(text, 16).ok(), rest));
    }
    decimal(input)
}

/// A priority: digits, or `-` and digits as a whole field.
fn priority(input: &[u8]) -> Option<Number<'_, i32>> {
    let signed: IResult<&[u8], &[u8]> = recognize(pair(opt(char('-')), digit1)).parse(input);
    let (rest, text) = signed.ok()?;
    if text.starts_with(b"-") && !at_field_end(rest) {
        return None;
    }
    Some((text, number(text), rest))
}

/// Decimal digits, as far as there are any.
fn decimal<T: core::str::FromStr>(input: &[u8]) -> Option<Number<'_, T>> {
    let digits: IResult<&[u8], &[u8]> = digit1.parse(input);
    let (rest, text) = digits.ok()?;
    Some((text, number(text), rest))
}

/// Reads one line.
struct Reader<'a> {
    line: &'a [u8],
    number: usize,
    /// Warnings so far.
    problems: Vec<Problem<'a>>,
}

impl<'a> Reader<'a> {
    /// The destination of this line; `None` for a blank line or a comment.
    fn destination(&mut self) -> Result<Option<Line<'a>>, Problem<'a>> {
        let start = skip(blanks, self.line);
        if at_line_end(start) {
            return Ok(None);
        }
        if let Some(at) = self.line.iter().position(|byte| *byte == 0) {
            return Err(self.problem(self.line.get(at..).unwrap_or(start), ProblemKind::Nul));
        }
        let Some((digits, set, rest)) = decimal::<SetId>(start) else {
            return Err(self.problem(start, ProblemKind::NoSetId(first_word(start))));
        };
        let set = set.ok_or_else(|| self.out_of_range(start, Field::SetId, digits))?;
        let start = skip(blanks, rest);
        let Ok((rest, uri)) = uri(start) else {
            return Err(self.problem(start, ProblemKind::NoUri(set)));
        };
        let mut line = Line {
            origin: Origin::Line(self.number),
            set,
            uri: uri.into(),
            flags: 0,
            priority: 0,
            attrs: Cow::default(),
        };
        self.numbers(rest, &mut line)?;
        Ok(Some(line))
    }

    /// Flags and priority. Text that is no number is not theirs, but the attributes'.
    fn numbers(&mut self, rest: &'a [u8], line: &mut Line<'a>) -> Result<(), Problem<'a>> {
        let start = skip(blanks, rest);
        if at_line_end(start) {
            return Ok(());
        }
        let Some((written, value, rest)) = flags(start) else {
            return self.slide(Field::Flags, start, start, line);
        };
        line.flags = value.ok_or_else(|| self.out_of_range(start, Field::Flags, written))?;
        if !at_field_end(rest) {
            return self.slide(Field::Flags, start, rest, line);
        }
        let start = skip(blanks, rest);
        if at_line_end(start) {
            return Ok(());
        }
        let Some((written, value, rest)) = priority(start) else {
            return self.slide(Field::Priority, start, start, line);
        };
        line.priority = value.ok_or_else(|| self.out_of_range(start, Field::Priority, written))?;
        if !at_field_end(rest) {
            return self.slide(Field::Priority, start, rest, line);
        }
        let start = skip(blanks, rest);
        if !at_line_end(start) {
            self.attributes(start, line);
        }
        Ok(())
    }

    /// Takes `rest` as attributes although `field`, which begins at `start`, has not ended as a
    /// number. Says so, unless it looks like attributes.
    fn slide(
        &mut self,
        field: Field,
        start: &'a [u8],
        rest: &'a [u8],
        line: &mut Line<'a>,
    ) -> Result<(), Problem<'a>> {
        if !first_word(rest).contains(&b'=') {
            self.warn(start, ProblemKind::NotANumber(field, first_word(start)));
        }
        self.attributes(rest, line);
        Ok(())
    }

    /// The attributes, and what stands after them.
    fn attributes(&mut self, start: &'a [u8], line: &mut Line<'a>) {
        line.attrs = first_word(start).into();
        let rest = skip(blanks, skip(word, start));
        if !at_line_end(rest) {
            self.warn(rest, ProblemKind::Ignored(rest.trim_ascii_end()));
        }
    }

    fn warn(&mut self, at: &[u8], kind: ProblemKind<'a>) {
        self.problems.push(self.problem(at, kind));
    }

    fn out_of_range(&self, at: &[u8], field: Field, digits: &'a [u8]) -> Problem<'a> {
        self.problem(at, ProblemKind::Range(field, digits))
    }

    fn problem(&self, at: &[u8], kind: ProblemKind<'a>) -> Problem<'a> {
        Problem {
            line: self.number,
            column: self.column(at),
            severity: kind.severity(),
            kind,
        }
    }

    /// Column of `rest`, which is what is left of the line.
    fn column(&self, rest: &[u8]) -> usize {
        self.line.len().saturating_sub(rest.len()).saturating_add(1)
    }
}

/// What is left of `input` after `parser`, which cannot fail.
fn skip<'a>(
    mut parser: impl FnMut(&'a [u8]) -> IResult<&'a [u8], &'a [u8]>,
    input: &'a [u8],
) -> &'a [u8] {
    parser(input).map_or(input, |(rest, _)| rest)
}

/// The text up to the next white space.
fn first_word(input: &[u8]) -> &[u8] {
    word(input).map_or(input, |(_, word)| word)
}

#[cfg(test)]
mod tests;
