//! `kamailio-dispatcher-check`: checks list files where no Kamailio is (doc/reference/check.md).
//!
//! | module | contents |
//! | --- | --- |
//! | [`list`] | What a load would say of a list. |
//! | [`report`] | The answer of the program, as text and as JSON. |

mod list;
mod report;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use lexopt::prelude::*;
use list::LoadMode;
use report::{Answer, Report};

const USAGE: &str = "\
usage: kamailio-dispatcher-check [--load-mode 0|1] [--json] FILE...

Says what Kamailio's dispatcher module would log of list files, as far as their text decides. URIs, names of hosts and
local sockets are left to the server.

  --load-mode 0|1   the module's parameter ds_load_mode: 0 (default) leaves out destinations that cannot be used,
                    1 refuses their list
  --json            print one JSON object
  --help            print this text
  --version         print the version

The exit status is 0 if each list is taken whole, 1 if one is refused, 2 if the arguments are wrong or a file cannot be
read, and 3 if a list is taken without some of its destinations.
";

/// The task that the arguments ask for.
struct Asked {
    mode: LoadMode,
    json: bool,
    files: Vec<OsString>,
}

/// The end of a program that checks nothing.
enum Stop {
    /// A text was asked for.
    Text(String),
    /// The arguments are wrong.
    Usage(lexopt::Error),
}

impl From<lexopt::Error> for Stop {
    fn from(error: lexopt::Error) -> Self {
        Stop::Usage(error)
    }
}

fn arguments() -> Result<Asked, Stop> {
    let mut asked = Asked {
        mode: LoadMode::LeaveOut,
        json: false,
        files: Vec::new(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("load-mode") => {
                asked.mode = parser.value()?.parse_with(|value| match value {
                    "0" => Ok(LoadMode::LeaveOut),
                    "1" => Ok(LoadMode::Refuse),
                    _ => Err("expected 0 or 1"),
                })?;
            }
            Long("json") => asked.json = true,
            Short('h') | Long("help") => return Err(Stop::Text(USAGE.to_owned())),
            Short('V') | Long("version") => {
                let name = "kamailio-dispatcher-check";
                return Err(Stop::Text(format!(
                    "{name} {}\n",
                    env!("CARGO_PKG_VERSION")
                )));
            }
            Value(file) => asked.files.push(file),
            other => return Err(other.unexpected().into()),
        }
    }
    if asked.files.is_empty() {
        return Err(Stop::Usage("no file is named".into()));
    }
    Ok(asked)
}

fn main() -> ExitCode {
    let asked = match arguments() {
        Ok(asked) => asked,
        Err(Stop::Text(text)) => return print(&text, 0),
        Err(Stop::Usage(error)) => {
            let _ = write!(
                io::stderr(),
                "kamailio-dispatcher-check: {error}\n\n{USAGE}"
            );
            return ExitCode::from(2);
        }
    };
    let files = asked.files.iter();
    let report = Report(files.map(|file| Answer::of(file, asked.mode)).collect());
    let text = if asked.json {
        report.json()
    } else {
        report.to_string()
    };
    print(&text, report.status())
}

/// Prints the answer. Who reads only its start, as `head` does, gets the same status.
fn print(text: &str, status: u8) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "kamailio-dispatcher-check: {error}");
            ExitCode::from(2)
        }
        _ => ExitCode::from(status),
    }
}
