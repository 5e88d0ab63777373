//! Writing the flags of destinations into the table that the list is in.

use core::ffi::c_int;
use core::ptr;

use super::db::{Connection, DbError, Driver, cell, number_value, text_value, values};
use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::list_params::DbTable;
use crate::kamailio::server::sys;
use crate::kamailio::server::text::as_str;

/// New flags of a destination's row.
pub struct FlagsChange {
    /// The destination's set.
    pub set: SetId,
    /// Its URI.
    pub uri: Vec<u8>,
    /// The bits that are replaced; the others stay as the row has them.
    pub replaced: u32,
    /// The bits that are set among them.
    pub flags: u32,
    /// The result.
    pub written: Written,
}

/// The result of a [`FlagsChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing yet.
    Not,
    /// There is no such row.
    NoRow,
    /// The row has these flags now.
    Flags(u32),
    /// The row took these flags for others: its column is too small. It has its old flags again.
    Refused(u32),
}

/// Writes flags, one row after the other, as far as the database takes them. May wait.
///
/// Rows with the same set and URI are written alike.
///
/// # Errors
/// The reason why it went no further.
pub fn change_flags(table: &DbTable, changes: &mut [FlagsChange]) -> Result<(), String> {
    let failed = |error: DbError| format!("{table}: {error}");
    let driver = Driver::bind(table.url).map_err(failed)?;
    // The connection keeps a pointer to it.
    let name = as_str(table.name);
    let connection = driver.connect(table.url).map_err(failed)?;
    connection.use_table(&raw const name).map_err(failed)?;
    for change in changes {
        change.written = change_row(table, &connection, change)
            .ok_or_else(|| format!("{table}: the database refuses to write flags"))?;
    }
    Ok(())
}

/// Writes the flags of one destination. Returns `None` if the database fails.
fn change_row(
    table: &DbTable,
    connection: &Connection<'_>,
    change: &FlagsChange,
) -> Option<Written> {
    // A table may leave the scheme out.
    let short = change.uri.strip_prefix(b"sip:");
    for uri in [Some(change.uri.as_slice()), short].into_iter().flatten() {
        let rows = MatchingRows::new(table, change.set, uri);
        if let Some(now) = rows.flags(connection)? {
            let flags = (now & !change.replaced) | change.flags;
            if flags == now {
                return Some(Written::Flags(flags));
            }
            rows.set_flags(connection, flags)?;
            // Some databases put the nearest number that fits into a small column, with all its bits set.
            return match rows.flags(connection)? {
                Some(found) if found != flags => {
                    rows.set_flags(connection, now)?;
                    Some(Written::Refused(found))
                }
                _ => Some(Written::Flags(flags)),
            };
        }
    }
    Some(Written::NoRow)
}

/// The rows of a set and a URI.
struct MatchingRows<'t> {
    set_col: &'t [u8],
    uri_col: &'t [u8],
    flags_col: &'t [u8],
    set: SetId,
    uri: &'t [u8],
}

impl<'t> MatchingRows<'t> {
    fn new(table: &'t DbTable, set: SetId, uri: &'t [u8]) -> Self {
        let [set_col, uri_col, flags_col, ..] = table.columns.names;
        MatchingRows {
            set_col,
            uri_col,
            flags_col,
            set,
            uri,
        }
    }

    /// Returns the flags of the first row, if there is one; `None` outside if the database fails.
    fn flags(&self, connection: &Connection<'_>) -> Option<Option<u32>> {
        let answer = connection.query(&[self.flags_col], &self.condition(), None)?;
        let flags = answer.rows().first().map(|row| {
            let flags = values(row).first().and_then(|value| cell(value).number());
            flags
                .and_then(|flags| u32::try_from(flags).ok())
                .unwrap_or(0)
        });
        Some(flags)
    }

    fn set_flags(&self, connection: &Connection<'_>, flags: u32) -> Option<()> {
        let update = connection.driver.functions.update?;
        let [set, uri] = self.condition();
        let names = [set.0, uri.0, self.flags_col].map(as_str);
        let [set_key, uri_key, flags_key] =
            names.each_ref().map(|name| ptr::from_ref(name).cast_mut());
        let (keys, values) = ([set_key, uri_key], [set.1, uri.1]);
        let (column, flags) = ([flags_key], [number_value(c_int::try_from(flags).ok()?)]);
        // SAFETY: an open connection with its table chosen; two keys with their values, one column
        // with its value, all only read (lib/srdb1/db.h).
        let done = unsafe {
            update(
                connection.handle.as_ptr(),
                keys.as_ptr(),
                ptr::null(),
                values.as_ptr(),
                column.as_ptr(),
                flags.as_ptr(),
                2,
                1,
            )
        };
        (done >= 0).then_some(())
    }

    /// Returns the columns and values that choose the rows.
    fn condition(&self) -> [(&'t [u8], sys::db_val_t); 2] {
        [
            (self.set_col, number_value(self.set)),
            (self.uri_col, text_value(as_str(self.uri))),
        ]
    }
}
