-- The table of destinations for PostgreSQL: psql -f postgres.sql kamailio
CREATE TABLE IF NOT EXISTS version (
    table_name VARCHAR(32) NOT NULL PRIMARY KEY,
    table_version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE dispatcher (
    id SERIAL PRIMARY KEY NOT NULL,
    setid INTEGER NOT NULL DEFAULT 0,
    destination VARCHAR(192) NOT NULL DEFAULT '',
    flags INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL DEFAULT 0,
    attrs VARCHAR(1024) NOT NULL DEFAULT '',
    description VARCHAR(64) NOT NULL DEFAULT ''
);
INSERT INTO version (table_name, table_version) VALUES ('dispatcher', 4);
