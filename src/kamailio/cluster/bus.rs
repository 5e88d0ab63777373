//! The bus between servers: messages out and in, through the server's module dmq.
//!
//! One process alone sends, so no worker waits for that, and no lock of dmq is held meanwhile. Messages are received in
//! whatever process the config or dmq runs for that: there a message is only checked, and left for that one process.

use core::cell::RefCell;
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::dispatch::cluster::node::action::PeerId;
use crate::dispatch::cluster::state::ends::CallEnd;
use crate::dispatch::cluster::text::read::check;
use crate::dispatch::list::destination::Addr;
use crate::dispatch::text::Whole;
use crate::kamailio::config::cluster_params::ClusterSettings;
use crate::kamailio::config::instance::Module;
use crate::kamailio::observe::counting::group;
use crate::kamailio::server::guard::{EntryRet, guard};
use crate::kamailio::server::log::log_err;
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::net;
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{self, StrArg};
use crate::shm::cluster::inbox::{Inbox, MOST_BYTES, Received};
use crate::shm::queue::Queue;

/// How long a message waits for its answer, when it is sent again, and the longest time between two copies.
const TIMEOUT_MS: c_int = 2_000;
const RESEND_MS: c_int = 125;
const LONGEST_RESEND_MS: c_int = 500;

/// Joins the bus, as the user of dmq with this name; `None` after a log line if that is refused. For `mod_init`.
pub fn join(settings: &ClusterSettings) -> Option<()> {
    // SAFETY: called from mod_init, when modules that were loaded before this one are initialised.
    let has_tm = !unsafe { sys::glue_tm_find() }.is_null();
    let mut id = text::as_str(settings.peer_id);
    // SAFETY: called from mod_init; the name is that of a parameter, which stays.
    match unsafe { sys::glue_dmq_join(&raw mut id) } {
        sys::GLUE_DMQ_JOINED if has_tm => {}
        sys::GLUE_DMQ_UNKNOWN => {
            log_err!("enable_dmq: the module was built without the headers of the module dmq");
            return None;
        }
        sys::GLUE_DMQ_TAKEN => {
            let id = Whole(settings.peer_id);
            log_err!(
                "enable_dmq: dmq takes no user \"{id}\" (dmq_peer_id): it has one, or no memory"
            );
            return None;
        }
        _ => {
            log_err!("enable_dmq needs the module dmq, loaded before this one");
            return None;
        }
    }
    // SAFETY: called from mod_init, and `has_tm` says that the glue has the interface of tm that it calls.
    if unsafe { sys::glue_tm_watch(Some(sys::dsr_dmq_leaves)) } < 0 {
        log_err!("enable_dmq: tm does not tell when a message leaves");
        return None;
    }
    Some(())
}

/// True while this process sends a message. It is set during one call into dmq.
static SENDING: AtomicBool = AtomicBool::new(false);

/// Has dmq send, with the times of a message.
fn send_by(dmq: impl FnOnce() -> c_int) -> bool {
    SENDING.store(true, Relaxed);
    let sent = dmq();
    SENDING.store(false, Relaxed);
    // SAFETY: removes what routes of the config (tm:local-request) left in this process's lists; no message is being
    // handled here.
    unsafe { sys::ksr_msg_env_reset() };
    sent >= 0
}

/// Sends a message to a peer. Returns false if that is not possible; then no answer comes.
pub fn send(uri: &str, body: &[u8], peer: PeerId, number: u64) -> bool {
    let (mut uri, mut body) = (text::as_str(uri.as_bytes()), text::as_str(body));
    let what = pack(peer, number);
    // SAFETY: both texts live until the call returns, and dmq copies them; dmq was found in mod_init.
    send_by(|| unsafe { sys::glue_dmq_send(&raw mut uri, &raw mut body, what) })
}

/// Sends a message to all that dmq knows. Returns false if that was not possible for one of them.
pub fn broadcast(body: &[u8]) -> bool {
    let mut body = text::as_str(body);
    // SAFETY: the text lives until the call returns, and dmq copies it; dmq was found in mod_init.
    send_by(|| unsafe { sys::glue_dmq_broadcast(&raw mut body) })
}

/// Bits of a number that stand for the peer.
const PEER_BITS: u32 = 8;

