//! Answers to the requests of the page. What follows the last `/` of the path says what is asked for; the script decides
//! what stands before it.

use super::take;
use crate::dispatch::observe::find::Find;
use crate::dispatch::observe::page::history;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::http::{Reply, Request, TEXT};
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::heap::NoMemory;
use crate::kamailio::server::log::log_err;
use crate::kamailio::server::message::Message;

/// The page, with its style and its script.
const PAGE: &str = include_str!(concat!(env!("OUT_DIR"), "/page.html"));
/// The rights of the page: to run its own script, and to ask this server.
const POLICY: &str = include_str!(concat!(env!("OUT_DIR"), "/page.csp"));

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Answers a request of the page. Returns `None` after a log line if nothing was sent.
pub fn page(msg: &Message) -> Option<ScriptRet> {
    let request = Request::of(msg, "ds_page")?;
    if !request.is_allowed(&["GET"]) {
        return Some(ScriptRet::OK);
    }
    let module = Module::get()?;
    let sent = match request.path().rsplit(|&byte| byte == b'/').next() {
        Some(b"" | b"index.html") => of_page(&request),
        Some(b"data") => of_lists(&request, JSON, |find| Ok(take::data(module, find)?.json())),
        Some(b"text") => of_lists(&request, TEXT, |find| Ok(take::data(module, find)?.text())),
        Some(b"history") => of_lists(&request, JSON, |find| {
            Ok(history(take::history(module, find)?.as_deref()))
        }),
        Some(word) => elsewhere(&request, word),
        None => false,
    };
    sent.then_some(ScriptRet::OK)
}

/// Sends a reply, and what a browser has to know of each.
fn send(request: &Request<'_>, headers: &[(&str, &str)], reply: &Reply<'_>) -> bool {
    let always = [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ];
    let headers = [headers, &always].concat();
    request.answer(&Reply {
        headers: &headers,
        smaller: "ask for a smaller count",
        ..*reply
    })
}

fn of_page(request: &Request<'_>) -> bool {
    let reply = Reply {
        content_type: HTML,
        ..Reply::text(200, c"OK", PAGE)
    };
    send(request, &[("Content-Security-Policy", POLICY)], &reply)
}

/// Sends what `make` makes of what the query asks for. Nothing is pinned any more when it is sent.
fn of_lists(
    request: &Request<'_>,
    content_type: &str,
    make: impl FnOnce(&Find) -> Result<String, NoMemory>,
) -> bool {
    let find = match Find::read(request.query()) {
        Ok(find) => find,
        Err(why) => return send(request, &[], &Reply::text(400, c"Bad Request", &why)),
    };
    let body = match make(&find) {
        Ok(body) => body,
        Err(error) => {
            log_err!("ds_page: {error}");
            let text = format!("{error}\n");
            return send(
                request,
                &[],
                &Reply::text(503, c"Service Unavailable", &text),
            );
        }
    };
    let reply = Reply {
        content_type,
        ..Reply::text(200, c"OK", &body)
    };
    send(request, &[], &reply)
}

/// Answers a path whose last word is not known. It may be the path of the page without the `/` at its end, below which
/// the page asks for its data; so a browser is led there. That is no redirect, because some versions of the server write
/// a warning for each of those.
fn elsewhere(request: &Request<'_>, word: &[u8]) -> bool {
    // No byte of a path that has a meaning in HTML or in a URL.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let word = core::str::from_utf8(word).ok();
    let Some(word) = word.filter(|word| word.bytes().all(is_plain)) else {
        let text = "not found: the page's paths end with /, /data, /history and /text\n";
        return send(request, &[], &Reply::text(404, c"Not Found", text));
    };
    let link = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Dispatcher</title>\
         <meta http-equiv=\"refresh\" content=\"0;url=./{word}/\"><a href=\"./{word}/\">The page</a></html>\n"
    );
    let reply = Reply {
        content_type: HTML,
        ..Reply::text(200, c"OK", &link)
    };
    send(request, &[], &reply)
}
