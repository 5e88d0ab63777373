//! The documents agree with the code: log messages, RPC commands, parameters, functions, variables and
//! attributes are all there and no others, and no link is dead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use harness::manual;

const TABLES: &str = include_str!("../kamailio-glue/tables.c");
const KEMI: &str = include_str!("../kamailio-glue/kemi.c");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn reference(name: &str) -> String {
    read(&root().join("doc/reference").join(name))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// All files below `folder` whose names end with `ending`.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The cells of the rows of all tables.
fn rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells = rows.map(|row| {
        let row = row.replace("\\|", "\u{1}");
        let cells = row.trim_matches('|').split('|');
        cells
            .map(|cell| cell.trim().replace('\u{1}', "|"))
            .collect()
    });
    cells.collect()
}

/// The texts between backquotes.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Says on standard error, past the test harness, what was looked at.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "docs-check: {text}");
}

fn assert_same<T: Ord + std::fmt::Debug>(
    document: &str,
    documented: &BTreeSet<T>,
    real: &BTreeSet<T>,
) {
    assert!(!real.is_empty(), "nothing to compare {document} with");
    let missing: Vec<_> = real.difference(documented).collect();
    assert!(missing.is_empty(), "{document} lacks {missing:#?}");
    let extra: Vec<_> = documented.difference(real).collect();
    assert!(
        extra.is_empty(),
        "{document} has, but the code has not: {extra:#?}"
    );
    say(&format!("{document}: {} names compared", real.len()));
}

/// What follows each `start` in `text`, up to `end`.
fn between<'t>(text: &'t str, start: &str, end: &str) -> Vec<&'t str> {
    let parts = text.split(start).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(end)?.0))
        .collect()
}

mod log_messages {
    use super::*;

    const MACROS: [(&str, &str); 5] = [
        ("log_crit!", "CRITICAL"),
        ("log_err!", "ERROR"),
        ("log_warn!", "WARNING"),
        ("log_info!", "INFO"),
        ("log_dbg!", "DEBUG"),
    ];

    /// A message with each value as `<>`.
    type Message = (&'static str, String);

    /// Replaces what is between `open` and `close` by `<>`.
    fn without_values(text: &str, open: char, close: char) -> String {
        let mut parts = text.split(open);
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            result.push_str("<>");
            result.push_str(part.split_once(close).map_or("", |(_, rest)| rest));
        }
        result
    }

    /// The literal that `code` begins with, its escapes resolved.
    fn literal(code: &str) -> Option<String> {
        let mut chars = code.trim_start().strip_prefix('"')?.chars().peekable();
        let mut text = String::new();
        loop {
            match chars.next()? {
                '"' => return Some(text),
                '\\' => match chars.next()? {
                    '\n' => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                    escaped => text.push(escaped),
                },
                other => text.push(other),
            }
        }
    }

    /// The production code of a file.
    pub fn production(path: &Path) -> String {
        let text = read(path);
        let end = text.find("\n#[cfg(test)]").unwrap_or(text.len());
        text.get(..end).unwrap().to_owned()
    }

    /// The messages of the code. Those that are only a value come from a type's `Display`.
    fn of_code() -> BTreeSet<Message> {
        let mut found = BTreeSet::new();
        for path in files(&root().join("src"), ".rs") {
            let text = production(&path);
            for (name, level) in MACROS {
                for call in text.split(name).skip(1) {
                    let argument = call.trim_start_matches(['(', '{', '[']);
                    let place = path.display();
                    // The macros themselves, and imports of them.
                    let Some(format) = literal(argument) else {
                        let written = call.starts_with(['(', '{', '[']);
                        let defined = place.to_string().ends_with("log.rs");
                        assert!(!written || defined, "{place}: no literal: {argument:.40}");
                        continue;
                    };
                    let message = without_values(&format, '{', '}');
                    if message != "<>" {
                        found.insert((level, message));
                    }
                }
            }
        }
        found
    }

