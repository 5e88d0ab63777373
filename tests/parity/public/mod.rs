//! Configs as people have published them, in our own words: both modules start them, and do the same
//! with the same calls. `PUBLIC_CASE` takes those with a text in their names only.
//!
//! - [`case`]: what a config is made of, and its places for gateways.
//! - [`scene`]: one server with the gateways of a config, and what happens on it.
//! - [`farms`], [`edges`], [`trunks`], [`loads`], [`old`], [`scripts`], [`slips`]: the configs, by what they are for.

mod case;
mod edges;
mod farms;
mod loads;
mod old;
mod scene;
mod scripts;
mod slips;
mod trunks;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Mutex;

use crate::compare;
use crate::report::Report;
use case::Case;
use harness::Module;
use scene::Told;

/// Cases that run at the same time, each with two servers.
const AT_ONCE: usize = 4;

const TABLES: [&[Case]; 7] = [
    farms::CASES,
    edges::CASES,
    trunks::CASES,
    loads::CASES,
    old::CASES,
    scripts::CASES,
    slips::CASES,
];

#[test]
fn public_configs() {
    compare(|report, _| all(report));
}

/// What both modules did with one config.
struct Both {
    case: &'static Case,
    /// The C module with the config as it is.
    c: Told,
    /// The C module without the names that it does not know, where it refuses them.
    without: Option<Told>,
    ours: Told,
}

/// How many configs there are, and what became of them.
#[derive(Default)]
struct Counts {
    left_out: usize,
    configs: usize,
    c_starts: usize,
    both_start: usize,
    alike: usize,
    of_another_time: usize,
    of_another_time_alike: usize,
}

fn all(report: &mut Report) {
    let chosen = std::env::var("PUBLIC_CASE").unwrap_or_default();
    let cases: Vec<&'static Case> = TABLES.iter().flat_map(|table| table.iter()).collect();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
    report.check("public configs", names.len() == cases.len(), "a name twice");
    let cases = cases.into_iter().filter(|case| case.name.contains(&chosen));
    let (there, lacking): (Vec<_>, Vec<_>) = cases.partition(|case| case.can_run());
    let mut counts = Counts {
        left_out: lacking.len(),
        ..Counts::default()
    };
    for both in run(there) {
        judge(report, &mut counts, &both);
    }
    counts.say();
}

/// Runs all cases, few at a time, and yields them in their order.
fn run(cases: Vec<&'static Case>) -> Vec<Both> {
    let queue = Mutex::new(cases.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("the queue").next();
                    let Some((at, case)) = next else { break };
                    let both = both(case);
                    done.lock().expect("the results").push((at, both));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("the results");
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, both)| both).collect()
}

fn both(case: &'static Case) -> Both {
    std::thread::scope(|scope| {
        let c = scope.spawn(|| {
            let c = scene::play(case, Module::C, true);
            let again = !c.started && !case.unknown_to_c().is_empty();
            (c, again.then(|| scene::play(case, Module::C, false)))
        });
        let ours = scene::play(case, Module::Rust, true);
        let (c, without) = c.join().expect("the C side ran");
        Both {
            case,
            c,
            without,
            ours,
        }
    })
}

/// Compares whether both start, and what they then do; the names that this C module does not know are
/// taken out where it refuses them.
fn judge(report: &mut Report, counts: &mut Counts, both: &Both) {
    let Both { case, c, ours, .. } = both;
    let before = report.unexplained();
    let what = format!("public config {} [{}]", case.name, case.kind);
    let unknown = case.unknown_to_c().join(" ");
    let start = |told: &Told| if told.started { "starts" } else { "refuses" };
    report.compare(&format!("{what}: start ({unknown})"), start(c), start(ours));
    let check = |told: &Told| if told.checked { "starts" } else { "refuses" };
    report.compare(
        &format!("{what}: kamailio -c: start ({unknown})"),
        check(c),
        check(ours),
    );
    if c.started != ours.started {
        let who = if c.started { ours } else { c };
        println!("{what}: {}", who.why);
    }
    let measure = both.without.as_ref().unwrap_or(c);
    let other_time = ours.started && both.without.as_ref().is_some_and(|c| c.started);
    let meant = !case.play.is_empty();
    report.check(
        &what,
        (c.started || other_time) == meant,
        "what starts has steps to play",
    );
    if measure.started && ours.started {
        report.check(&what, measure.lines.len() == ours.lines.len(), "lines");
        for ((step, c), (_, ours)) in measure.lines.iter().zip(&ours.lines) {
            report.compare(&format!("{what}: {step}"), c, ours);
        }
    }
    let alike = report.unexplained() == before;
    counts.configs += 1;
    counts.c_starts += usize::from(c.started);
    counts.both_start += usize::from(c.started && ours.started);
    counts.alike += usize::from(c.started && ours.started && alike);
    counts.of_another_time += usize::from(other_time);
    counts.of_another_time_alike += usize::from(other_time && alike);
}

impl Counts {
    /// Says it on one line, past the capture of the test runner.
    fn say(&self) {
        let refused = self.configs - self.c_starts - self.of_another_time;
        let _ = writeln!(
            std::io::stderr(),
            "public configs: {} in all, {} left out for what the server lacks; C starts {}, ours {} of these, \
             {} behave the same; ours starts {} more, with names that this C module refuses, {} behave as C \
             without the names; C refuses {} others",
            self.left_out + self.configs,
            self.left_out,
            self.c_starts,
            self.both_start,
            self.alike,
            self.of_another_time,
            self.of_another_time_alike,
            refused
        );
    }
}
