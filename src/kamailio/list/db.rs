//! A table of a database, read through the server's own database interface (lib/srdb1), so with
//! whatever driver the config has loaded.
//!
//! The connection is opened for one reading and closed after it. Rows are taken in pieces and
//! copied at once: the server's private memory never holds more than one piece.

use core::ffi::c_int;
use core::fmt;
use core::ptr::{self, NonNull};
use core::slice;

use crate::dispatch::list::db_url;
use crate::dispatch::list::destination::Line;
use crate::dispatch::list::row::{self, Cell, LAST_VERSION, RowFault};
use crate::kamailio::config::list_params::DbTable;
use crate::kamailio::server::compat;
use crate::kamailio::server::heap::{self, NoMemory};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{self, as_str};

/// Rows that a driver gives at once.
const PIECE: c_int = 1000;

/// Bytes of heap that the copy of a row takes at most besides its texts.
const ROW_HEAP: usize = 300;

/// Bytes of heap that the name of an attribute with a column of its own takes in each row besides its text.
const NAME_HEAP: usize = 24;

/// The rows of a table, read.
#[derive(Default)]
pub struct Rows {
    /// The destinations.
    pub good: Vec<Line<'static>>,
    /// The rows that give none.
    pub bad: Vec<RowFault>,
    /// The table is too old for attributes with columns of their own.
    pub no_extra: bool,
}

/// The reason why a table cannot be read. The driver has logged more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DbError {
    /// The config has not loaded the driver, or it is no good.
    NoDriver(String),
    /// The driver cannot query.
    NoQueries(String),
    /// The database does not answer, or does not let us in.
    NoConnection,
    /// The table of versions cannot be read.
    NoVersions,
    /// The table of versions does not know the table.
    NoVersion,
    /// A version that is not known.
    Version(i32),
    /// The query failed; the columns that it names.
    Query(String),
    /// The answer broke off after so many rows.
    BrokenOff(usize),
    /// The answer has so many columns, not as many as were asked for.
    Columns(usize),
    /// This process has no memory for the rows.
    Memory(NoMemory),
}

impl From<NoMemory> for DbError {
    fn from(error: NoMemory) -> Self {
        DbError::Memory(error)
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DbError::NoDriver(name) => write!(
                f,
                "no driver for {name}: load db_{name}.so before this module"
            ),
            DbError::NoQueries(name) => write!(f, "the driver for {name} cannot query"),
            DbError::NoConnection => f.write_str("cannot connect to the database"),
            DbError::NoVersions => f.write_str("cannot read the table's version"),
            DbError::NoVersion => f.write_str("the table of versions has no row for it"),
            DbError::Version(found) => {
                write!(
                    f,
                    "expected table version 1 to {LAST_VERSION}, found {found}"
                )
            }
            DbError::Query(columns) => write!(f, "cannot query columns {columns}"),
            DbError::BrokenOff(rows) => write!(f, "the answer broke off after {rows} rows"),
            DbError::Columns(found) => write!(f, "the answer has {found} columns"),
            DbError::Memory(error) => write!(f, "{error}"),
        }
    }
}

/// Reads all rows of a table. May wait for the database.
///
/// # Errors
/// [`DbError`].
pub fn read(table: &DbTable) -> Result<Rows, DbError> {
    let driver = Driver::bind(table.url)?;
    // The connection keeps a pointer to it.
    let name = as_str(table.name);
    let connection = driver.connect(table.url)?;
    let version = connection.version(name)?;
    let columns = table.columns.of_version(version);
    let columns = columns.ok_or(DbError::Version(version))?;
    let mut reader = Reader {
        table,
        columns: columns.len(),
        rows: Rows {
            no_extra: version < LAST_VERSION && !table.columns.extra.is_empty(),
            ..Rows::default()
        },
        count: 0,
    };
    if driver.is_sqlite() {
        reader.read_by_limit(&connection, &columns)?;
    } else {
        connection.use_table(&raw const name)?;
        reader.read_by_fetch(&connection, &columns)?;
    }
    Ok(reader.rows)
}

/// A driver's functions.
pub(crate) struct Driver {
    pub(crate) functions: sys::db_func_t,
    name: String,
}

impl Driver {
    pub(crate) fn bind(url: &[u8]) -> Result<Self, DbError> {
        let name = String::from_utf8_lossy(db_url::driver(url)).into_owned();
        let mut functions = sys::db_func_t::default();
        let url = as_str(url);
        // SAFETY: reads the URL and fills the struct (lib/srdb1/db.c).
        if unsafe { sys::db_bind_mod(&raw const url, &raw mut functions) } < 0 {
            return Err(DbError::NoDriver(name));
        }
        let complete = functions.query.is_some()
            && functions.close.is_some()
            && functions.use_table.is_some()
            && functions.free_result.is_some();
        if functions.cap & sys::DB_CAP_QUERY == 0 || !complete {
            return Err(DbError::NoQueries(name));
        }
        Ok(Driver { functions, name })
    }