    fn of_document() -> BTreeSet<Message> {
        let text = reference("log-messages.md");
        let mut found = BTreeSet::new();
        for row in rows(&text) {
            let level = row.first().unwrap();
            let levels = MACROS.iter().map(|(_, name)| *name).chain(["NOTICE"]);
            let Some(level) = levels.into_iter().find(|name| name == level) else {
                continue;
            };
            let texts = code(row.get(1).unwrap());
            if row.len() == 3 && !texts.is_empty() {
                assert_eq!(texts.len(), 1, "one message a row: {row:?}");
                let new = found.insert((level, without_values(texts.first().unwrap(), '<', '>')));
                assert!(new, "twice: {row:?}");
            }
        }
        found
    }

    /// Messages that no macro has in one piece: a panic's, and those that a type writes. Their fixed
    /// parts are in the code.
    const WRITTEN_BY_TYPES: [(&str, &str); 13] = [
        (
            "CRITICAL",
            "out of memory: the system refuses this process <> bytes, and it ends",
        ),
        (
            "CRITICAL",
            "out of memory: the system refuses this process <> bytes, and its last reserve is given up",
        ),
        ("CRITICAL", "panic caught: <>"),
        ("ERROR", "parameter <>: found \"<>\", expected <>"),
        ("ERROR", "<>: line <>, column <>: expected <>, found <>"),
        (
            "WARNING",
            "<>: line <>, column <>: expected <>, found <>, <>",
        ),
        ("WARNING", "<>: line <>: <>: expected <>"),
        ("ERROR", "set <>, <>: <> by <>, <> of <> left"),
        ("WARNING", "set <>, <>: <> by <>, <> of <> left"),
        ("NOTICE", "set <>, <>: <> by <>, <> of <> left"),
        (
            "WARNING",
            "<>: line <>: set <>, <>: <>: destination left out",
        ),
        ("WARNING", "<>: no row"),
        (
            "WARNING",
            "<>: ds_db_extra_attrs needs table version 4: not read",
        ),
    ];

    #[test]
    fn every_message_is_documented_and_no_other() {
        let mut real = of_code();
        assert!(
            real.len() > 80,
            "the messages were not found: {}",
            real.len()
        );
        let sources = files(&root().join("src"), ".rs");
        let all: String = sources.iter().map(|path| production(path)).collect();
        for (level, message) in WRITTEN_BY_TYPES {
            for part in message
                .split("<>")
                .map(|part| part.trim_matches([':', ' ', ',', '"']))
            {
                assert!(all.contains(part), "no message has {part:?}: {message}");
            }
            real.insert((level, message.to_owned()));
        }
        assert_same("log-messages.md", &of_document(), &real);
    }
}

#[test]
fn every_rpc_command_is_documented_and_no_other() {
    let text = reference("rpc.md");
    let table = between(TABLES, "glue_rpc[] = {", "};").concat();
    let real: BTreeSet<&str> = between(&table, "{\"", "\"").into_iter().collect();
    let (commands, _) = text.split_once("## Faults").unwrap();
    let rows = rows(commands);
    let names = rows.iter().flat_map(|row| {
        let names = row.iter().take(2);
        names.flat_map(|cell| code(cell))
    });
    assert_same("rpc.md", &names.collect(), &real);
    for name in real.iter().filter(|name| name.contains('.')) {
        assert!(
            text.contains(&format!("\n## {name}\n")),
            "rpc.md has no section {name}"
        );
    }
}

