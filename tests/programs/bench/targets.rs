//! The top of the page: the targets, from the figures of its parts.

use super::cases::{ALLOCATES, Age};
use super::machine::{ALLOCATORS, USUAL_ALLOCATOR};
use super::report::{self, Row, Table};

/// Where a part's figures stand in the page.
struct Figures<'p> {
    parts: &'p [Option<String>],
}

impl<'p> Figures<'p> {
    /// All rows of a part's tables.
    fn rows(&self, part: usize) -> Vec<Row<'p>> {
        report::rows(self.parts[part].as_deref().unwrap_or_default())
    }

    /// Instructions of the case with this key: destinations, C, ours.
    fn case(&self, key: &str) -> Vec<Row<'p>> {
        let mut rows = self.rows(0);
        rows.retain(|row| row.text("key").trim_matches('`') == key);
        rows
    }

    /// A figure of the lists: C's and ours.
    fn list(&self, what: &str, list: &str, allocator: &str) -> (Option<f64>, Option<f64>) {
        let wanted = [
            ("what", what),
            ("destinations", list),
            ("allocator", allocator),
        ];
        let rows = self.rows(1);
        let is_wanted = |row: &&Row<'_>| wanted.iter().all(|(head, text)| row.text(head) == *text);
        let row = rows.iter().find(is_wanted);
        row.map_or((None, None), |row| (row.number("C"), row.number("ours")))
    }
}

/// The table of targets while it is made.
struct Targets(Table);

impl Targets {
    /// A target whose measure is ours divided by C's, at most `limit`.
    fn ratio(&mut self, what: &str, (c, ours): (Option<f64>, Option<f64>), limit: f64) {
        let measure = c.zip(ours).map(|(c, ours)| ours / c);
        self.row(what, c, ours, measure, limit);
    }

    /// A target for our figure itself.
    fn own(&mut self, what: &str, ours: Option<f64>, limit: f64) {
        self.row(what, None, ours, ours, limit);
    }

    fn row(
        &mut self,
        what: &str,
        c: Option<f64>,
        ours: Option<f64>,
        measure: Option<f64>,
        limit: f64,
    ) {
        let verdict = match measure {
            None => "not measured",
            Some(measure) if measure <= limit => "met",
            Some(_) => "**missed**",
        };
        self.judged(what, verdict, [c, ours, measure], limit);
    }

    fn judged(&mut self, what: &str, verdict: &str, figures: [Option<f64>; 3], limit: f64) {
        let [c, ours, measure] = figures;
        let digits = |figure: Option<f64>| usize::from(figure.is_some_and(|f| f < 100.0)) * 2;
        self.0.row([
            what.to_owned(),
            verdict.to_owned(),
            report::figure(c, digits(c)),
            report::figure(ours, digits(ours)),
            report::figure(measure, measure.map_or(0, |m| if m < 0.1 { 4 } else { 3 })),
            format!("at most {limit:.*}", if limit < 1.0 { 3 } else { 2 }),
        ]);
    }
}

/// The targets in Markdown.
pub fn markdown(parts: &[Option<String>]) -> String {
    let figures = Figures { parts };
    let head = ["C", "ours", "measured", "wanted"];
    let mut targets = Targets(Table::new(&["target", "result"], &head));
    selections(&figures, &mut targets);
    allocators(&figures, &mut targets);
    marks_and_sources(&figures, &mut targets);
    edits(&figures, &mut targets);
    lists(&figures, &mut targets);
    format!("{HEAD}\n\n{}", targets.0.markdown())
}

const HEAD: &str = "\
## Targets

From the figures of the parts below, as they were when each was written. *Measured* is what is compared with
*wanted*: ours divided by C's, or what the line says. Reload, start, list output, calls and pings of an
allocator without a line here shall cost what they did before: `make bench-compare` shows what another build
of the module needs.

*As before* are calls that allocate and miss their target, and do so as in the build in which they were first
measured with all allocators, within 3 %; *worse* are those that need more. Their line has the age of the server
with the highest ratio. qm looks for a free piece size by size, from the one asked for up to that of the rest of
the pool, and a piece that is given back joins the rest. The C module's lists leave small holes, in which it finds
a piece soon; ours are a few large pieces, so the module leaves holes on purpose when it starts.";

/// Keys of selections that write nothing but the message's destination, and what is wanted of them.
const SELECTIONS: [(&str, f64); 13] = [
    ("alg0", 0.4),
    ("alg1", 0.4),
    ("alg2", 0.4),
    ("alg3", 0.4),
    ("alg4", 0.4),
    ("alg5", 0.4),
    ("alg6", 0.4),
    ("alg8", 0.4),
    ("alg9", 0.4),
    ("alg4last", 0.4),
    ("alg8last", 0.4),
    ("alg11", 0.66),
    ("alg13", 0.25),
];

/// Keys of selections that cost the same for any number of destinations.
const BARE: [&str; 9] = [
    "alg0", "alg1", "alg2", "alg3", "alg4", "alg5", "alg6", "alg8", "alg9",
];

/// The most that ours may grow with the number of destinations: memory is laid out differently.
const STEADY: f64 = 1.05;

