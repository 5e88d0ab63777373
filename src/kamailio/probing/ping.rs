//! One ping: what is sent where, and what its end means for the destination.
//!
//! Source: `features.md` 3.11 and 3.12; RFC 3261, 11 (OPTIONS).

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::ffi::CString;

use crate::dispatch::list::destination::{Addr, SetId};
use crate::dispatch::state::event::Cause;
use crate::dispatch::state::probe::{Ping, apply_ping, is_pinged};
use crate::dispatch::state::transition::Outcome;
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::ping_params::PingSettings;
use crate::kamailio::events::feed::Feed;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::{log_dbg, log_warn};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::message::Reason;
use crate::kamailio::server::net::{self, Uri};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{self, Escaped};
use crate::kamailio::server::time::now_us;
use crate::shm::dest::destination::{self, Dest};
use crate::shm::dest::next_hop::{Found, NextHop, fingerprint};
use crate::shm::dest::probing::{Ended, Health};
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record_slab::Vitals;
use crate::shm::memory::refcount::{Counted, Hold};

/// The status that stands for no reply at all, for scripts and `ds_ping_reply_codes`.
const REQUEST_TIMEOUT: i32 = 408;

/// How long a ping may be on its way, beside its timeout: longer than any of tm's lifetimes. tm
/// tells of no end where `onsend_route` drops a request, or where memory runs out.
const LOST_AFTER_US: u64 = 300_000_000;

/// A record that somebody holds.
type Record<'m> = Hold<'m, ShmArena, DestRecord>;

/// A ping that can be sent: copies of all it needs, so that nothing is pinned meanwhile.
struct Job<'m> {
    record: Record<'m>,
    uri: Vec<u8>,
    from: Vec<u8>,
    way: Way,
    socket: Socket,
}

/// Where a ping goes.
enum Way {
    /// Where its URI says.
    Uri,
    /// To this URI.
    Via(Vec<u8>),
    /// A name leads nowhere.
    Nowhere,
    /// A name that nobody has resolved yet.
    Unresolved,
}

/// The local socket of a ping, as tm wants it named.
#[derive(Default)]
struct Socket {
    /// Servers up to 4.4 read the NUL behind it: else its port is none to them, and the ping leaves
    /// by another socket (socket_info.c, parse_protohostport).
    place: CString,
    name: Vec<u8>,
}

/// What became of a destination whose ping was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// All is done that there was to do.
    Done,
    /// Its name is not resolved yet: to be tried again soon.
    Again,
}

/// Returns true while pings are sent.
pub fn pings_on(module: &Module) -> bool {
    module.shared.pings_off.load(SeqCst) == 0
}

/// Turns pings on or off. Returns true if they were on.
pub fn set_pings(module: &Module, on: bool) -> bool {
    module.shared.pings_off.swap(u32::from(!on), SeqCst) == 0
}

/// Pings the destination at a position of a set, if it is to be pinged and no other ping is on its
/// way to it.
pub fn ping(module: &'static Module, pings: &PingSettings, set: SetId, at: usize) -> Due {
    let Some(job) = job(module, pings, set, at) else {
        return Due::Done;
    };
    if let Way::Unresolved = job.way {
        return Due::Again;
    }
    let now_us = now_us();
    let patience_us = LOST_AFTER_US + u64::from(pings.timeout_ms) * 1_000;
    let Ok(Vitals { health, .. }) = job.record.need_vitals(&ShmArena) else {
        log_warn!("no shared memory to ping {}", Escaped(&job.uri));
        return Due::Done;
    };
    if health.give_up(now_us.saturating_sub(patience_us)) {
        log_warn!("tm never told the end of a ping of {}", Escaped(&job.uri));
    }
    if !health.begin(now_us, fingerprint(&job.uri)) {
        log_dbg!("the last ping of {} is still on its way", Escaped(&job.uri));
        return Due::Done;
    }
    send(module, pings, job);
    Due::Done
}

/// Copies what a ping needs; `None` when there is nothing to ping.
fn job(
    module: &'static Module,
    pings: &PingSettings,
    set: SetId,
    at: usize,
) -> Option<Job<'static>> {
    let pinned = module.pin();
    let dest = pinned.view(set)?.dest(at)?;
    if !is_pinged(dest.record().state(), &cfg::mark_rules(module)) {
        return None;
    }
    let attrs = dest.attrs();
    Some(Job {
        record: module.store.hold(dest),
        uri: dest.uri().to_vec(),
        from: attrs.ping_from.unwrap_or(pings.from).to_vec(),
        way: way(pings, dest, attrs.obproxy),
        socket: socket(module, pings, dest),
    })
}