/// A key in capitals, as those of most replies are.
fn is_key(word: &str) -> bool {
    word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// The pages of the reference that have replies of commands.
#[test]
fn every_key_of_a_reply_is_documented_and_no_other() {
    let sources = files(&root().join("src/kamailio"), ".rs");
    let all: String = sources
        .iter()
        .map(|path| log_messages::production(path))
        .collect();
    let real: BTreeSet<&str> = between(&all, "c\"", "\"")
        .into_iter()
        .filter(|word| is_key(word) && *word != "OK")
        .collect();
    let text = reference("rpc.md");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let words: BTreeSet<&str> = words.filter(|word| is_key(word)).collect();
    let missing: Vec<_> = real.difference(&words).collect();
    assert!(missing.is_empty(), "rpc.md lacks {missing:#?}");
    let rows = rows(&text);
    let listed = rows.iter().filter_map(|row| row.first());
    let listed: BTreeSet<&str> = listed
        .flat_map(|cell| code(cell))
        .filter(|word| is_key(word))
        .collect();
    let letters = ["R", "I", "D", "T", "A", "P", "N", "X"];
    let extra: Vec<_> = listed
        .difference(&real)
        .filter(|word| !letters.contains(word))
        .collect();
    assert!(extra.is_empty(), "rpc.md has, but no reply: {extra:#?}");
    say(&format!("rpc.md: {} keys of replies compared", real.len()));
}

#[test]
fn every_mi_command_is_documented_and_no_other() {
    let text = reference("mi.md");
    let table = between(TABLES, "mi_commands[] = {", "};").concat();
    let real: BTreeSet<&str> = between(&table, "{\"", "\"").into_iter().collect();
    let (commands, _) = text.split_once("\n## ").unwrap();
    let rows = rows(commands);
    let names = rows
        .iter()
        .filter_map(|row| code(row.first()?).first().copied());
    assert_same("mi.md", &names.collect(), &real);
}

mod parameters {
    use super::*;

    /// Name, type, and default, where the table of the code has one.
    fn real() -> BTreeMap<&'static str, (&'static str, Option<&'static str>)> {
        let table = between(TABLES, "glue_params[] = {", "};").concat();
        let defaults = between(TABLES, "glue_modparams = {", "};").concat();
        let defaults: BTreeMap<String, String> = defaults
            .lines()
            .filter_map(|line| {
                let (name, value) = line.trim().strip_prefix('.')?.split_once(" = ")?;
                let value = value
                    .trim_end_matches(',')
                    .trim_start_matches("str_init(\"");
                Some((name.to_owned(), value.trim_end_matches("\")").to_owned()))
            })
            .collect();
        let mut found = BTreeMap::new();
        for line in table.leak().lines().map(str::trim) {
            let text = |macro_name| line.strip_prefix(macro_name);
            let (kind, name) = if let Some(rest) = text("TEXT(").or_else(|| text("TEXTS(")) {
                ("string", rest.split(')').next().unwrap())
            } else if let Some(rest) = line.strip_prefix("NUMBER(") {
                ("int", rest.split(')').next().unwrap())
            } else if let Some(rest) = line.strip_prefix("{\"") {
                ("int", rest.split('"').next().unwrap())
            } else {
                continue;
            };
            let default = match defaults.get(name).map(String::as_str) {
                // Depends on other parameters, and on the server.
                Some("GLUE_UNSET") => None,
                Some(value) => Some(&*value.to_owned().leak()),
                None if kind == "int" => Some("0"),
                None => None,
            };
            found.insert(name, (kind, default));
        }
        found
    }

    #[test]
    fn every_parameter_is_documented_and_no_other() {
        let text = reference("parameters.md");
        let real = real();
        let mut documented = BTreeSet::new();
        let (table, _) = text.split_once("\n## ").unwrap();
        for row in rows(table).iter().filter(|row| row.len() == 6) {
            let name = row[0]
                .strip_prefix('[')
                .and_then(|cell| cell.split_once(']'));
            let Some((name, _)) = name else { continue };
            let (kind, default) = real
                .get(name)
                .unwrap_or_else(|| panic!("no parameter {name}"));
            assert!(row[1].starts_with(kind), "type of {name}: {row:?}");
            assert!(!row[2].is_empty(), "range of {name}: {row:?}");
            if let Some(default) = default {
                let written = row[3].trim_start_matches('`');
                let begins = written.strip_prefix(default);
                let whole =
                    begins.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
                assert!(whole, "default of {name} is {default}: {row:?}");
            }
            documented.insert(name.to_owned());
            assert!(
                text.matches(name).count() > 1,
                "{name} is only in the table"
            );
        }
        let real: BTreeSet<String> = real.keys().map(|name| (*name).to_owned()).collect();
        assert_same("parameters.md", &documented, &real);
    }
}

mod functions {
    use super::*;

