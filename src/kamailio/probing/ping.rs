//! One ping: what is sent, where to, and from which socket.

use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::ffi::CString;

use super::ping_result::{LEFT, settle};
use super::spared;
use crate::dispatch::list::destination::{Addr, SetId};
use crate::dispatch::state::probe::{Unsent, is_pinged};
use crate::dispatch::state::transition::State;
use crate::dispatch::text::Escaped;
use crate::dispatch::text::bare_uri;
use crate::kamailio::config::cfg;
use crate::kamailio::config::instance::Module;
use crate::kamailio::config::ping_params::PingSettings;
use crate::kamailio::server::guard::guard;
use crate::kamailio::server::log::{log_dbg, log_info, log_warn};
use crate::kamailio::server::memory::ShmArena;
use crate::kamailio::server::net::{self, Uri};
use crate::kamailio::server::sys;
use crate::kamailio::server::text;
use crate::kamailio::server::time::now_us;
use crate::shm::dest::destination::{self, Dest};
use crate::shm::dest::next_hop::{NextHop, Resolved, fingerprint};
use crate::shm::dest::probing::Ended;
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record_slab::Vitals;
use crate::shm::memory::refcount::Hold;

/// Microseconds that a ping may be on its way, beside its timeout: longer than any of tm's lifetimes. tm does
/// not report the end if `onsend_route` drops a request, or if memory runs out.
const LOST_AFTER_US: u64 = 300_000_000;

/// Microseconds after its timeout from which on the end of a ping is late.
const LATE_US: u64 = 1_000_000;

/// A record that somebody holds.
type Record<'m> = Hold<'m, ShmArena, DestRecord>;

/// A ping that is due, with its destination's record: once for this process, and once for tm.
struct Job<'m> {
    record: Record<'m>,
    for_tm: Record<'m>,
    request: Request,
}

/// The request of a ping: copies of all it needs, so that nothing is pinned meanwhile.
struct Request {
    set: SetId,
    uri: Vec<u8>,
    from: Vec<u8>,
    /// The URI that it goes to: that of the destination, or the outbound proxy.
    target: Vec<u8>,
    send_to: SendTo,
    socket: Socket,
}

/// The place that a ping is sent to.
enum SendTo {
    /// The place that its URI names.
    Uri,
    /// This URI.
    Via(Vec<u8>),
    /// Nowhere.
    Nowhere(Unsent),
    /// Not known yet: nobody has resolved the name.
    Unresolved,
}

/// The local socket of a ping, as tm wants it named.
#[derive(Default)]
struct Socket {
    /// Servers up to 4.4 need the NUL behind it: without it they do not read the port, and the ping
    /// leaves by another socket (socket_info.c, parse_protohostport).
    place: CString,
    name: Vec<u8>,
}

/// The outcome for a destination whose ping was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// There is nothing more to do.
    Done,
    /// Its name is not resolved yet, so it is due again soon.
    Again,
}

/// Returns true while pings are sent.
pub fn pings_on(module: &Module) -> bool {
    module.shared.pings_off.load(SeqCst) == 0
}

/// Returns true if a destination in this state would be pinged, as things are now.
pub fn would_be_pinged(module: &Module, state: State) -> bool {
    module.settings.pings.is_some()
        && pings_on(module)
        && is_pinged(state, &cfg::mark_rules(module))
}

/// Turns pings on or off. Returns true if they were on.
pub fn set_pings(module: &Module, on: bool) -> bool {
    let were_off = module.shared.pings_off.swap(u32::from(!on), SeqCst);
    module.shared.state_changes.fetch_add(1, SeqCst);
    were_off == 0
}

/// Pings the destination at a position of a set, if it is to be pinged and no other ping is on its
/// way to it.
pub fn ping(module: &'static Module, pings: &PingSettings, set: SetId, at: usize) -> Due {
    let Some(job) = job(module, pings, set, at) else {
        return Due::Done;
    };
    if let SendTo::Unresolved = job.request.send_to {
        return Due::Again;
    }
    let now_us = now_us();
    let patience_us = LOST_AFTER_US + u64::from(pings.timeout_ms) * 1_000;
    let Ok(Vitals { health, .. }) = job.record.need_vitals(&ShmArena) else {
        log_warn!("no shared memory to ping {}", Escaped(&job.request.uri));
        spared::leave(module, &job.record);
        return Due::Done;
    };
    if health.give_up(now_us.saturating_sub(patience_us)) {
        log_warn!(
            "tm never told the end of a ping of {}",
            Escaped(&job.request.uri)
        );
    }
    if !health.begin(now_us, fingerprint(&job.request.uri)) {
        log_dbg!(
            "the last ping of {} is still on its way",
            Escaped(&job.request.uri)
        );
        // Nobody may rely on a ping whose end is late.
        let late_us = u64::from(pings.timeout_ms) * 1_000 + LATE_US;
        if health
            .sent_us()
            .is_some_and(|sent_us| sent_us + late_us < now_us)
        {
            spared::leave(module, &job.record);
        }
        return Due::Done;
    }
    send(module, pings, job);
    Due::Done
}

