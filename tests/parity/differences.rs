//! The differences to the C module that are meant; each is in `doc/differences.md` as well.

use harness::{packaged, this_server};

/// One difference: which comparisons it covers, and why it is there.
pub struct Difference {
    /// Its name in `doc/differences.md`.
    pub name: &'static str,
    /// Why ours answers differently.
    pub reason: &'static str,
    /// True if it explains this pair of answers: (comparison, C's answer, ours).
    pub applies: fn(&str, &str, &str) -> bool,
}

/// All of them. Keep each as narrow as it can be.
pub const EXPLAINED: &[Difference] = &[
    Difference {
        name: "INVITE of a dialog",
        reason: "C ends what was counted for it; ours leaves it",
        applies: |what, c, ours| {
            what.starts_with("an INVITE of a dialog: dispatcher.list")
                && c.contains("DLGLOAD")
                && c != ours
        },
    },
    Difference {
        name: "ds_load_unset after another algorithm",
        reason: "C says 1 and leaves the count; ours ends it",
        applies: |what, c, ours| {
            what.starts_with("another algorithm has selected last: dispatcher.list")
                && c.contains("DLGLOAD")
                && c.replace('1', "0") == ours
        },
    },
    Difference {
        name: "AVP parameters",
        reason: "C from 5.2 on refuses the names; ours starts, fills the AVPs beside the XAVPs, and \
            lists no overload control, as before 6.0",
        applies: |what, c, ours| {
            let lists = what.starts_with("public config ") && what.contains(": list");
            lists && c != ours && as_before_6_0(c) == ours
                || starts_with_old_name(what, c, ours, |name| name.ends_with("_avp"))
        },
    },
    Difference {
        name: "answers of 5.4",
        reason: "C up to 5.4 answers commands that change something with nothing; ours says Ok as 5.6 does",
        applies: |what, c, ours| {
            what.contains(": rpc dispatcher.")
                && c.contains("\"result\":\t{\n\t}")
                && ours.contains("\"result\":\t\"Ok. Dispatcher ")
        },
    },
    Difference {
        name: "ds_probing_threshhold",
        reason: "C knows the new spelling only; ours both",
        applies: |what, c, ours| {
            starts_with_old_name(what, c, ours, |name| name == "ds_probing_threshhold")
        },
    },
    Difference {
        name: "setid_pvar",
        reason: "C knows the new name only; ours both",
        applies: |what, c, ours| starts_with_old_name(what, c, ours, |name| name == "setid_pvar"),
    },
    Difference {
        name: "hex flags",
        reason: "C reads 0x08 as flags 0 and loses the rest of the line; ours reads the number",
        applies: |what, _, _| what.starts_with("list file [hex flags]"),
    },
    Difference {
        name: "list flags 65536 and 64",
        reason: "they mean nothing to C; in ours the destination drains",
        applies: |what, _, _| what.starts_with("list file [draining flag"),
    },
    Difference {
        name: "drain",
        reason: "C reads drain as disabled and refuses r; in ours both take no new calls",
        applies: |what, _, _| what.contains("\"drain\"") || what.contains("\"r\""),
    },
    Difference {
        name: "negative priority",
        reason: "C takes -5 for attributes and loses the rest of the line; ours reads the number",
        applies: |what, _, _| what.starts_with("list file [negative priority]"),
    },
    Difference {
        name: "byte order mark",
        reason: "C takes it for a part of the first line; ours passes over it",
        applies: |what, _, _| what.starts_with("list file [byte order mark]"),
    },
    Difference {
        name: "text without a set id",
        reason: "C puts it silently into set 0; ours refuses the list and names the line",
        applies: |what, _, _| what.starts_with("list file [text without a set id]"),
    },
    Difference {
        name: "bad URI with a scheme",
        reason: "C takes the scheme for a user's name, and puts sip: in front; ours names the line and leaves it out",
        applies: |what, c, ours| {
            let count = |answer: &str| {
                let answer = answer.to_lowercase();
                let start = |scheme| answer.matches(&format!("\t\"sip:{scheme}:")).count();
                ["sip", "sips", "tel", "urn"]
                    .map(start)
                    .iter()
                    .sum::<usize>()
            };
            what.starts_with("mutated file ") && count(c) > count(ours)
        },
    },
    Difference {
        name: "overlong line",
        reason: "C cuts a line at 1023 bytes and reads the rest as a record; ours has no limit",
        applies: |what, _, _| what.starts_with("list file [overlong line]"),
    },
    Difference {
        name: "number too large",
        reason: "C lets a number wrap; ours refuses the list and names the line",
        applies: |what, _, _| what.starts_with("list file [number too large]"),
    },
    Difference {
        name: "blanks around texts",
        reason: "C keeps the blanks, or refuses the text without a word; ours ignores them",
        applies: |what, _, _| {
            what.starts_with("door table blanks around")
                || what.starts_with("door add blanks around")
        },
    },
    Difference {
        name: "blank in a URI",
        reason: "C puts it into requests; ours leaves the destination out",
        applies: |what, _, ours| what.contains("a blank in the URI: ") && ours == "not there",
    },
    Difference {
        name: "option flags stay",
        reason: "C's set_state wipes list flag 32 where it is known (6.0); ours keeps it",
        applies: |what, c, ours| {
            let parts = |text| str::rsplit_once(text, " then FLAGS: ");
            what.starts_with("door ")
                && parts(c)
                    .zip(parts(ours))
                    .is_some_and(|((c, old), (ours, new))| {
                        c == ours && old.replace('X', "N") == new
                    })
        },
    },
    Difference {
        name: "set_state without sip:",
        reason: "C finds no destination by a URI without a scheme; ours puts sip: in front, as a list does",
        applies: |what, _, _| {
            what.starts_with("addresses: dispatcher.set_state [\"i\",1,\"127.0.0.1:7001\"]")
        },
    },
    Difference {
        name: "words of a fault",
        reason: "ours says which destination behind the words of C",
        applies: |_, c, ours| {
            let words = c.trim_end_matches('"');
            let faults = ["State Update Failed", "Removing dispatcher dst failed"];
            let more = ours.strip_prefix(words);
            faults.iter().any(|fault| words.ends_with(fault))
                && more.is_some_and(|more| more.starts_with(": set "))
        },
    },
    Difference {
        name: "first destination without a weight",
        reason: "C then sends everything to it; ours follows the weights that are there",
        applies: |what, _, _| {
            // Set 8's first destination has a weight that is none (200).
            what.starts_with("weights set 7 ") || what.starts_with("weights set 8 ")
        },
    },
    Difference {
        name: "digits for ds_mark_dst",
        reason: "the seed's \"0\", \"1\", \"2\" work in ours and are an error in C",
        applies: |what, _, _| {
            ["mark_0", "mark_1", "mark_2"]
                .iter()
                .any(|m| what.contains(m))
        },
    },
    Difference {
        name: "reload without a rate limit",
        reason: "C refuses a second reload within reload_delta; ours needs no such limit",
        applies: |what, c, _| what.starts_with("reload twice") && c.contains("Ongoing reload"),
    },
    Difference {
        name: "set_state all of no set",
        reason: "C says Ok for a set that does not exist; ours says what failed (field report W4)",
        applies: |what, c, ours| {
            what.contains("set_state")
                && what.contains("all")
                && c.contains("Ok. Dispatcher state updated.")
                && (ours.contains("State Update Failed") || ours.contains("Invalid Parameters"))
        },
    },
    Difference {
        name: "set_state of all alike",
        reason: "C changes only the first of several with one URI or duid; ours all (field report W14)",
        applies: |what, _, _| {
            what.starts_with("addresses: dispatcher.list")
                || what.starts_with("duid of several: after")
        },
    },
    Difference {
        name: "set_duid_state of an empty duid",
        reason: "C takes the first destination without a duid; ours says that it failed",
        applies: |what, _, _| what.starts_with("duid that is empty: "),
    },
    Difference {
        name: "ping_active of another number",
        reason: "C takes any number, a text as 0, and below 0 as no argument; ours refuses them",
        applies: |what, _, _| what.starts_with("ping interval") && what.contains(", wrong"),
    },
    Difference {
        name: "reload of an empty list",
        reason: "C drops every set; ours keeps the running list and says so (field report W20)",
        applies: |what, _, ours| {
            what.starts_with("reload emptied") && !ours.contains("successfully")
        },
    },
    Difference {
        name: "text of a reload fault",
        reason: "ours names the file, the line and the reason behind \"Reload Failed\"",
        applies: |what, c, ours| {
            what.starts_with("reload broken")
                && c.contains("500 Reload Failed")
                && ours.contains("500 Reload Failed: ")
        },
    },
    Difference {
        name: "counts of a reload",
        reason: "ours says before the documented text what the reload changed",
        applies: |what, c, ours| {
            let over_ctl = ["kamcmd dispatcher.reload", "ctl dispatcher.reload"];
            over_ctl.iter().any(|asked| what.contains(asked)) && ours.ends_with(c) && ours != c
        },
    },
    Difference {
        name: "set as a text",
        reason: "C reads every text as set 0 in JSON, and refuses it in kamcmd; ours reads the number",
        applies: |what, _, _| what.starts_with("set as a text"),
    },
    Difference {
        name: "reports of load over a reload",
        reason: "C forgets what destinations reported; ours keeps it",
        applies: |what, _, _| what.starts_with("overload list") && what.ends_with("after a reload"),
    },
    Difference {
        name: "negative rate of a report",
        reason: "C takes a rate below 0 for the greatest; ours for the least",
        applies: |what, _, _| what.ends_with("of set 4 after a negative rate"),
    },
    Difference {
        name: "ds_dsg_fetch of no set",
        reason: "C says 1; ours -1, so that the script can ask",
        applies: |what, _, _| what.starts_with("groups, none: "),
    },
    Difference {
        name: "bad rule behind good ones",
        reason: "C selects by the rules before it and then says -1; ours does nothing and says -1",
        applies: |what, c, ours| {
            what.starts_with("bad later rule") && c.contains("rc=-1") && ours.contains("rc=-1")
        },
    },
    Difference {
        name: "old names and probing mode 0",
        reason: "in C one bad ping is the last one; under old names ours pings what is out until it answers",
        applies: |what, c, ours| {
            let (bad, out) = (["fails-", "returns-"], ["2", "9", "10"]);
            let names = bad
                .iter()
                .flat_map(|bad| out.map(|flags| format!("{bad}{flags}")));
            what.starts_with("old names, ")
                && names
                    .into_iter()
                    .any(|name| what.ends_with(&format!("mode 0, {name}")))
                && c.starts_with("IP IX.")
                && ours.starts_with("IP IP IP")
        },
    },
    Difference {
        name: "list file that becomes a directory",
        reason: "C drops every set at a reload; ours refuses the reload",
        applies: |what, _, ours| {
            what == "starts, [(\"list_file\", Text(\"{{DIR}}\"))]"
                && ours.contains(" reload -1 -1;")
        },
    },
    Difference {
        name: "empty setting",
        reason: "C takes \"\" for a name and refuses to start; ours for a setting that is not set",
        applies: |what, c, ours| {
            let names = ["db_url", "setid_pvname", "attrs_pvname"];
            names
                .iter()
                .any(|name| what.contains(&format!("[(\"{name}\", Text(\"\"))]")))
                && c == "refuses"
                && ours.starts_with("starts")
        },
    },
    Difference {
        name: "empty xavp_ctx",
        reason: "in C every selection fails; ours takes the default name, with a warning",
        applies: |what, c, _| {
            what.contains("(\"xavp_ctx\", Text(\"\"))")
                && c.starts_with("starts SIP/2.0 200 rc -1 ")
        },
    },
    Difference {
        name: "calls with an empty xavp_dst",
        reason: "C then counts no call for algorithm 10; ours does",
        applies: |what, c, _| {
            what.contains("(\"xavp_dst\", Text(\"\"))") && c.trim().starts_with("\"DLGLOAD\"")
        },
    },
    Difference {
        name: "reply codes that cannot be read",
        reason: "C refuses to start with some of them; ours skips each, with a warning",
        applies: |what, c, ours| {
            let codes = what.starts_with("starts, reply codes ")
                || what.contains("\"ds_ping_reply_codes\"");
            codes && c == "refuses" && ours.starts_with("starts")
        },
    },
    Difference {
        name: "ping methods that begin calls",
        reason: "an INVITE as a ping is a call that nobody ends; ours refuses to start",
        applies: |what, _, ours| {
            let methods = ["INVITE", "ACK", "CANCEL"];
            methods
                .iter()
                .any(|method| what.ends_with(&format!("ds_ping_method \"{method}\"")))
                && ours == "refuses"
        },
    },
    Difference {
        name: "empty settings of pings",
        reason: "in C no ping can be sent and all goes down; ours takes the default",
        applies: |what, c, ours| {
            what.starts_with("starts, ping with ")
                && what.ends_with(" \"\"")
                && c == "nothing came IP"
                && ours.ends_with(" AP")
        },
    },
    Difference {
        name: "variable without quotes",
        reason: "C takes one as an argument of some functions only; ours of all",
        applies: |what, c, ours| {
            what.starts_with("refusals, ")
                && [", $", "($"].iter().any(|bare| what.contains(bare))
                && c == "refuses"
                && ours.starts_with("starts")
        },
    },
    Difference {
        name: "flag 32",
        reason: "C 5.6 knows no such flag and pings; ours never pings, as 6.0 and later",
        applies: |what, c, _| {
            let flags = c
                .split_once(", f")
                .and_then(|(_, rest)| rest.split(':').next());
            let flags = flags.and_then(|flags| flags.parse::<u32>().ok());
            what.starts_with("probing, list flags") && flags.is_some_and(|flags| flags & 32 != 0)
        },
    },
    Difference {
        name: "functions of later C modules",
        reason: "C 5.4 has no ds_is_active: there it is taken as false",
        applies: |_, c, ours| {
            // The calls of the probe, and those of `static_arguments`.
            let asked = c.starts_with("= active,") || c.contains("_ds_is_active rc=");
            asked && c.replacen("rc=-1", "rc=1", 1) == ours && !packaged::has("ds_is_active")
        },
    },
    Difference {
        name: "algorithm 13 and use_default",
        reason: "C lists a destination twice, and knows no last resort; ours as the others",
        applies: |what, _, _| what.starts_with("latency use_default 1"),
    },
    Difference {
        name: "forks of algorithm 12 (W18)",
        reason: "C forks to what is out and to the last resort, ignores the limit, and drops \
                 sips: and the password; ours does not",
        applies: |what, _, _| {
            what.starts_with("forks ")
                && [" set 2 ", "dst3", "dom", "sel3", "use_default 1"]
                    .iter()
                    .any(|part| what.contains(part))
        },
    },
    Difference {
        name: "addresses that nobody resolves",
        reason: "with ds_dns_mode 0 and 8 C takes not even an address of the list for resolved; ours does",
        applies: |what, _, ours| {
            let mode = what.starts_with("ds_dns_mode 0") || what.starts_with("ds_dns_mode 8");
            let sweep = what.starts_with("starts, [(\"ds_dns_mode\", Int(");
            mode && (ours.contains("rc=1") || ours.contains("IPADDR"))
                || sweep && ours.contains("200 rc ")
        },
    },
    Difference {
        name: "services are followed",
        reason: "after the first answer C asks for the address of the name itself, with the port of its service; \
                 ours asks for the service each time",
        applies: |what, c, ours| {
            let mode = ["10", "11", "12", "13", "14", "15"];
            let mode = mode
                .iter()
                .any(|mode| what.starts_with(&format!("ds_dns_mode {mode}")));
            let with_services = ["= from,16,", "= from,17,", "= from,18,", "= from,19,"];
            let asked = with_services.iter().any(|set| c.starts_with(set));
            mode && (asked || (c, ours) == ("IPADDR \"127.0.0.2\"", "IPADDR \"127.0.0.3\""))
        },
    },
    Difference {
        name: "names are followed in place",
        reason: "C keeps no address with ds_dns_mode 2 alone, and no name without an address with 4; ours does both",
        applies: |what, c, ours| {
            let kept = c == "IPADDR \"\"" && ours.starts_with("IPADDR \"127");
            let modes = |modes: [i32; 2], end: &str| {
                let of = |mode| {
                    what.starts_with(&format!("ds_dns_mode {mode}, ")) && what.ends_with(end)
                };
                modes.into_iter().any(of)
            };
            (kept && modes([2, 10], ""))
                || (c.ends_with(" none") && (modes([4, 6], "set 23") || modes([12, 14], "set 23")))
        },
    },
    Difference {
        name: "the message's text",
        reason: "C's faked message is always the same; ours is to the destination, and has a Call-ID and tag of its own",
        applies: |what, c, _| {
            let is_one = |parts: &[&str]| parts.iter().any(|part| c.starts_with(part));
            let differs = is_one(&["= ou ", "= oU ", "= ft ", "= Ri ", "= ml "]);
            let differs_since_6_1 = is_one(&["= fu ", "= fU ", "= tu ", "= tU ", "= ci "]);
            what.starts_with("pings of ") && differs
                || since_6_1(what) && (differs || differs_since_6_1)
        },
    },
    Difference {
        name: "AVPs of the script",
        reason: "C from 6.1 on shows the event's own message the AVPs of the request that caused it; ours hides them",
        applies: |what, c, ours| {
            since_6_1(what) && (c, ours) == ("= avp(a) of the script", "= avp(a) <null>")
        },
    },
    Difference {
        name: "edits and probing",
        reason: "C from 6.1 on takes every destination out of probing at an edit while there are no pings; ours leaves it",
        applies: |what, c, ours| {
            let is_edit = what.starts_with("random edits ") && this_server::core() >= (6, 1);
            is_edit && c.contains("\"FLAGS\"") && c.replace("X\"", "P\"") == ours
        },
    },
    Difference {
        name: "the ping's transaction",
        reason: "an event route must not act in the transaction of a ping or a call; $dsv(code) has the code",
        applies: |what, c, ours| {
            let parts = ["= T(reply_code) ", "= T_reply_code "];
            let of_transaction = parts.iter().any(|part| c.starts_with(part));
            let is_event = what.starts_with("pings of ") || since_6_1(what);
            is_event && of_transaction && ours.ends_with(" 0")
        },
    },
];