    /// The driver for SQLite has no way to fetch rows in pieces, and takes private memory for all of
    /// them: it is asked for one piece after the other.
    fn is_sqlite(&self) -> bool {
        self.name == "sqlite" && self.functions.raw_query.is_some()
    }

    pub(crate) fn connect(&self, url: &[u8]) -> Result<Connection<'_>, DbError> {
        let init = self.functions.init.ok_or(DbError::NoConnection)?;
        let url = as_str(url);
        // SAFETY: the driver copies what it keeps of the URL (lib/srdb1/db.c, db_do_init2).
        let handle = NonNull::new(unsafe { init(&raw const url) });
        let handle = handle.ok_or(DbError::NoConnection)?;
        Ok(Connection {
            driver: self,
            handle,
        })
    }
}

/// An open connection; closed when it is dropped.
pub(crate) struct Connection<'d> {
    pub(crate) driver: &'d Driver,
    pub(crate) handle: NonNull<sys::db1_con_t>,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        if let Some(close) = self.driver.functions.close {
            // SAFETY: open, and used by nobody any more.
            unsafe { close(self.handle.as_ptr()) };
        }
    }
}

impl Connection<'_> {
    /// The table's version by the table of versions. The server has a function for that, which
    /// leaks where there is no row.
    fn version(&self, name: sys::str_) -> Result<i32, DbError> {
        let unreadable = DbError::NoVersions;
        let versions = &raw const sys::version_table;
        self.use_table(versions).map_err(|_| unreadable.clone())?;
        let answer = self.query(
            &[b"table_version"],
            &[(b"table_name", text_value(name))],
            None,
        );
        let answer = answer.ok_or(unreadable.clone())?;
        let Some(row) = answer.rows().first() else {
            return Err(DbError::NoVersion);
        };
        let version = values(row).first().and_then(|value| cell(value).number());
        version
            .and_then(|version| i32::try_from(version).ok())
            .ok_or(unreadable)
    }

    /// Says which table is meant from now on.
    pub(crate) fn use_table(&self, name: *const sys::str_) -> Result<(), DbError> {
        let failed = DbError::NoConnection;
        let use_table = self.driver.functions.use_table.ok_or(failed.clone())?;
        // SAFETY: an open connection, and a name that outlives it.
        match unsafe { use_table(self.handle.as_ptr(), name) } {
            0.. => Ok(()),
            _ => Err(failed),
        }
    }

    /// Asks for columns of the chosen table, of the rows where these columns have these values.
    /// `None` when it fails.
    pub(crate) fn query(
        &self,
        columns: &[&[u8]],
        only: &[(&[u8], sys::db_val_t)],
        order: Option<&[u8]>,
    ) -> Option<Answer<'_>> {
        let mut names: Vec<sys::str_> = columns.iter().map(|name| as_str(name)).collect();
        let names: Vec<sys::db_key_t> = names.iter_mut().map(ptr::from_mut).collect();
        let values: Vec<sys::db_val_t> = only.iter().map(|(_, value)| *value).collect();
        let mut keys: Vec<sys::str_> = only.iter().map(|(name, _)| as_str(name)).collect();
        let keys: Vec<sys::db_key_t> = keys.iter_mut().map(ptr::from_mut).collect();
        let mut order = order.map(as_str);
        let order = order.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let count = |list: &[sys::db_key_t]| c_int::try_from(list.len()).unwrap_or(0);
        let mut answer = Answer::none(self);
        // SAFETY: an open connection with its table chosen, and as many names and values as are
        // said; they and the functions are only read, and the result is ours to free unless it
        // fails (lib/srdb1/db_query.c).
        let done = unsafe {
            sys::db_fetch_query(
                (&raw const self.driver.functions).cast_mut(),
                PIECE,
                self.handle.as_ptr(),
                if keys.is_empty() {
                    ptr::null()
                } else {
                    keys.as_ptr()
                },
                ptr::null(),
                values.as_ptr(),
                names.as_ptr(),
                count(&keys),
                count(&names),
                order,
                &raw mut answer.result,
            )
        };
        (done >= 0).then_some(answer)
    }

    /// Runs SQL; `None` when it fails.
    fn run(&self, sql: &str) -> Option<Answer<'_>> {
        let raw_query = self.driver.functions.raw_query?;
        let mut answer = Answer::none(self);
        let sql = as_str(sql.as_bytes());
        let result = &raw mut answer.result;
        // SAFETY: an open connection; the text is only read, and the result is ours to free.
        let done = unsafe { raw_query(self.handle.as_ptr(), &raw const sql, result) };
        (done >= 0).then_some(answer)
    }
}

