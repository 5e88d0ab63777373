//! `kamcli dispatcher` against the module and its table.

use std::process::Command;

use super::rows::plain;
use harness::database::{Database, Kind};
use harness::{Kamailio, this_server};

fn kamcli(database: &Database, server: &Kamailio, args: &[&str]) -> String {
    let dir = server.dir().display();
    let config = database.file("kamcli.ini");
    let text = format!(
        "[main]\ndomain=test\n[db]\nrwurl=sqlite:///{}\nrourl=sqlite:///{0}\n\
         [ctl]\ntype=jsonrpc\nkamgroup=root\n\
         [jsonrpc]\ntransport=socket\nsrvaddr={dir}/rpc\nrcvaddr={dir}/kamcli\noutformat=json\n",
        database.file("list.db").display()
    );
    std::fs::write(&config, text).expect("its settings");
    let mut command = Command::new("kamcli");
    command
        .arg("--config")
        .arg(&config)
        .arg("dispatcher")
        .args(args);
    let output = command.output().expect("kamcli runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kamcli {args:?}: {said}{faults}");
    said
}

#[test]
fn kamcli_adds_lists_reloads_and_removes() {
    if this_server::lacks(&["jsonrpcs.so"]) {
        return;
    }
    let database = Database::start(Kind::Sqlite);
    database.create();
    database.fill(&super::faults::rows());
    let server = plain(&database);
    let run = |args: &[&str]| kamcli(&database, &server, args);
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
