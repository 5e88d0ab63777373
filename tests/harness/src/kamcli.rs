//! `kamcli`, the Python tool that operators use beside `kamcmd`.

use std::process::Command;

use super::Kamailio;

/// `kamcli args…` over jsonrpcs; what it prints. `database` is a URL of SQLAlchemy, for the commands that need one.
pub fn kamcli(server: &Kamailio, database: &str, args: &[&str]) -> String {
    let dir = server.dir().display();
    let config = server.dir().join("kamcli.ini");
    let text = format!(
        "[main]\ndomain=test\n[db]\nrwurl={database}\nrourl={database}\n\
         [ctl]\ntype=jsonrpc\nkamgroup=root\n\
         [jsonrpc]\ntransport=socket\nsrvaddr={dir}/rpc\nrcvaddr={dir}/kamcli\noutformat=json\n"
    );
    std::fs::write(&config, text).expect("its settings");
    let mut command = Command::new("kamcli");
    command.arg("--config").arg(&config).args(args);
    let output = command.output().expect("kamcli runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kamcli {args:?}: {said}{faults}");
    said
}
