//! A list file.

use dispatcher::dispatch::list::destination::{Line, Origin};
use dispatcher::dispatch::list::file::{self, LineProblem, ProblemKind, Severity};
use dispatcher::dispatch::list::state_file::{self, Kept, KeptState};

use super::{lies_in, reads_as_a_line};
use crate::Target;

pub const TARGET: Target = Target {
    name: "list_file",
    run,
    seeds: &[
        include_bytes!("../../server/configs/carrier.list"),
        include_bytes!("../../server/configs/transports.list"),
        include_bytes!("../../server/configs/oldtime.list"),
        b"# list\n1 sip:a\n\n  sip:x\n1 sip:a 0 0 a=b c\n  7  # none",
        b"1 sip:127.0.0.1:5060 0x08 -5 duid=a;weight=50;maxload=10\n",
        b"\xef\xbb\xbf1 sip:a\r\n2147483648 sip:b\r\n1 sip:c 4294967296\n",
        b"1sip:a#c\n00002 sip:b 5 2k\n3 a:5060;transport=udp 0 007\t#x",
        b"1 sip:a 0 0 a=\0b\n1 sip:a 1k\n1 sip:a 5 +5\n1,sip:a\n7 # none",
    ],
    words: &[
        b"sip:",
        b"sips:",
        b"0x",
        b"-",
        b"\n",
        b"\r\n",
        b"#",
        b" 0 0 ",
        b"\t",
        b"\xef\xbb\xbf",
        b"duid=",
        b";",
        b"4294967295",
        b"2147483647",
        b"99999999999",
        b"\0",
        b"1 sip:a\n",
    ],
};

fn run(text: &[u8]) {
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    file::parse(text, &mut lines, &mut |problem| problems.push(problem));
    no_line_is_lost(text, &lines, &problems);
    let all: Vec<_> = text
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(text)
        .split(|&byte| byte == b'\n')
        .collect();
    for problem in &problems {
        check_problem(all[problem.line - 1], problem);
    }
    for line in &lines {
        check_line(line);
        reads_as_a_line(line);
    }
    is_kept(&lines);
}

fn no_line_is_lost(text: &[u8], lines: &[Line<'_>], problems: &[LineProblem<'_>]) {
    let is_error = |problem: &&LineProblem<'_>| problem.severity == Severity::Error;
    let errors = problems.iter().filter(is_error);
    assert_eq!(file::count(text), lines.len() + errors.clone().count());
    let number = |line: &Line<'_>| match line.origin {
        Origin::Line(number) => number,
        other => panic!("{other:?}"),
    };
    let mut numbers: Vec<_> = lines.iter().map(number).collect();
    assert!(numbers.is_sorted(), "the order of the file");
    numbers.extend(errors.map(|problem| problem.line));
    numbers.sort_unstable();
    assert!(
        numbers.windows(2).all(|two| two[0] < two[1]),
        "one result a line"
    );
}

/// Checks that a problem names a place in its line and the text at that place.
fn check_problem(line: &[u8], problem: &LineProblem<'_>) {
    let rest = &line[problem.column - 1..];
    let found = match problem.kind {
        ProblemKind::NoSetId(found)
        | ProblemKind::Range(_, found)
        | ProblemKind::NotANumber(_, found)
        | ProblemKind::Ignored(found) => found,
        ProblemKind::Nul => &rest[..1],
        ProblemKind::NoUri(_) => b"",
    };
    assert!(lies_in(found, line) && rest.starts_with(found));
    assert!(problem.kind != ProblemKind::Nul || found == b"\0");
    // Numbers, fixed words and an excerpt.
    assert!(problem.to_string().len() < 420);
}

fn check_line(line: &Line<'_>) {
    let ends = |byte: &u8| b" \t\r\n\0".contains(byte);
    assert!(line.set >= 0);
    assert!(!line.uri.is_empty() && !line.uri.iter().any(|byte| ends(byte) || *byte == b'#'));
    assert!(!line.attrs.iter().any(ends) && !line.attrs.starts_with(b"#"));
}

/// Checks that the state file can keep the state of every destination of a list.
fn is_kept(lines: &[Line<'_>]) {
    let kept: Vec<_> = lines
        .iter()
        .map(|line| KeptState {
            set: line.set,
            listed: line.flags,
            flags: 4,
            uri: line.uri.to_vec(),
            number: 1,
        })
        .collect();
    let kept = Kept {
        states: kept,
        ..Kept::default()
    };
    assert_eq!(state_file::read(&state_file::write(&kept)), (kept, vec![]));
}
