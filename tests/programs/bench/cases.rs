//! What is measured in instructions: the calls, the lists and their state.

/// Who sends the message, seen from the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The first destination of the first set.
    First,
    /// The last destination of the last set.
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
    /// As [`Setting::Failover`] with `xavp_dst_mode` 65536: ours writes the current one only.
    OnDemand,
    /// `flags` 2, `xavp_ctx_mode` 1 and a table of calls.
    CallLoad,
    /// As [`Setting::CallLoad`] in a cluster, whose servers count calls together. The other server is away.
    SharedLoad,
    /// As [`Setting::Bare`] with a name server of the bench.
    Names,
    /// As [`Setting::Names`]; names are asked for in each call, of the server's cache.
    NamesAsked,
    /// As [`Setting::NamesAsked`]; answers are good for an hour.
    NamesKept,
    /// As [`Setting::Bare`] with a parameter of ours that makes a selection ask or tell more: its number in [`ADDED`].
    With(usize),
}

/// Parameters of ours of [`Setting::With`], with what they need besides.
///
/// The last one is over before calls are counted ([`BEGINS_SLOWLY`]).
pub const ADDED: [&[(&str, i64)]; 5] = [
    &[("ds_passive", 1)],
    &[("ds_cps", 1)],
    &[("ds_hash_size", 16), ("ds_count_calls", 2)],
    &[
        ("ds_hash_size", 16),
        ("ds_count_calls", 2),
        ("ds_bounded_load", 125),
    ],
    &[("ds_slow_start", 1)],
];

/// Servers with this setting begin slowly with what a list brings, for a second.
pub const BEGINS_SLOWLY: Setting = Setting::With(4);

/// What a server has done when a call is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It has started with its list.
    Fresh,
    /// It has made [`CALLS`] calls.
    Used,
    /// It has loaded its list again after that.
    Reloaded,
}

impl Age {
    /// All of them, in the order in which a server goes through them.
    pub const ALL: [Self; 3] = [Self::Fresh, Self::Used, Self::Reloaded];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Used => "after 10,000 calls",
            Self::Reloaded => "after a reload",
        }
    }
}

/// Calls that make a server a used one.
pub const CALLS: u64 = 10_000;

impl Setting {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Bare,
        Self::Default,
        Self::Failover,
        Self::OnDemand,
        Self::CallLoad,
        Self::SharedLoad,
        Self::Names,
        Self::NamesAsked,
        Self::NamesKept,
        Self::With(0),
        Self::With(1),
        Self::With(2),
        Self::With(3),
        Self::With(4),
    ];
}

/// Which destinations are usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// All of them.
    All,
    /// The last one alone.
    Last,
}

/// What the list looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// One set, URIs of equal length, no attributes.
    Plain,
    /// As [`List::Plain`] with `weight` and `rweight`.
    Weights,
    /// As [`List::Plain`] with a `duid` each.
    Ids,
    /// As [`List::Plain`] with `cps` and `maxload` that no call reaches.
    Limits,
    /// As [`List::Plain`], but URIs of many lengths.
    Mixed,
    /// As [`List::Plain`], but in a hundred sets.
    ManySets,
    /// Names of two addresses each in one set; a caller has the second one of its name.
    Names,
}

/// One row of the table for each size.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is called on the command line.
    pub key: &'static str,
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
    /// What the last call returns to the script where it works.
    pub wanted: i32,
    /// Turns of the loop in the two messages.
    pub turns: (u64, u64),
    /// How the module is set.
    pub setting: Setting,
    /// What the list looks like.
    pub list: List,
    /// Destinations in the list.
    pub sizes: &'static [usize],
    /// The largest size that the C module is asked for; larger ones take minutes.
    pub c_most: usize,
    /// State of the list.
    pub usable: Usable,
    /// Who asks.
    pub sender: Sender,
    /// Which method.
    pub method: &'static str,
    /// Whether the figure above the floor means something: it sends the message somewhere.
    pub selects: bool,
}

const SIZES: &[usize] = &[10, 1_000, 10_000];
const SMALL: &[usize] = &[10];
const MIDDLE: &[usize] = &[10, 1_000];