/// Copies what a ping needs. Returns `None` if the destination is not to be pinged.
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
        for_tm: module.store.hold(dest),
        request: Request {
            set,
            uri: dest.uri().to_vec(),
            from: attrs.ping_from.unwrap_or(pings.from).to_vec(),
            target: target(pings, dest, attrs.obproxy).to_vec(),
            send_to: send_to(pings, dest, attrs.obproxy),
            socket: socket(module, pings, dest),
        },
    })
}

/// Returns the local socket of a ping, the first that is set of: the destination's socket for pings,
/// its socket, the socket of all pings, the default socket (doc/reference/parameters.md).
fn socket(module: &Module, pings: &PingSettings, dest: &Dest) -> Socket {
    let attrs = dest.attrs();
    let default = &module.settings.default_socket;
    let place = |place: &[u8]| Socket {
        // A text with a NUL names no socket of the server, which then chooses one.
        place: CString::new(place).unwrap_or_default(),
        ..Socket::default()
    };
    let name = |name: &[u8]| Socket {
        name: name.to_vec(),
        ..Socket::default()
    };
    let local = |place: &&[u8]| net::socket_at(place).is_some();
    attrs
        .ping_socket
        .filter(local)
        .map(place)
        .or_else(|| attrs.sockname.map(name))
        .or_else(|| attrs.socket.map(place))
        .or_else(|| pings.socket.map(place))
        .or_else(|| default.name.map(name))
        .or_else(|| default.place.map(place))
        .unwrap_or_default()
}

/// Returns the URI of the outbound proxy for a destination's pings, if there is one.
fn proxy<'d>(pings: &PingSettings, obproxy: Option<&'d [u8]>) -> Option<&'d [u8]> {
    obproxy.or(pings.outbound_proxy).map(bare_uri)
}

/// Returns the URI whose name is resolved for a destination's pings.
pub fn target<'d>(pings: &PingSettings, dest: &'d Dest, obproxy: Option<&'d [u8]>) -> &'d [u8] {
    proxy(pings, obproxy).unwrap_or(dest.uri())
}

fn send_to(pings: &PingSettings, dest: &Dest, obproxy: Option<&[u8]>) -> SendTo {
    let proxy = proxy(pings, obproxy);
    let target = proxy.unwrap_or(dest.uri());
    let Some(parsed) = Uri::parse(target) else {
        return SendTo::Nowhere(Unsent::BadProxy);
    };
    let host = parsed.host();
    if net::literal(host).is_some() {
        return proxy.map_or(SendTo::Uri, |proxy| SendTo::Via(proxy.to_vec()));
    }
    match dest.record().next_hop(target) {
        Resolved::At(hop) => SendTo::Via(hop_uri(hop)),
        Resolved::Nowhere => SendTo::Nowhere(Unsent::NoAddress),
        // Nobody resolves what has no name.
        Resolved::Unknown if host.is_empty() => SendTo::Nowhere(Unsent::NoHost),
        Resolved::Unknown => match dest.addrs().next().filter(|_| proxy.is_none()) {
            Some(addr) => SendTo::Via(hop_uri(net::hop(&parsed, addr))),
            None => SendTo::Unresolved,
        },
    }
}

/// Returns a URI of a next hop that needs no DNS.
fn hop_uri(hop: NextHop) -> Vec<u8> {
    let ip = destination::ip(hop.addr);
    let ip = match hop.addr {
        Addr::V4(_) => ip.to_string(),
        Addr::V6(_) => format!("[{ip}]"),
    };
    let transport = net::transport_name(hop.proto);
    format!("sip:{ip}:{};transport={transport}", hop.port).into_bytes()
}

/// Milliseconds that the ping that is being sent waits for its reply; 0 for tm's own time. It is set during
/// one call into tm, in the process that sends.
static TIMEOUT_MS: AtomicU32 = AtomicU32::new(0);