/// Packs what the answer to a message is about into a pointer that nobody follows.
fn pack(peer: PeerId, number: u64) -> *mut c_void {
    let peer = peer.0 & ((1 << PEER_BITS) - 1);
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    ptr::without_provenance_mut(number << PEER_BITS | peer)
}

fn unpack(what: *mut c_void) -> (u8, u64) {
    let [peer, ..] = what.addr().to_le_bytes();
    (peer, (what.addr() >> PEER_BITS) as u64)
}

/// Sets the times of a message. tm calls it before it sends any local request.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dmq_leaves(
    transaction: *mut sys::cell,
    _type: c_int,
    _params: *mut sys::tmcb_params,
) {
    guard(|| {
        if !SENDING.load(Relaxed) || transaction.is_null() {
            return;
        }
        // SAFETY: tm's new transaction, whose timers have not started (tm/uac.c, t_uac_prepare).
        unsafe { sys::glue_tm_set_timeout(transaction, TIMEOUT_MS) };
        // SAFETY: as above.
        unsafe { sys::glue_tm_set_resends(transaction, RESEND_MS, LONGEST_RESEND_MS) };
    });
}

/// Takes the answer to a message, or the news that there is none, in any process.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dmq_answered(code: c_int, what: *mut c_void) {
    guard(|| {
        let (peer, number) = unpack(what);
        let code = u16::try_from(code).unwrap_or(500);
        // What finds no room is as an answer that was lost.
        post(&Received::Answer { peer, number, code });
    });
}

/// Leaves something for the process of the cluster. Returns false if there is no room.
pub fn post(received: &Received) -> bool {
    inbox().is_some_and(|inbox| inbox.post(received).is_ok())
}

/// Leaves the end of a call for the process of the cluster, as long as half of the room is free for messages. Returns false
/// if it is not.
pub fn post_end(end: CallEnd) -> bool {
    waiting() < MOST_BYTES / 2 && post(&Received::CallEnd(end))
}

/// Returns the bytes of what waits for the process of the cluster.
fn waiting() -> usize {
    inbox().map_or(0, Queue::bytes)
}

fn inbox() -> Option<&'static Inbox<ShmArena>> {
    let memory = Module::get()?.cluster.as_ref()?;
    Some(&memory.inbox)
}

/// The status of the answer to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Status(c_int);

impl EntryRet for Status {
    /// With the reason that the glue has put there.
    const ON_PANIC: Self = Status(500);
}

const TAKEN: (u16, &str) = (200, "OK");
const FULL: (u16, &str) = (503, "Too Many Messages Wait");

thread_local! {
    /// The reason of the last answer, which the server reads when this process's callback has returned.
    static REASON: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Takes a message of another server, in any process. Gives the status and the reason of the answer.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_dmq_received(
    body: StrArg,
    source: Option<&sys::ip_addr>,
    reason: Option<&mut sys::str_>,
) -> Status {
    guard(|| {
        let source = source.and_then(net::addr).unwrap_or(Addr::V4([0; 4]));
        let (code, text) = take(body.bytes(), source);
        REASON.with_borrow_mut(|kept| {
            *kept = text;
            if let Some(reason) = reason {
                *reason = text::as_str(kept.as_bytes());
            }
        });
        Status(code.into())
    })
}

fn take(body: &[u8], source: Addr) -> (u16, String) {
    let answer = |(code, reason): (u16, &str)| (code, reason.to_owned());
    let settings = Module::get().and_then(|module| module.settings.cluster.as_ref());
    let Some(settings) = settings.map(|settings| &settings.cluster) else {
        return answer(FULL);
    };
    match check(body, &settings.cluster, settings.key.as_ref()) {
        Ok(_) => {
            let body = body.to_vec();
            let taken = post(&Received::Message { source, body });
            answer(if taken { TAKEN } else { FULL })
        }
        Err(refusal) => {
            group::CLUSTER_REFUSED.count();
            let (code, reason) = (refusal.code(), refusal.to_string());
            // It is for the log only, so what anybody may send takes little of the room of what can be read.
            if waiting() < MOST_BYTES / 8 {
                post(&Received::Refused {
                    source,
                    code,
                    reason: reason.clone(),
                });
            }
            (code, reason)
        }
    }
}