impl Case {
    fn sizes(self, sizes: &'static [usize]) -> Self {
        Self { sizes, ..self }
    }

    fn setting(self, setting: Setting) -> Self {
        Self { setting, ..self }
    }

    fn list(self, list: List) -> Self {
        Self { list, ..self }
    }

    fn sender(self, sender: Sender) -> Self {
        Self { sender, ..self }
    }

    fn wanted(self, wanted: i32) -> Self {
        Self { wanted, ..self }
    }

    fn floor(self, floor: &'static str) -> Self {
        Self { floor, ..self }
    }

    /// Fewer turns, because one takes millions of instructions.
    fn slow(self) -> Self {
        let turns = (2, 6);
        Self { turns, ..self }
    }

    fn c_most(self, c_most: usize) -> Self {
        Self { c_most, ..self }
    }

    fn selects(self) -> Self {
        Self {
            selects: true,
            ..self
        }
    }

    fn only_last(self) -> Self {
        let usable = Usable::Last;
        Self { usable, ..self }
    }
}

/// A call that writes no XAVP, on a list without a dead destination.
fn call(key: &'static str, name: &'static str, body: &'static str) -> Case {
    Case {
        key,
        name,
        setup: "",
        body,
        floor: "",
        calls: 1,
        wanted: 1,
        turns: (20, 60),
        setting: Setting::Bare,
        list: List::Plain,
        sizes: SIZES,
        c_most: usize::MAX,
        usable: Usable::All,
        sender: Sender::Stranger,
        method: "OPTIONS",
        selects: false,
    }
}

/// A selection with an algorithm, as [`call`].
fn select(key: &'static str, name: &'static str, body: &'static str) -> Case {
    call(key, name, body).selects()
}

/// `ds_mark_dst` on the last destination of the list, which was chosen before.
fn mark(key: &'static str, name: &'static str, body: &'static str, calls: u32) -> Case {
    Case {
        setup: r#"ds_select_dst("1", "8", "1");"#,
        calls,
        ..call(key, name, body)
    }
    .setting(Setting::Failover)
    .only_last()
}

/// `ds_is_from_list()` for one sender.
fn from_list(key: &'static str, name: &'static str, sender: Sender) -> Case {
    let wanted = if sender == Sender::Stranger { -1 } else { 1 };
    let case = call(key, name, "ds_is_from_list();");
    case.sender(sender).wanted(wanted)
}

/// `ds_is_from_list()` of a stranger, with a setting of names that are asked for in it.
fn asked(key: &'static str, name: &'static str, setting: Setting) -> Case {
    let case = from_list(key, name, Sender::Stranger);
    let case = case.sizes(&[10, 1_000, 10_000]).list(List::Names);
    case.setting(setting).slow()
}

/// How the keys of [`of_allocators`] begin.
pub const ALLOCATES: &str = "heap";

/// A call, and that its lists are given back, as a request does at its end.
macro_rules! given_back {
    ($call:literal) => {
        concat!(
            $call,
            "$xavp(_dsdst_[*]) = $null; $xavp(_dsctx_[*]) = $null;"
        )
    };
}

