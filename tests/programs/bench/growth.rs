//! The part "Growth": time on the processor of a pick, as destinations, sets and workers grow.

use std::time::Duration;

use super::machine::{self, Floor, Process};
use super::report::{self, Table};
use harness::{Kamailio, Module, Request, Uac};

const METHOD: &str = "\
Nanoseconds on the processor of one pick (`/proc/PID/schedstat` of the workers), from a script loop of
some ten thousand picks in each message, less the empty loop. `flags` is 0, for call load 2; a pick of
call load is `ds_select_dst(\"1\", \"10\", \"1\")`, `ds_load_unset()` and dropping the result. Each figure is
the lower quartile of 41 rounds, in which all columns take turns. Random picks and relative weights go to
another destination each time: from 10,000 on these do not fit into the processor's cache.

Workers: all are busy at once, each with one message. *k servers of one worker* have as many processes on
the same cores as *one server with k workers*, but share no memory: between these two columns lies what
the workers cost each other, and nothing else. *Workers' worth* is k times that ratio, the median of the
rounds': how many lone workers k workers are worth. `floor` shares nothing in either column, so it shows the
noise.";

/// Picks in one turn of a loop, so that the loop itself hardly counts.
const UNROLLED: u32 = 10;
/// Rounds of which the lower quartile counts: what else the machine does only adds.
const ROUNDS: usize = 41;
/// Longest time that one message may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Destinations where workers are counted.
const MEASURED: usize = 1_000;

const ROUTES: &str = r#"request_route {
    $var(n) = $(rd{s.int});
{{LOOPS}}
    sl_send_reply("200", "OK");
}
"#;

/// A kind of pick: its name and script text; set 1.
type Pick = (&'static str, &'static str);