/// The local socket: the destination's own for pings, its own, that of all pings, the default.
///
/// Source: `features.md` 2.4, "Ping socket order".
fn socket(module: &Module, pings: &PingSettings, dest: &Dest) -> Socket {
    let attrs = dest.attrs();
    let default = &module.settings.default_socket;
    let place = |place: &[u8]| Socket {
        // With a NUL in it, it is no socket of the server: the server chooses one.
        place: CString::new(place).unwrap_or_default(),
        ..Socket::default()
    };
    let name = |name: &[u8]| Socket {
        name: name.to_vec(),
        ..Socket::default()
    };
    attrs
        .ping_socket
        .map(place)
        .or_else(|| attrs.sockname.map(name))
        .or_else(|| attrs.socket.map(place))
        .or_else(|| pings.socket.map(place))
        .or_else(|| default.name.map(name))
        .or_else(|| default.place.map(place))
        .unwrap_or_default()
}

/// The URI whose name is resolved for a destination's pings.
pub fn target<'d>(pings: &PingSettings, dest: &'d Dest, obproxy: Option<&'d [u8]>) -> &'d [u8] {
    obproxy.or(pings.outbound_proxy).unwrap_or(dest.uri())
}

fn way(pings: &PingSettings, dest: &Dest, obproxy: Option<&[u8]>) -> Way {
    let proxy = obproxy.or(pings.outbound_proxy);
    let target = proxy.unwrap_or(dest.uri());
    let Some(parsed) = Uri::parse(target) else {
        return Way::Nowhere;
    };
    let host = parsed.host();
    if net::literal(host).is_some() {
        return proxy.map_or(Way::Uri, |proxy| Way::Via(proxy.to_vec()));
    }
    match dest.record().next_hop(target) {
        Found::At(hop) => Way::Via(hop_uri(hop)),
        Found::Nowhere => Way::Nowhere,
        Found::Unknown => match dest.addrs().next().filter(|_| proxy.is_none()) {
            Some(addr) => Way::Via(hop_uri(net::hop(&parsed, addr))),
            None => Way::Unresolved,
        },
    }
}

/// A URI that needs no name.
fn hop_uri(hop: NextHop) -> Vec<u8> {
    let ip = destination::ip(hop.addr);
    let ip = match hop.addr {
        Addr::V4(_) => ip.to_string(),
        Addr::V6(_) => format!("[{ip}]"),
    };
    let transport = net::transport_name(hop.proto);
    format!("sip:{ip}:{};transport={transport}", hop.port).into_bytes()
}

/// How long the ping that is being sent waits for its reply; 0 for tm's own time. Set for the time
/// of one call into tm, in the process that sends.
static TIMEOUT_MS: AtomicU32 = AtomicU32::new(0);

fn send(module: &'static Module, pings: &PingSettings, job: Job<'static>) {
    if let Way::Nowhere = job.way {
        return settle(module, &job.record, Ended::NoAddress, &[]);
    }
    let to = [b"<", job.uri.as_slice(), b">"].concat();
    let next_hop = match &job.way {
        Way::Via(uri) => text::as_str(uri),
        _ => text::EMPTY,
    };
    let record = job.record.into_raw();
    let mut ping = sys::glue_ping {
        method: text::as_str(pings.method),
        uri: text::as_str(&job.uri),
        to: text::as_str(&to),
        from: text::as_str(&job.from),
        next_hop,
        socket: text::as_terminated_str(&job.socket.place),
        sockname: text::as_str(&job.socket.name),
        record: record.as_ptr().cast(),
    };
    TIMEOUT_MS.store(pings.timeout_ms, Relaxed);
    // SAFETY: all texts live until the end of this function; tm was found in mod_init.
    let sent = unsafe { sys::glue_ping_send(&raw mut ping) };
    TIMEOUT_MS.store(0, Relaxed);
    // SAFETY: removes what routes of the config (tm:local-request) left in this process's lists;
    // no message is being handled here.
    unsafe { sys::ksr_msg_env_reset() };
    if sent > 0 {
        return;
    }
    // SAFETY: just given away, and tm calls nobody back.
    let record = unsafe { module.store.take_back(record) };
    if sent == 0 {
        log_dbg!("the ping of {} was dropped by a route", Escaped(&job.uri));
        record.health().into_iter().for_each(Health::end);
    } else {
        settle(module, &record, Ended::NotSent, &[]);
    }
}

/// tm is about to send a local request, perhaps a ping: sets how long that waits.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_ping_leaves(
    transaction: *mut sys::cell,
    _type: c_int,
    _params: *mut sys::tmcb_params,
) {
    guard(|| {
        let timeout_ms = TIMEOUT_MS.load(Relaxed);
        if timeout_ms > 0 && !transaction.is_null() {
            limit(
                transaction,
                c_int::try_from(timeout_ms).unwrap_or(c_int::MAX),
            );
        }
    });
}

fn limit(transaction: *mut sys::cell, timeout_ms: c_int) {
    // SAFETY: tm's new transaction, whose timer has not started (tm/uac.c, t_uac_prepare).
    unsafe { sys::glue_tm_set_timeout(transaction, timeout_ms) };
}

