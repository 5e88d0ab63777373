//! The list file. Each destination of the text becomes a [`Line`], and each part that cannot be read as its writer
//! meant it becomes a [`LineProblem`].
//!
//! ```text
//! setid uri [flags [priority [attrs]]]   # comment
//! ```

use core::fmt;
use std::borrow::Cow;

use nom::bytes::complete::{tag_no_case, take_till, take_while, take_while1};
use nom::character::complete::{char, digit1, hex_digit1};
use nom::combinator::{opt, recognize};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

use super::destination::{Line, Origin, SetId};
use crate::dispatch::text::{Excerpt, number};

/// The severity of a [`LineProblem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The line gives no destination.
    Error,
    /// The line gives a destination, but some of its text has no effect or an unlikely one.
    Warning,
}

/// Something that is wrong with one line. `Display` says where it is, what was expected, and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineProblem<'a> {
    /// The number of the line, from 1.
    pub line: usize,
    /// The column, in bytes from 1.
    pub column: usize,
    /// Decides whether the line gives a destination.
    pub severity: Severity,
    /// The kind of problem, with what was found.
    pub kind: ProblemKind<'a>,
}

/// A number in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberField {
    /// The set id, 0 to 2147483647.
    SetId,
    /// The flags, 0 to 4294967295.
    Flags,
    /// The priority, -2147483648 to 2147483647.
    Priority,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind<'a> {
    /// Error: the line does not begin with a number.
    NoSetId(&'a [u8]),
    /// Error: nothing follows the set id.
    NoUri(SetId),
    /// Error: a number that does not fit.
    Range(NumberField, &'a [u8]),
    /// Error: a NUL byte, as in UTF-16 or binary files.
    Nul,
    /// Warning: this text stands where a number belongs. The rest of the line is taken as attributes, but does not look
    /// like attributes.
    NotANumber(NumberField, &'a [u8]),
    /// Warning: text after the attributes, which cannot contain blanks.
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

impl fmt::Display for NumberField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NumberField::SetId => "a set id",
            NumberField::Flags => "flags",
            NumberField::Priority => "a priority",
        })
    }
}

impl NumberField {
    pub(crate) const fn range(self) -> &'static str {
        match self {
            NumberField::SetId => "from 0 to 2147483647",
            NumberField::Flags => "from 0 to 4294967295",
            NumberField::Priority => "from -2147483648 to 2147483647",
        }
    }
}

impl fmt::Display for LineProblem<'_> {
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
                    NumberField::SetId,
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

/// The mark that some editors put in front of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the lines of a list, without a byte order mark at its start.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    text.split(|byte| *byte == b'\n')
}

/// Returns the number of lines that may give a destination: all but blank ones and comments.
#[must_use]
pub fn count(text: &[u8]) -> usize {
    let lines = lines_of(text);
    lines
        .filter(|line| !at_line_end(skip(blanks, line)))
        .count()
}

/// Reads a whole list: puts its destinations into `lines`, and tells `on_problem` of the rest, both in the order of the
/// file. Every line that [`count`] counts gives one [`Line`] or one [`LineProblem`] of severity [`Severity::Error`], so no
/// destination of a list without errors is lost (doc/reference/list-file.md).
pub fn parse<'a>(
    text: &'a [u8],
    lines: &mut Vec<Line<'a>>,
    on_problem: &mut dyn FnMut(LineProblem<'a>),
) {
    for (index, line) in lines_of(text).enumerate() {
        let mut reader = LineReader {
            line,
            number: index.saturating_add(1),
            problems: Vec::new(),
        };
        match reader.destination() {
            Ok(found) => lines.extend(found),
            Err(problem) => reader.problems.push(problem),
        }
        reader.problems.into_iter().for_each(&mut *on_problem);
    }
}

/// Returns the URI, with `sip:` in front of it if it has no scheme.
///
/// As in the C module, the schemes are `sip`, `sips`, `tel` and `urn` in any case, and a text of up to four characters
/// stays as it is.
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

/// Returns true for white space inside a line. `\r` is such, so that files with CR LF read the same.
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// Reads white space.
fn blanks(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while(is_blank).parse(input)
}

/// Reads a field, which ends at white space.
fn word(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_till(is_blank).parse(input)
}

/// Reads a URI, which ends at white space or a comment.
fn uri(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while1(|byte| !is_blank(byte) && byte != b'#').parse(input)
}

/// Returns true if a field may end before `rest`.
fn at_field_end(rest: &[u8]) -> bool {
    rest.first()
        .is_none_or(|byte| is_blank(*byte) || *byte == b'#')
}

