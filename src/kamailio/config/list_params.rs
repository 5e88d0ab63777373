//! The parameters of the list: where it is, and where operators' states are kept.

use core::fmt;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::value::{Read, bad, bytes, parsed, remark, set, switch};
use crate::dispatch::list::db_url;
use crate::dispatch::list::row::{self, Columns};
use crate::dispatch::text::Whole;
use crate::kamailio::server::sys;
use crate::shm::table::store::ReloadState;

/// The place of the list of destinations.
pub enum ListSource {
    /// In the file with this path.
    File(&'static [u8]),
    /// In a table of a database.
    Table(DbTable),
}

/// A table of a database, and what is read of it.
pub struct DbTable {
    /// The database.
    pub url: &'static [u8],
    /// The table's name.
    pub name: &'static [u8],
    /// Its columns.
    pub columns: Columns<'static>,
    /// The column that the rows are ordered by; `None` leaves that to the database.
    pub order: Option<&'static [u8]>,
}

impl fmt::Display for DbTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = db_url::without_password(self.url);
        write!(f, "table {} of {}", Whole(self.name), Whole(&url))
    }
}

/// Shows the full name, which stands before each message about the list.
impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListSource::File(path) => write!(f, "{}", Whole(path)),
            ListSource::Table(table) => write!(f, "{table}"),
        }
    }
}

impl ListSource {
    /// Returns its name for the reply to a command: of a file only the last part.
    pub fn short(&self) -> String {
        match self {
            ListSource::File(path) => {
                let name = Path::new(OsStr::from_bytes(path)).file_name();
                name.unwrap_or_default().to_string_lossy().into_owned()
            }
            ListSource::Table(table) => table.to_string(),
        }
    }

    /// Returns what it is called where nothing is said about its content.
    pub fn title(&self) -> String {
        match self {
            ListSource::File(_) => "the list".into(),
            ListSource::Table(table) => table.to_string(),
        }
    }

    /// Returns its kind and its name, for the log.
    pub fn kind(&self) -> String {
        match self {
            ListSource::File(path) => format!("file \"{}\"", Whole(path)),
            ListSource::Table(table) => table.to_string(),
        }
    }
}

/// The place where operators' states are kept over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nowhere.
    Nowhere,
    /// In a file of their own.
    File(&'static [u8]),
    /// In the table that the list is in.
    Table,
}

/// Reads where the list is: in a table if the config names a database, else in a file.
pub(super) fn source(raw: &sys::glue_modparams) -> Read<ListSource> {
    let Some(url) = set(&raw.db_url) else {
        let path = set(&raw.list_file).unwrap_or_else(default_list);
        return Ok(ListSource::File(path));
    };
    let name = |name, value: &sys::str_| match bytes(value).trim_ascii() {
        b"" => bad(name, b"", "a name"),
        value => Ok(value),
    };
    let written = bytes(&raw.ds_db_extra_attrs);
    let (extra, all) = row::extra_attrs(written);
    if !all {
        let expected = "attribute=column;attribute=column";
        remark(
            "ds_db_extra_attrs",
            written,
            expected,
            "what is no such pair is not read",
        );
    }
    Ok(ListSource::Table(DbTable {
        url,
        name: name("table_name", &raw.table_name)?,
        columns: Columns {
            names: [
                name("setid_col", &raw.setid_col)?,
                name("destination_col", &raw.destination_col)?,
                name("flags_col", &raw.flags_col)?,
                name("priority_col", &raw.priority_col)?,
                name("attrs_col", &raw.attrs_col)?,
            ],
            extra,
        },
        order: set(&raw.order_col).map(<[u8]>::trim_ascii),
    }))
}

/// Returns the path of `dispatcher.list` in the directory of the server's config files.
fn default_list() -> &'static [u8] {
    [sys::KSR_CFG_DIR.to_bytes(), b"dispatcher.list"]
        .concat()
        .leak()
}

/// Reads where states are kept.
pub(super) fn keep(raw: &sys::glue_modparams) -> Read<Keep> {
    let in_table = switch("db_state_mode", raw.db_state_mode)?;
    let expected = match (set(&raw.state_file), in_table) {
        (None, false) => return Ok(Keep::Nowhere),
        (Some(path), false) => return Ok(Keep::File(path)),
        (None, true) if set(&raw.db_url).is_some() => return Ok(Keep::Table),
        (Some(_), true) => "0 where state_file is set",
        (None, true) => "0 without db_url (see state_file)",
    };
    bad("db_state_mode", b"1", expected)
}

/// Reads how a reload treats states.
pub(super) fn reload_state(raw: &sys::glue_modparams) -> Read<ReloadState> {
    let state = |value: &[u8]| match value {
        b"keep" => Some(ReloadState::Keep),
        b"file" => Some(ReloadState::FromList),
        _ => None,
    };
    let expected = "\"keep\" or \"file\"";
    let state = parsed("reload_state", &raw.reload_state, state, expected)?;
    Ok(state.unwrap_or(ReloadState::Keep))
}
