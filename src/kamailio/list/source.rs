//! Reads the list, from a file or from a table of a database. Both give the same lines.

use core::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::db::{self, DbError, Rows};
use super::plain_file;
use crate::dispatch::list::destination::{Line, Origin};
use crate::dispatch::list::file::{self, Severity};
use crate::dispatch::list::row::RowFault;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::list_params::ListSource;
use crate::kamailio::server::heap::{self, NoMemory};

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

/// Hears what is wrong with a list before its destinations are resolved: the consequence, and the place with a
/// description.
pub type OnProblem<'f> = dyn FnMut(Grade, &dyn fmt::Display) + 'f;

/// The consequence of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// The list is refused.
    Refused,
    /// A destination is left out; with `ds_load_mode` 1 the list is refused.
    LeftOut,
    /// The operator should know.
    Noted,
}

impl ReadError {
    /// Returns true if the file is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self, ReadError::File(error) if error.kind() == io::ErrorKind::IsADirectory)
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

/// Reads a regular file, or `/dev/null`. Others, such as a FIFO, might never end.
fn read_file(path: &[u8]) -> io::Result<Vec<u8>> {
    plain_file::read_if(plain_file::path_of(path), |found| {
        let is_null = || fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == found.rdev());
        // A directory is opened, and refuses to be read.
        found.is_file() || found.is_dir() || found.file_type().is_char_device() && is_null()
    })
}

impl Content {
    /// Takes out the destinations in their order, and tells `on_problem` of what is wrong with the rest.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn parse(&mut self, on_problem: &mut OnProblem<'_>) -> Result<Vec<Line<'_>>, NoMemory> {
        match self {
            Content::Text(text) => parse_text(text, on_problem),
            Content::Rows(rows) => {
                tell_of_rows(rows, on_problem);
                Ok(core::mem::take(&mut rows.good))
            }
        }
    }
}

fn parse_text<'t>(
    text: &'t [u8],
    on_problem: &mut OnProblem<'_>,
) -> Result<Vec<Line<'t>>, NoMemory> {
    let mut lines = Vec::new();
    heap::reserve(&mut lines, file::count(text))?;
    file::parse(text, &mut lines, &mut |problem| {
        let grade = match problem.severity {
            Severity::Error => Grade::Refused,
            Severity::Warning => Grade::Noted,
        };
        on_problem(grade, &problem);
    });
    Ok(lines)
}

fn tell_of_rows(rows: &Rows, on_problem: &mut OnProblem<'_>) {
    if rows.no_extra {
        let what = "ds_db_extra_attrs needs table version 4: not read";
        on_problem(Grade::Noted, &what);
    }
    if rows.good.is_empty() && rows.bad.is_empty() {
        on_problem(Grade::Noted, &"no row");
    }
    for fault in &rows.bad {
        on_problem(Grade::LeftOut, &named(fault));
    }
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
