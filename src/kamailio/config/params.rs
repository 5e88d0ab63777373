//! The module's parameters: read once in `mod_init`, checked, and then fixed.

use super::cluster_params::{self, ClusterSettings};
use super::dns_params::{self, DnsSettings};
use super::list_params::{self, Keep, ListSource};
use super::listeners::Listeners;
use super::metrics_params::{self, Metrics};
use super::ping_params::{self, DefaultSocket, Passive, PingSettings};
use super::results_params::{self, DST_MODES, Results};
use super::value::{
    Read, bad_number, bytes, parsed, remark_number, remark_rest, seconds_or_never, set, switch,
    whole,
};
use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::event::EventMode;
use crate::dispatch::state::latency::Alpha;
use crate::dispatch::state::transition::MarkRules;
use crate::kamailio::server::log::{log_err, log_warn};
use crate::kamailio::server::memory;
use crate::kamailio::server::pv::{Format, Variable};
use crate::kamailio::server::sys;
use crate::shm::calls::call_table::{CALL_BYTES, CallLimits};
use crate::shm::set::view::Rules;
use crate::shm::table::store::ReloadState;

/// `flags` bit 1: hash only the user part of a URI.
const HASH_USER_ONLY: i32 = 1;
/// `flags` bit 2: fill the list of further destinations for failover.
const FAILOVER: i32 = 2;

/// The parameters, checked.
pub struct Settings {
    /// The place of the list.
    pub source: ListSource,
    /// The place where operators' states are kept.
    pub keep: Keep,
    /// The version whose meaning applies.
    pub compat: Compat,
    /// Overwrite a d-URI that is set already.
    pub force_dst: bool,
    /// Hash only the user part of a URI.
    pub hash_user_only: bool,
    /// Keep the further destinations for failover.
    pub failover: bool,
    /// The last destination of a set is its default destination.
    pub use_default: bool,
    /// A list with a bad destination is refused as a whole.
    pub strict_load: bool,
    /// A destination without attributes gets `none=yes`.
    pub attrs_none: bool,
    /// Seconds between two changes of the lists; 0 allows them at any time.
    pub reload_delta_s: u32,
    /// Counting of calls for algorithm 10; `None` if it is off.
    pub call_load: Option<CallLoad>,
    /// When names of destinations are asked for, and how.
    pub dns: DnsSettings,
    /// The treatment of states at a reload.
    pub reload_state: ReloadState,
    /// Thresholds that marks and pings count to, as the config has them.
    pub mark: MarkRules,
    /// Replies to pings that are good beside the usual ones, as the config has them.
    pub reply_codes: &'static [u8],
    /// Text to hash for algorithm 7.
    pub hash_pvar: Option<Format>,
    /// Receives the set that a request is from.
    pub setid: Option<Variable>,
    /// Receives the attributes of the destination that a request is from.
    pub attrs: Option<Variable>,
    /// The settings of pings; `None` if destinations are not pinged.
    pub pings: Option<PingSettings>,
    /// The module begins with pings switched on.
    pub ping_active_init: bool,
    /// The local socket of destinations that name none.
    pub default_socket: DefaultSocket,
    /// The weight by which round trips are estimated; `None` if they are not measured.
    pub latency: Option<Alpha>,
    /// The secondary timer's process frees replaced lists and ends calls (`ds_timer_mode`).
    pub secondary_timer: bool,
    /// The place of a selection's results.
    pub results: Results,
    /// The settings of metrics.
    pub metrics: Metrics,
    /// The listeners that are told of state changes.
    pub listeners: Listeners,
    /// Changes of states have lines in the log.
    pub log_changes: bool,
    /// The number of changes of states that are kept.
    pub history_size: usize,
    /// The level of counting.
    pub counters: Counters,
    /// Which calls are counted beside those of algorithm 10.
    pub count_calls: CountCalls,
    /// The attribute `cps` is a limit.
    pub cps: bool,
    /// The part of all calls that a destination may have with algorithms 100 to 107, in percent of its fair one.
    pub bounded_load: Option<u32>,
    /// The settings of passive health; `None` if requests are not watched.
    pub passive: Option<Passive>,
    /// Seconds of the slow start of a destination that is back, as the config has them; 0 for none.
    pub slow_start_s: u32,
    /// The settings of the cluster; `None` if this server is alone.
    pub cluster: Option<ClusterSettings>,
}

