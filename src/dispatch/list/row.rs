//! Rows of a database table. The cells of a row become the [`Line`] of a destination, or a fault.

use core::fmt;
use core::ops::RangeInclusive;

use super::destination::{Line, Origin, SetId};
use super::file::NumberField;
use crate::dispatch::text::{self, Excerpt, Parameter, Parameters};

/// The highest version of the table that is known.
pub const LAST_VERSION: i32 = 4;

/// Names of the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns<'n> {
    /// Set, destination, flags, priority, attributes. A table of version 1 has the first two, and each later version
    /// one more.
    pub names: [&'n [u8]; 5],
    /// Further attributes, each from a column of its own (`ds_db_extra_attrs`).
    pub extra: Vec<Extra<'n>>,
}

/// An attribute that has a column of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra<'n> {
    /// The name of the attribute.
    pub attr: &'n [u8],
    /// The name of the column.
    pub column: &'n [u8],
}

impl<'n> Columns<'n> {
    /// Returns the columns to ask for in a table of this version; `None` for a version that is not known.
    #[must_use]
    pub fn of_version(&self, version: i32) -> Option<Vec<&'n [u8]>> {
        let last = usize::try_from(version).ok().filter(|last| *last > 0)?;
        let mut columns = self.names.get(..=last)?.to_vec();
        if version == LAST_VERSION {
            columns.extend(self.extra.iter().map(|extra| extra.column));
        }
        Some(columns)
    }
}

/// Reads `attr=column;attr=column`. Returns false if there is anything else; it is skipped.
#[must_use]
pub fn extra_attrs(text: &[u8]) -> (Vec<Extra<'_>>, bool) {
    let is_word = |text: &[u8]| {
        let not = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'=';
        !text.is_empty() && !text.iter().any(not)
    };
    let is_pair = |part: &Parameter<'_>| is_word(part.name) && is_word(part.value);
    let mut parts = Parameters::of(text);
    let written: Vec<_> = parts
        .by_ref()
        .filter(|part| !part.item.is_empty())
        .collect();
    let pairs = written.iter().filter(|part| is_pair(part));
    let extra: Vec<_> = pairs
        .map(|part| Extra {
            attr: part.name,
            column: part.value,
        })
        .collect();
    let all = extra.len() == written.len() && parts.unread.is_empty();
    (extra, all)
}

/// A value as a driver gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A number.
    Int(i64),
    /// A number that may be too large for [`Cell::Int`].
    Uint(u64),
    /// A number that may have a fraction.
    Real(f64),
    /// A text, whatever the type of the column.
    Text(&'a [u8]),
    /// A value of another kind, such as a date.
    Other,
}

/// A row that gives no destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// The number of the row, from 1.
    pub row: usize,
    /// The set, if it can be read.
    pub set: Option<SetId>,
    /// The URI, if there is one.
    pub uri: Option<Vec<u8>>,
    /// The kind of fault.
    pub wrong: Wrong,
}

/// The kinds of faults of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// There is no destination.
    NoUri,
    /// White space or a NUL byte in the destination.
    NotOneWord,
    /// A NUL byte in the attributes.
    NulInAttrs,
    /// A value that is not a number that this column can have.
    Number(NumberField, String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::NoUri => f.write_str("expected a SIP URI, found nothing"),
            Wrong::NotOneWord => {
                f.write_str("expected a SIP URI, found white space or a NUL byte in it")
            }
            Wrong::NulInAttrs => f.write_str("expected attributes, found a NUL byte in them"),
            Wrong::Number(field, found) => {
                write!(
                    f,
                    "expected {field} (a number {}), found {found}",
                    field.range()
                )
            }
        }
    }
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => f.write_str("NULL"),
            Cell::Int(number) => write!(f, "{number}"),
            Cell::Uint(number) => write!(f, "{number}"),
            Cell::Real(number) => write!(f, "{number}"),
            Cell::Text(text) => write!(f, "{}", Excerpt(text)),
            Cell::Other => f.write_str("neither a number nor a text"),
        }
    }
}

impl<'a> Cell<'a> {
    /// Returns the number in the cell; `None` if there is none, or it has a fraction.
    #[must_use]
    pub fn number(self) -> Option<i128> {
        match self {
            Cell::Int(number) => Some(number.into()),
            Cell::Uint(number) => Some(number.into()),
            // Rust prints a float without an exponent and without a needless fraction.
            Cell::Real(number) => number.to_string().parse().ok(),
            Cell::Text(text) => text::number(text.trim_ascii()),
            Cell::Null | Cell::Other => None,
        }
    }