/// A ping has ended, with a final reply or without one.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_ping_done(
    _transaction: *mut sys::cell,
    _type: c_int,
    params: *mut sys::tmcb_params,
) {
    guard(|| {
        if let Some(module) = Module::get() {
            conclude(module, params);
        }
    });
}

/// Takes the result of a ping from tm.
fn conclude(module: &'static Module, params: *mut sys::tmcb_params) {
    let mut record: *mut c_void = core::ptr::null_mut();
    let mut reason = text::EMPTY;
    // SAFETY: what tm calls back with (tm/t_hooks.h).
    let status = unsafe { sys::glue_tm_result(params, &raw mut record, &raw mut reason) };
    let Some(record) = NonNull::new(record.cast::<Counted<DestRecord>>()) else {
        return;
    };
    // SAFETY: given away when the ping was sent; tm calls back once, as it was no INVITE
    // (tm/t_reply.c, t_should_relay_response).
    let record = unsafe { module.store.take_back(record) };
    // SAFETY: part of the reply, which stays while tm calls back.
    let phrase = unsafe { text::bytes(&reason) };
    let ended = match u16::try_from(status) {
        Ok(status @ 1..) => Ended::Reply(status),
        _ => Ended::Silence,
    };
    settle(module, &record, ended, phrase);
}

/// Ends the ping of a destination, and draws the conclusions.
fn settle(module: &'static Module, record: &DestRecord, ended: Ended, phrase: &[u8]) {
    // None: it was given up, and this is too late.
    let Some((health, sent_us)) = record
        .health()
        .and_then(|health| Some((health, health.sent_us()?)))
    else {
        return;
    };
    if is_of_another(module, record, health) {
        log_dbg!("the ping of a URI that its destination no longer has ended");
        return health.end();
    }
    let now_us = now_us();
    let took_us = u32::try_from(now_us.saturating_sub(sent_us)).unwrap_or(u32::MAX);
    let status = match ended {
        Ended::Reply(status) => status.into(),
        Ended::Silence => REQUEST_TIMEOUT,
        Ended::NoAddress | Ended::NotSent => 0,
    };
    let good = status > 0 && cfg::reply_codes().accepts(status, module.settings.compat);
    let round_trip_us = match ended {
        Ended::Reply(_) => took_us.max(1),
        _ => 0,
    };
    health.note(ended, good, now_us / 1_000, round_trip_us);
    measure(module, record, health, ended, round_trip_us);
    // Not before: the next ping may end in another process.
    health.end();
    let ping = if good {
        Ping::Good
    } else {
        Ping::Bad {
            timeout: status == REQUEST_TIMEOUT,
        }
    };
    let rules = cfg::mark_rules(module);
    let change = |old, failures| {
        apply_ping(old, failures, ping, &rules).unwrap_or(Outcome {
            state: old,
            failures,
            flip: None,
        })
    };
    let mut feed = Feed::because(module, Cause::Ping, reason_of(ended, phrase));
    let told = |dest: &Dest, old, outcome: Outcome| {
        if old != outcome.state {
            dest.record().set_cause(Cause::Ping, now_us / 1_000);
        }
        feed.note(dest.set, dest.uri(), old, outcome.state);
    };
    module
        .store
        .change_one(Module::process(), record, change, told);
    feed.deliver(None);
}

/// True when a list has given the destination another URI since the ping was sent: what the old one
/// answers says nothing of the new one.
fn is_of_another(module: &Module, record: &DestRecord, health: &Health) -> bool {
    let pinned = module.pin();
    let view = pinned.view(record.set());
    let dest = view.and_then(|view| view.dest(view.position_of(record)?));
    dest.is_some_and(|dest| fingerprint(dest.uri()) != health.target())
}

/// What `$dsv` says of a ping's end.
fn reason_of(ended: Ended, phrase: &[u8]) -> Reason<'_> {
    match ended {
        Ended::Reply(status) => Reason {
            code: status.into(),
            text: phrase,
            from_reply: true,
        },
        Ended::Silence => Reason {
            code: REQUEST_TIMEOUT,
            text: b"",
            from_reply: false,
        },
        Ended::NoAddress | Ended::NotSent => Reason::NOT_SENT,
    }
}

/// Adds a ping to a destination's figures, where they are kept.
fn measure(
    module: &Module,
    record: &DestRecord,
    health: &Health,
    ended: Ended,
    round_trip_us: u32,
) {
    let Some(alpha) = module.settings.latency else {
        return;
    };
    let before = health.latency();
    let after = match ended {
        Ended::Reply(_) => before.sample(round_trip_us / 1_000, alpha),
        Ended::Silence => before.timeout(),
        Ended::NoAddress | Ended::NotSent => return,
    };
    health.set_latency(&after);
    module.store.sync_rank(Module::process(), record);
}