    /// Name, number of arguments, routes.
    type Function = (String, usize, &'static str);

    fn real() -> BTreeSet<Function> {
        let table = between(TABLES, "glue_cmds[] = {", "\n};").concat();
        let mut found = BTreeSet::new();
        for line in table.lines().map(str::trim) {
            let line = line.trim_end_matches("),");
            let Some((_, arguments)) = line.split_once('(') else {
                continue;
            };
            let parts: Vec<&str> = arguments.split(", ").collect();
            let [name, _, count, .., routes] = parts.as_slice() else {
                panic!("no function: {line}");
            };
            let name = name.trim_matches('"');
            let routes = match *routes {
                "SELECT_ROUTES" => "request, failure",
                "ANY_ROUTE" => "any",
                "SELECT_ROUTES | ONREPLY_ROUTE" => "request, failure, reply",
                "SELECT_ROUTES | ONREPLY_ROUTE | BRANCH_ROUTE" => "request, failure, branch, reply",
                "0" => continue, // for other modules
                other => panic!("routes {other}"),
            };
            if !name.ends_with("_probe") {
                found.insert((name.to_owned(), count.parse().unwrap(), routes));
            }
        }
        found
    }

    #[test]
    fn every_function_is_documented_and_no_other() {
        let text = reference("functions.md");
        let real = real();
        let kemi: BTreeSet<&str> = between(KEMI, "METHOD(\"", "\"").into_iter().collect();
        let (mut documented, mut twins) = (BTreeSet::new(), BTreeSet::new());
        let (table, _) = text.split_once("\n## ").unwrap();
        let rows = rows(table);
        for row in rows.iter().filter(|row| row[0].starts_with("[`")) {
            let signature = code(&row[0])[0];
            let (name, arguments) = signature.split_once('(').unwrap();
            let required = arguments.split('[').next().unwrap();
            let least = required
                .split([',', ')'])
                .filter(|word| !word.trim().is_empty())
                .count();
            let most = least + arguments.matches('[').count();
            let routes = real
                .iter()
                .find(|(real, _, routes)| real == name && row[1] == *routes);
            let (_, _, routes) = routes.unwrap_or_else(|| panic!("routes of {name}: {row:?}"));
            documented.extend((least..=most).map(|count| (name.to_owned(), count, *routes)));
            twins.extend(code(&row[2]));
        }
        assert_same("functions.md", &documented, &real);
        assert_same("functions.md", &twins, &kemi);
    }
}

/// The first names in the rows of the table behind `heading`.
fn names_behind(text: &str, heading: &str) -> BTreeSet<String> {
    let (_, section) = text.split_once(heading).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = rows(section);
    let names = rows.iter().filter_map(|row| row.first());
    names
        .flat_map(|cell| code(cell))
        .map(str::to_owned)
        .collect()
}

/// The production source that contains `text`.
fn source_with(text: &str) -> String {
    let sources = files(&root().join("src"), ".rs");
    let mut found = sources
        .iter()
        .map(|path| read(path))
        .filter(|source| source.contains(text));
    found
        .next()
        .unwrap_or_else(|| panic!("no source has {text}"))
}

#[test]
fn every_name_of_a_variable_is_documented_and_no_other() {
    let text = reference("variables.md");
    for variable in ["$dsv", "$dsg"] {
        let source = source_with(&format!("variable: \"{variable}\""));
        let (_, names) = source.split_once("known: &[").unwrap();
        let (names, _) = names.split_once(']').unwrap();
        let real = between(names, "(\"", "\"").into_iter().map(str::to_owned);
        let documented = names_behind(&text, &format!("\n## {variable}\n"));
        assert_same(variable, &documented, &real.collect());
    }
}

#[test]
fn every_field_of_a_record_is_documented_and_no_other() {
    let source = read(&root().join("src/kamailio/select/records.rs"));
    let names = between(&source, "\nmod field {", "\n}").concat();
    let real = between(&names, "&[u8] = b\"", "\"").into_iter();
    let text = reference("variables.md");
    let documented = rows(&text).into_iter().filter_map(|row| {
        let name = code(row.first()?).first()?.split_once("=>")?.1;
        Some(name.trim_end_matches(')').to_owned())
    });
    assert_same(
        "records",
        &documented.collect(),
        &real.map(str::to_owned).collect(),
    );
}

/// Alerts and dashboards ask for metrics that are there.
#[test]
fn what_contrib_asks_for_is_a_metric() {
    let source = read(&root().join("src/dispatch/observe/families.rs"));
    let mut seen = 0;
    for file in [".yml", ".json"]
        .map(|ending| files(&root().join("contrib"), ending))
        .concat()
    {
        let text = read(&file);
        for rest in text.split("kamailio_dispatcher_").skip(1) {
            let is_name = |c: &char| c.is_ascii_lowercase() || *c == '_';
            let name: String = rest.chars().take_while(is_name).collect();
            seen += 1;
            assert!(
                source.contains(&format!("\"{name}\"")),
                "{}: {name}",
                file.display()
            );
        }
    }
    assert!(seen > 30, "the metrics were not found: {seen}");
}

/// Each family, with its type and what it says on the page itself.
#[test]
fn every_metric_is_documented_and_no_other() {
    let source = read(&root().join("src/dispatch/observe/families.rs"));
    let (_, table) = source.split_once("\nfamilies! {").unwrap();
    let (table, _) = table.split_once("\n}").unwrap();
    let real = table.split("\";").filter(|entry| entry.contains('"'));
    let real = real.map(|entry| {
        let parts: Vec<&str> = entry.split('"').collect();
        let kind = parts[0].split_whitespace().nth(1).unwrap();
        [
            parts[1].to_owned(),
            kind.to_lowercase(),
            parts[3].to_owned(),
        ]
    });
    let text = reference("metrics.md");
    let documented = rows(&text).into_iter().filter_map(|row| {
        let [name, kind, _, meaning] = <[String; 4]>::try_from(row).ok()?;
        let name = code(&name).first()?.to_string();
        Some([name, kind, meaning])
    });
    assert_same("metrics.md", &documented.collect(), &real.collect());
}

#[test]
fn every_attribute_is_documented_and_no_other() {
    let source = source_with("const NAMES: [&str;");
    let names = between(&source, "const NAMES: [&str;", "];").concat();
    let real = names.split('"').skip(1).step_by(2).map(str::to_owned);
    let documented = names_behind(&reference("list-file.md"), "\n## Attributes\n");
    assert_same("list-file.md", &documented, &real.collect());
}

mod links {
    use super::*;

