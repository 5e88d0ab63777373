//! The answer of the program, as text and as JSON.

use core::fmt;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use dispatcher::dispatch::text::{Excerpt, Whole};
use serde_json::{Value, json};

use crate::list::{Checked, Level, LoadMode, Socket, check};

/// The answer for one file.
pub struct Answer<'f> {
    file: &'f OsStr,
    checked: io::Result<Checked>,
}

/// The answers for all files.
pub struct Report<'f>(pub Vec<Answer<'f>>);

/// The outcomes of a list, in the order in which they decide the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Taken,
    Partly,
    Refused,
    Unreadable,
}

impl End {
    const fn name(self) -> &'static str {
        match self {
            End::Taken => "ok",
            End::Partly => "partly",
            End::Refused => "refused",
            End::Unreadable => "unreadable",
        }
    }

    const fn status(self) -> u8 {
        match self {
            End::Taken => 0,
            End::Partly => 3,
            End::Refused => 1,
            End::Unreadable => 2,
        }
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
    }
}

impl<'f> Answer<'f> {
    /// Reads and checks a file.
    pub fn of(file: &'f OsStr, mode: LoadMode) -> Self {
        let checked = std::fs::read(file).map(|text| check(&text, mode));
        Answer { file, checked }
    }

    fn end(&self) -> End {
        match &self.checked {
            Err(_) => End::Unreadable,
            Ok(checked) if checked.is_refused() => End::Refused,
            Ok(checked) if checked.left_out > 0 => End::Partly,
            Ok(_) => End::Taken,
        }
    }

    fn json(&self) -> Value {
        let mut answer = json!({
            "file": self.file.to_string_lossy(),
            "result": self.end().name(),
        });
        let rest = match &self.checked {
            Err(error) => json!({ "reason": error.to_string() }),
            Ok(checked) => details(checked),
        };
        if let (Value::Object(answer), Value::Object(rest)) = (&mut answer, rest) {
            answer.extend(rest);
        }
        answer
    }
}

fn details(checked: &Checked) -> Value {
    let messages = checked.messages.iter().map(|message| {
        json!({
            "level": level(message.level),
            "line": message.line,
            "column": message.column,
            "text": message.text,
        })
    });
    let sockets = checked.sockets.iter().map(|socket| {
        json!({
            "line": socket.line,
            "attribute": socket.attribute,
            "value": String::from_utf8_lossy(&socket.value),
        })
    });
    json!({
        "sets": checked.sets,
        "destinations": checked.destinations,
        "left_out": checked.left_out,
        "messages": messages.collect::<Vec<_>>(),
        "remarks": checked.remarks,
        "left_to_server": {
            "uris": checked.destinations,
            "hosts": checked.hosts,
            "sockets": sockets.collect::<Vec<_>>(),
        },
    })
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Whole(self.file.as_bytes());
        let checked = match &self.checked {
            Ok(checked) => checked,
            Err(error) => return writeln!(f, "{name}: cannot be read: {error}"),
        };
        for message in &checked.messages {
            writeln!(f, "{}: {name}: {}", level(message.level), message.text)?;
        }
        for remark in &checked.remarks {
            writeln!(f, "remark: {name}: {remark}")?;
        }
        for Socket {
            line,
            attribute,
            value,
        } in &checked.sockets
        {
            let value = Excerpt(value);
            writeln!(
                f,
                "left to the server: {name}: line {line}: {attribute} {value}"
            )?;
        }
        let end = match self.end() {
            End::Refused => "refused",
            _ => "taken",
        };
        let Checked {
            destinations,
            sets,
            left_out,
            hosts,
            ..
        } = checked;
        write!(
            f,
            "{name}: {end}: {destinations} destinations in {sets} sets"
        )?;
        if *left_out > 0 {
            write!(f, ", {left_out} left out")?;
        }
        write!(
            f,
            "; left to the server: {destinations} URIs, {hosts} hosts"
        )?;
        match checked.sockets.len() {
            0 => writeln!(f),
            sockets => writeln!(f, ", {sockets} local sockets"),
        }
    }
}

impl Report<'_> {
    /// Returns the exit status.
    pub fn status(&self) -> u8 {
        let ends = self.0.iter().map(Answer::end);
        ends.max().map_or(0, End::status)
    }

    /// Returns one JSON object with all answers.
    pub fn json(&self) -> String {
        let lists: Vec<Value> = self.0.iter().map(Answer::json).collect();
        format!("{:#}\n", json!({ "lists": lists }))
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|answer| answer.fmt(f))
    }
}