/// Sends a ping, and says in the log if pings of its destination begin or cease to be sent.
fn send(module: &'static Module, pings: &PingSettings, job: Job<'static>) {
    let Job {
        record,
        for_tm,
        request,
    } = job;
    let unsent = match request.send_to {
        SendTo::Nowhere(why) => Some(why),
        _ => give_to_tm(module, pings, &request, for_tm),
    };
    let Some(health) = record.health() else {
        return;
    };
    if health.note_unsent(unsent, fingerprint(&request.target)) {
        request.log(unsent);
    }
    match unsent {
        // tm will tell the end.
        None | Some(Unsent::Kept) => {}
        Some(Unsent::Dropped) => {
            health.end();
            spared::leave(module, &record);
        }
        Some(why) => settle(module, &record, Ended::NotSent(why), (&[], None)),
    }
}

/// Has tm send a ping. Returns why it was not sent, if it was not.
fn give_to_tm(
    module: &'static Module,
    pings: &PingSettings,
    request: &Request,
    record: Record<'static>,
) -> Option<Unsent> {
    let to = [b"<", request.uri.as_slice(), b">"].concat();
    let next_hop = match &request.send_to {
        SendTo::Via(uri) => text::as_str(uri),
        _ => text::EMPTY,
    };
    let record = record.into_raw();
    let mut ping = sys::glue_ping {
        method: text::as_str(pings.method),
        uri: text::as_str(&request.uri),
        to: text::as_str(&to),
        from: text::as_str(&request.from),
        next_hop,
        socket: text::as_terminated_str(&request.socket.place),
        sockname: text::as_str(&request.socket.name),
        record: record.as_ptr().cast(),
    };
    TIMEOUT_MS.store(pings.timeout_ms, Relaxed);
    LEFT.store(false, Relaxed);
    // SAFETY: all texts live until the end of this function; tm was found in mod_init.
    let sent = unsafe { sys::glue_ping_send(&raw mut ping) };
    TIMEOUT_MS.store(0, Relaxed);
    // SAFETY: removes what routes of the config (tm:local-request) left in this process's lists;
    // no message is being handled here.
    unsafe { sys::ksr_msg_env_reset() };
    if sent > 0 {
        return (!LEFT.load(Relaxed)).then_some(Unsent::Kept);
    }
    // SAFETY: given away by `into_raw` above; tm did not take the ping, so it calls nobody back.
    drop(unsafe { module.store.take_back(record) });
    Some(match sent {
        0 => Unsent::Dropped,
        sys::E_NO_SOCKET => Unsent::NoSocket,
        _ => Unsent::Refused,
    })
}

impl Request {
    /// Logs that pings of the destination cannot be sent any more, or that they are sent again.
    fn log(&self, unsent: Option<Unsent>) {
        let (set, uri) = (self.set, Escaped(&self.uri));
        let Some(why) = unsent else {
            return log_info!("set {set}, {uri}: pings are sent again");
        };
        let about = match why {
            Unsent::NoAddress => Uri::parse(&self.target).map(|uri| uri.host().to_vec()),
            Unsent::BadProxy => Some(self.target.clone()),
            Unsent::NoSocket => self.way(),
            Unsent::NoHost | Unsent::Refused | Unsent::Kept | Unsent::Dropped => None,
        };
        let why = why.words();
        match about {
            Some(about) => log_warn!(
                "set {set}, {uri}: pings cannot be sent: {why}: {}",
                Escaped(&about)
            ),
            None => log_warn!("set {set}, {uri}: pings cannot be sent: {why}"),
        }
    }

    /// Returns the transport and the kind of address by which it leaves.
    fn way(&self) -> Option<Vec<u8>> {
        let hop = match &self.send_to {
            SendTo::Via(uri) => uri,
            _ => &self.uri,
        };
        let uri = Uri::parse(hop)?;
        let kind = match net::literal(uri.host())? {
            Addr::V4(_) => "IPv4",
            Addr::V6(_) => "IPv6",
        };
        let transport = net::transport_name(net::proto_of(&uri));
        Some(format!("{transport}, {kind}").into_bytes())
    }
}

/// Sets how long a ping waits for its reply. tm calls it before it sends any local request.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_ping_leaves(
    transaction: *mut sys::cell,
    _type: c_int,
    _params: *mut sys::tmcb_params,
) {
    guard(|| {
        let timeout_ms = TIMEOUT_MS.load(Relaxed);
        if timeout_ms > 0 && !transaction.is_null() {
            let timeout_ms = c_int::try_from(timeout_ms).unwrap_or(c_int::MAX);
            // SAFETY: tm's new transaction, whose timer has not started (tm/uac.c, t_uac_prepare).
            unsafe { sys::glue_tm_set_timeout(transaction, timeout_ms) };
        }
    });
}
