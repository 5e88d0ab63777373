//! RPC through `kamcmd` and through jsonrpcs over a unix datagram socket.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Piece, binrpc, fifo, module, this_server};

/// How often somebody who waits for an answer looks whether the server is there.
const LOOK: Duration = Duration::from_millis(200);

/// A fault that the server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// 500 and the like; 0 when there was no answer at all.
    pub code: i64,
    /// The server's text.
    pub text: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fault {} {}", self.code, self.text)
    }
}

/// `kamcmd -s unix:<dir>/ctl args…`; its output without the last newline.
pub fn kamcmd(dir: &Path, args: &[&str]) -> Result<String, Fault> {
    let out = Command::new(module::kamcmd())
        .arg("-s")
        .arg(format!("unix:{}/ctl", dir.display()))
        .args(args)
        .output()
        .expect("kamcmd runs");
    let text = String::from_utf8_lossy(&out.stdout).trim_end().to_owned();
    let errors = String::from_utf8_lossy(&out.stderr).trim_end().to_owned();
    // A fault is printed as "error: <code> - <text>", on either stream.
    for line in errors.lines().chain(text.lines().take(1)) {
        let Some((code, text)) = line
            .strip_prefix("error: ")
            .and_then(|rest| rest.split_once(" - "))
        else {
            continue;
        };
        return Err(Fault {
            code: code.trim().parse().unwrap_or(0),
            text: text.to_owned(),
        });
    }
    if out.status.success() {
        Ok(text)
    } else {
        Err(Fault {
            code: 0,
            text: format!("{errors}{text}"),
        })
    }
}

/// The whole JSON-RPC reply as the server wrote it, as text.
pub fn json_text(
    dir: &Path,
    method: &str,
    params: &Value,
    limit: Duration,
) -> Result<String, Fault> {
    let reply = json_bytes(dir, method, params, limit)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// The whole JSON-RPC reply as the server wrote it.
pub fn json_bytes(
    dir: &Path,
    method: &str,
    params: &Value,
    limit: Duration,
) -> Result<Vec<u8>, Fault> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("r{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let own = dir.join(&name);
    let fault = |error: std::io::Error| Fault {
        code: 0,
        text: format!("jsonrpc: {error}"),
    };
    if !this_server::has_module("jsonrpcs.so") {
        let mut request = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1});
        request["reply_name"] = json!(name);
        // The test may have named it.
        return fifo::ask(
            &["rpc", "fifo"].map(|name| dir.join(name)),
            &own,
            &request.to_string(),
            limit,
            |text| serde_json::from_slice::<Value>(text).is_ok(),
        )
        .map(String::into_bytes)
        .map_err(fault);
    }
    let socket = UnixDatagram::bind(&own).map_err(fault)?;
    let reply = exchange(&socket, dir, method, params, limit).map_err(fault);
    let _ = std::fs::remove_file(&own);
    reply
}

fn exchange(
    socket: &UnixDatagram,
    dir: &Path,
    method: &str,
    params: &Value,
    limit: Duration,
) -> std::io::Result<Vec<u8>> {
    let end = Instant::now() + limit;
    socket.set_read_timeout(Some(limit.min(LOOK)))?;
    let request = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1});
    socket.send_to(request.to_string().as_bytes(), dir.join("rpc"))?;
    let mut buffer = vec![0; 1 << 20];
    // A receive with a timeout is not resumed where the process was stopped meanwhile (signal(7)).
    let length = loop {
        match socket.recv(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                // Where the server has ended, nobody has the socket any more.
                UnixDatagram::unbound()?.connect(dir.join("rpc"))?;
            }
            received => break received?,
        }
    };
    buffer.truncate(length);
    Ok(buffer)
}

/// The `result` of a JSON-RPC call.
pub fn json_rpc(dir: &Path, method: &str, params: &Value, limit: Duration) -> Result<Value, Fault> {
    if this_server::has_module("jsonrpcs.so") {
        return json_result(dir, method, params, limit);
    }
    // jsonrpc-s of 4.x takes 8 kB, and does not say what the fault was: then ctl is asked.
    const TAKES: usize = 8_000;
    if params.to_string().len() < TAKES {
        if let Ok(result) = json_result(dir, method, params, limit) {
            return Ok(result);
        }
    }
    let words = params.as_array().into_iter().flatten();
    let words = words.map(|word| {
        word.as_str()
            .map_or_else(|| word.to_string(), str::to_owned)
    });
    let words: Vec<String> = std::iter::once(method.to_owned()).chain(words).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match binrpc(dir, &words)?.pop() {
        Some(Piece::Text(text)) => Ok(json!(text)),
        // What was a fault a moment ago is an answer by now.
        _ => json_result(dir, method, params, limit),
    }
}

fn json_result(dir: &Path, method: &str, params: &Value, limit: Duration) -> Result<Value, Fault> {
    let text = json_text(dir, method, params, limit)?;
    let mut reply: Value = serde_json::from_str(&text).expect("the reply is JSON");
    if let Some(error) = reply.get("error") {
        return Err(Fault {
            code: error["code"].as_i64().unwrap_or(0),
            text: error["message"].as_str().unwrap_or("").to_owned(),
        });
    }
    Ok(reply["result"].take())
}
