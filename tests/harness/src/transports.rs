//! JSON-RPC through the transports of jsonrpcs besides the datagram socket: fifo and HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::message_length;
use super::{Config, Fault, Kamailio, fifo, patience};

impl Config {
    /// Opens all transports. The routes need `event_route[xhttp:request] { jsonrpc_dispatch(); }`.
    pub fn all_transports(self) -> Self {
        self.tcp()
            .global("tcp_accept_no_cl=yes")
            .load("xhttp.so")
            .modparam("jsonrpcs", "transport", 7)
            .modparam("jsonrpcs", "fifo_name", "{{DIR}}/fifo")
            .modparam("jsonrpcs", "fifo_reply_dir", "{{DIR}}/")
    }
}

fn request(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
}

/// `result` of a JSON-RPC reply, or its fault.
fn result(text: &str) -> Result<Value, Fault> {
    let mut reply: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text:?}"));
    match reply.get("error") {
        None => Ok(reply["result"].take()),
        Some(error) => Err(Fault {
            code: error["code"].as_i64().unwrap(),
            text: error["message"].as_str().unwrap().to_owned(),
        }),
    }
}

/// Through the fifo; the reply comes through one that we make.
pub fn by_fifo(server: &Kamailio, method: &str, params: &Value) -> Result<Value, Fault> {
    let mut request = request(method, params);
    request["reply_name"] = json!("answer");
    let (fifo, answer) = ([server.dir().join("fifo")], server.dir().join("answer"));
    let text = fifo::ask(&fifo, &answer, &request.to_string(), patience(10), |text| {
        let whole = text.trim_ascii_end().ends_with(b"}");
        whole && serde_json::from_slice::<Value>(text).is_ok()
    });
    result(&text.unwrap())
}

/// Through HTTP: xhttp hands the body to jsonrpcs.
pub fn by_http(server: &Kamailio, method: &str, params: &Value) -> Result<Value, Fault> {
    by_http_within(server.addr(), method, params, patience(10))
}

/// As [`by_http`], for a server at an address; gives up when nothing comes for `limit`.
pub fn by_http_within(
    addr: SocketAddr,
    method: &str,
    params: &Value,
    limit: Duration,
) -> Result<Value, Fault> {
    result(&http_text_within(addr, method, params, limit)?)
}

/// The body of the reply through HTTP.
///
/// # Errors
/// A fault without a code if the connection ends before the body is whole.
pub fn http_text(addr: SocketAddr, method: &str, params: &Value) -> Result<String, Fault> {
    http_text_within(addr, method, params, patience(10))
}

fn http_text_within(
    addr: SocketAddr,
    method: &str,
    params: &Value,
    limit: Duration,
) -> Result<String, Fault> {
    let lost = |error: std::io::Error| Fault {
        code: 0,
        text: format!("HTTP: {error}"),
    };
    let body = request(method, params).to_string();
    let mut stream = TcpStream::connect(addr).map_err(lost)?;
    stream.set_read_timeout(Some(limit)).map_err(lost)?;
    let head = format!(
        "POST /RPC HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        addr,
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).map_err(lost)?;
    let (mut bytes, mut chunk, mut whole) = (Vec::new(), vec![0; 65_536], None);
    loop {
        let read = stream.read(&mut chunk).unwrap_or(0);
        bytes.extend_from_slice(&chunk[..read]);
        whole = whole.or_else(|| message_length(&bytes));
        match whole {
            Some((head, length)) if bytes.len() >= head + length => {
                return Ok(String::from_utf8_lossy(&bytes[head..head + length]).into_owned());
            }
            _ if read == 0 => {
                let text = format!("HTTP: the connection ended after {} bytes", bytes.len());
                return Err(Fault { code: 0, text });
            }
            _ => {}
        }
    }
}