/// Returns true if nothing but a comment follows.
fn at_line_end(rest: &[u8]) -> bool {
    rest.first().is_none_or(|byte| *byte == b'#')
}

/// The digits of a number, its value if that fits `T`, and the text after it.
type Number<'a, T> = (&'a [u8], Option<T>, &'a [u8]);

/// Reads flags: decimal digits, or `0x` and hexadecimal digits as a whole field.
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

/// Reads a priority: digits, or `-` and digits as a whole field.
fn priority(input: &[u8]) -> Option<Number<'_, i32>> {
    let signed: IResult<&[u8], &[u8]> = recognize(pair(opt(char('-')), digit1)).parse(input);
    let (rest, text) = signed.ok()?;
    if text.starts_with(b"-") && !at_field_end(rest) {
        return None;
    }
    Some((text, number(text), rest))
}

/// Reads decimal digits, as far as there are any.
fn decimal<T: core::str::FromStr>(input: &[u8]) -> Option<Number<'_, T>> {
    let digits: IResult<&[u8], &[u8]> = digit1.parse(input);
    let (rest, text) = digits.ok()?;
    Some((text, number(text), rest))
}

/// The reader of one line.
struct LineReader<'a> {
    line: &'a [u8],
    number: usize,
    /// The warnings so far.
    problems: Vec<LineProblem<'a>>,
}

impl<'a> LineReader<'a> {
    /// Returns the destination of this line; `None` for a blank line or a comment.
    fn destination(&mut self) -> Result<Option<Line<'a>>, LineProblem<'a>> {
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
        let set = set.ok_or_else(|| self.out_of_range(start, NumberField::SetId, digits))?;
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

    /// Reads flags and priority. Text that is not a number belongs to the attributes.
    fn numbers(&mut self, rest: &'a [u8], line: &mut Line<'a>) -> Result<(), LineProblem<'a>> {
        let start = skip(blanks, rest);
        if at_line_end(start) {
            return Ok(());
        }
        let Some((written, value, rest)) = flags(start) else {
            return self.slide(NumberField::Flags, start, start, line);
        };
        line.flags = value.ok_or_else(|| self.out_of_range(start, NumberField::Flags, written))?;
        if !at_field_end(rest) {
            return self.slide(NumberField::Flags, start, rest, line);
        }
        let start = skip(blanks, rest);
        if at_line_end(start) {
            return Ok(());
        }
        let Some((written, value, rest)) = priority(start) else {
            return self.slide(NumberField::Priority, start, start, line);
        };
        line.priority =
            value.ok_or_else(|| self.out_of_range(start, NumberField::Priority, written))?;
        if !at_field_end(rest) {
            return self.slide(NumberField::Priority, start, rest, line);
        }
        let start = skip(blanks, rest);
        if !at_line_end(start) {
            self.attributes(start, line);
        }
        Ok(())
    }

    /// Takes `rest` as attributes although `field`, which begins at `start`, has not ended as a number. Warns of it,
    /// unless the text looks like attributes.
    fn slide(
        &mut self,
        field: NumberField,
        start: &'a [u8],
        rest: &'a [u8],
        line: &mut Line<'a>,
    ) -> Result<(), LineProblem<'a>> {
        if !first_word(rest).contains(&b'=') {
            self.warn(start, ProblemKind::NotANumber(field, first_word(start)));
        }
        self.attributes(rest, line);
        Ok(())
    }

    /// Reads the attributes, and warns of text after them.
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

    fn out_of_range(&self, at: &[u8], field: NumberField, digits: &'a [u8]) -> LineProblem<'a> {
        self.problem(at, ProblemKind::Range(field, digits))
    }

    fn problem(&self, at: &[u8], kind: ProblemKind<'a>) -> LineProblem<'a> {
        LineProblem {
            line: self.number,
            column: self.column(at),
            severity: kind.severity(),
            kind,
        }
    }

    /// Returns the column of `rest`, which is what is left of the line.
    fn column(&self, rest: &[u8]) -> usize {
        self.line.len().saturating_sub(rest.len()).saturating_add(1)
    }
}

/// Returns what is left of `input` after `parser`, which cannot fail.
fn skip<'a>(
    mut parser: impl FnMut(&'a [u8]) -> IResult<&'a [u8], &'a [u8]>,
    input: &'a [u8],
) -> &'a [u8] {
    parser(input).map_or(input, |(rest, _)| rest)
}

/// Returns the text up to the next white space.
fn first_word(input: &[u8]) -> &[u8] {
    word(input).map_or(input, |(_, word)| word)
}

#[cfg(test)]
mod tests;
