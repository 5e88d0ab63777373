//! The lab of the field reports: eight workers, and the user part of a request says what to do.
//!
//! | user part | what the worker does | `X-Rc` of the 200 |
//! | --- | --- | --- |
//! | `reload` | `ds_reload()` | its return code |
//! | `rpc` | `jsonrpc_exec` of the request's body; the reply's body is that of the 200 | code of the reply |
//! | `selN` | `ds_select_dst("$hdr(X-Set)", "N")`, N is 0, 4, 8 or 9; `X-Du` has the destination | its return code |
//! | `route` | `ds_select_dst("$hdr(X-Set)", "4", "3")`, and relays what is no probe | - |
//! | `active` | `ds_is_active("$hdr(X-Set)")` | its return code |
//! | `islist` | `ds_is_from_list("1")` | its return code |

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Config, Fault, Message, Request, Uac};

/// The lab, with `children` 8.
pub fn lab() -> Config {
    Config::routes(&with_commands(ROUTES))
        .children(8)
        .param("flags", 2)
        .param("reload_delta", 0)
        .modparam("jsonrpcs", "pretty_format", 0)
}

/// A request that does `what`, with set 1.
pub fn ask(what: &str) -> Request {
    ask_set(what, 1)
}

/// A request that does `what` with a set.
pub fn ask_set(what: &str, set: i64) -> Request {
    Request::new("OPTIONS", format!("sip:{what}@lab.test")).header("X-Set", set.to_string())
}

/// A request whose worker executes an RPC command.
pub fn ask_rpc(method: &str, params: Value) -> Request {
    let command = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1});
    ask("rpc").body(command.to_string())
}

/// Returns the function's return code in the script; `None` for a reply that is not the lab's.
pub fn code(reply: &Message) -> Option<i64> {
    reply.text("X-Rc").parse().ok()
}

/// Returns the answer of the RPC command to the script.
pub fn answer(reply: &Message) -> Result<Value, Fault> {
    let text = reply.body_text();
    let mut body: Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}, {}", reply.start));
    match body.get("error") {
        None => Ok(body["result"].take()),
        Some(error) => Err(Fault {
            code: error["code"].as_i64().unwrap_or(0),
            text: error["message"].as_str().unwrap_or("").to_owned(),
        }),
    }
}

/// Lets a worker execute an RPC command; `None` when no reply comes in time.
pub fn worker_rpc(
    uac: &Uac,
    dest: SocketAddr,
    method: &str,
    params: Value,
    limit: Duration,
) -> Option<Result<Value, Fault>> {
    let reply = uac.try_request(dest, &ask_rpc(method, params), limit)?;
    Some(answer(&reply))
}

/// Cases of a `switch` for a reload, and for an RPC command in the body of the request (see [`ask_rpc`]). `$var(rc)` has
/// the result.
const COMMANDS: &str = r#"case "reload":
        ds_reload();
        $var(rc) = $rc;
        break;
    case "rpc":
        jsonrpc_exec("$rb");
        $var(rc) = $jsonrpl(code);
        set_reply_body("$jsonrpl(body)", "application/json");
        break;"#;

/// Returns a script with these cases in the place of `{{COMMANDS}}`.
pub fn with_commands(script: &str) -> String {
    script.replace("{{COMMANDS}}", COMMANDS)
}

const ROUTES: &str = r#"
request_route {
    if (is_method("ACK|CANCEL|BYE")) {
        route(DIALOG);
        exit;
    }
    $var(rc) = 0;
    switch ($rU) {
    {{COMMANDS}}
    case "sel0":
        ds_select_dst("$hdr(X-Set)", "0");
        $var(rc) = $rc;
        break;
    case "sel4":
        ds_select_dst("$hdr(X-Set)", "4");
        $var(rc) = $rc;
        break;
    case "sel8":
        ds_select_dst("$hdr(X-Set)", "8");
        $var(rc) = $rc;
        break;
    case "sel9":
        ds_select_dst("$hdr(X-Set)", "9");
        $var(rc) = $rc;
        break;
    case "islist":
        ds_is_from_list("1");
        $var(rc) = $rc;
        break;
    case "active":
        ds_is_active("$hdr(X-Set)");
        $var(rc) = $rc;
        break;
    case "route":
        route(CALL);
        exit;
    }
    append_to_reply("X-Rc: $var(rc)\r\nX-Du: $du\r\n");
    sl_send_reply("200", "OK");
}
route[CALL] {
    if (!ds_select_dst("$hdr(X-Set)", "4", "3")) {
        sl_send_reply("404", "No destination");
        exit;
    }
    record_route();
    t_on_failure("FAIL");
    t_relay();
}
route[DIALOG] {
    if (loose_route()) {
        t_relay();
    } else if (t_check_trans()) {
        t_relay();
    }
}
failure_route[FAIL] {
    if (ds_next_dst()) {
        t_on_failure("FAIL");
        t_relay();
    }
}
"#;
