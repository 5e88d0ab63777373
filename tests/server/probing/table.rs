//! What is expected of each destination: literal traces.

/// Mode, start flags, kind of destination, and its `FLAGS` before each ping with both thresholds
/// 1, 2 and 3. A dot: no ping follows.
///
/// `bad` is every kind whose pings all fail, `gone` every one of them that nobody answers; the
/// first row that fits counts.
pub type Row = (i64, u32, &'static str, [&'static str; 3]);

/// Whether a row is about this kind of destination.
pub fn fits(row: &str, kind: &str) -> bool {
    let gone = matches!(kind, "silent" | "late" | "icmp" | "tcp");
    match row {
        "any" => true,
        "gone" => gone,
        "bad" => gone || matches!(kind, "refuses" | "unknown"),
        _ => row == kind,
    }
}

/// What 5.6 and 6.1 do.
///
/// Source: features 3.11, and the packaged module 5.6.3.
pub const TABLE: &[Row] = &[
    // Only what is in probing is pinged. One result ends it, but for good ones of an inactive
    // destination below the threshold.
    (0, 0, "any", ["AX.", "AX.", "AX."]),
    (0, 8, "ok", ["AP AX.", "AP AX.", "AP AX."]),
    (0, 8, "any", ["AP IX.", "AP TX.", "AP TX."]),
    (0, 1, "any", ["IX.", "IX.", "IX."]),
    (0, 9, "ok", ["IP AX.", "IP IP AX.", "IP IP IP AX."]),
    (0, 9, "any", ["IP IX.", "IP IX.", "IP IX."]),
    // All are pinged.
    (
        1,
        0,
        "ok",
        ["AX AP AP AP AP", "AX AP AP AP AP", "AX AP AP AP AP"],
    ),
    (
        1,
        0,
        "bad",
        ["AX IP IP IP IP", "AX TP IP IP IP", "AX TP TP IP IP"],
    ),
    (
        1,
        0,
        "changes",
        [
            "AX IP IP AP IP IP IP AP AP AP",
            "AX TP IP IP IP IP IP IP AP AP",
            "AX TP TP AP TP TP IP IP IP AP",
        ],
    ),
    (
        1,
        8,
        "ok",
        ["AP AP AP AP AP", "AP AP AP AP AP", "AP AP AP AP AP"],
    ),
    (
        1,
        8,
        "bad",
        ["AP IP IP IP IP", "AP TP IP IP IP", "AP TP TP IP IP"],
    ),
    (
        1,
        8,
        "changes",
        [
            "AP IP IP AP IP IP IP AP AP AP",
            "AP TP IP IP IP IP IP IP AP AP",
            "AP TP TP AP TP TP IP IP IP AP",
        ],
    ),
    (
        1,
        1,
        "ok",
        ["IX AP AP AP AP", "IX IP AP AP AP", "IX IP IP AP AP"],
    ),
    (
        1,
        1,
        "bad",
        ["IX IP IP IP IP", "IX IP IP IP IP", "IX IP IP IP IP"],
    ),
    (
        1,
        1,
        "changes",
        [
            "IX IP IP AP IP IP IP AP AP AP",
            "IX IP IP IP IP IP IP IP AP AP",
            "IX IP IP IP IP IP IP IP IP AP",
        ],
    ),
    (
        1,
        9,
        "ok",
        ["IP AP AP AP AP", "IP IP AP AP AP", "IP IP IP AP AP"],
    ),
    (
        1,
        9,
        "bad",
        ["IP IP IP IP IP", "IP IP IP IP IP", "IP IP IP IP IP"],
    ),
    (
        1,
        9,
        "changes",
        [
            "IP IP IP AP IP IP IP AP AP AP",
            "IP IP IP IP IP IP IP IP AP AP",
            "IP IP IP IP IP IP IP IP IP AP",
        ],
    ),
    // Only what is inactive and in probing is pinged, until it is active.
    (2, 0, "any", ["AX.", "AX.", "AX."]),
    (2, 8, "any", ["AP.", "AP.", "AP."]),
    (2, 1, "any", ["IX.", "IX.", "IX."]),
    (2, 9, "ok", ["IP AX.", "IP IP AX.", "IP IP IP AX."]),
    (
        2,
        9,
        "bad",
        ["IP IP IP IP IP", "IP IP IP IP IP", "IP IP IP IP IP"],
    ),
    (
        2,
        9,
        "changes",
        [
            "IP IP IP AX.",
            "IP IP IP IP IP IP IP IP AX.",
            "IP IP IP IP IP IP IP IP IP AX.",
        ],
    ),
    // Only what is in probing is pinged, and stays in probing.
    (3, 0, "any", ["AX.", "AX.", "AX."]),
    (
        3,
        8,
        "ok",
        ["AP AP AP AP AP", "AP AP AP AP AP", "AP AP AP AP AP"],
    ),
    (
        3,
        8,
        "bad",
        ["AP IP IP IP IP", "AP TP IP IP IP", "AP TP TP IP IP"],
    ),
    (
        3,
        8,
        "changes",
        [
            "AP IP IP AP IP IP IP AP AP AP",
            "AP TP IP IP IP IP IP IP AP AP",
            "AP TP TP AP TP TP IP IP IP AP",
        ],
    ),
    (3, 1, "any", ["IX.", "IX.", "IX."]),
    (
        3,
        9,
        "ok",
        ["IP AP AP AP AP", "IP IP AP AP AP", "IP IP IP AP AP"],
    ),
    (
        3,
        9,
        "bad",
        ["IP IP IP IP IP", "IP IP IP IP IP", "IP IP IP IP IP"],
    ),
    (
        3,
        9,
        "changes",
        [
            "IP IP IP AP IP IP IP AP AP AP",
            "IP IP IP IP IP IP IP IP AP AP",
            "IP IP IP IP IP IP IP IP IP AP",
        ],
    ),
];

