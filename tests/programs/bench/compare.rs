//! Two builds of the module, measured one beside the other: the rows that differ.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::machine::PARAMETER;
use super::report::{self, Row, Table};

/// Differences below this are not shown.
const SAME: f64 = 0.03;

/// Measures a part with the build at `base` and with the one under test; the rows that differ.
pub fn part(base: &Path, what: &str, keys: &[String]) -> Table {
    let measure = |module: Option<&Path>| {
        let program = std::env::current_exe().expect("this program's path");
        let mut command = Command::new(program);
        command.arg("print").arg(what).args(keys);
        command.env("WITHOUT_C", "1").stderr(Stdio::inherit());
        if let Some(module) = module {
            // It may not know the parameter.
            command.env("DISPATCHER_SO", module).env_remove(PARAMETER);
        }
        let out = command.output().expect("this program runs");
        assert!(out.status.success(), "a measurement failed");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    // One after the other: both take the same addresses, and times need the machine.
    different(&measure(Some(base)), &measure(None))
}

fn different(old: &str, new: &str) -> Table {
    let old: HashMap<String, Row<'_>> = report::rows(old)
        .into_iter()
        .map(|row| (name(&row), row))
        .collect();
    let mut table = Table::new(&["row", "figure"], &["base", "new", "new / base"]);
    for row in report::rows(new) {
        let name = name(&row);
        let Some(old) = old.get(&name) else { continue };
        for &column in row.head.iter().filter(|column| is_figure(column)) {
            let (before, now) = (old.number(column), row.number(column));
            let ratio = now.zip(before).map(|(now, before)| now / before);
            if before == now || ratio.is_some_and(|ratio| (ratio - 1.0).abs() <= SAME) {
                continue;
            }
            let digits = |figure: Option<f64>| usize::from(figure.is_some_and(|f| f < 10.0)) * 3;
            table.row([
                name.clone(),
                column.to_owned(),
                report::figure(before, digits(before)),
                report::figure(now, digits(now)),
                report::figure(ratio, 3),
            ]);
        }
    }
    table
}

/// True for the columns that are compared; what lies above the floor would be told twice.
fn is_figure(column: &str) -> bool {
    let is_time = column.ends_with(", ns") || column.ends_with(", ms");
    is_time || column == "ours" || column == "workers' worth"
}

/// What tells a row from the others: its cells that are no figures.
fn name(row: &Row<'_>) -> String {
    let cells = row.head.iter().zip(&row.cells);
    let named = cells.filter(|(head, cell)| {
        let derived = head.contains('C') || head.contains("above") || head.contains(" / ");
        !is_figure(head) && !derived && !cell.is_empty()
    });
    let words: Vec<&str> = named.map(|(_, cell)| *cell).collect();
    words.join(", ")
}
