//! The parameters of the cluster: several servers that act as one dispatcher.

use core::ffi::{c_uint, c_void};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::value::{Read, Texts, bad, bad_number, bytes, set, switch};
use crate::dispatch::cluster::node::settings::{MOST_NODES, Settings};
use crate::dispatch::cluster::text::hmac::HmacKey;
use crate::dispatch::cluster::text::message::{MOST_NAME, MOST_URI, is_word};
use crate::kamailio::server::guard::InitRet;
use crate::kamailio::server::log::log_warn;
use crate::kamailio::server::net::Uri;
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{self, EMPTY};

/// The values of `ds_dmq_peer`.
static PEERS: Texts = Texts::new();

/// The first release whose module dmq can do what is needed of it.
const FIRST_RELEASE: (u32, u32) = (5, 6);

/// The settings of the cluster.
pub struct ClusterSettings {
    /// The name by which dmq knows the module.
    pub peer_id: &'static [u8],
    /// True if this server relies on the pings of others.
    pub share_pings: bool,
    /// The settings of the cluster itself.
    pub cluster: Settings,
    /// True if calls are counted together, as far as they are counted.
    pub share_load: bool,
    /// True if the others are told of ends of calls that are not counted here.
    pub tell_ends: bool,
}

/// Reads the parameters. Returns `None` if this server is alone: then none of the others is looked at.
pub(super) fn cluster(
    raw: &sys::glue_modparams,
    release: (u32, u32),
) -> Read<Option<ClusterSettings>> {
    if !switch("enable_dmq", raw.enable_dmq)? {
        return Ok(None);
    }
    if release < FIRST_RELEASE {
        let expected = "0, as the module was built for a Kamailio before 5.6";
        return bad("enable_dmq", b"1", expected);
    }
    let peer_id = bytes(&raw.dmq_peer_id);
    let is_id = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    if peer_id.is_empty() || peer_id.len() > MOST_NAME || !peer_id.iter().all(is_id) {
        let expected = "1 to 64 letters, digits, \"-\", \"_\" and \".\"";
        return bad("dmq_peer_id", peer_id, expected);
    }
    let own_uri = own_uri().map(|uri| word("server_address", uri, MOST_URI, URI));
    // Without dmq the start ends anyway (`cluster::bus::join`).
    let uri = own_uri.transpose()?.unwrap_or_default();
    let hello_ms = within(
        "ds_dmq_hello",
        raw.ds_dmq_hello,
        100,
        60_000,
        "milliseconds, 100 to 60000",
    )?;
    let dead_ms = within(
        "ds_dmq_dead_time",
        raw.ds_dmq_dead_time,
        2_000,
        600_000,
        "milliseconds, 2000 to 600000",
    )?;
    if dead_ms < 2 * hello_ms {
        let expected = "at least twice ds_dmq_hello";
        return bad_number("ds_dmq_dead_time", raw.ds_dmq_dead_time, expected);
    }
    let join_wait_ms = within(
        "ds_dmq_join_wait",
        raw.ds_dmq_join_wait,
        0,
        600_000,
        "milliseconds, 0 to 600000",
    )?;
    let dead_hold_s = within(
        "ds_dmq_dead_hold",
        raw.ds_dmq_dead_hold,
        1,
        3_600,
        "seconds, 1 to 3600",
    )?;
    let node = match set(&raw.ds_dmq_node) {
        Some(name) => word("ds_dmq_node", name, MOST_NAME, NAME)?,
        None => place(&uri),
    };
    Ok(Some(ClusterSettings {
        peer_id,
        share_pings: switch("ds_dmq_probing", raw.ds_dmq_probing)?,
        cluster: Settings {
            cluster: word(
                "ds_dmq_cluster",
                bytes(&raw.ds_dmq_cluster),
                MOST_NAME,
                NAME,
            )?,
            node,
            peers: peers(&uri)?,
            uri,
            hello_ms,
            dead_ms,
            dead_hold_ms: 1_000 * dead_hold_s,
            join_wait_ms,
            key: key(set(&raw.ds_dmq_key))?,
            share_states: switch("ds_dmq_state", raw.ds_dmq_state)?,
        },
        share_load: switch("ds_dmq_load", raw.ds_dmq_load)?,
        tell_ends: switch("ds_dmq_calls", raw.ds_dmq_calls)?,
    }))
}

const NAME: &str = "1 to 64 visible characters of ASCII";
const URI: &str = "a SIP URI of at most 128 bytes";

/// Returns dmq's own URI (`server_address`); `None` if dmq is not loaded.
fn own_uri() -> Option<&'static [u8]> {
    let mut address = EMPTY;
    // SAFETY: the glue writes one text, which belongs to a parameter of dmq and stays.
    let found = unsafe { sys::glue_dmq_address(&raw mut address) } == 0;
    // SAFETY: as above.
    found.then(|| unsafe { text::bytes(&address) })
}

/// Returns host and port of a URI: the name of a node that has none.
fn place(uri: &str) -> String {
    let Some(parsed) = Uri::parse(uri.as_bytes()) else {
        return uri.to_owned();
    };
    let usual = if parsed.is_secure() { 5061 } else { 5060 };
    let port = if parsed.names_port() {
        parsed.port()
    } else {
        usual
    };
    let host = String::from_utf8_lossy(parsed.host());
    let mut place = format!("{host}:{port}");
    place.truncate(MOST_NAME);
    place
}

fn word(name: &'static str, value: &[u8], most: usize, expected: &'static str) -> Read<String> {
    let is_uri = expected != URI || Uri::parse(value).is_some();
    if !is_word(value, most) || !is_uri {
        return bad(name, value, expected);
    }
    Ok(String::from_utf8_lossy(value).into_owned())
}

fn peers(own_uri: &str) -> Read<Vec<String>> {
    let mut peers: Vec<String> = Vec::new();
    for value in PEERS.all() {
        let peer = word("ds_dmq_peer", &value, MOST_URI, URI)?;
        if peer == own_uri || peers.contains(&peer) {
            continue;
        }
        // This server is one of the nodes.
        if peers.len() + 1 >= MOST_NODES {
            return bad("ds_dmq_peer", &value, "at most 127 other servers");
        }
        peers.push(peer);
    }
    Ok(peers)
}

fn within(
    name: &'static str,
    value: i32,
    least: u64,
    most: u64,
    expected: &'static str,
) -> Read<u64> {
    match u64::try_from(value) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => bad_number(name, value, expected),
    }
}

/// Reads the key, or the file that has it.
fn key(written: Option<&[u8]>) -> Read<Option<HmacKey>> {
    let Some(written) = written else {
        log_warn!(
            "ds_dmq_key is not set: whoever can send requests to dmq's socket can change states"
        );
        return Ok(None);
    };
    let Some(path) = written.strip_prefix(b"file:") else {
        return Ok(HmacKey::new(written));
    };
    let read = std::fs::read(OsStr::from_bytes(path));
    let key = read.ok().and_then(|text| HmacKey::new(text.trim_ascii()));
    match key {
        Some(key) => Ok(Some(key)),
        None => bad(
            "ds_dmq_key",
            written,
            "a key, or file:PATH of a file that can be read and has one",
        ),
    }
}

/// Keeps a value of `ds_dmq_peer`. The server calls it for each, while it reads the config.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_ds_dmq_peer(_kind: c_uint, value: *mut c_void) -> InitRet {
    PEERS.keep(value)
}
