//! A config that runs any dispatcher call named in a request, and tells what came of it.
//!
//! The request's `X-Do` header holds operations, split by `|`; an operation is a name and
//! arguments, split by `,`. They run in order; each adds lines to the body of the 200 reply:
//!
//! | operation | what it does |
//! | --- | --- |
//! | `dst,S,A` `dst3,S,A,L` | `ds_select_dst` with string variables; `idst`, `idst3` with integer ones |
//! | `dom…`, `sel…` | the same for `ds_select_domain` and `ds_select` |
//! | `nextdst` `nextdom` `setdst` `setdom` | `ds_next_dst()` and so on |
//! | `mark` `mark_X` | `ds_mark_dst()`, `ds_mark_dst("X")` for each X of [`MARKS`] |
//! | `from` `from,G` `from,G,M` `from,G,M,URI` | `ds_is_from_list` with integer variables |
//! | `exist,G` `exists,G` `active,G` `active,G,URI` | `ds_list_exist`, `ds_list_exists`, `ds_is_active` |
//! | `dump` | all XAVP records, one `x` line each |
//! | `clean` | drops XAVPs, dst-uri, socket; R-URI back to the original |
//! | `du,URI` `ru,URI` | sets dst-uri or R-URI |
//! | `relay` | `t_relay` with a failure route that runs `X-Fail` each time; ends the run |
//! | `again` | in a failure route: relay again if the operation before returned 1 |
//! | `trace,CALLID` | what the failure routes of that call did |
//!
//! More operations with their own script text come from [`Probe::op`] (static arguments).

use std::net::SocketAddr;

use super::{Config, Message, Request, Uac, patience};

/// The letters that `mark_…` takes.
pub const MARKS: [&str; 30] = [
    "i", "I", "0", "a", "A", "1", "p", "P", "2", "d", "D", "t", "T", "tp", "TP", "ip", "IP", "ap",
    "pa", "pi", "pt", "dp", "ia", "ai", "it", "x", "ix", "xi", "3", " a",
];

/// The probe config under construction.
pub struct Probe {
    cases: String,
    dst: String,
    ctx: String,
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Probe {
    /// With the default XAVP names.
    pub fn new() -> Self {
        Self {
            cases: String::new(),
            dst: "_dsdst_".to_owned(),
            ctx: "_dsctx_".to_owned(),
        }
    }

    /// Reads other XAVPs; the matching parameters are the test's to set.
    pub fn xavps(mut self, dst: &str, ctx: &str) -> Self {
        self.dst = dst.to_owned();
        self.ctx = ctx.to_owned();
        self
    }

    /// One more operation: `code` is a dispatcher call whose return code is shown.
    pub fn op(mut self, name: &str, code: &str) -> Self {
        self.cases += &case(name, code);
        self
    }

    /// The config, to be completed with a list and parameters.
    pub fn config(self) -> Config {
        let mut cases = self.cases;
        for name in ["dst", "domain", ""] {
            let (op, function) = match name {
                "domain" => ("dom", "ds_select_domain"),
                "" => ("sel", "ds_select"),
                _ => ("dst", "ds_select_dst"),
            };
            for (prefix, a, b, c) in [("", "a", "b", "c"), ("i", "ia", "ib", "ic")] {
                let two = format!("{function}(\"$var({a})\", \"$var({b})\");");
                let three = format!("{function}(\"$var({a})\", \"$var({b})\", \"$var({c})\");");
                cases += &case(&format!("{prefix}{op}"), &two);
                cases += &case(&format!("{prefix}{op}3"), &three);
            }
        }
        for letters in MARKS {
            cases += &case(
                &format!("mark_{letters}"),
                &format!("ds_mark_dst(\"{letters}\");"),
            );
        }
        let text = ROUTES
            .replace("{{CASES}}", &cases)
            .replace("_dsdst_", &self.dst)
            .replace("_dsctx_", &self.ctx);
        Config::routes(&text)
            .param("setid_pvname", "$var(setid)")
            .param("attrs_pvname", "$var(attrs)")
            .param("hash_pvar", "$hdr(X-Key)")
            // Short for the dead, but long enough for the living on a busy machine.
            .modparam("tm", "fr_timer", milliseconds(1))
            .modparam("tm", "fr_inv_timer", milliseconds(10))
    }

    /// A request that runs `operations`; add headers and Call-ID as needed.
    pub fn request(operations: &str) -> Request {
        Request::new("OPTIONS", "sip:callee@service.test").header("X-Do", format!("{operations}|."))
    }

    /// Runs operations in one request; yields the lines that came back.
    pub fn run(uac: &Uac, dest: SocketAddr, operations: &str) -> Vec<String> {
        Self::lines(&uac.request(dest, &Self::request(operations)))
    }

    /// The lines in a reply of the probe; a reply that is not its 200 yields its status line.
    pub fn lines(reply: &Message) -> Vec<String> {
        if reply.status() != Some(200) {
            return vec![reply.start.clone()];
        }
        reply.body_text().lines().map(str::to_owned).collect()
    }
}

fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(patience(seconds).as_millis()).unwrap_or(i64::MAX)
}

fn case(name: &str, code: &str) -> String {
    format!("case \"{name}\":\n{code}\n$var(rc) = $rc; route(SHOW); break;\n")
}

const ROUTES: &str = r#"
request_route {
    if ($hdr(X-Do) == $null) {
        route(DIALOG);
        exit;
    }
    $var(out) = "";
    $var(todo) = $hdr(X-Do);
    route(RUN);
    set_reply_body("$var(out)", "text/plain");
    sl_send_reply("200", "OK");
    exit;
}

