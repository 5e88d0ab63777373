//! `ds_select_routes`: several sets, each with an algorithm of its own, make one failover order.

use super::records::Tail;
use super::request::Request;
use super::select_dst;
use crate::dispatch::select::routes;
use crate::dispatch::text::Escaped;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::counting::group;
use crate::kamailio::server::guard::ScriptRet;
use crate::kamailio::server::log::{log_err, log_warn};
use crate::kamailio::server::message::{Message, Target};

/// Returns which part of the message changes, by the first letter of the mode.
fn target(mode: &[u8]) -> Option<Target> {
    match mode.first()? {
        b'0' | b'd' | b'D' => Some(Target::DstUri),
        b'1' | b'r' | b'R' => Some(Target::Domain),
        b'2' | b'x' | b'X' => Some(Target::Nothing),
        _ => None,
    }
}

/// Sends the message to the first set that has a usable destination, and lists the destinations of the sets behind it
/// for failover. Sets without a usable destination are passed over.
///
/// A limit is for all sets together, but each of them gives its chosen destination.
pub fn select(msg: &mut Message, rules: &[u8], mode: &[u8], limit: i32) -> ScriptRet {
    let Some(module) = Module::get() else {
        return ScriptRet::FAILED;
    };
    let Some(target) = target(mode) else {
        log_err!("ds_select_routes: \"{}\" is no mode", Escaped(mode));
        return ScriptRet::FAILED;
    };
    // All rules are read first, so that bad ones change nothing.
    let rules = match routes::parse(rules) {
        Ok(rules) => rules,
        Err(bad) => {
            log_err!(
                "ds_select_routes: bad rules at byte {}: \"{}\"",
                bad.at + 1,
                Escaped(rules)
            );
            return ScriptRet::FAILED;
        }
    };
    let tail = Tail::default();
    let mut first = None;
    let mut result = ScriptRet::FAILED;
    for rule in rules {
        let left = if limit > 0 {
            limit.saturating_sub(tail.count()).max(1)
        } else {
            limit
        };
        let request = Request {
            set: rule.set,
            algorithm: rule.algorithm,
            limit: left,
            target: first.map_or(target, |_| Target::Nothing),
            behind: Some(&tail),
        };
        let selected = select_dst::select(msg, &request);
        if selected == ScriptRet::FAILED {
            continue;
        }
        if first.is_some() {
            // The message goes to what was chosen first.
            group::SELECTIONS.take_back();
            continue;
        }
        tail.has_led();
        first = Some(rule.set);
        result = selected;
    }
    let Some(first) = first else { return result };
    if module.settings.results.finish_tail(first, &tail).is_none() {
        log_warn!("no memory for the count of the results");
    }
    result
}
