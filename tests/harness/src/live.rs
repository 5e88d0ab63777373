//! Two sets to be edited while the server runs, and the commands that do it.

use super::{Config, Fault, Kamailio, Probe};

/// The answer of `dispatcher.modify`.
pub const MODIFIED: &str = "Ok. Dispatcher destination modified.";

/// Three of the same priority, listed 7003, 7002, 7001; a second set with duids and two sockets.
const LIST: &str = "\
1 sip:127.0.0.1:7001
1 sip:127.0.0.1:7002
1 sip:127.0.0.1:7003
2 sip:127.0.0.1:7100 0 0 duid=a;socket=udp:127.0.0.1:{{PORT}}
2 sip:127.0.0.1:7100 0 0 duid=b;socket=udp:127.0.0.2:{{PORT}}
";

/// A config with that list, whose requests say what to run.
pub fn two_sets() -> Config {
    Probe::new()
        .config()
        .param("compat", "5.6")
        .list(LIST)
        .param("flags", 2)
        .global("listen=udp:127.0.0.2:{{PORT}}")
}

/// One command through kamcmd, its words split at blanks.
pub fn run(server: &Kamailio, command: &str) -> Result<String, Fault> {
    server.kamcmd(&command.split(' ').collect::<Vec<_>>())
}

/// The text of the fault, which is a 500.
pub fn fault(result: Result<String, Fault>) -> String {
    let fault = result.expect_err("a fault");
    assert_eq!(fault.code, 500, "{fault}");
    fault.text
}