/// A piece of a result; freed when it is dropped.
pub(crate) struct Answer<'c> {
    connection: &'c Connection<'c>,
    pub(crate) result: *mut sys::db1_res_t,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let free = self.connection.driver.functions.free_result;
        if let Some(free) = free.filter(|_| !self.result.is_null()) {
            // SAFETY: a result of this connection, which nobody uses any more.
            unsafe { free(self.connection.handle.as_ptr(), self.result) };
        }
    }
}

impl<'c> Answer<'c> {
    fn none(connection: &'c Connection<'c>) -> Self {
        Answer {
            connection,
            result: ptr::null_mut(),
        }
    }

    /// Returns the rows of this piece.
    pub(crate) fn rows(&self) -> &[sys::db_row_t] {
        // SAFETY: null, or a result that lives until this is dropped or fetches the next piece.
        let Some(result) = (unsafe { self.result.as_ref() }) else {
            return &[];
        };
        let rows = result.rows.cast::<sys::db_row_t>();
        // SAFETY: the driver says how many there are (lib/srdb1/db_res.h).
        unsafe { items(rows, result.n) }
    }

    /// Returns false for an answer that never began. db_mysql takes a connection that breaks before the columns for
    /// a statement without rows, and says that all is well.
    fn has_begun(&self) -> bool {
        // SAFETY: null, or a result that lives until this is dropped or fetches the next piece.
        unsafe { self.result.as_ref() }.is_none_or(|result| result.col.n > 0)
    }

    /// Fetches the next piece; `None` when that fails.
    fn next(&mut self) -> Option<()> {
        let driver = self.connection.driver;
        if driver.functions.cap & sys::DB_CAP_FETCH == 0 {
            *self = Answer::none(self.connection);
            return Some(());
        }
        let functions = (&raw const driver.functions).cast_mut();
        let handle = self.connection.handle.as_ptr();
        // SAFETY: the result of a fetching query; only reads the functions. Where it fails, it has
        // freed the result and says so (lib/srdb1/db_query.c).
        let done = unsafe { sys::db_fetch_next(functions, PIECE, handle, &raw mut self.result) };
        (done >= 0).then_some(())
    }
}

/// Returns the slice that a pointer and a count of the server's mean.
///
/// # Safety
/// `first` is null, or the first of `count` items that stay as they are for `'a`.
pub(crate) unsafe fn items<'a, T>(first: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        Ok(count) if !first.is_null() => {
            // SAFETY: not null, and the caller vouches for the count.
            unsafe { slice::from_raw_parts(first, count) }
        }
        _ => &[],
    }
}

/// Reads one answer, and keeps what it has read.
struct Reader<'t> {
    table: &'t DbTable,
    /// The number of columns that were asked for.
    columns: usize,
    rows: Rows,
    /// Rows so far.
    count: usize,
}