/// The levels of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counters {
    /// Nothing.
    Off,
    /// The group of counters in the server's own framework.
    Group,
    /// That, and selections and failovers of each set and each destination.
    Each,
}

/// Which calls are counted beside those of algorithm 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountCalls {
    /// None.
    Off,
    /// Those of all algorithms but 12. `maxload` is a limit for algorithm 10 alone.
    Count,
    /// Those of all algorithms but 12, with `maxload` as a limit for all of them.
    Limit,
}

/// The settings of counted calls.
#[derive(Clone, Copy, Debug)]
pub struct CallLoad {
    /// The number of slots is two to the power of this.
    pub size: u32,
    /// How long calls count, and how many.
    pub limits: CallLimits,
    /// Seconds in which all calls are checked once for whether their time is over.
    pub check_s: u32,
}

impl Settings {
    /// Reads and checks all parameters. Returns `None` after the message about a bad one.
    pub fn read() -> Option<Self> {
        let raw = &raw const sys::glue_modparams;
        // SAFETY: the server writes them while it reads the config, before mod_init; nobody since.
        let raw = unsafe { &*raw };
        Self::check(raw).map_err(|bad| log_err!("{bad}")).ok()
    }

    /// Returns true if a selection writes its chosen destination alone, and failover makes the
    /// next ones.
    pub fn on_demand(&self) -> bool {
        self.failover && self.results.on_demand
    }

    /// Returns true if states that operators set are shared with other servers.
    pub fn shares_states(&self) -> bool {
        let cluster = self.cluster.as_ref();
        cluster.is_some_and(|cluster| cluster.cluster.share_states)
    }

    /// Returns true if destinations are asked for more than their state.
    pub fn has_gates(&self) -> bool {
        self.cps || self.count_calls == CountCalls::Limit || self.slow_start_s > 0
    }

    /// Returns true if the calls that are counted here are counted together with those of other servers.
    pub fn shares_load(&self) -> bool {
        let cluster = self.cluster.as_ref();
        self.call_load.is_some() && cluster.is_some_and(|cluster| cluster.share_load)
    }

    /// Returns true if other servers are told of ends of calls that are not counted here.
    pub fn tells_ends(&self) -> bool {
        let cluster = self.cluster.as_ref();
        self.call_load.is_some() && cluster.is_some_and(|cluster| cluster.tell_ends)
    }

    /// Returns true if other servers are told what is pinged here.
    pub fn tells_pings(&self) -> bool {
        self.cluster.is_some() && self.pings.is_some()
    }

    /// Returns true if this server relies on the pings of others.
    pub fn shares_pings(&self) -> bool {
        let cluster = self.cluster.as_ref();
        self.pings.is_some() && cluster.is_some_and(|cluster| cluster.share_pings)
    }

    /// Returns what views are built by.
    pub fn rules(&self) -> Rules {
        Rules {
            unusable: self.compat.unusable_bits(),
            use_default: self.use_default,
            call_load: self.call_load.is_some(),
            watched: self.pings.is_some() || self.passive.is_some() || self.slow_start_s > 0,
            counted: self.counters == Counters::Each,
            shared: self.shares_states(),
            rates: self.cps,
            ping_words: self.tells_pings(),
        }
    }

