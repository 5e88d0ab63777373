//! The states that are expected of each destination before each of its pings.

/// A row of a table, for a probing mode, the flags at the start and a kind of destination.
///
/// The traces are the `FLAGS` before each ping with both thresholds 1, 2 and 3; one trace holds for
/// all of them. A dot says that no ping follows.
pub struct Row {
    mode: i64,
    start: u32,
    kind: &'static str,
    traces: Vec<&'static str>,
}

impl Row {
    /// Returns whether the row is about this cell. `bad` is every kind whose pings all fail, `gone`
    /// every one of them that nobody answers.
    fn fits(&self, mode: i64, start: u32, kind: &str) -> bool {
        let gone = matches!(kind, "silent" | "late" | "icmp" | "tcp");
        let fits = match self.kind {
            "any" => true,
            "gone" => gone,
            "bad" => gone || matches!(kind, "refuses" | "unknown"),
            own => own == kind,
        };
        fits && (self.mode, self.start) == (mode, start)
    }
}

/// Reads a table; a line that begins with `#` is a comment.
pub fn rows(table: &'static str) -> Vec<Row> {
    let lines = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut cells = line.split('|').map(str::trim);
            let head: Vec<&str> = cells.next().expect("a cell").split(' ').collect();
            Row {
                mode: head[0].parse().expect("a mode"),
                start: head[1].parse().expect("flags"),
                kind: head[2],
                traces: cells.collect(),
            }
        })
        .collect()
}

/// Returns the trace of the first row that fits.
pub fn trace(rows: &[Row], mode: i64, threshold: i64, start: u32, kind: &str) -> String {
    let row = rows.iter().find(|row| row.fits(mode, start, kind));
    let traces = &row.expect("a row").traces;
    let column = usize::try_from(threshold - 1).expect("a column");
    let trace = traces.get(column).or(traces.first()).expect("a trace");
    match trace.strip_suffix(" for ever") {
        Some(state) => [state; 10].join(" "),
        None => (*trace).to_owned(),
    }
}

/// The states of 5.6 and 6.1, as the packaged module 5.6.3 has them.
pub const TABLE: &str = "\
# Only what is in probing is pinged. One result ends it, but for good ones of an inactive
# destination below the threshold.
0 0 any     | AX.
0 8 ok      | AP AX.
0 8 any     | AP IX. | AP TX. | AP TX.
0 1 any     | IX.
0 9 ok      | IP AX. | IP IP AX. | IP IP IP AX.
0 9 any     | IP IX.
# All are pinged.
1 0 ok      | AX AP AP AP AP
1 0 bad     | AX IP IP IP IP | AX TP IP IP IP | AX TP TP IP IP
1 0 changes | AX IP IP AP IP IP IP AP AP AP | AX TP IP IP IP IP IP IP AP AP | AX TP TP AP TP TP IP IP IP AP
1 8 ok      | AP AP AP AP AP
1 8 bad     | AP IP IP IP IP | AP TP IP IP IP | AP TP TP IP IP
1 8 changes | AP IP IP AP IP IP IP AP AP AP | AP TP IP IP IP IP IP IP AP AP | AP TP TP AP TP TP IP IP IP AP
1 1 ok      | IX AP AP AP AP | IX IP AP AP AP | IX IP IP AP AP
1 1 bad     | IX IP IP IP IP
1 1 changes | IX IP IP AP IP IP IP AP AP AP | IX IP IP IP IP IP IP IP AP AP | IX IP IP IP IP IP IP IP IP AP
1 9 ok      | IP AP AP AP AP | IP IP AP AP AP | IP IP IP AP AP
1 9 bad     | IP IP IP IP IP
1 9 changes | IP IP IP AP IP IP IP AP AP AP | IP IP IP IP IP IP IP IP AP AP | IP IP IP IP IP IP IP IP IP AP
# Only what is inactive and in probing is pinged, until it is active.
2 0 any     | AX.
2 8 any     | AP.
2 1 any     | IX.
2 9 ok      | IP AX. | IP IP AX. | IP IP IP AX.
2 9 bad     | IP IP IP IP IP
2 9 changes | IP IP IP AX. | IP IP IP IP IP IP IP IP AX. | IP IP IP IP IP IP IP IP IP AX.
# Only what is in probing is pinged, and stays in probing.
3 0 any     | AX.
3 8 ok      | AP AP AP AP AP
3 8 bad     | AP IP IP IP IP | AP TP IP IP IP | AP TP TP IP IP
3 8 changes | AP IP IP AP IP IP IP AP AP AP | AP TP IP IP IP IP IP IP AP AP | AP TP TP AP TP TP IP IP IP AP
3 1 any     | IX.
3 9 ok      | IP AP AP AP AP | IP IP AP AP AP | IP IP IP AP AP
3 9 bad     | IP IP IP IP IP
3 9 changes | IP IP IP AP IP IP IP AP AP AP | IP IP IP IP IP IP IP IP AP AP | IP IP IP IP IP IP IP IP IP AP
";

/// What differs with compat 3.2, before the rows of [`TABLE`]: an inactive destination in probing is pinged until it
/// answers.
pub const OLD_TIME: &str = "\
0 9 ok      | IP AX. | IP IP AX. | IP IP IP AX.
0 9 changes | IP IP IP AX. | | IP IP IP IP IP IP IP IP IP AX.
0 9 any     | IP IP IP IP IP
";
