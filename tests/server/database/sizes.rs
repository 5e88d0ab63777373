//! A table of 100,000 rows, with a pool of private memory that could not hold them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use super::faults::{call, config, rows};
use harness::database::{Database, Row};
use harness::{Kamailio, Module, Uac, patience, under_valgrind};

/// Rows of the large table.
const ROWS: i64 = 100_000;

/// Private memory of each process, as packages have it. Unit: MB. The rows take over 50.
const POOL_MB: u32 = 8;

pub fn a_large_table_needs_no_large_pool(database: &Database) {
    let many = if under_valgrind() { 5_000 } else { ROWS };
    database.create();
    database.fill(&rows());
    let config = config(database).pkg_mb(POOL_MB).shm_mb(512);
    let server = Kamailio::start(Module::Rust, config);
    let row = |n: i64| {
        let uri = format!("sip:127.{}.{}.{}:7000", n / 65_536, n / 256 % 256, n % 256);
        Row::new(2 + n % 500, &uri, 0, n % 7 - 3, &format!("duid=d{n}"))
    };
    let rows: Vec<Row> = (0..many).map(row).collect();
    database.fill(&rows);
    let done = AtomicBool::new(false);
    let (calls, took) = std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let uac = Uac::new();
            let mut calls = 0;
            while !done.load(Ordering::Relaxed) {
                call(&server, &uac);
                calls += 1;
            }
            calls
        });
        let start = Instant::now();
        let said = server.jsonrpc_within("dispatcher.reload", json!([]), patience(60));
        let took = start.elapsed();
        done.store(true, Ordering::Relaxed);
        said.expect("reloaded");
        (calls.join().expect("all calls found a destination"), took)
    });
    println!(
        "{:?}: {many} rows in {took:?}, {calls} calls meanwhile",
        database.kind
    );
    let all = server
        .kamcmd(&["dispatcher.list", "short", "2"])
        .expect("a set");
    assert_eq!(i64::try_from(all.matches("URI: ").count()), Ok(many / 500));
    call(&server, &Uac::new());
}
