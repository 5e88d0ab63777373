//! Writing the flags of destinations into the table that the list is in.

use core::ffi::c_int;
use core::ptr;

use super::db::{Connection, Driver, Table, cell};
use super::sys;
use super::text::as_str;
use crate::dispatch::dest::SetId;
use crate::dispatch::row::Cell;

/// Flags to be written.
pub struct FlagsChange {
    /// The destination's set.
    pub set: SetId,
    /// Its URI.
    pub uri: Vec<u8>,
    /// The bits that are to be written; the others stay as the row has them.
    pub kept: u32,
    /// Those bits.
    pub flags: u32,
    /// What became of it.
    pub written: Written,
}

/// What became of a [`FlagsChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing yet.
    Not,
    /// There is no such row.
    NoRow,
    /// The row has these flags now.
    Flags(u32),
}

impl Table {
    /// Writes flags, one row after the other, as far as the database takes them. May wait.
    ///
    /// Rows with the same set and URI are written alike.
    ///
    /// # Errors
    /// Why it went no further.
    pub fn change_flags(&self, changes: &mut [FlagsChange]) -> Result<(), String> {
        let failed = |error: super::db::DbError| format!("{self}: {error}");
        let driver = Driver::bind(self.url).map_err(failed)?;
        // The connection keeps a pointer to it.
        let name = as_str(self.name);
        let connection = driver.connect(self.url).map_err(failed)?;
        connection.use_table(&name).map_err(failed)?;
        for change in changes {
            change.written = self
                .change_row(&connection, change)
                .ok_or_else(|| format!("{self}: the database refuses to write flags"))?;
        }
        Ok(())
    }

    /// Writes the flags of one destination; `None` when the database fails.
    fn change_row(&self, connection: &Connection<'_>, change: &FlagsChange) -> Option<Written> {
        // A table may leave the scheme out.
        let short = change.uri.strip_prefix(b"sip:");
        for uri in [Some(change.uri.as_slice()), short].into_iter().flatten() {
            let row = Place::new(self, change.set, uri);
            if let Some(now) = row.flags(connection)? {
                let flags = (now & !change.kept) | change.flags;
                if flags != now {
                    row.set_flags(connection, flags)?;
                }
                return Some(Written::Flags(flags));
            }
        }
        Some(Written::NoRow)
    }
}

/// The rows of a set and a URI.
struct Place<'t> {
    set_col: sys::str_,
    uri_col: sys::str_,
    flags_col: sys::str_,
    set: SetId,
    uri: &'t [u8],
}

/// A number as databases take it.
fn number(number: c_int) -> sys::db_val_t {
    let mut value = sys::db_val_t {
        type_: sys::DB1_INT,
        ..sys::db_val_t::default()
    };
    value.val.int_val = number;
    value
}

/// A text as databases take it. Valid as long as the text.
fn text(text: &[u8]) -> sys::db_val_t {
    let mut value = sys::db_val_t {
        type_: sys::DB1_STR,
        ..sys::db_val_t::default()
    };
    value.val.str_val = as_str(text);
    value
}

impl<'t> Place<'t> {
    fn new(table: &'t Table, set: SetId, uri: &'t [u8]) -> Self {
        let [set_col, uri_col, flags_col, ..] = table.columns.names;
        Place {
            set_col: as_str(set_col),
            uri_col: as_str(uri_col),
            flags_col: as_str(flags_col),
            set,
            uri,
        }
    }

    /// The flags of the first row; `None` inside when there is none.
    fn flags(&self, connection: &Connection<'_>) -> Option<Option<u32>> {
        let query = connection.driver.functions.query?;
        let (keys, values) = self.condition();
        let wanted: [sys::db_key_t; 1] = [ptr::from_ref(&self.flags_col).cast_mut()];
        let mut answer = connection.no_answer();
        // SAFETY: an open connection with its table chosen; two keys and two values, one column,
        // all only read; the result is ours to free.
        let done = unsafe {
            query(
                connection.handle.as_ptr(),
                keys.as_ptr(),
                ptr::null(),
                values.as_ptr(),
                wanted.as_ptr(),
                2,
                1,
                ptr::null_mut(),
                &raw mut answer.result,
            )
        };
        if done < 0 {
            return None;
        }
        let first = answer.rows().first().map(|row| {
            // SAFETY: the driver says how many there are (lib/srdb1/db_row.h).
            let values = unsafe { super::db::items(row.values, row.n) };
            match values.first().map(cell) {
                Some(Cell::Int(flags)) => u32::try_from(flags).unwrap_or(0),
                Some(Cell::Uint(flags)) => u32::try_from(flags).unwrap_or(0),
                Some(Cell::Text(flags)) => core::str::from_utf8(flags)
                    .ok()
                    .and_then(|flags| flags.trim().parse().ok())
                    .unwrap_or(0),
                _ => 0,
            }
        });
        Some(first)
    }

    fn set_flags(&self, connection: &Connection<'_>, flags: u32) -> Option<()> {
        let update = connection.driver.functions.update?;
        let (keys, values) = self.condition();
        let column: [sys::db_key_t; 1] = [ptr::from_ref(&self.flags_col).cast_mut()];
        let flags = [number(c_int::try_from(flags).ok()?)];
        // SAFETY: as in `flags`.
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

    /// Keys and values that choose the rows.
    fn condition(&self) -> ([sys::db_key_t; 2], [sys::db_val_t; 2]) {
        let key = |name: &sys::str_| ptr::from_ref(name).cast_mut();
        (
            [key(&self.set_col), key(&self.uri_col)],
            [number(self.set), text(self.uri)],
        )
    }
}
