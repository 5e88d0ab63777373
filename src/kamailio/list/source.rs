//! Reads the list, from a file or from a table of a database. Both give the same lines.

use core::fmt;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::{fs, io};

use super::db::{self, DbError, Rows};
use crate::dispatch::list::destination::{Line, Origin};
use crate::dispatch::list::file::{self, Severity};
use crate::dispatch::list::row::RowFault;
use crate::kamailio::config::list_params::ListSource;
use crate::kamailio::server::text::Escaped;

/// The reason why a list cannot be read.
pub enum ReadError {
    /// The file cannot be read.
    File(io::Error),
    /// The table cannot be read.
    Table(DbError),
}

/// A list as it was read.
pub enum Content {
    /// A file's text.
    Text(Vec<u8>),
    /// A table's rows.
    Rows(Rows),
}

/// Something that is wrong with a list, found before its destinations are resolved.
pub struct Problem {
    /// Its consequence.
    pub grade: Grade,
    /// Its place and its description.
    pub text: String,
}

/// The consequence of a [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// The list is refused.
    Refused,
    /// A destination is left out; with `ds_load_mode` 1 the list is refused.
    LeftOut,
    /// The operator should know.
    Noted,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::File(error) => write!(f, "{error}"),
            ReadError::Table(error) => write!(f, "{error}"),
        }
    }
}

/// Reads the list. May wait.
///
/// # Errors
/// [`ReadError`].
pub fn read(source: &ListSource) -> Result<Content, ReadError> {
    match source {
        ListSource::File(path) => read_file(path).map(Content::Text).map_err(ReadError::File),
        ListSource::Table(table) => db::read(table).map(Content::Rows).map_err(ReadError::Table),
    }
}

/// Reads a regular file. Others, such as a FIFO, might never end.
fn read_file(path: &[u8]) -> io::Result<Vec<u8>> {
    let path = OsStr::from_bytes(path);
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    fs::read(path)
}

impl Content {
    /// Takes out what is wrong with it, and the destinations in their order.
    pub fn parse(&mut self) -> (Vec<Problem>, Vec<Line<'_>>) {
        match self {
            Content::Text(text) => parse_text(text),
            Content::Rows(rows) => (problems(rows), core::mem::take(&mut rows.good)),
        }
    }
}

fn parse_text(text: &[u8]) -> (Vec<Problem>, Vec<Line<'_>>) {
    let parsed = file::parse(text);
    let problems = parsed.problems.iter().map(|problem| Problem {
        grade: match problem.severity {
            Severity::Error => Grade::Refused,
            Severity::Warning => Grade::Noted,
        },
        text: problem.to_string(),
    });
    (problems.collect(), parsed.lines)
}

fn problems(rows: &Rows) -> Vec<Problem> {
    let noted = |text: &str| Problem {
        grade: Grade::Noted,
        text: text.into(),
    };
    let mut problems = Vec::new();
    if rows.no_extra {
        problems.push(noted("ds_db_extra_attrs needs table version 4: not read"));
    }
    if rows.good.is_empty() && rows.bad.is_empty() {
        problems.push(noted("no row"));
    }
    problems.extend(rows.bad.iter().map(|fault| Problem {
        grade: Grade::LeftOut,
        text: named(fault),
    }));
    problems
}

/// Says what is wrong with a row, after its place, its set and its URI.
fn named(fault: &RowFault) -> String {
    let RowFault {
        row,
        set,
        uri,
        wrong,
    } = fault;
    let place = Origin::Row(*row);
    let uri = uri.as_ref().map(|uri| Escaped(uri));
    match (set, uri) {
        (Some(set), Some(uri)) => format!("{place}: set {set}, {uri}: {wrong}"),
        (Some(set), None) => format!("{place}: set {set}: {wrong}"),
        (None, Some(uri)) => format!("{place}: {uri}: {wrong}"),
        (None, None) => format!("{place}: {wrong}"),
    }
}
