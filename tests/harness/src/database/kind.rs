//! One database of any kind: how the tests make tables, fill them and spoil them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::daemon::Daemon;
use super::text;
use crate::{Config, Door, TempDir};

/// The kinds that are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Text,
    MariaDb,
    Postgres,
}

/// The password of the tests' user; must be in no message.
pub const PASSWORD: &str = "s3cr3t";

/// A database.
pub struct Database {
    pub kind: Kind,
    pub dir: TempDir,
    pub daemon: Option<Daemon>,
}

/// A row; `None` is NULL.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub set: Option<i64>,
    pub uri: Option<String>,
    pub flags: Option<i64>,
    pub priority: Option<i64>,
    pub attrs: Option<String>,
}

impl Row {
    /// A row without NULLs.
    pub fn new(set: i64, uri: &str, flags: i64, priority: i64, attrs: &str) -> Self {
        Self {
            set: Some(set),
            uri: Some(uri.to_owned()),
            flags: Some(flags),
            priority: Some(priority),
            attrs: Some(attrs.to_owned()),
        }
    }
}

/// The table that ships, `doc/db`.
const SCHEMAS: [(Kind, &str); 3] = [
    (Kind::Sqlite, include_str!("../../../../doc/db/sqlite.sql")),
    (Kind::MariaDb, include_str!("../../../../doc/db/mysql.sql")),
    (
        Kind::Postgres,
        include_str!("../../../../doc/db/postgres.sql"),
    ),
];

impl Database {
    /// Makes a database without tables, and starts its server where it has one.
    pub fn start(kind: Kind) -> Self {
        let dir = TempDir::new();
        let daemon = match kind {
            Kind::Sqlite | Kind::Text => None,
            Kind::MariaDb => Some(Daemon::mariadb(dir.path())),
            Kind::Postgres => Some(Daemon::postgres(dir.path())),
        };
        Self { kind, dir, daemon }
    }

    fn port(&self) -> u16 {
        self.daemon.as_ref().map_or(0, |daemon| daemon.port)
    }

    /// Returns the value of `db_url`.
    pub fn url(&self) -> String {
        self.url_at(self.port())
    }

    /// Returns the value of `db_url` for connections through a door before the database's server.
    pub fn url_through(&self, door: &Door) -> String {
        self.url_at(door.port)
    }

    fn url_at(&self, port: u16) -> String {
        let dir = self.dir.path().display();
        match self.kind {
            Kind::Sqlite => format!("sqlite:///{dir}/list.db"),
            Kind::Text => format!("text://{dir}"),
            Kind::MariaDb => format!("mysql://kam:{PASSWORD}@127.0.0.1:{port}/kam"),
            Kind::Postgres => format!("postgres://kam:{PASSWORD}@127.0.0.1:{port}/kam"),
        }
    }

    /// The URL as messages have it.
    pub fn shown(&self) -> String {
        self.url().replace(&format!(":{PASSWORD}"), "")
    }