    fn check(raw: &sys::glue_modparams) -> Read<Self> {
        let compat = compat(raw)?;
        let failover = raw.flags & FAILOVER != 0 && results_params::keeps_destinations(raw);
        let setid = match set(&raw.setid_pvname) {
            Some(_) => variable("setid_pvname", &raw.setid_pvname)?,
            None => variable("setid_pvar", &raw.setid_pvar)?,
        };
        warn_of_unknown_bits("flags", raw.flags, HASH_USER_ONLY | FAILOVER);
        warn_of_unknown_bits("ds_dns_mode", raw.ds_dns_mode, 15);
        warn_of_unknown_bits("xavp_dst_mode", raw.xavp_dst_mode, DST_MODES);
        warn_of_unknown_bits("xavp_ctx_mode", raw.xavp_ctx_mode, 1);
        let hash_pvar = "a text whose variables the server knows, as $fU@$ci";
        Ok(Settings {
            source: list_params::source(raw)?,
            keep: list_params::keep(raw)?,
            compat,
            force_dst: raw.force_dst != 0,
            hash_user_only: raw.flags & HASH_USER_ONLY != 0,
            failover,
            use_default: raw.use_default != 0,
            strict_load: raw.ds_load_mode != 0,
            attrs_none: raw.ds_attrs_none != 0,
            reload_delta_s: whole("reload_delta", raw.reload_delta, "seconds, 0 or more"),
            call_load: call_load(raw),
            dns: dns_params::dns(raw),
            reload_state: list_params::reload_state(raw)?,
            mark: mark_rules(raw, compat),
            reply_codes: ping_params::reply_codes(raw),
            pings: ping_params::pings(raw)?,
            ping_active_init: switch("ds_ping_active_init", raw.ds_ping_active_init)?,
            default_socket: ping_params::default_socket(raw)?,
            latency: ping_params::latency(raw, compat),
            secondary_timer: ping_params::secondary_timer(raw),
            hash_pvar: parsed("hash_pvar", &raw.hash_pvar, Format::parse, hash_pvar)?,
            setid,
            attrs: variable("attrs_pvname", &raw.attrs_pvname)?,
            results: results_params::results(raw, failover, compat)?,
            metrics: metrics_params::metrics(raw)?,
            counters: counters(raw)?,
            count_calls: count_calls(raw)?,
            cps: switch("ds_cps", raw.ds_cps)?,
            bounded_load: bounded_load(raw)?,
            passive: ping_params::passive(raw)?,
            slow_start_s: ping_params::slow_start(raw)?,
            listeners: Listeners::find(event_mode(raw), compat, bytes(&raw.event_callback)),
            log_changes: switch("log_changes", raw.log_changes)?,
            history_size: history_size(raw),
            cluster: cluster_params::cluster(raw, server_release())?,
        })
    }
}

fn variable(name: &'static str, value: &sys::str_) -> Read<Option<Variable>> {
    let expected = "a variable that can be written, as $var(x)";
    let parse = |value: &'static [u8]| {
        let (variable, rest) = Variable::parse(value)?;
        remark_rest(name, value, rest, expected);
        variable.is_writable().then_some(variable)
    };
    parsed(name, value, parse, expected)
}

fn warn_of_unknown_bits(name: &str, value: i32, known: i32) {
    let unknown = value & !known;
    if unknown != 0 {
        log_warn!("parameter {name}: bits {unknown} mean nothing and are ignored");
    }
}

/// Returns true for a config of the time of 3.2, by its names. `sock_avp` is of 4.3 to 5.1, whose
/// states mean what they do in 5.6, and whose configs have the AVP parameters as well.
fn uses_old_names(raw: &sys::glue_modparams) -> bool {
    if set(&raw.sock_avp).is_some() {
        return false;
    }
    let texts = [
        &raw.dst_avp,
        &raw.grp_avp,
        &raw.cnt_avp,
        &raw.dstid_avp,
        &raw.attrs_avp,
        &raw.setid_pvar,
    ];
    raw.ds_probing_threshhold != sys::GLUE_UNSET
        || texts.into_iter().any(|text| set(text).is_some())
}

fn compat(raw: &sys::glue_modparams) -> Read<Compat> {
    let expected = "\"3.2\", \"5.6\", \"6.0\" or \"6.1\"";
    if let Some(compat) = parsed("compat", &raw.compat, Compat::parse, expected)? {
        return Ok(compat);
    }
    if uses_old_names(raw) {
        log_warn!(
            "the config uses names of version 3.2: its meaning of list flag 2, of probing and of \
             marks applies (set compat to choose another)"
        );
        return Ok(Compat::V3_2);
    }
    let (major, minor) = server_release();
    Ok(Compat::for_core(major, minor))
}

/// Returns the release of the server that the module was built for.
const fn server_release() -> (u32, u32) {
    let version = sys::KSR_VERSION_NUMBER / 1000;
    (version / 1000, version % 1000)
}

