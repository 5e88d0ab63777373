//! Two servers with the same config, one per module, and the same questions to both.

use serde_json::Value;

use crate::report::Report;
use harness::{Config, Fault, Kamailio, Message, Probe, Request, Uac, typed_binrpc};

/// Requests in flight per server. Small enough for the socket buffers when replies are long.
const WINDOW: usize = 12;

/// The C module and ours, side by side.
pub struct Pair {
    pub c: Kamailio,
    pub ours: Kamailio,
    c_uac: Uac,
    our_uac: Uac,
}

impl Pair {
    /// Starts both; the config's log lines are not looked at, only crashes and the like.
    pub fn start(config: Config) -> Self {
        let (c, ours) = Kamailio::pair(&config.only_critical());
        c.ignore_log();
        if against_itself() {
            ours.ignore_log();
        }
        Self {
            c,
            ours,
            c_uac: Uac::new(),
            our_uac: Uac::new(),
        }
    }

    /// Sends the same requests to both; yields the replies as text, C's and ours.
    pub fn replies(&self, requests: &[Request]) -> Vec<(String, String)> {
        let (c, ours) = std::thread::scope(|scope| {
            let c = scope.spawn(|| self.c_uac.batch(self.c.addr(), requests, WINDOW));
            let ours = self.our_uac.batch(self.ours.addr(), requests, WINDOW);
            (c.join().expect("the C side ran"), ours)
        });
        let text = |server, reply: &Message| neutral(server, &Probe::lines(reply).join("\n"));
        let pairs = c.iter().zip(&ours);
        pairs
            .map(|(a, b)| (text(&self.c, a), text(&self.ours, b)))
            .collect()
    }

    /// Sends the same requests to both and compares the replies.
    pub fn ask(&self, report: &mut Report, what: &str, requests: &[Request]) {
        for (n, (c, ours)) in self.replies(requests).iter().enumerate() {
            report.compare(&format!("{what} #{n}"), c, ours);
        }
    }

    /// As [`Pair::ask`], for requests of which a server may refuse to answer some.
    pub fn ask_what_may_be_refused(&self, report: &mut Report, what: &str, requests: &[Request]) {
        for (round, some) in requests.chunks(WINDOW).enumerate() {
            let last = Probe::request("clean");
            let of = |server: &Kamailio, uac: &Uac| uac.volley(server.addr(), some, &last);
            let (c, ours) = (of(&self.c, &self.c_uac), of(&self.ours, &self.our_uac));
            let text = |server, reply: &Option<Message>| {
                let lines = reply.as_ref().map(Probe::lines);
                neutral(server, &lines.unwrap_or(vec!["no reply".into()]).join("\n"))
            };
            for (n, (c, ours)) in c.iter().zip(&ours).enumerate() {
                let sent = some[n].render(self.our_uac.local(), "UDP");
                let what = format!("{what} #{}: {}", round * WINDOW + n, sent.escape_ascii());
                report.compare(&what, &text(&self.c, c), &text(&self.ours, ours));
            }
        }
    }

    /// Runs operations of the probe in both and compares what came of them.
    pub fn run(&self, report: &mut Report, what: &str, operations: &str) {
        let what = format!("{what}: {operations}");
        self.ask(report, &what, &[Probe::request(operations)]);
    }

    /// Calls the same JSON-RPC method and compares the whole reply.
    pub fn json(&self, report: &mut Report, what: &str, method: &str, params: Value) {
        let of = |server: &Kamailio| answer(server, server.jsonrpc_text(method, params.clone()));
        let what = format!("{what}: {method} {params}");
        report.compare(&what, &of(&self.c), &of(&self.ours));
    }

    /// Runs the same `kamcmd` and compares its output.
    pub fn kamcmd(&self, report: &mut Report, what: &str, args: &[&str]) {
        let of = |server: &Kamailio| answer(server, server.kamcmd(args));
        let what = format!("{what}: kamcmd {}", args.join(" "));
        report.compare(&what, &of(&self.c), &of(&self.ours));
    }

    /// Runs the same command over ctl and compares the reply with its types. The answer is ours.
    pub fn typed(&self, report: &mut Report, what: &str, args: &[&str]) -> String {
        let of = |server: &Kamailio| answer(server, typed_binrpc(server.dir(), args));
        let what = format!("{what}: ctl {}", args.join(" "));
        let ours = of(&self.ours);
        report.compare(&what, &of(&self.c), &ours);
        ours
    }

    /// Calls the same RPC command in both, without comparing the answers.
    pub fn prepare(&self, method: &str, params: Value) {
        for server in [&self.c, &self.ours] {
            let reply = server.jsonrpc(method, params.clone());
            reply
                .unwrap_or_else(|fault| panic!("{:?} {method} {params}: {fault}", server.module()));
        }
    }
}

/// True in a check of the comparer: `DISPATCHER_SO` names a copy of the C module.
pub fn against_itself() -> bool {
    std::env::var_os("PARITY_SELF").is_some()
}

/// An RPC answer as text, a fault included.
pub fn answer(server: &Kamailio, reply: Result<String, Fault>) -> String {
    neutral(server, &reply.unwrap_or_else(|fault| fault.to_string()))
}

/// Takes out the numbers of the ids (`IUID`) that `dispatcher.list` of 6.1 shows: time, process, and a count.
pub fn without_ids(text: &str) -> String {
    let mut parts = text.split("dspt-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| {
        let is_of_id = |c: char| c.is_ascii_hexdigit() || c == '-';
        out + "dspt-" + part.trim_start_matches(is_of_id)
    })
}

/// Takes out what must differ between two servers: port, directory, time of day, ids.
pub fn neutral(server: &Kamailio, text: &str) -> String {
    let text = without_ids(text)
        .replace(&format!(":{}", server.port()), ":PORT")
        .replace(&server.dir().display().to_string(), "DIR");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("DNSTIME_") {
        let digits = rest[at..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |d| at + d);
        out += &rest[..digits];
        rest = rest[digits..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out + rest
}