    /// The server's module for it.
    pub fn driver(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "db_sqlite",
            Kind::Text => "db_text",
            Kind::MariaDb => "db_mysql",
            Kind::Postgres => "db_postgres",
        }
    }

    /// Makes a config read the list from here. What the driver itself says of a fault is its own.
    pub fn config(&self, config: Config) -> Config {
        let config = config
            .load(&format!("{}.so", self.driver()))
            .param("db_url", self.url())
            .allow_log(&format!(" {} [", self.driver()))
            .allow_log("db_query.c")
            .allow_log("db.c");
        if self.kind == Kind::Text {
            let config = config.modparam("db_text", "db_mode", 1);
            return config.modparam("db_text", "max_result_rows", 200_000);
        }
        config
    }

    /// The file of a database that is one, or a table of text files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes the tables anew, as they ship.
    pub fn create(&self) {
        if self.kind == Kind::Text {
            return text::create(self.dir.path());
        }
        let schema = SCHEMAS.iter().find(|(kind, _)| *kind == self.kind);
        self.drop_tables();
        self.sql(schema.expect("a schema for each kind").1);
    }

    fn drop_tables(&self) {
        self.sql("DROP TABLE IF EXISTS dispatcher; DROP TABLE IF EXISTS version;");
    }

    /// Removes the table of destinations.
    pub fn drop_list(&self) {
        match self.kind {
            Kind::Text => std::fs::remove_file(self.file("dispatcher")).expect("the table"),
            _ => self.sql("DROP TABLE dispatcher;"),
        }
    }

    /// Makes a table with columns of the test's own, of type `text` or `int`, all of which may be
    /// NULL.
    pub fn create_with(&self, table: &str, version: i64, columns: &[(&str, &str)]) {
        if self.kind == Kind::Text {
            return text::create_with(self.dir.path(), table, version, columns);
        }
        self.drop_tables();
        let integer = ("int", "INTEGER");
        let text = ("text", "VARCHAR(2000)");
        let sql_type = |name: &str| if name == integer.0 { integer.1 } else { text.1 };
        let columns: Vec<String> = columns
            .iter()
            .map(|(name, kind)| format!("{name} {} NULL", sql_type(kind)))
            .collect();
        self.sql(&format!(
            "DROP TABLE IF EXISTS {table};
             CREATE TABLE {table} ({});
             CREATE TABLE version (table_name VARCHAR(32), table_version INTEGER);
             INSERT INTO version VALUES ('{table}', {version});",
            columns.join(", ")
        ));
    }

    /// The table of a version, with all the columns that may be NULL.
    pub fn create_loose(&self, version: i64) {
        self.create_with("dispatcher", version, &text::COLUMNS);
    }

    /// Adds rows with these values, written as SQL has them.
    pub fn insert(&self, table: &str, columns: &[&str], rows: &[Vec<String>]) {
        if self.kind == Kind::Text {
            return text::insert(self.dir.path(), table, columns, rows);
        }
        let columns = columns.join(", ");
        let mut sql = String::from("BEGIN;\n");
        for rows in rows.chunks(500) {
            let rows: Vec<String> = rows
                .iter()
                .map(|row| format!("({})", row.join(", ")))
                .collect();
            sql += &format!(
                "INSERT INTO {table} ({columns}) VALUES {};\n",
                rows.join(", ")
            );
        }
        self.sql(&(sql + "COMMIT;\n"));
    }

    /// Adds rows to the table of destinations.
    pub fn fill(&self, rows: &[Row]) {
        let number = |value: Option<i64>| value.map_or("NULL".to_owned(), |n| n.to_string());
        let word = |value: &Option<String>| {
            value
                .as_ref()
                .map_or("NULL".to_owned(), |text| format!("'{text}'"))
        };
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let (set, flags) = (number(row.set), number(row.flags));
                let (uri, attrs) = (word(&row.uri), word(&row.attrs));
                vec![set, uri, flags, number(row.priority), attrs]
            })
            .collect();
        let columns = ["setid", "destination", "flags", "priority", "attrs"];
        self.insert("dispatcher", &columns, &rows);
    }

    /// Removes all destinations.
    pub fn clear(&self) {
        match self.kind {
            Kind::Text => text::clear(self.dir.path(), "dispatcher"),
            _ => self.sql("DELETE FROM dispatcher;"),
        }
    }

    /// Says that the table has another version; `None`: that nothing is known of it.
    pub fn set_version(&self, version: Option<i64>) {
        if self.kind == Kind::Text {
            return text::set_version(self.dir.path(), "dispatcher", version);
        }
        self.sql("DELETE FROM version;");
        if let Some(version) = version {
            self.sql(&format!(
                "INSERT INTO version VALUES ('dispatcher', {version});"
            ));
        }
    }

    /// Gives a column another name, so that the old one is missing.
    pub fn rename_column(&self, from: &str, to: &str) {
        match self.kind {
            Kind::Text => text::rename_column(self.dir.path(), "dispatcher", from, to),
            _ => self.sql(&format!(
                "ALTER TABLE dispatcher RENAME COLUMN {from} TO {to};"
            )),
        }
    }

    /// Runs SQL in the database's own client.
    pub fn sql(&self, sql: &str) {
        use std::io::Write;
        let mut client = self.client();
        client.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut client = client
            .stderr(Stdio::piped())
            .spawn()
            .expect("the database's client");
        let mut input = client.stdin.take().expect("its input");
        let sent = input.write_all(sql.as_bytes());
        drop(input);
        let output = client.wait_with_output().expect("the client's end");
        let said = String::from_utf8_lossy(&output.stderr);
        let start = sql.get(..200.min(sql.len())).unwrap_or(sql);
        assert!(sent.is_ok() && output.status.success(), "{said}\n{start}");
    }

    /// The database's own client, which reads SQL from its input.
    pub fn client(&self) -> Command {
        let port = self.port().to_string();
        let mut command = match self.kind {
            Kind::Sqlite => Command::new("sqlite3"),
            Kind::Text => unreachable!("text files have no client"),
            Kind::MariaDb => Command::new("mariadb"),
            Kind::Postgres => Command::new("psql"),
        };
        match self.kind {
            Kind::Sqlite => command.arg("-bail").arg(self.file("list.db")),
            Kind::MariaDb => command
                .args(["--no-defaults", "--protocol=tcp", "-h127.0.0.1", "-ukam"])
                .arg(format!("-p{PASSWORD}"))
                .arg(format!("-P{port}"))
                .arg("kam"),
            _ => command
                .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
                .args(["-U", "kam", "-d", "kam", "-p", &port])
                .env("PGPASSWORD", PASSWORD)
                .env("PGOPTIONS", "-c client_min_messages=warning"),
        };
        command
    }
}
