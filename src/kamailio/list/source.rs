//! Where the list is: a file, or a table of a database. Both give the same words.

use core::fmt;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::{fs, io};

use super::db::{self, DbError, Rows};
use super::entry::Words;
use crate::dispatch::list::file::{self, Severity};
use crate::dispatch::list::row::RowFault;
use crate::kamailio::config::list_params::ListSource;
use crate::kamailio::server::text::Short;

/// Why a list cannot be read.
pub enum ReadError {
    /// The file cannot be read.
    File(io::Error),
    /// The table cannot be read.
    Table(DbError),
}

/// What was read.
pub enum Content {
    /// A file's text.
    Text(Vec<u8>),
    /// A table's rows.
    Rows(Rows),
}

/// One destination of a list.
#[derive(Clone, Copy)]
pub struct Entry<'t> {
    /// Where it is.
    pub place: Place,
    /// What it says.
    pub words: Words<'t>,
}

/// A place in a list, from 1.
#[derive(Clone, Copy)]
pub enum Place {
    /// A line of a file.
    Line(usize),
    /// A row, in the order in which the database gave them.
    Row(usize),
}

/// Something that is wrong with a list, before its destinations are looked at.
pub struct Problem {
    /// How bad it is.
    pub grade: Grade,
    /// Where and what.
    pub text: String,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// The list cannot be taken.
    Refused,
    /// A destination is left out, or with `ds_load_mode` 1 the list cannot be taken.
    LeftOut,
    /// The operator should know.
    Noted,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(number) => write!(f, "line {number}"),
            Place::Row(number) => write!(f, "row {number}"),
        }
    }
}

/// Where it is, for a message that names neither set nor URI itself: a line can be looked up, a
/// row only by what it holds.
impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Words { set, uri, .. } = &self.words;
        match self.place {
            Place::Line(_) => write!(f, "{}", self.place),
            Place::Row(_) => write!(f, "{}: set {set}, {}", self.place, Short(uri)),
        }
    }
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

/// Reads a file. Only a plain one: others might never end.
fn read_file(path: &[u8]) -> io::Result<Vec<u8>> {
    let path = OsStr::from_bytes(path);
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    fs::read(path)
}

impl Content {
    /// What is wrong with it, and the destinations in their order.
    pub fn parse(&self) -> (Vec<Problem>, Vec<Entry<'_>>) {
        match self {
            Content::Text(text) => parse_text(text),
            Content::Rows(rows) => (problems(rows), entries(rows)),
        }
    }
}

fn parse_text(text: &[u8]) -> (Vec<Problem>, Vec<Entry<'_>>) {
    let parsed = file::parse(text);
    let problems = parsed.problems.iter().map(|problem| Problem {
        grade: match problem.severity {
            Severity::Error => Grade::Refused,
            Severity::Warning => Grade::Noted,
        },
        text: problem.to_string(),
    });
    let problems = problems.collect();
    // An entry is no larger than a line: it takes the line's place.
    let entries = parsed.lines.into_iter().map(|line| Entry {
        place: Place::Line(line.number),
        words: Words {
            set: line.set,
            uri: line.uri,
            flags: line.flags,
            priority: line.priority,
            attrs: line.attrs,
        },
    });
    (problems, entries.collect())
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
    problems.extend(rows.bad.iter().map(|(number, fault)| Problem {
        grade: Grade::LeftOut,
        text: named(Place::Row(*number), fault),
    }));
    problems
}

/// What is wrong with a row, after its place, its set and its URI.
fn named(place: Place, fault: &RowFault) -> String {
    let RowFault { set, uri, wrong } = fault;
    let uri = uri.as_ref().map(|uri| Short(uri));
    match (set, uri) {
        (Some(set), Some(uri)) => format!("{place}: set {set}, {uri}: {wrong}"),
        (Some(set), None) => format!("{place}: set {set}: {wrong}"),
        (None, Some(uri)) => format!("{place}: {uri}: {wrong}"),
        (None, None) => format!("{place}: {wrong}"),
    }
}

fn entries(rows: &Rows) -> Vec<Entry<'_>> {
    let entries = rows.good.iter().map(|(number, row)| Entry {
        place: Place::Row(*number),
        words: Words {
            set: row.set,
            uri: &row.uri,
            flags: row.flags,
            priority: row.priority,
            attrs: &row.attrs,
        },
    });
    entries.collect()
}
