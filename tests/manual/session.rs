//! Examples of commands and of lists: commands run in a shell beside a server, and their output is compared.

use harness::manual::Block;
use harness::{Dns, Name};

use super::scene::Scene;
use super::{Above, Counts, config, room};

/// A command, and the output that the example shows.
struct Step {
    command: String,
    output: Vec<String>,
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.text.lines().filter(|line| !line.trim().is_empty()) {
        let command = match block.mark.as_str() {
            "sh" => Some(line),
            _ => line.strip_prefix("# ").or_else(|| line.strip_prefix("$ ")),
        };
        match (command, steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                command: command.to_owned(),
                output: Vec::new(),
            }),
            (None, Some(step)) => step.output.push(line.to_owned()),
            (None, None) => panic!("the first line is no command: {line}"),
        }
    }
    steps
}

/// The lines of an output without their indentation; numbers behind the keys of `vary` count as equal.
fn compared<'l>(lines: impl Iterator<Item = &'l str>, vary: &str) -> Vec<String> {
    let blurred = |line: &str| {
        let key = line.split(':').next().unwrap_or_default();
        if !vary.split(',').any(|varying| varying == key) {
            return line.to_owned();
        }
        let mut text = line.replace(|c: char| c.is_ascii_digit(), "0");
        while text.contains("00") {
            text = text.replace("00", "0");
        }
        text
    };
    lines
        .map(|line| blurred(line.trim()))
        .filter(|line| !line.is_empty())
        .collect()
}

/// The parts between braces in one order, whatever order they have.
fn sorted(lines: &[String]) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut depth = 0;
    for line in lines {
        match parts.last_mut() {
            Some(part) if depth > 0 => *part += &format!("\n{line}"),
            _ => parts.push(line.clone()),
        }
        depth += line.matches('{').count();
        depth -= line.matches('}').count();
    }
    for part in &mut parts {
        let inner: Vec<String> = part.lines().map(str::to_owned).collect();
        if let [first, inner @ .., last] = inner.as_slice() {
            *part = format!("{first}\n{}\n{last}", sorted(inner).join("\n"));
        }
    }
    parts.sort();
    parts
}

/// Commands run, and show what the example shows.
pub fn runs(block: &Block, above: &Above) -> Counts {
    if block.words.contains_key("norun") {
        return vec![("blocks not run", 1)];
    }
    let steps = steps(block);
    let of_make = |step: &Step| step.command.trim_start_matches("sudo ").starts_with("make");
    if steps.iter().all(of_make) {
        return vec![(
            "targets of make",
            steps.iter().map(|step| target(&step.command)).sum(),
        )];
    }
    let _scene = Scene::make(block.word("scene"), above);
    let mut outputs = 0;
    for step in &steps {
        let output = room::shell(&step.command);
        if block.mark == "sh" {
            continue;
        }
        let mut shown = compared(step.output.iter().map(String::as_str), block.word("vary"));
        let mut real = compared(output.lines(), block.word("vary"));
        if block.words.contains_key("unordered") {
            shown = sorted(&shown);
            real = sorted(&real);
        }
        let differs = (0..shown.len().max(real.len())).find(|&at| shown.get(at) != real.get(at));
        if let Some(at) = differs {
            let (page, server) = (shown.get(at), real.get(at));
            panic!(
                "{}\nthe page has {page:?}, the server {server:?}\n{output}",
                step.command
            );
        }
        outputs += 1;
    }
    vec![("commands run", steps.len()), ("outputs compared", outputs)]
}

/// The Makefile has the target of a command.
fn target(command: &str) -> usize {
    let makefile = include_str!("../../Makefile");
    let name = command
        .trim_start_matches("sudo ")
        .split_whitespace()
        .nth(1);
    let name = name.unwrap_or_else(|| panic!("no target: {command}"));
    let rule = format!("\n{name}:");
    assert!(makefile.contains(&rule), "no target {name} in the Makefile");
    1
}

/// A server loads the list without a remark; a comment `# index N` has the place of its line in its set.
pub fn loads(block: &Block) -> Counts {
    room::tidy();
    room::write("dispatcher.list", &block.text);
    let dns = Dns::start();
    for word in block.text.split_whitespace() {
        if let Some(host) = word.strip_prefix("sip:") {
            let host = host.split([';', ':']).next().unwrap_or_default();
            dns.set(host, Name::Is([192, 0, 2, 20].into()));
        }
    }
    let config = config::assemble("")
        .resolver(&dns)
        .global("listen=udp:192.0.2.1:5060");
    let server = config::start(config.param("ds_ping_latency_stats", 1));
    let check = room::shell("kamcmd dispatcher.check");
    assert!(
        check.contains("RESULT: ok") && check.contains("REJECTED: 0"),
        "{check}"
    );
    let lines = block
        .text
        .lines()
        .filter(|line| line.starts_with(char::is_numeric));
    assert!(
        check.contains(&format!("KEPT: {}", lines.clone().count())),
        "{check}"
    );
    let list = room::shell("kamcmd dispatcher.list short");
    let uris: Vec<&str> = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix("URI: "))
        .collect();
    for line in lines {
        if let Some((line, index)) = line.split_once("# index ") {
            let uri = line.split_whitespace().nth(1).expect("a URI");
            let place = uris.iter().position(|listed| *listed == uri);
            assert_eq!(place, index.trim().parse().ok(), "{line}\n{list}");
        }
    }
    server.stop();
    vec![("lists loaded", 1)]
}
