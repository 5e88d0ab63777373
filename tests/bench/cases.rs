//! What is measured: the calls, the list sizes and the state of the list.

/// Who sends the message, seen from the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The first destination of the set.
    First,
    /// The last destination of the set.
    Last,
    /// Nobody of the list.
    Stranger,
}

/// How the module is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `flags` 0 and `xavp_ctx_mode` 1: nothing is written but the message's destination.
    Bare,
    /// As it comes: `flags` 0, the number of results goes to an XAVP.
    Default,
    /// `flags` 2: all results go to XAVPs.
    Failover,
}

/// Which destinations are usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// All of them.
    All,
    /// The last one alone.
    Last,
}

/// One row of the table for each size.
pub struct Case {
    /// The row's name.
    pub name: &'static str,
    /// Script text that runs once, before the loop.
    pub setup: &'static str,
    /// Script text of the loop.
    pub body: &'static str,
    /// The part of the loop's body that is not counted; none is the loop itself.
    pub floor: &'static str,
    /// How often the loop's body makes the call that is counted.
    pub calls: u32,
    /// How the module is set.
    pub setting: Setting,
    /// Destinations in the set.
    pub sizes: &'static [usize],
    /// State of the list.
    pub usable: Usable,
    /// Who asks.
    pub sender: Sender,
}

/// The sizes that most calls are measured with.
pub const SIZES: &[usize] = &[10, 1_000, 10_000];
const SMALL: &[usize] = &[10];
const MIDDLE: &[usize] = &[10, 1_000];

const PLAIN: Case = Case {
    name: "",
    setup: "",
    body: "",
    floor: "",
    calls: 1,
    setting: Setting::Bare,
    sizes: SIZES,
    usable: Usable::All,
    sender: Sender::Stranger,
};

/// A call that writes no XAVP, on a list without a dead destination.
const fn plain(name: &'static str, body: &'static str, sizes: &'static [usize]) -> Case {
    Case {
        name,
        body,
        sizes,
        ..PLAIN
    }
}

/// The same with failover (`flags` 2): the results go to XAVPs.
const fn failover(name: &'static str, body: &'static str, sizes: &'static [usize]) -> Case {
    Case {
        setting: Setting::Failover,
        ..plain(name, body, sizes)
    }
}

/// A call on a list of which only the last destination is usable.
const fn last(name: &'static str, body: &'static str) -> Case {
    Case {
        usable: Usable::Last,
        ..plain(name, body, SIZES)
    }
}

/// `ds_is_from_list()` for one sender.
const fn from_list(name: &'static str, sender: Sender) -> Case {
    Case {
        sender,
        ..plain(name, "ds_is_from_list();", SIZES)
    }
}

/// `ds_mark_dst` on the last destination of the list.
const fn mark(name: &'static str, body: &'static str, calls: u32) -> Case {
    Case {
        setting: Setting::Failover,
        setup: r#"ds_select_dst("1", "8", "1");"#,
        calls,
        ..last(name, body)
    }
}

/// All rows, in the order of the table.
pub const CASES: &[Case] = &[
    plain(
        "any function: is_method(\"INVITE\")",
        r#"is_method("INVITE");"#,
        SMALL,
    ),
    plain(
        "no function: $du = \"sip:10.0.0.1:5060\"",
        r#"$du = "sip:10.0.0.1:5060";"#,
        SMALL,
    ),
    plain(
        "ds_select_dst, alg 4 (round-robin)",
        r#"ds_select_dst("1", "4");"#,
        SIZES,
    ),
    plain(
        "ds_select_dst, alg 0 (hash of Call-ID)",
        r#"ds_select_dst("1", "0");"#,
        SIZES,
    ),
    plain(
        "ds_select_dst, alg 8 (first)",
        r#"ds_select_dst("1", "8");"#,
        SIZES,
    ),
    plain(
        "ds_select_dst, alg 9 (weight)",
        r#"ds_select_dst("1", "9");"#,
        SIZES,
    ),
    plain(
        "ds_select_dst, alg 6 (random)",
        r#"ds_select_dst("1", "6");"#,
        SIZES,
    ),
    plain(
        "ds_select_dst, alg 11 (relative weight)",
        r#"ds_select_dst("1", "11");"#,
        SIZES,
    ),
    plain(
        "ds_select_dst, alg 13 (latency)",
        r#"ds_select_dst("1", "13");"#,
        // It costs the C module the square of the size.
        SMALL,
    ),
    plain(
        "ds_select_dst, alg 15 (SRV; of C 5.6: first)",
        r#"ds_select_dst("1", "15");"#,
        SIZES,
    ),
    last(
        "alg 4, only the last is usable",
        r#"ds_select_dst("1", "4");"#,
    ),
    last(
        "alg 8, only the last is usable",
        r#"ds_select_dst("1", "8");"#,
    ),
    plain(
        "ds_select_domain, alg 4",
        r#"ds_select_domain("1", "4");"#,
        SMALL,
    ),
    Case {
        setting: Setting::Default,
        ..plain(
            "default parameters, alg 4",
            r#"ds_select_dst("1", "4");"#,
            SIZES,
        )
    },
    failover(
        "flags 2, limit 1",
        r#"ds_select_dst("1", "4", "1");"#,
        SIZES,
    ),
    failover("flags 2, no limit", r#"ds_select_dst("1", "4");"#, MIDDLE),
    Case {
        floor: r#"ds_select_dst("1", "4", "3");"#,
        ..failover(
            "ds_next_dst",
            r#"ds_select_dst("1", "4", "3"); ds_next_dst();"#,
            SMALL,
        )
    },
    mark(
        "ds_mark_dst, the last, no change",
        r#"ds_mark_dst("a");"#,
        1,
    ),
    mark(
        "ds_mark_dst, the last, a change",
        r#"ds_mark_dst("ip"); ds_mark_dst("a");"#,
        2,
    ),
    from_list("ds_is_from_list, hit of the first", Sender::First),
    from_list("ds_is_from_list, hit of the last", Sender::Last),
    from_list("ds_is_from_list, miss", Sender::Stranger),
];
