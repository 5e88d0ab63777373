//! Calls of each KEMI function from Lua and Python, with arguments of any number and type.

use harness::{Request, Uac, patience};

use super::canary::Canary;
use super::chance::Chance;
use super::stage::{Counts, Stage};
use super::words::word;

/// Returns the functions in the module's own table for KEMI. Reloads come by commands and from databases.
fn functions() -> Vec<&'static str> {
    let table = include_str!("../../../kamailio-glue/kemi.c");
    let names = table.split("METHOD(\"").skip(1);
    let names = names.filter_map(|entry| entry.split('"').next());
    names.filter(|&name| name != "ds_reload").collect()
}

/// Sends requests whose bodies are calls, as long as `go_on` returns true. Returns what was called, or the fault.
pub fn run(stage: &Stage, seed: u64, mut go_on: impl FnMut(u64) -> bool) -> Result<Counts, String> {
    let (mut chance, mut counts, mut canary) =
        (Chance::new(seed), Counts::new(), Canary::default());
    let (uac, mut round) = (Uac::new(), 0);
    let functions = functions();
    while go_on(round) {
        for language in ["lua", "python"] {
            let body = calls(&mut chance, &functions, language);
            let uri = format!("sip:{language}@kemi.test");
            let request = Request::new("OPTIONS", uri)
                .from("sip:kemi@kemi.test")
                .body(&body);
            let reply = uac.try_request(stage.server.addr(), &request, patience(15));
            let reply = reply.ok_or_else(|| {
                let body = String::from_utf8_lossy(&body);
                format!("no answer after these calls in {language}, seed {seed}: {body:.2000}")
            })?;
            let number = |name: &str| reply.text(name).parse().unwrap_or(0);
            let (done, faults): (u64, u64) = (number("X-Calls"), number("X-Faults"));
            if reply.status() != Some(200) || done == 0 {
                return Err(format!("{language}: {reply:?}"));
            }
            *counts.entry(format!("KEMI {language}: calls")).or_default() += done;
            *counts
                .entry(format!("KEMI {language}: refused by the engine"))
                .or_default() += faults;
        }
        canary.request(stage)?;
        round += 1;
    }
    *counts.entry("canaries: requests".to_owned()).or_default() += canary.requests;
    Ok(counts)
}

/// Returns calls in a language, one per line.
fn calls(chance: &mut Chance, functions: &[&str], language: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let wanted = 1 + chance.below(30);
    for _ in 0..wanted {
        let function = *chance.pick(functions);
        let count = chance.below(6);
        let arguments: Vec<String> = (0..count).map(|_| argument(chance, language)).collect();
        let call = format!("D.{function}({})\n", arguments.join(", "));
        if body.len() + call.len() > 20_000 {
            break;
        }
        body.extend(call.into_bytes());
    }
    body.pop();
    body
}

/// Returns an argument: a number, a text, nothing, or a value that no function takes.
fn argument(chance: &mut Chance, language: &str) -> String {
    let others: &[&str] = match language {
        "lua" => &[
            "nil",
            "true",
            "{}",
            "print",
            "{1, 2}",
            "0/0",
            "1e308",
            "1.5",
            "D",
            "string.rep('x', 100000)",
        ],
        _ => &[
            "None",
            "True",
            "[]",
            "print",
            "{'a': 1}",
            "float('nan')",
            "1e308",
            "1.5",
            "D",
            "'x' * 100000",
            "b'x'",
            "2 ** 70",
        ],
    };
    match chance.below(4) {
        0 => (*chance.pick(others)).to_owned(),
        1 => chance.number().to_string(),
        2 => (1 + chance.below(4)).to_string(),
        _ => quoted(&word(chance, 800), language),
    }
}

/// Returns a text in the quotes of a language, with most bytes escaped.
fn quoted(word: &[u8], language: &str) -> String {
    let mut out = String::from("\"");
    for &byte in word {
        match (byte, language) {
            (b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b':' | b'@' | b'=' | b';' | b'.', _) => {
                out.push(char::from(byte));
            }
            (_, "lua") => out += &format!("\\{byte:03}"),
            _ => out += &format!("\\x{byte:02x}"),
        }
    }
    out + "\""
}