const EMPTY: Pick = ("the empty loop", "");
const PICKS: [Pick; 6] = [
    ("floor", r#"floor("1", "4");"#),
    ("round-robin (alg 4)", r#"ds_select_dst("1", "4");"#),
    ("hash (alg 0)", r#"ds_select_dst("1", "0");"#),
    ("random (alg 6)", r#"ds_select_dst("1", "6");"#),
    ("weight (alg 9)", r#"ds_select_dst("1", "9");"#),
    ("relative weight (alg 11)", r#"ds_select_dst("1", "11");"#),
];
const CALL: Pick = (
    "call load (alg 10), count and end",
    r#"ds_select_dst("1", "10", "1"); ds_load_unset(); $xavp(_dsdst_[*]) = $null;"#,
);

/// Numbers of workers that are compared.
const WORKERS: [usize; 3] = [2, 4, 8];

/// Servers that get messages at the same time, and their workers.
struct Group {
    servers: Vec<Kamailio>,
    workers: Vec<Process>,
    /// Messages at a time for each server.
    busy: usize,
}

impl Group {
    /// Nanoseconds of one turn of the loop, all workers busy.
    fn round(&self, uac: &Uac, loop_number: usize, turns: u32) -> f64 {
        let before = machine::cpu(&self.workers);
        for server in &self.servers {
            for _ in 0..self.busy {
                let uri = format!("sip:l{loop_number}@{turns}");
                uac.send(server.addr(), &Request::new("INVITE", uri));
            }
        }
        let messages = self.servers.len() * self.busy;
        for _ in 0..messages {
            let reply = uac.receive(LIMIT);
            assert!(reply.is_some_and(|reply| reply.status() == Some(200)));
        }
        let spent = machine::cpu(&self.workers) - before;
        spent as f64 / (messages as f64 * f64::from(turns))
    }
}

/// What the servers of one lab have in common.
struct Lab<'a> {
    module: Module,
    list: String,
    calls: bool,
    /// The set that is asked.
    set: usize,
    floor: &'a Floor,
}

impl Lab<'_> {
    fn group(&self, servers: usize, workers: usize) -> Result<Group, String> {
        let picks = self.picks();
        let looped = |(n, (_, body)): (usize, &(&str, &str))| {
            let body = body.replace("\"1\", ", &format!("\"{}\", ", self.set));
            let body = body.repeat(UNROLLED as usize);
            format!(
                "    if ($rU == \"l{n}\") {{ while ($var(n) > 0) {{ \
                 $var(n) = $var(n) - 1; {body} }} }}\n"
            )
        };
        let all = std::iter::once(&EMPTY).chain(&picks).enumerate();
        let loops = all.map(looped).collect::<Vec<_>>().concat();
        let config = self
            .floor
            .config(ROUTES)
            .define("LOOPS", loops)
            .list(self.list.as_bytes())
            .children(u32::try_from(workers).expect("few workers"))
            .param("flags", if self.calls { 2 } else { 0 })
            .param("xavp_ctx_mode", 1)
            .param("ds_hash_size", 10)
            .memory_manager(&machine::allocator())
            .shm_mb(256);
        let start = |_| machine::start(self.module, config.clone());
        let servers: Vec<Kamailio> = (0..servers).map(start).collect::<Result<_, _>>()?;
        let of_all = servers.iter().flat_map(machine::workers).collect();
        Ok(Group {
            servers,
            workers: of_all,
            busy: workers,
        })
    }

    fn picks(&self) -> Vec<Pick> {
        if self.calls {
            vec![CALL]
        } else {
            PICKS.to_vec()
        }
    }

    /// For each pick, nanoseconds in each round of each group.
    fn measure(&self, groups: &[Group]) -> Vec<Vec<Vec<f64>>> {
        let uac = Uac::new();
        let mut turns = vec![Vec::new(); self.picks().len() + 1];
        for (number, times) in turns.iter_mut().enumerate() {
            let count = if self.calls && number > 0 {
                1_000
            } else {
                5_000
            };
            let mut rounds = vec![Vec::new(); groups.len()];
            for _ in 0..ROUNDS {
                for (group, rounds) in groups.iter().zip(&mut rounds) {
                    rounds.push(group.round(&uac, number, count));
                }
            }
            *times = rounds;
        }
        let empty = turns.remove(0);
        let empty: Vec<f64> = empty.iter().map(|rounds| quartile(rounds)).collect();
        let net = |rounds: Vec<f64>, empty: f64| {
            let of_one = |time: f64| (time - empty) / f64::from(UNROLLED);
            rounds.into_iter().map(of_one).collect()
        };
        let of_pick = |groups: Vec<Vec<f64>>| {
            let pairs = groups.into_iter().zip(&empty);
            pairs.map(|(rounds, &empty)| net(rounds, empty)).collect()
        };
        turns.into_iter().map(of_pick).collect()
    }
}

/// The figure that so many of a hundred are below.
fn percentile(figures: &[f64], percent: usize) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() * percent / 100]
}

fn quartile(times: &[f64]) -> f64 {
    percentile(times, 25)
}

fn attributes(n: usize) -> String {
    format!(" 0 0 duid=d{n};weight=1;rweight=1")
}

/// The part of the page.
pub fn part() -> String {
    let floor = Floor::new();
    let (workers, sizes, sets) = (workers(&floor), destinations(&floor), sets(&floor));
    let head = super::page::PARTS[2];
    report::part(head, "bench-growth", METHOD, &[&workers, &sizes, &sets])
}

/// The table of workers.
pub fn workers(floor: &Floor) -> Table {
    let mut table = Table::new(
        &["pick, 1,000 destinations", "module"],
        &[
            "workers",
            "one worker alone, ns",
            "k servers of one worker, ns",
            "one server with k workers, ns",
            "workers' worth",
        ],
    );
    for calls in [false, true] {
        for &module in machine::modules() {
            let lab = Lab {
                module,
                list: machine::list(MEASURED, 1, attributes),
                calls,
                set: 1,
                floor,
            };
            match worth(&lab) {
                Ok(rows) => rows.into_iter().for_each(|row| table.row(row)),
                Err(why) => eprintln!("{module:?}: {why}"),
            }
        }
    }
    table
}

/// Rows of the table of workers.
fn worth(lab: &Lab<'_>) -> Result<Vec<[String; 7]>, String> {
    let mut groups = vec![lab.group(1, 1)?];
    for k in WORKERS {
        groups.push(lab.group(k, 1)?);
        groups.push(lab.group(1, k)?);
    }
    let figures = lab.measure(&groups);
    let mut rows = Vec::new();
    for ((name, _), times) in lab.picks().iter().zip(figures) {
        for (n, k) in WORKERS.iter().enumerate() {
            let (apart, together) = (&times[1 + 2 * n], &times[2 + 2 * n]);
            let rounds = apart.iter().zip(together);
            let ratios: Vec<f64> = rounds.map(|(apart, together)| apart / together).collect();
            rows.push([
                (*name).to_owned(),
                if lab.module == Module::C { "C" } else { "ours" }.to_owned(),
                k.to_string(),
                report::number(quartile(&times[0]), 0),
                report::number(quartile(apart), 0),
                report::number(quartile(together), 0),
                format!("{:.2}", *k as f64 * percentile(&ratios, 50)),
            ]);
        }
    }
    Ok(rows)
}

/// Nanoseconds of each pick of one worker, or why there are none.
fn one_worker(lab: &Lab<'_>) -> Result<Vec<f64>, String> {
    let group = lab.group(1, 1)?;
    let figures = lab.measure(&[group]);
    Ok(figures
        .into_iter()
        .map(|times| quartile(&times[0]))
        .collect())
}

/// One row for each pick, from the figures of both modules for each column.
fn grown(heads: &[&str], columns: &[(usize, usize, bool)], floor: &Floor, first: &str) -> Table {
    let mut table = Table::new(&[first, "module"], heads);
    for calls in [false, true] {
        for &module in machine::modules() {
            let figures = columns.iter().map(|&(count, sets, c_too)| {
                if module == Module::C && !c_too {
                    return None;
                }
                let lab = Lab {
                    module,
                    list: machine::list(count, sets, attributes),
                    calls,
                    // In the middle of the sets.
                    set: sets / 2 + 1,
                    floor,
                };
                let figures = one_worker(&lab);
                figures
                    .inspect_err(|why| eprintln!("{module:?}: {why}"))
                    .ok()
            });
            let figures: Vec<Option<Vec<f64>>> = figures.collect();
            let picks = if calls { vec![CALL] } else { PICKS.to_vec() };
            for (n, (name, _)) in picks.iter().enumerate() {
                let cell = |figures: &Option<Vec<f64>>| {
                    report::figure(figures.as_ref().map(|times| times[n]), 0)
                };
                let module = if module == Module::C { "C" } else { "ours" };
                let texts = [(*name).to_owned(), module.to_owned()];
                table.row(texts.into_iter().chain(figures.iter().map(cell)));
            }
        }
    }
    table
}

fn destinations(floor: &Floor) -> Table {
    grown(
        &["10, ns", "1,000, ns", "10,000, ns", "100,000, ns"],
        &[
            (10, 1, true),
            (1_000, 1, true),
            (10_000, 1, true),
            // The C module takes a minute to load them.
            (100_000, 1, false),
        ],
        floor,
        "pick, one worker, destinations in one set",
    )
}

fn sets(floor: &Floor) -> Table {
    grown(
        &["1 set, ns", "100 sets, ns", "10,000 sets, ns"],
        &[
            (10_000, 1, true),
            (10_000, 100, true),
            (10_000, 10_000, true),
        ],
        floor,
        "pick, one worker, 10,000 destinations",
    )
}