/// What compat 3.2 does: one trace for all thresholds where they do not matter. A trace is cut to
/// as many pings as are looked at.
///
/// Source: features 3.11 (the machine of the seed) and 1.5.
pub const SEED: &[Row] = &[
    (0, 0, "any", ["AX.", "AX.", "AX."]),
    (0, 8, "ok", ["AP AX.", "AP AX.", "AP AX."]),
    (
        0,
        8,
        "changes",
        ["AP AP AP AX.", "AP AP AP AX.", "AP AP AP AX."],
    ),
    (0, 8, "any", [AP, AP, AP]),
    (0, 1, "any", ["IX.", "IX.", "IX."]),
    (0, 9, "any", [IP, IP, IP]),
    (
        1,
        0,
        "gone",
        ["AX AP AP AP AP", "AX AX AP AP AP", "AX AX AX AP AP"],
    ),
    (1, 0, "any", [AX, AX, AX]),
    (
        1,
        8,
        "ok",
        ["AP AX AX AX AX", "AP AX AX AX AX", "AP AX AX AX AX"],
    ),
    (
        1,
        8,
        "changes",
        [
            "AP AP AP AX AX AX AX AX AX AX",
            "AP AP AP AX AX AX AX AX AX AX",
            "AP AP AP AX AX AX AX AX AX AX",
        ],
    ),
    (1, 8, "any", [AP, AP, AP]),
    (1, 1, "any", [IX, IX, IX]),
    (1, 9, "any", [IP, IP, IP]),
    (2, 0, "any", ["AX.", "AX.", "AX."]),
    (2, 8, "any", ["AP.", "AP.", "AP."]),
    (2, 1, "any", ["IX.", "IX.", "IX."]),
    (2, 9, "any", [IP, IP, IP]),
    (3, 0, "any", ["AX.", "AX.", "AX."]),
    (3, 8, "ok", ["AP AX.", "AP AX.", "AP AX."]),
    (
        3,
        8,
        "changes",
        ["AP AP AP AX.", "AP AP AP AX.", "AP AP AP AX."],
    ),
    (3, 8, "any", [AP, AP, AP]),
    (3, 1, "any", ["IX.", "IX.", "IX."]),
    (3, 9, "any", [IP, IP, IP]),
];

/// Pinged for ever, and nothing changes.
const AX: &str = "AX AX AX AX AX AX AX AX AX AX";
const AP: &str = "AP AP AP AP AP AP AP AP AP AP";
const IX: &str = "IX IX IX IX IX IX IX IX IX IX";
const IP: &str = "IP IP IP IP IP IP IP IP IP IP";