    fn documents() -> Vec<PathBuf> {
        let mut all = files(&root().join("doc"), ".md");
        all.push(root().join("README.md"));
        all
    }

    /// The lines outside of blocks of code.
    fn prose(text: &str) -> impl Iterator<Item = &str> {
        let mut fenced = false;
        text.lines().filter(move |line| {
            let fence = line.starts_with("```");
            fenced ^= fence;
            !fenced && !fence && !line.starts_with("    ")
        })
    }

    /// The anchors of a document, as the usual renderers make them of its headings.
    fn anchors(text: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for heading in prose(text).filter(|line| line.starts_with('#')) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            let again = (1..).map(|n| format!("{anchor}-{n}"));
            let mut names = std::iter::once(anchor.clone()).chain(again);
            names.find(|name| found.insert(name.clone()));
        }
        found
    }

    fn targets(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for line in prose(text) {
            let outside: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
            let inline = between(&outside, "](", ")");
            found.extend(inline.into_iter().map(str::to_owned));
            let defined = line
                .strip_prefix('[')
                .and_then(|line| line.split_once("]: "));
            found.extend(defined.map(|(_, target)| target.trim().to_owned()));
        }
        found
    }

    #[test]
    fn no_link_is_dead() {
        let mut seen = 0;
        for path in documents() {
            let text = read(&path);
            for target in targets(&text) {
                if target.contains("://") {
                    continue;
                }
                seen += 1;
                let place = path.display();
                let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
                let to = match file {
                    "" => path.clone(),
                    file => path.parent().unwrap().join(file),
                };
                assert!(to.exists(), "{place}: dead link {target}");
                if !anchor.is_empty() {
                    let known = anchors(&read(&to)).contains(anchor);
                    assert!(known, "{place}: no heading for {target}");
                }
            }
        }
        assert!(seen > 150, "the links were not found: {seen}");
        say(&format!("{seen} links followed"));
    }

