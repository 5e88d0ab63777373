//! Lists from a database: the same tests for SQLite, text files, MariaDB and PostgreSQL, which the
//! tests start themselves, each in a directory and on a port of its own.

mod faults;
mod outage;
mod rows;
mod same;
mod sizes;
mod states;
mod tools;

use harness::database::{Database, Kind, postgres_account};
use harness::{this_machine, this_server};

/// Runs the tests that every database must pass, on one server of its kind.
fn all(kind: Kind) {
    let mut database = Database::start(kind);
    same::list_and_picks_are_those_of_the_file(&database);
    rows::bad_rows_are_named_and_left_out(&database);
    rows::a_strict_load_refuses_bad_rows(&database);
    rows::each_version_has_its_columns(&database);
    rows::columns_and_table_have_other_names(&database);
    rows::extra_columns_become_attributes(&database);
    rows::text_that_is_not_utf_8_is_taken_with_a_warning(&database);
    faults::a_failed_reload_leaves_the_list(&database);
    faults::reloads_leak_nothing(&database);
    faults::a_start_needs_a_good_table(&database);
    sizes::a_large_table_needs_no_large_pool(&database);
    states::states_survive_a_restart(&database);
    states::a_small_column_keeps_its_number(&database);
    states::a_row_that_is_refused_keeps_no_other_back(&database);
    states::old_flags_are_written_back(&database);
    outage::a_lost_database_leaves_the_list(&mut database);
}

#[test]
fn sqlite() {
    all(Kind::Sqlite);
}

#[test]
fn text_files() {
    all(Kind::Text);
}

#[test]
fn mariadb() {
    if this_server::lacks(&["db_mysql.so"]) {
        return;
    }
    all(Kind::MariaDb);
}

#[test]
fn postgres() {
    if this_server::lacks(&["db_postgres.so"]) {
        return;
    }
    if postgres_account().is_some_and(this_machine::lacks_a_root_for) {
        return;
    }
    all(Kind::Postgres);
}