    /// Returns the number in the cell, 0 for an empty optional one, if it is in the field's range.
    fn number_in(self, field: NumberField, range: RangeInclusive<i128>) -> Result<i128, Wrong> {
        let number = match (self, field) {
            (Cell::Null, NumberField::Flags | NumberField::Priority) => Some(0),
            (Cell::Text(text), NumberField::Flags | NumberField::Priority)
                if text.trim_ascii().is_empty() =>
            {
                Some(0)
            }
            (cell, _) => cell.number(),
        };
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| Wrong::Number(field, self.to_string()))
    }

    /// Returns the text without the white space around it, with which some drivers fill up columns.
    fn text(self) -> Option<&'a [u8]> {
        match self {
            Cell::Text(text) => Some(text.trim_ascii()),
            _ => None,
        }
    }

    /// Appends the value to the text of an attribute.
    fn push_to(self, attrs: &mut Vec<u8>) {
        match self {
            Cell::Text(_) => attrs.extend_from_slice(self.text().unwrap_or_default()),
            Cell::Null | Cell::Other => {}
            number => attrs.extend_from_slice(number.to_string().as_bytes()),
        }
    }
}

/// Reads the row with this number, whose cells are in the order of [`Columns::of_version`].
///
/// # Errors
/// [`RowFault`], which identifies the row as far as it can be read.
pub fn read(
    number: usize,
    cells: &[Cell<'_>],
    extra: &[Extra<'_>],
) -> Result<Line<'static>, RowFault> {
    let cell = |at: usize| cells.get(at).copied().unwrap_or(Cell::Null);
    let set = cell(0).number_in(NumberField::SetId, 0..=i32::MAX.into());
    let set = set.map(|set| SetId::try_from(set).unwrap_or_default());
    let uri = cell(1).text().unwrap_or_default();
    let fault = |wrong| RowFault {
        row: number,
        set: set.as_ref().ok().copied(),
        uri: (!uri.is_empty()).then(|| uri.to_vec()),
        wrong,
    };
    let id = set.clone().map_err(fault)?;
    check_uri(uri).map_err(fault)?;
    let flags = cell(2).number_in(NumberField::Flags, 0..=u32::MAX.into());
    let priority = cell(3).number_in(NumberField::Priority, i32::MIN.into()..=i32::MAX.into());
    let attrs = attrs(cell(4), cells.get(5..).unwrap_or_default(), extra);
    check_attrs(&attrs).map_err(fault)?;
    Ok(Line {
        origin: Origin::Row(number),
        set: id,
        uri: uri.to_vec().into(),
        flags: u32::try_from(flags.map_err(fault)?).unwrap_or_default(),
        priority: i32::try_from(priority.map_err(fault)?).unwrap_or_default(),
        attrs: attrs.into(),
    })
}

/// Refuses a URI that is no word.
///
/// # Errors
/// [`Wrong::NoUri`], [`Wrong::NotOneWord`].
pub fn check_uri(uri: &[u8]) -> Result<(), Wrong> {
    let parts = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    match uri {
        b"" => Err(Wrong::NoUri),
        uri if uri.iter().any(parts) => Err(Wrong::NotOneWord),
        _ => Ok(()),
    }
}

/// Refuses attributes that cannot be kept as a text.
///
/// # Errors
/// [`Wrong::NulInAttrs`].
pub fn check_attrs(attrs: &[u8]) -> Result<(), Wrong> {
    if attrs.contains(&0) {
        Err(Wrong::NulInAttrs)
    } else {
        Ok(())
    }
}

/// Returns the attributes, and behind them those with columns of their own, the last one first as in the C module.
fn attrs(cell: Cell<'_>, values: &[Cell<'_>], extra: &[Extra<'_>]) -> Vec<u8> {
    let text = match cell {
        Cell::Text(text) => text,
        _ => b"",
    };
    let mut attrs = text.to_vec();
    for (extra, value) in extra.iter().zip(values).rev() {
        let mut written = Vec::new();
        value.push_to(&mut written);
        if written.is_empty() {
            continue;
        }
        if !attrs.is_empty() && !attrs.ends_with(b";") {
            attrs.push(b';');
        }
        attrs.extend_from_slice(extra.attr);
        attrs.push(b'=');
        attrs.append(&mut written);
    }
    attrs
}

#[cfg(test)]
mod tests;
