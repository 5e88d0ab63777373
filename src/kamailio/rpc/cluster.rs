//! `dispatcher.cluster`: the servers of the cluster, and what an operator can ask of this one.

use super::rpc_reply::{Full, RpcCall, RpcNode};
use crate::dispatch::list::words::INVALID;
use crate::kamailio::cluster::bus;
use crate::kamailio::cluster::show::{self, Row};
use crate::kamailio::config::instance::Module;
use crate::kamailio::server::time::now_ms;
use crate::shm::cluster::inbox::{Command, Received};

/// Answers `dispatcher.cluster` [nodes|sync|leave|forget NAME].
///
/// # Errors
/// The text of the fault.
pub fn cluster(call: &RpcCall, module: &Module) -> Result<(), String> {
    let (what, name) = (call.text(), call.text());
    call.all_readable()?;
    let Some(memory) = &module.cluster else {
        return Err("No Cluster (enable_dmq is 0)".into());
    };
    let rows = show::rows(memory);
    let command = match (what.as_deref(), name) {
        (None | Some(b"nodes"), None) => return Ok(nodes(call, &rows)?),
        (Some(b"sync"), None) => Command::Sync,
        (Some(b"leave"), None) => Command::Leave,
        (Some(b"forget"), Some(name)) => {
            let name = String::from_utf8_lossy(&name).into_owned();
            // This server is the first.
            let mut others = rows.iter().skip(1);
            if !others.any(|row| row.name.as_ref() == Some(&name)) {
                return Err("No Such Node".into());
            }
            Command::Forget(name)
        }
        _ => return Err(INVALID.into()),
    };
    if !bus::post(&Received::Command(command)) {
        return Err("Too Many Messages Wait".into());
    }
    call.say("Ok.");
    Ok(())
}

fn nodes(call: &RpcCall, rows: &[Row]) -> Result<(), Full> {
    let array = call.add_struct()?.add_array(c"NODES")?;
    let now_ms = now_ms();
    for row in rows {
        node(&array.add_struct(c"NODE")?, row, now_ms)?;
    }
    Ok(())
}

fn node(node: &RpcNode<'_>, row: &Row, now_ms: u64) -> Result<(), Full> {
    let heard_ms = row.heard_at_ms.map(|at_ms| now_ms.saturating_sub(at_ms));
    let life = row.name.as_ref().map(|_| row.incarnation.to_string());
    node.add(c"NAME", row.name.as_ref())?;
    node.add(c"URI", &row.uri)?;
    node.add(c"STATE", &row.state)?;
    node.add(c"HEARD_MS", heard_ms)?;
    node.add(c"INCARNATION", life.as_ref())?;
    node.add(c"SAME", i32::from(row.same))?;
    node.add(c"BEHIND", row.behind)?;
    node.add(
        c"CLOCK_MS",
        i32::try_from(row.clock_ms).unwrap_or(if row.clock_ms < 0 { i32::MIN } else { i32::MAX }),
    )?;
    node.add(c"SENT", row.sent)?;
    node.add(c"RETRIED", row.retried)?;
    node.add(c"REFUSED", row.refused)
}
