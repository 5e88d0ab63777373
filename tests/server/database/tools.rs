//! `kamcli dispatcher` against the module and its table.

use super::rows::plain;
use harness::database::{Database, Kind};
use harness::{kamcli, this_server};

#[test]
fn kamcli_adds_lists_reloads_and_removes() {
    if this_server::lacks(&["jsonrpcs.so"]) {
        return;
    }
    let database = Database::start(Kind::Sqlite);
    database.create();
    database.fill(&super::faults::rows());
    let server = plain(&database);
    let url = format!("sqlite:///{}", database.file("list.db").display());
    let run = |args: &[&str]| kamcli(&server, &url, &[&["dispatcher"], args].concat());
    run(&[
        "add",
        "--flags",
        "8",
        "--priority",
        "5",
        "--attrs",
        "duid=k",
        "1",
        "sip:127.0.0.1:7009",
    ]);
    assert!(run(&["showdb", "-F", "json"]).contains("sip:127.0.0.1:7009"));
    assert!(!run(&["list"]).contains("7009"));
    assert!(run(&["reload"]).contains("Ok. Dispatcher successfully reloaded."));
    let dest = server.dest(1, 0);
    assert_eq!(dest["URI"], "sip:127.0.0.1:7009");
    assert_eq!(
        (dest["FLAGS"].as_str(), dest["PRIORITY"].as_i64()),
        (Some("AP"), Some(5))
    );
    assert!(run(&["list"]).contains("sip:127.0.0.1:7009"));
    run(&["rm", "1", "sip:127.0.0.1:7009"]);
    run(&["reload"]);
    assert_eq!(server.dests(1).len(), 3);
}