route[DIALOG] {
    if (loose_route()) {
        t_relay();
    } else if (is_method("ACK|CANCEL")) {
        if (t_check_trans()) {
            t_relay();
        }
    } else {
        sl_send_reply("481", "No Dialog");
    }
}

route[RUN] {
    $var(i) = 0;
    $var(op) = $(var(todo){s.select,0,|});
    while ($var(op) != ".") {
        $var(name) = $(var(op){s.select,0,,});
        $var(a) = $(var(op){s.select,1,,});
        $var(b) = $(var(op){s.select,2,,});
        $var(c) = $(var(op){s.select,3,,});
        $var(n) = $(var(op){re.subst,/[^,]//g}{s.len});
        $var(ia) = 0;
        if ($var(a) =~ "^-?[0-9]+$") {
            $var(ia) = $(var(a){s.int});
        }
        $var(ib) = 0;
        if ($var(b) =~ "^-?[0-9]+$") {
            $var(ib) = $(var(b){s.int});
        }
        $var(ic) = 0;
        if ($var(c) =~ "^-?[0-9]+$") {
            $var(ic) = $(var(c){s.int});
        }
        route(OP);
        $var(i) = $var(i) + 1;
        $var(op) = $(var(todo){s.select,$var(i),|});
        if ($var(i) > 200) {
            $var(op) = ".";
        }
    }
}

route[SHOW] {
    $var(last) = $var(rc);
    $var(out) = $var(out) + $_s(= $var(op) rc=$var(rc) du=$du ru=$ru fs=$fs cnt=$xavp(_dsctx_=>cnt)) + "\n";
}

route[FROM] {
    $var(setid) = "unset";
    $var(attrs) = "unset";
    switch ($var(n)) {
    case 0: ds_is_from_list(); $var(rc) = $rc; break;
    case 1: ds_is_from_list("$var(ia)"); $var(rc) = $rc; break;
    case 2: ds_is_from_list("$var(ia)", "$var(ib)"); $var(rc) = $rc; break;
    default: ds_is_from_list("$var(ia)", "$var(ib)", "$var(c)"); $var(rc) = $rc; break;
    }
    $var(out) = $var(out) + $_s(= $var(op) rc=$var(rc) setid=$var(setid) attrs=$var(attrs)) + "\n";
}

route[DUMP] {
    $var(x) = 0;
    while ($xavp(_dsdst_[$var(x)]=>uri) != $null) {
        $var(rec) = $_s(x $xavp(_dsdst_[$var(x)]=>uri) $xavp(_dsdst_[$var(x)]=>grp));
        $var(rec) = $var(rec) + $_s( a=$xavp(_dsdst_[$var(x)]=>attrs) id=$xavp(_dsdst_[$var(x)]=>dstid));
        $var(rec) = $var(rec) + $_s( s=$xavp(_dsdst_[$var(x)]=>socket) n=$xavp(_dsdst_[$var(x)]=>sockname));
        if ($xavp(_dsdst_[$var(x)]=>sock) != $null) {
            $var(rec) = $var(rec) + " sock";
        }
        $var(out) = $var(out) + $var(rec) + "\n";
        $var(x) = $var(x) + 1;
    }
}

route[RELAY] {
    t_on_failure("FAIL");
    if (!t_relay()) {
        $var(out) = $var(out) + "relay failed\n";
        $sht(trace=>$ci) = $var(out);
        sl_send_reply("500", "Relay");
    }
}

failure_route[FAIL] {
    $var(out) = $sht(trace=>$ci) + "F " + $T_reply_code + "\n";
    $var(todo) = $hdr(X-Fail);
    $var(relay) = 0;
    route(RUN);
    $sht(trace=>$ci) = $var(out);
    if ($var(relay) == 1) {
        route(RELAY);
    }
}

route[OP] {
    switch ($var(name)) {
{{CASES}}
    case "dump":
        route(DUMP);
        break;
    case "clean":
        $xavp(_dsdst_[*]) = $null;
        $xavp(_dsctx_[*]) = $null;
        $du = $null;
        revert_uri();
        break;
    case "nextdst":
        ds_next_dst();
        $var(rc) = $rc; route(SHOW);
        break;
    case "nextdom":
        ds_next_domain();
        $var(rc) = $rc; route(SHOW);
        break;
    case "setdst":
        ds_set_dst();
        $var(rc) = $rc; route(SHOW);
        break;
    case "setdom":
        ds_set_domain();
        $var(rc) = $rc; route(SHOW);
        break;
    case "mark":
        ds_mark_dst();
        $var(rc) = $rc; route(SHOW);
        break;
    case "from":
        route(FROM);
        break;
    case "exist":
        ds_list_exist("$var(ia)");
        $var(rc) = $rc; route(SHOW);
        break;
    case "exists":
        ds_list_exists("$var(ia)");
        $var(rc) = $rc; route(SHOW);
        break;
    case "active":
        if ($var(n) > 1) {
            ds_is_active("$var(ia)", "$var(b)");
            $var(rc) = $rc;
        } else {
            ds_is_active("$var(ia)");
            $var(rc) = $rc;
        }
        route(SHOW);
        break;
    case "du":
        $du = $var(a);
        break;
    case "ru":
        $ru = $var(a);
        break;
    case "relay":
        record_route();
        $sht(trace=>$ci) = $var(out);
        route(RELAY);
        exit;
    case "again":
        if ($var(last) == 1) {
            $var(relay) = 1;
        }
        break;
    case "trace":
        $var(out) = $var(out) + $sht(trace=>$var(a));
        break;
    default:
        $var(out) = $var(out) + "? " + $var(op) + "\n";
    }
}
"#;
