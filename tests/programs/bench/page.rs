//! The page `doc/dev/reports/bench.md`: parts that are written one by one, and figures that are read back.

use std::path::PathBuf;

/// What stands above the parts.
const TITLE: &str = "# What it costs, beside the C module";

const INTRODUCTION: &str = "\
Each part is written by its own `make` target, which measures the packaged C module of the same server and
ours in one run; `make bench-all` writes them all. Figures of one part compare the two modules; parts of
different days or machines do not compare with each other.";

/// Headings of the parts, in the order of the page.
pub const PARTS: [&str; 8] = [
    "## Instructions per call",
    "## Lists: start, reload, edits, memory",
    "## Growth: destinations, sets, workers",
    "## Call load with many calls up",
    "## Traffic",
    "## Pings",
    "## The domain alone",
    "## Hostile peers",
];

/// The page as it is.
pub struct Page {
    parts: Vec<Option<String>>,
}

impl Page {
    /// Reads it; parts with other headings are dropped.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(path()).unwrap_or_default();
        let part = |head: &&str| {
            let at = text.find(&format!("{head}\n"))?;
            let rest = &text[at..];
            let end = rest[1..].find("\n## ").map_or(rest.len(), |end| end + 1);
            Some(rest[..end].trim_end().to_owned())
        };
        let parts = PARTS.iter().map(part).collect();
        Self { parts }
    }

    /// Replaces the part that begins with its heading; writes the page.
    pub fn save(mut self, part: &str) -> std::io::Result<()> {
        let head = part.lines().next().unwrap_or_default();
        let place = PARTS.iter().position(|&known| known == head);
        let place = place.unwrap_or_else(|| panic!("{head:?} has no place in the page"));
        self.parts[place] = Some(part.trim_end().to_owned());
        self.write()
    }

    /// Writes the page, with the targets judged by its figures.
    pub fn write(&self) -> std::io::Result<()> {
        let mut text = format!("{TITLE}\n\n{INTRODUCTION}\n\n");
        text += &super::targets::markdown(&self.parts);
        text.push('\n');
        for part in self.parts.iter().flatten() {
            text += part;
            text += "\n\n";
        }
        std::fs::write(path(), text.trim_end().to_owned() + "\n")
    }
}

fn path() -> PathBuf {
    harness::root().join("doc/dev/reports/bench.md")
}
