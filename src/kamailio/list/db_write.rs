//! Writing the flags of destinations into the table that the list is in.

use core::ffi::c_int;
use core::ptr;

use super::db::{Connection, DbError, Driver, cell, number_value, text_value, values};
use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::list_params::DbTable;
use crate::kamailio::server::heap;
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
    /// The row took these flags for others: its column is too small. It has its old flags again, or a [`WriteBack`].
    Refused(u32),
}

/// Flags that a row had before it took others than it was given; it gets them back when the database takes them.
pub struct WriteBack {
    set: SetId,
    uri: Vec<u8>,
    /// The flags that the row took.
    taken: u32,
    /// The flags that it had.
    flags: u32,
}

/// Writes flags, one row after the other, as far as the database takes them, after those that `owed` says. May wait.
///
/// Rows with the same set and URI are written alike.
///
/// # Errors
/// The reason why not all were written.
pub fn change_flags(
    table: &DbTable,
    changes: &mut [FlagsChange],
    owed: &mut Vec<WriteBack>,
) -> Result<(), String> {
    let failed = |error: DbError| format!("{table}: {error}");
    let driver = Driver::bind(table.url).map_err(failed)?;
    // The connection keeps a pointer to it.
    let name = as_str(table.name);
    let connection = driver.connect(table.url).map_err(failed)?;
    connection.use_table(&raw const name).map_err(failed)?;
    owed.retain(|back| write_back(table, &connection, back).is_none());
    let mut are_all_written = true;
    for change in changes {
        if let Some(written) = change_row(table, &connection, change, owed) {
            change.written = written;
            continue;
        }
        are_all_written = false;
        // Either this row is refused, or the database is gone: then the others would only wait for it.
        let another = MatchingRows::new(table, change.set, b"");
        if another.flags(&connection).is_none() {
            break;
        }
    }
    if are_all_written && owed.is_empty() {
        Ok(())
    } else {
        Err(format!("{table}: the database refuses to write flags"))
    }
}

/// Gives a row its old flags, unless somebody else has changed them since. Returns `None` if the database fails.
fn write_back(table: &DbTable, connection: &Connection<'_>, back: &WriteBack) -> Option<()> {
    let rows = MatchingRows::new(table, back.set, &back.uri);
    match rows.flags(connection)? {
        Some(found) if found == back.taken => rows.set_flags(connection, back.flags),
        _ => Some(()),
    }
}

/// Writes the flags of one destination. Returns `None` if the database fails, the row still has to get its old flags,
/// or there is no memory for them.
fn change_row(
    table: &DbTable,
    connection: &Connection<'_>,
    change: &FlagsChange,
    owed: &mut Vec<WriteBack>,
) -> Option<Written> {
    // A table may leave the scheme out.
    let short = change.uri.strip_prefix(b"sip:");
    for uri in [Some(change.uri.as_slice()), short].into_iter().flatten() {
        if owed
            .iter()
            .any(|back| (back.set, back.uri.as_slice()) == (change.set, uri))
        {
            return None;
        }
        let rows = MatchingRows::new(table, change.set, uri);
        if let Some(now) = rows.flags(connection)? {
            let flags = (now & !change.replaced) | change.flags;
            if flags == now {
                return Some(Written::Flags(flags));
            }
            // A change that may be owed has its memory before anything is written.
            heap::reserve(owed, 1).ok()?;
            let uri = heap::copy(uri).ok()?;
            rows.set_flags(connection, flags)?;
            // Some databases put the nearest number that fits into a small column, with all its bits set.
            return match rows.flags(connection)? {
                Some(found) if found != flags => {
                    if rows.set_flags(connection, now).is_none() {
                        owed.push(WriteBack {
                            set: change.set,
                            uri,
                            taken: found,
                            flags: now,
                        });
                    }
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