    /// Every file of ours that a document names between backquotes is there, and has the item that is
    /// named behind it.
    #[test]
    fn no_source_file_is_gone() {
        let mut seen = 0;
        for path in documents() {
            let text = read(&path);
            for code in code(&text) {
                let (name, item) = code.split_once(':').unwrap_or((code, ""));
                let ending =
                    Path::new(name).extension().is_some() && !name.contains(char::is_whitespace);
                let roots = ["src/", "tests/", "kamailio-glue/", "include/", "benches/"];
                if !ending || !roots.iter().any(|root| name.starts_with(root)) {
                    continue;
                }
                seen += 1;
                let place = path.display();
                assert!(root().join(name).exists(), "{place}: no file {name}");
                for part in item
                    .split("::")
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                {
                    assert!(
                        read(&root().join(name)).contains(part),
                        "{place}: no {part} in {name}"
                    );
                }
            }
        }
        assert!(seen > 40, "the files were not found: {seen}");
    }

    /// Rows of tables cannot be wrapped, and programs write the reports.
    #[test]
    fn no_line_is_too_long() {
        for path in documents()
            .iter()
            .filter(|path| !path.starts_with(root().join("doc/dev/reports")))
        {
            for (at, line) in read(path).lines().enumerate() {
                let fits = line.chars().count() <= 120 || line.starts_with('|');
                assert!(
                    fits,
                    "{}:{}: longer than 120 characters",
                    path.display(),
                    at + 1
                );
            }
        }
    }
}

/// What the blocks of the manual are, and how they are run: doc/dev/manual.md.
const MARKS: [&str; 8] = ["cfg", "console", "file", "list", "lua", "mi", "sh", "usage"];

#[test]
fn every_block_of_the_manual_is_marked() {
    let mut seen = 0;
    for (page, text) in manual::pages() {
        for block in manual::blocks(&page, &text) {
            let place = block.place();
            assert!(
                MARKS.contains(&block.mark.as_str()),
                "{place}: a block needs a fence with one of {MARKS:?} behind it: doc/dev/manual.md"
            );
            seen += 1;
        }
    }
    assert!(seen > 90, "the blocks were not found: {seen}");
    say(&format!("{seen} blocks of code marked"));
}

#[test]
fn every_page_of_the_manual_is_in_the_book() {
    let contents = read(&root().join("doc/book/contents.md"));
    let listed = between(&contents, "](../", ")").into_iter();
    let listed: BTreeSet<String> = listed
        .map(|target| match target.strip_prefix("../") {
            Some(target) => target.to_owned(),
            None => format!("doc/{target}"),
        })
        .collect();
    for (page, _) in manual::pages() {
        assert!(
            listed.contains(&page),
            "{page} is not in doc/book/contents.md"
        );
    }
}

/// The form of a command is that in the table at the top of the page.
#[test]
fn every_form_of_a_command_is_that_of_the_table() {
    let text = reference("rpc.md");
    let mut seen = 0;
    for block in manual::blocks("rpc.md", &text) {
        if block.mark != "usage" {
            continue;
        }
        let (name, arguments) = block.text.trim_end().split_once(' ').unwrap();
        let row = rows(&text)
            .into_iter()
            .find(|row| row.len() == 3 && code(&row[0]).first() == Some(&name));
        let row = row.unwrap_or_else(|| panic!("{}: no command {name}", block.place()));
        assert_eq!(code(&row[2]), [arguments], "{}", block.place());
        seen += 1;
    }
    assert!(seen > 3, "the forms were not found: {seen}");
}

/// Who goes back to the packaged module must know what it refuses.
#[test]
fn every_parameter_that_the_packaged_module_lacks_is_named_for_the_way_back() {
    let migrate = read(&root().join("doc/guide/migrate.md"));
    let named: BTreeSet<&str> = code(&migrate).into_iter().collect();
    let mut seen = 0;
    for row in rows(&reference("parameters.md")) {
        let [name, _, _, _, in_c, _] = row.as_slice() else {
            continue;
        };
        let Some(name) = between(name, "[", "]").first().copied() else {
            continue;
        };
        seen += 1;
        assert!(in_c.is_empty() || named.contains(name), "{name}");
    }
    assert!(seen > 50, "the parameters were not found: {seen}");
}