fn selections(figures: &Figures<'_>, targets: &mut Targets) {
    let mut most = None;
    for (key, limit) in SELECTIONS {
        let rows = figures.case(key);
        let of_size = |n: &str| rows.iter().find(|row| row.text("n") == n);
        let Some(small) = of_size("10") else { continue };
        let what = format!("{}, above the floor, n = 10", small.text("call"));
        let above = (
            small.number("above the floor: C"),
            small.number("ours above"),
        );
        targets.ratio(&what, above, limit);
        if BARE.contains(&key) {
            let large = of_size("10,000").and_then(|row| row.number("ours"));
            let grown = large.zip(small.number("ours")).map(|(l, s)| l / s);
            most = grown.into_iter().chain(most).reduce(f64::max);
        }
    }
    let what = "algorithms 0 to 6, 8 and 9: the most that ours grows from n = 10 to n = 10,000";
    targets.own(what, most, STEADY);
}

/// Ours divided by C's where calls that allocate were first measured with all allocators: a server of each
/// age, in the order of [`Age::ALL`].
const BEFORE: [(&str, [[f64; 3]; 3]); 6] = [
    (
        "default",
        [[17.98, 17.98, 5.18], [1.10, 1.11, 0.97], [1.06, 1.06, 0.99]],
    ),
    (
        "limit1",
        [[22.27, 22.27, 5.50], [1.05, 1.03, 0.92], [1.06, 1.06, 1.02]],
    ),
    (
        "all",
        [[23.91, 23.91, 4.65], [1.08, 1.06, 1.05], [1.10, 1.10, 1.09]],
    ),
    (
        "all100",
        [[3.23, 3.23, 2.50], [1.03, 1.02, 1.01], [1.10, 1.10, 1.09]],
    ),
    (
        "demand",
        [[4.48, 4.48, 1.14], [0.24, 0.23, 0.22], [0.23, 0.23, 0.23]],
    ),
    (
        "load",
        [[16.09, 16.09, 4.75], [0.85, 0.84, 0.80], [0.89, 0.89, 0.89]],
    ),
];

/// What counts as the same instructions.
const SAME: f64 = 1.03;

fn allocators(figures: &Figures<'_>, targets: &mut Targets) {
    for (key, before) in BEFORE {
        let rows = figures.case(&format!("{ALLOCATES}{key}"));
        for (allocator, before) in ALLOCATORS.into_iter().zip(before) {
            let of_age = |age: Age| {
                let is_it = |row: &&Row<'_>| {
                    row.text("allocator") == allocator && row.text("server") == age.name()
                };
                let row = rows.iter().find(is_it)?;
                let (c, ours) = (row.number("C")?, row.number("ours")?);
                Some([c, ours, ours / c])
            };
            let Some(ages) = Age::ALL.map(of_age).into_iter().collect::<Option<Vec<_>>>() else {
                continue;
            };
            let worse = |([_, _, now], before): (&[f64; 3], f64)| *now > before.max(1.0) * SAME;
            let worst = ages
                .iter()
                .copied()
                .reduce(|a, b| if b[2] > a[2] { b } else { a });
            let verdict = match worst {
                Some([.., ratio]) if ratio <= 1.0 => "met",
                _ if ages.iter().zip(before).any(worse) => "**worse**",
                _ => "as before",
            };
            let call = rows
                .first()
                .map(|row| (row.text("call, with each allocator"), row.text("n")));
            let (call, n) = call.unwrap_or_default();
            let what = format!("{call}, {allocator}, n = {n}");
            let cells = worst.map_or([None; 3], |worst| worst.map(Some));
            targets.judged(&what, verdict, cells, 1.0);
        }
    }
}

fn marks_and_sources(figures: &Figures<'_>, targets: &mut Targets) {
    for key in ["mark", "markchange", "markrweight", "markrweightchange"] {
        for row in figures.case(key) {
            if row.text("n") == "1,000" {
                let what = format!("{}, n = 1,000", row.text("call"));
                targets.ratio(&what, (row.number("C"), row.number("ours")), 0.1);
            }
        }
    }
    let rows = figures.rows(0);
    let sources = rows
        .iter()
        .filter(|row| row.text("key").starts_with("`from"));
    let most = sources
        .filter_map(|row| row.number("ours"))
        .reduce(f64::max);
    let what = "ds_is_from_list, the most instructions of all rows";
    targets.own(what, most, 400.0);
}

fn edits(figures: &Figures<'_>, targets: &mut Targets) {
    for (list, limit) in [("10,000 in 1 set", 1.0), ("100,000 in 1 set", 20.0)] {
        for allocator in ["qm", USUAL_ALLOCATOR] {
            for what in ["one add, ms", "one modify, ms", "one remove, ms"] {
                let (_, ours) = figures.list(what, list, allocator);
                targets.own(&format!("{what}, {list}, {allocator}"), ours, limit);
            }
        }
    }
    for row in figures.rows(1) {
        let edit = row.text("what an edit causes");
        if !edit.is_empty() {
            let list = row.text("destinations");
            let what = format!("{edit}, {list}: time of all processes to that of its caller");
            targets.own(&what, row.number("all / caller"), 5.0);
        }
    }
}

fn lists(figures: &Figures<'_>, targets: &mut Targets) {
    let one = "10,000 in 1 set";
    let (some, most) = ("10,000 in 1,000 sets", "10,000 in 10,000 sets");
    let large = "100,000 in 1,000 sets";
    for list in [one, some, most, large] {
        let what = "shared memory per destination, bytes";
        let both = figures.list(what, list, "qm");
        targets.ratio(&format!("{what}, {list}, qm"), both, 0.8);
    }
    for what in ["start, ms", "reload, ms on the processor"] {
        for list in [one, some, most, large] {
            let both = figures.list(what, list, "qm");
            targets.ratio(&format!("{what}, {list}, qm"), both, 1.0);
        }
    }
}