impl Reader<'_> {
    /// One query; the driver gives its result in pieces if it can.
    fn read_by_fetch(&mut self, connection: &Connection, columns: &[&[u8]]) -> Result<(), DbError> {
        let answer = connection.query(columns, &[], self.table.order);
        let mut answer = answer.ok_or_else(|| self.no_query(columns))?;
        if !answer.has_begun() {
            return Err(DbError::BrokenOff(0));
        }
        while self.keep(answer.rows())? > 0 {
            answer.next().ok_or(DbError::BrokenOff(self.count))?;
        }
        Ok(())
    }

    /// One query for each piece. The transaction holds the table still meanwhile; where another
    /// module's is open on a connection that we share, that does.
    fn read_by_limit(&mut self, connection: &Connection, columns: &[&[u8]]) -> Result<(), DbError> {
        let transaction = connection.run("begin").is_some();
        let done = self.read_pieces(connection, columns);
        if transaction {
            connection.run("commit");
        }
        done
    }

    fn read_pieces(&mut self, connection: &Connection, columns: &[&[u8]]) -> Result<(), DbError> {
        let names = listed(columns);
        let table = String::from_utf8_lossy(self.table.name);
        let order = self.table.order.map(|name| {
            let name = String::from_utf8_lossy(name);
            format!("order by {name} ")
        });
        let order = order.unwrap_or_default();
        let full = usize::try_from(PIECE).unwrap_or(usize::MAX);
        loop {
            let from = self.count;
            let sql = format!("select {names} from {table} {order}limit {PIECE} offset {from}");
            let Some(answer) = connection.run(&sql) else {
                return Err(match from {
                    0 => self.no_query(columns),
                    rows => DbError::BrokenOff(rows),
                });
            };
            if self.keep(answer.rows())? < full {
                return Ok(());
            }
        }
    }

    /// Returns the error of a failed query.
    fn no_query(&self, columns: &[&[u8]]) -> DbError {
        let order = self.table.order.map(String::from_utf8_lossy);
        let order = order.map_or(String::new(), |name| format!(" by {name}"));
        DbError::Query(listed(columns) + &order)
    }

    /// Makes sure that there is memory for copies of rows.
    fn make_room(&mut self, rows: &[sys::db_row_t]) -> Result<(), NoMemory> {
        let cells = rows.iter().flat_map(values).map(cell);
        let texts = cells.map(|cell| match cell {
            Cell::Text(text) => text.len(),
            _ => 0,
        });
        let texts: usize = texts.sum();
        heap::reserve(&mut self.rows.good, rows.len())?;
        heap::reserve(&mut self.rows.bad, rows.len())?;
        let extra = self.table.columns.extra.iter();
        let names: usize = extra.map(|extra| extra.attr.len() + NAME_HEAP).sum();
        heap::need(2 * texts + rows.len() * (ROW_HEAP + 2 * names))
    }

    /// Copies rows, and returns how many they were.
    fn keep(&mut self, rows: &[sys::db_row_t]) -> Result<usize, DbError> {
        self.make_room(rows)?;
        for row in rows {
            let values = values(row);
            if values.len() != self.columns {
                return Err(DbError::Columns(values.len()));
            }
            self.count = self.count.saturating_add(1);
            let cells: Vec<Cell<'_>> = values.iter().map(cell).collect();
            match row::read(self.count, &cells, &self.table.columns.extra) {
                Ok(line) => self.rows.good.push(line),
                Err(fault) => self.rows.bad.push(fault),
            }
        }
        Ok(rows.len())
    }
}

/// Returns the values of a row.
pub(crate) fn values(row: &sys::db_row_t) -> &[sys::db_val_t] {
    // SAFETY: the driver says how many there are (lib/srdb1/db_row.h).
    unsafe { items(row.values, row.n) }
}

/// Returns the names with commas between them.
fn listed(columns: &[&[u8]]) -> String {
    String::from_utf8_lossy(&columns.join(&b","[..])).into_owned()
}

/// Makes a value of a number.
pub(crate) fn number_value(number: c_int) -> sys::db_val_t {
    let mut value = sys::db_val_t {
        type_: sys::DB1_INT,
        ..sys::db_val_t::default()
    };
    value.val.int_val = number;
    value
}

/// Makes a value of a text, valid as long as the text.
pub(crate) fn text_value(text: sys::str_) -> sys::db_val_t {
    let mut value = sys::db_val_t {
        type_: sys::DB1_STR,
        ..sys::db_val_t::default()
    };
    value.val.str_val = text;
    value
}

/// Reads a value of the server's; its text is valid as long as its row.
pub(crate) fn cell(value: &sys::db_val_t) -> Cell<'_> {
    if value.nul != 0 {
        return Cell::Null;
    }
    let union = &value.val;
    match value.type_ {
        // SAFETY: the driver has filled the field that the type names (lib/srdb1/db_val.h).
        sys::DB1_INT => Cell::Int(unsafe { union.int_val }.into()),
        // SAFETY: the driver has filled the field that the type names (lib/srdb1/db_val.h).
        sys::DB1_BIGINT => Cell::Int(unsafe { union.ll_val }),
        // SAFETY: the driver has filled the field that the type names (lib/srdb1/db_val.h).
        sys::DB1_BITMAP => Cell::Uint(unsafe { union.bitmap_val }.into()),
        // SAFETY: the driver has filled the field that the type names (lib/srdb1/db_val.h).
        sys::DB1_DOUBLE => Cell::Real(unsafe { union.double_val }),
        sys::DB1_STRING => {
            // SAFETY: the driver has filled the field that the type names (lib/srdb1/db_val.h).
            let text = unsafe { union.string_val };
            // SAFETY: ends with NUL, and stays until the result is freed.
            unsafe { text::c_bytes(text) }.map_or(Cell::Null, Cell::Text)
        }
        sys::DB1_STR | sys::DB1_BLOB => {
            // SAFETY: the driver has filled the field that the type names (lib/srdb1/db_val.h); both
            // fields have the same type and place.
            let text = unsafe { union.str_val };
            // SAFETY: stays until the result is freed.
            Cell::Text(unsafe { text::bytes(&text) })
        }
        _ => compat::db_unsigned(value).map_or(Cell::Other, Cell::Uint),
    }
}