fn count_calls(raw: &sys::glue_modparams) -> Read<CountCalls> {
    let name = "ds_count_calls";
    let wanted = match raw.ds_count_calls {
        0 => return Ok(CountCalls::Off),
        1 => CountCalls::Count,
        2 => CountCalls::Limit,
        other => return bad_number(name, other, "0, 1 or 2"),
    };
    if raw.ds_hash_size < 1 {
        return bad_number(name, raw.ds_count_calls, "0 without ds_hash_size");
    }
    Ok(wanted)
}

fn bounded_load(raw: &sys::glue_modparams) -> Read<Option<u32>> {
    let (name, percent) = ("ds_bounded_load", raw.ds_bounded_load);
    match percent {
        0 => Ok(None),
        101..=1_000 if raw.ds_count_calls != 2 => {
            bad_number(name, percent, "0 without ds_count_calls 2")
        }
        101..=1_000 => Ok(Some(percent.unsigned_abs())),
        other => bad_number(name, other, "0, or 101 to 1000 percent"),
    }
}

fn counters(raw: &sys::glue_modparams) -> Read<Counters> {
    match raw.counters {
        0 => Ok(Counters::Off),
        1 => Ok(Counters::Group),
        2 => Ok(Counters::Each),
        other => bad_number("counters", other, "0, 1 or 2"),
    }
}

fn mark_rules(raw: &sys::glue_modparams, compat: Compat) -> MarkRules {
    let threshold = |name, value| whole(name, value, "a number of failures, 0 or more");
    let probing = match (raw.ds_probing_threshold, raw.ds_probing_threshhold) {
        (sys::GLUE_UNSET, sys::GLUE_UNSET) => compat.default_probing_threshold(),
        (sys::GLUE_UNSET, old) => threshold("ds_probing_threshhold", old),
        (new, _) => threshold("ds_probing_threshold", new),
    };
    MarkRules {
        compat,
        probing_threshold: probing,
        inactive_threshold: threshold("ds_inactive_threshold", raw.ds_inactive_threshold),
        probing_mode: ping_params::probing_mode(raw),
    }
}

/// Reads how calls are counted. Returns `None` if they are not.
fn call_load(raw: &sys::glue_modparams) -> Option<CallLoad> {
    let expected = "a power of two, 0 (off) to 31";
    let size = match raw.ds_hash_size {
        0 => return None,
        negative @ ..0 => {
            remark_number("ds_hash_size", negative, expected, "call load is off");
            return None;
        }
        size @ 1..=31 => size,
        too_large => {
            // The C module's shift leaves out the bits above.
            let size = too_large % 32;
            remark_number(
                "ds_hash_size",
                too_large,
                expected,
                &format!("{size} is used"),
            );
            size
        }
    };
    let mut limits = CallLimits {
        expire_s: seconds_or_never("ds_hash_expire", raw.ds_hash_expire),
        init_expire_s: seconds_or_never("ds_hash_initexpire", raw.ds_hash_initexpire),
        most: most_calls(raw),
    };
    let check_s = seconds_or_never("ds_hash_check_interval", raw.ds_hash_check_interval);
    if check_s == u32::MAX {
        (limits.expire_s, limits.init_expire_s) = (check_s, check_s);
    }
    Some(CallLoad {
        size: size.unsigned_abs(),
        limits,
        check_s,
    })
}

/// Returns the most calls that are counted; by default as many as a quarter of the shared memory holds.
fn most_calls(raw: &sys::glue_modparams) -> usize {
    let expected = "a number of calls, or 0 for a quarter of the shared memory";
    let fit = memory::size() / 4 / CALL_BYTES;
    match whole("ds_hash_max_calls", raw.ds_hash_max_calls, expected) {
        0 => fit,
        most => usize::try_from(most).unwrap_or(usize::MAX),
    }
}

fn history_size(raw: &sys::glue_modparams) -> usize {
    let expected = "a number of changes, or 0 for none";
    let size = whole("history_size", raw.history_size, expected);
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// The first release whose C module takes a sum of bits as `event_callback_mode`.
const EVENT_MODE_BITS: (u32, u32) = (6, 2);

fn event_mode(raw: &sys::glue_modparams) -> EventMode {
    let number = raw.event_callback_mode;
    let known = if number < 0 { 0 } else { EventMode::KNOWN };
    warn_of_unknown_bits("event_callback_mode", number, known);
    EventMode::from_number(number, server_release() >= EVENT_MODE_BITS)
}