/// Calls that are counted with each allocator, in a server whose set 1 has ten destinations and whose set
/// 2 has a hundred.
pub fn of_allocators() -> Vec<Case> {
    let list = |key, name, body| {
        call(key, name, body)
            .sizes(SMALL)
            .floor(given_back!(""))
            .setting(Setting::Failover)
    };
    vec![
        select(
            "heapbare",
            "bare selection, alg 4",
            r#"ds_select_dst("1", "4");"#,
        )
        .sizes(SMALL),
        list(
            "heapdefault",
            "default parameters, alg 4",
            given_back!(r#"ds_select_dst("1", "4");"#),
        )
        .setting(Setting::Default),
        list(
            "heaplimit1",
            "flags 2, limit 1, alg 4",
            given_back!(r#"ds_select_dst("1", "4", "1");"#),
        ),
        list(
            "heapall",
            "flags 2, no limit, alg 4",
            given_back!(r#"ds_select_dst("1", "4");"#),
        )
        .slow(),
        list(
            "heapall100",
            "flags 2, no limit, alg 4",
            given_back!(r#"ds_select_dst("2", "4");"#),
        )
        .sizes(&[100])
        .slow(),
        list(
            "heapdemand",
            "flags 2, no limit, on demand (C: all)",
            given_back!(r#"ds_select_dst("1", "4");"#),
        )
        .setting(Setting::OnDemand)
        .slow(),
        Case {
            method: "INVITE",
            ..list(
                "heapload",
                "alg 10, limit 1, and ds_load_unset()",
                given_back!(r#"ds_select_dst("1", "10", "1"); ds_load_unset();"#),
            )
        }
        .setting(Setting::CallLoad)
        .list(List::Ids),
    ]
}

/// The key of the row that all selections are compared with.
pub const FLOOR: &str = "floor";

const NO_CHANGE: &str = r#"ds_mark_dst("a");"#;
const CHANGE: &str = r#"ds_mark_dst("ip"); ds_mark_dst("a");"#;

/// All rows, in the order of the table.
pub fn all() -> Vec<Case> {
    let mut cases = vec![
        call(
            "any",
            "any function: is_method()",
            r#"is_method("OPTIONS|INVITE");"#,
        )
        .sizes(SMALL),
        call(
            "pv",
            "no function: $du = \"...\"",
            r#"$du = "sip:110.100.100.100:50600";"#,
        )
        .wanted(1)
        .sizes(SMALL),
        call(FLOOR, "floor", r#"floor("1", "4");"#).sizes(SMALL),
    ];
    cases.extend(algorithms());
    cases.extend(by_key());
    cases.extend(with_features());
    cases.extend(ways_to_select());
    cases.extend(marks());
    cases.extend(sources());
    cases
}

fn algorithms() -> Vec<Case> {
    let last = |key, name, body| select(key, name, body).only_last();
    vec![
        select("alg4", "alg 4 (round-robin)", r#"ds_select_dst("1", "4");"#),
        select("alg8", "alg 8 (first)", r#"ds_select_dst("1", "8");"#),
        select("alg0", "alg 0 (Call-ID)", r#"ds_select_dst("1", "0");"#),
        select("alg1", "alg 1 (From URI)", r#"ds_select_dst("1", "1");"#),
        select("alg2", "alg 2 (To URI)", r#"ds_select_dst("1", "2");"#),
        select("alg3", "alg 3 (R-URI)", r#"ds_select_dst("1", "3");"#),
        select("alg5", "alg 5 (credentials)", r#"ds_select_dst("1", "5");"#),
        select("alg6", "alg 6 (random)", r#"ds_select_dst("1", "6");"#),
        select(
            "alg7",
            "alg 7 (hash_pvar $fU@$ci)",
            r#"ds_select_dst("1", "7");"#,
        ),
        select("alg9", "alg 9 (weight)", r#"ds_select_dst("1", "9");"#).list(List::Weights),
        select("alg11", "alg 11 (rweight)", r#"ds_select_dst("1", "11");"#).list(List::Weights),
        Case {
            floor: "clear_branches();",
            ..select(
                "alg12",
                "alg 12 (all in parallel)",
                r#"ds_select_dst("1", "12"); clear_branches();"#,
            )
        }
        .sizes(SMALL),
        select("alg13", "alg 13 (latency)", r#"ds_select_dst("1", "13");"#)
            .sizes(&[10, 100, 1_000, 10_000])
            .slow()
            .c_most(1_000),
        select(
            "alg14",
            "alg 14 (of C 5.6: first)",
            r#"ds_select_dst("1", "14");"#,
        ),
        select(
            "alg15",
            "alg 15 (SRV; of C 5.6: first)",
            r#"ds_select_dst("1", "15");"#,
        ),
        select(
            "alg64",
            "alg 64 (of C 5.6: first)",
            r#"ds_select_dst("1", "64");"#,
        ),
        select(
            "alg100",
            "alg 100 (rendezvous over the Call-ID; of C: first)",
            r#"ds_select_dst("1", "100");"#,
        )
        .sizes(&[10, 100, 1_000, 10_000]),
        select(
            "alg100w",
            "alg 100, with rweight",
            r#"ds_select_dst("1", "100");"#,
        )
        .list(List::Weights)
        .sizes(&[10, 100, 1_000, 10_000]),
        last(
            "alg100last",
            "alg 100, only the last is usable",
            r#"ds_select_dst("1", "100");"#,
        ),
        last(
            "alg4last",
            "alg 4, only the last is usable",
            r#"ds_select_dst("1", "4");"#,
        ),
        last(
            "alg8last",
            "alg 8, only the last is usable",
            r#"ds_select_dst("1", "8");"#,
        ),
        by_load("alg10", "alg 10, limit 1, and ds_load_unset()").setting(Setting::CallLoad),
        by_load(
            "alg10cluster",
            "alg 10, limit 1, and ds_load_unset(), calls counted with other servers",
        )
        .setting(Setting::SharedLoad),
    ]
}

/// A call that algorithm 10 counts, and that ends.
fn by_load(name: &'static str, text: &'static str) -> Case {
    Case {
        method: "INVITE",
        ..call(
            name,
            text,
            r#"ds_select_dst("1", "10", "1"); ds_load_unset(); $xavp(_dsdst_[*]) = $null;"#,
        )
    }
    .list(List::Ids)
}

/// Sizes of lists of the features that ask destinations.
const FEATURE_SIZES: &[usize] = &[10, 100];

/// An algorithm of rendezvous hashing, by its number, and what its key is of.
macro_rules! by_key {
    ($number:literal, $text:literal) => {
        select(
            concat!("alg", $number),
            concat!("alg ", $number, " (", $text, "; of C: first)"),
            concat!(r#"ds_select_dst("1", ""#, $number, r#"");"#),
        )
        .sizes(FEATURE_SIZES)
    };
}

/// The other algorithms of rendezvous hashing.
fn by_key() -> Vec<Case> {
    vec![
        by_key!("101", "From URI"),
        by_key!("102", "To URI"),
        by_key!("103", "R-URI"),
        by_key!("105", "credentials"),
        by_key!("107", "hash_pvar $fU@$ci"),
    ]
}

/// Selections of new calls with a feature that asks destinations or learns from them. C has none of them: its figures are
/// those without.
fn with_features() -> Vec<Case> {
    const ALG4: &str = r#"ds_select_dst("1", "4");"#;
    const ALG100: &str = r#"ds_select_dst("1", "100");"#;
    let case = |key, name, body, added| {
        let case = select(key, name, body).sizes(FEATURE_SIZES);
        Case {
            method: "INVITE",
            ..case
        }
        .setting(Setting::With(added))
    };
    let limited = |case: Case| case.list(List::Limits);
    vec![
        case("passive4", "ds_passive, alg 4", ALG4, 0),
        case("passive100", "ds_passive, alg 100", ALG100, 0),
        case("cps4", "ds_cps, no cps, alg 4", ALG4, 1),
        limited(case("cps4limit", "ds_cps, cps=10000, alg 4", ALG4, 1)),
        case("calls4", "ds_count_calls 2, no maxload, alg 4", ALG4, 2),
        limited(case(
            "calls4limit",
            "ds_count_calls 2, maxload=10000, alg 4",
            ALG4,
            2,
        )),
        case("calls100", "ds_count_calls 2, alg 100", ALG100, 2),
        case("bounded100", "ds_bounded_load 125, alg 100", ALG100, 3),
        case("slow4", "ds_slow_start, nobody begins, alg 4", ALG4, 4),
        case(
            "slow100",
            "ds_slow_start, nobody begins, alg 100",
            ALG100,
            4,
        ),
    ]
}

fn ways_to_select() -> Vec<Case> {
    vec![
        select(
            "domain",
            "ds_select_domain, alg 4",
            r#"ds_select_domain("1", "4");"#,
        ),
        select(
            "default",
            "default parameters, alg 4",
            r#"ds_select_dst("1", "4");"#,
        )
        .setting(Setting::Default),
        select(
            "limit1",
            "flags 2, limit 1, alg 4",
            r#"ds_select_dst("1", "4", "1");"#,
        )
        .setting(Setting::Failover),
        select(
            "all",
            "flags 2, no limit, alg 4",
            r#"ds_select_dst("1", "4");"#,
        )
        .setting(Setting::Failover)
        .sizes(MIDDLE)
        .slow(),
        select(
            "demand",
            "flags 2, no limit, on demand (C: all)",
            r#"ds_select_dst("1", "4");"#,
        )
        .setting(Setting::OnDemand)
        .slow(),
        call(
            "demandnext",
            "ds_next_dst, on demand (C: of all)",
            r#"ds_select_dst("1", "4"); ds_next_dst();"#,
        )
        .setting(Setting::OnDemand)
        .floor(r#"ds_select_dst("1", "4");"#)
        .slow(),
        call(
            "demandfive",
            "ds_next_dst, on demand, the fifth",
            r#"ds_select_dst("1", "4"); ds_next_dst(); ds_next_dst(); ds_next_dst(); ds_next_dst(); ds_next_dst();"#,
        )
        .setting(Setting::OnDemand)
        .floor(r#"ds_select_dst("1", "4"); ds_next_dst(); ds_next_dst(); ds_next_dst(); ds_next_dst();"#)
        .slow(),
        call(
            "next",
            "ds_next_dst",
            r#"ds_select_dst("1", "4", "3"); ds_next_dst();"#,
        )
        .setting(Setting::Failover)
        .floor(r#"ds_select_dst("1", "4", "3");"#),
    ]
}

fn marks() -> Vec<Case> {
    vec![
        mark("mark", "ds_mark_dst, the last, no change", NO_CHANGE, 1),
        mark("markchange", "ds_mark_dst, the last, a change", CHANGE, 2),
        mark(
            "markmixed",
            "ds_mark_dst, URIs of many lengths, a change",
            CHANGE,
            2,
        )
        .list(List::Mixed),
        mark(
            "markrweight",
            "ds_mark_dst, with rweight, no change",
            NO_CHANGE,
            1,
        )
        .list(List::Weights),
        mark(
            "markrweightchange",
            "ds_mark_dst, with rweight, a change",
            CHANGE,
            2,
        )
        .list(List::Weights),
    ]
}

fn sources() -> Vec<Case> {
    vec![
        from_list(
            "fromfirst",
            "ds_is_from_list, hit of the first",
            Sender::First,
        ),
        from_list("fromlast", "ds_is_from_list, hit of the last", Sender::Last),
        from_list("frommiss", "ds_is_from_list, miss", Sender::Stranger),
        from_list(
            "fromfirst100",
            "ds_is_from_list, 100 sets, hit of the first",
            Sender::First,
        )
        .sizes(&[1_000, 10_000])
        .list(List::ManySets),
        from_list(
            "fromlast100",
            "ds_is_from_list, 100 sets, hit of the last",
            Sender::Last,
        )
        .sizes(&[1_000, 10_000])
        .list(List::ManySets),
        from_list(
            "frommiss100",
            "ds_is_from_list, 100 sets, miss",
            Sender::Stranger,
        )
        .sizes(&[1_000, 10_000])
        .list(List::ManySets),
        from_list(
            "fromname",
            "ds_is_from_list, names of two addresses, hit of the last's second",
            Sender::Last,
        )
        .sizes(MIDDLE)
        .setting(Setting::Names)
        .list(List::Names),
        from_list(
            "frommissname",
            "ds_is_from_list, names of two addresses, miss",
            Sender::Stranger,
        )
        .sizes(MIDDLE)
        .setting(Setting::Names)
        .list(List::Names),
        asked(
            "nameasked",
            "ds_is_from_list, ds_dns_mode 3, miss",
            Setting::NamesAsked,
        ),
        asked(
            "namekept",
            "ds_is_from_list, ds_dns_mode 3, ds_dns_ttl 3600, miss",
            Setting::NamesKept,
        ),
    ]
}