/// A list without the members that 6.0 and 6.1 brought. None of them is the last of its structure.
fn as_before_6_0(list: &str) -> String {
    let later = [
        "IDX",
        "IUID",
        "OCMAX",
        "OCMIN",
        "PING_SOCKET",
        "PROBING_COUNT",
    ];
    later.iter().fold(list.to_owned(), |list, name| {
        let name = format!("\"{name}\":");
        let mut parts = list.split(&name);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |out, part| {
            out + part.split_once(',').map_or("", |(_, rest)| rest)
        })
    })
}

/// True for an event of a server from 6.1 on, where the C module gives every event a message of its own.
fn since_6_1(what: &str) -> bool {
    let kinds = ["pings of ", "request route, event ", "call with marks "];
    this_server::core() >= (6, 1) && kinds.iter().any(|kind| what.starts_with(kind))
}

/// True for a config that C refuses and ours starts, where one of the names that C does not know is such a name.
fn starts_with_old_name(what: &str, c: &str, ours: &str, is_old: fn(&str) -> bool) -> bool {
    let names = what
        .strip_prefix("public config ")
        .and_then(|what| what.rsplit_once(": start ("));
    let names = names.map_or("", |(_, names)| names.trim_end_matches(')'));
    c == "refuses" && ours == "starts" && names.split(' ').any(is_old)
}
