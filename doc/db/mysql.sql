-- The table of destinations for MySQL and MariaDB: mysql kamailio < mysql.sql
CREATE TABLE IF NOT EXISTS version (
    table_name VARCHAR(32) NOT NULL PRIMARY KEY,
    table_version INT UNSIGNED NOT NULL DEFAULT 0
);
CREATE TABLE dispatcher (
    id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
    setid INT NOT NULL DEFAULT 0,
    destination VARCHAR(192) NOT NULL DEFAULT '',
    flags INT NOT NULL DEFAULT 0,
    priority INT NOT NULL DEFAULT 0,
    attrs VARCHAR(1024) NOT NULL DEFAULT '',
    description VARCHAR(64) NOT NULL DEFAULT ''
);
INSERT INTO version (table_name, table_version) VALUES ('dispatcher', 4);
