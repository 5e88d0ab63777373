//! The module's parameters: read once in `mod_init`, checked, and then fixed.

use core::fmt;

use super::cfg;
use super::dns_params::{self, DnsSettings};
use super::listeners::Listeners;
use super::ping_params::{self, DefaultSocket, PingSettings};
use crate::dispatch::list::row::{self, Columns};
use crate::dispatch::state::compat::Compat;
use crate::dispatch::state::event::EventMode;
use crate::dispatch::state::latency::Alpha;
use crate::dispatch::state::transition::MarkRules;
use crate::kamailio::list::db::Table;
use crate::kamailio::list::source::Source;
use crate::kamailio::server::log::{log_err, log_warn};
use crate::kamailio::server::pv::{Avp, Format, Variable};
use crate::kamailio::server::sys;
use crate::kamailio::server::text::{self, Escaped};
use crate::shm::calls::call_table::Lifetimes;
use crate::shm::set::view::Rules;
use crate::shm::table::store::ReloadState;

/// `flags` bit 1: hash only the user part of a URI.
const HASH_USER_ONLY: i32 = 1;
/// `flags` bit 2: fill the list of further destinations for failover.
const FAILOVER: i32 = 2;

/// `xavp_dst_mode` bits that other versions of the module know.
const DST_MODES: i32 = 7;
/// `xavp_dst_mode` bit of our own: only the current destination is written. Far from those of the C
/// module, which grow from below.
const ON_DEMAND: i32 = 1 << 16;

/// What the config asks for.
pub struct Settings {
    /// Where the list of destinations is.
    pub source: Source,
    /// Where what operators have set is kept.
    pub keep: Keep,
    /// Which version's meaning applies.
    pub compat: Compat,
    /// Overwrite a d-URI that is set already.
    pub force_dst: bool,
    /// Hash only the user part of a URI.
    pub hash_user_only: bool,
    /// Keep the further destinations for failover.
    pub failover: bool,
    /// The last destination of a set is only the last resort.
    pub use_default: bool,
    /// A list with a bad destination is refused as a whole.
    pub strict_load: bool,
    /// A destination without attributes gets `none=yes`.
    pub attrs_none: bool,
    /// Seconds between two changes of the lists; 0 lets them come at any time.
    pub reload_delta_s: u32,
    /// Counting of calls for algorithm 10; `None` where it is off.
    pub call_load: Option<CallLoad>,
    /// When and how names of destinations are asked for.
    pub dns: DnsSettings,
    /// How a reload treats states.
    pub reload_state: ReloadState,
    /// Thresholds that marks and pings count to, as the config has them.
    pub mark: MarkRules,
    /// Text to hash for algorithm 7.
    pub hash_pvar: Option<Format>,
    /// Receives the set that a request is from.
    pub setid: Option<Variable>,
    /// Receives the attributes of the destination that a request is from.
    pub attrs: Option<Variable>,
    /// How destinations are pinged; `None` where they are not.
    pub pings: Option<PingSettings>,
    /// The local socket of destinations that name none.
    pub default_socket: DefaultSocket,
    /// By what weight round trips are estimated; `None` where they are not measured.
    pub latency: Option<Alpha>,
    /// The secondary timer's process gives replaced lists and expired calls back
    /// (`ds_timer_mode`).
    pub secondary_timer: bool,
    /// Where results go.
    pub results: Results,
    /// Who is told of changes of states.
    pub listeners: Listeners,
}

/// How calls are counted.
#[derive(Clone, Copy, Debug)]
pub struct CallLoad {
    /// Power of two of slots.
    pub size: u32,
    /// How long calls count.
    pub lifetimes: Lifetimes,
    /// Seconds in which all calls are looked at once for whether their time is over.
    pub check_s: u32,
}

/// Where the results of a selection go, and what of them.
pub struct Results {
    /// Anything is written: destinations, their count, or an AVP.
    pub any: bool,
    /// XAVP with the destinations.
    pub dst: &'static [u8],
    /// XAVP with their count.
    pub ctx: &'static [u8],
    /// Write the attributes (`xavp_dst_mode` bit 1 turns it off).
    pub attrs: bool,
    /// Write the socket's text (`xavp_dst_mode` bit 2).
    pub socket: bool,
    /// Write the socket's name (`xavp_dst_mode` bit 4).
    pub sockname: bool,
    /// Write only the current destination, and make the next one when it is asked for
    /// (`xavp_dst_mode` bit 65536).
    pub on_demand: bool,
    /// Write the place in the set.
    pub place: bool,
    /// Write the count (`xavp_ctx_mode` bit 1 turns it off).
    pub count: bool,
    /// The old-time AVPs.
    pub avps: Avps,
}

/// The old-time AVPs; each is filled when it is set.
#[derive(Default)]
pub struct Avps {
    /// URIs of the destinations.
    pub dst: Option<Avp>,
    /// The set.
    pub grp: Option<Avp>,
    /// Number of destinations.
    pub cnt: Option<Avp>,
    /// Their unique ids.
    pub dstid: Option<Avp>,
    /// Their attributes.
    pub attrs: Option<Avp>,
    /// Their local sockets.
    pub sock: Option<Avp>,
}

impl Avps {
    /// True when there is a value for each destination.
    pub fn names_destinations(&self) -> bool {
        [self.dst, self.attrs, self.dstid, self.sock]
            .iter()
            .any(Option::is_some)
    }

    /// True when any is set.
    fn any(&self) -> bool {
        self.names_destinations() || self.grp.is_some() || self.cnt.is_some()
    }
}

/// A parameter with a value that means nothing.
pub(crate) struct BadValue<'a> {
    pub name: &'static str,
    pub value: &'a [u8],
    pub expected: &'static str,
}

impl fmt::Display for BadValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadValue {
            name,
            value,
            expected,
        } = self;
        write!(
            f,
            "parameter {name}: found \"{}\", expected {expected}",
            Escaped(value)
        )
    }
}

/// Bytes of a text parameter; the server never frees or changes them.
pub(crate) fn bytes(text: &sys::str_) -> &'static [u8] {
    // SAFETY: set by the server while it read the config, and left alone since (doc/dev/safety.md).
    unsafe { text::bytes(text) }
}

/// A text parameter that is set.
pub(crate) fn set(text: &sys::str_) -> Option<&'static [u8]> {
    Some(bytes(text)).filter(|text| !text.is_empty())
}

fn variable(name: &'static str, value: &sys::str_) -> Result<Option<Variable>, BadValue<'static>> {
    let Some(value) = set(value) else {
        return Ok(None);
    };
    match Variable::parse(value) {
        Some(variable) if variable.is_writable() => Ok(Some(variable)),
        _ => Err(BadValue {
            name,
            value,
            expected: "a variable that can be written, as $var(x)",
        }),
    }
}

fn avp(name: &'static str, value: &sys::str_) -> Result<Option<Avp>, BadValue<'static>> {
    let Some(value) = set(value) else {
        return Ok(None);
    };
    match Avp::parse(value) {
        Some(avp) => Ok(Some(avp)),
        None => Err(BadValue {
            name,
            value,
            expected: "an AVP with a fixed name, as $avp(x)",
        }),
    }
}

fn xavp(name: &'static str, value: &sys::str_) -> Result<&'static [u8], BadValue<'static>> {
    let value = bytes(value);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !value.is_empty() && value.iter().all(plain) {
        return Ok(value);
    }
    Err(BadValue {
        name,
        value,
        expected: "the name of an XAVP, as _dsdst_",
    })
}

impl Settings {
    /// Reads and checks all parameters; `None` after the message when one is bad.
    pub fn read() -> Option<Self> {
        let raw = &raw const sys::glue_modparams;
        // SAFETY: the server writes them while it reads the config, before mod_init; nobody since.
        let raw = unsafe { &*raw };
        let settings = Self::check(raw).map_err(|bad| log_err!("{bad}")).ok()?;
        cfg::check_parameter(raw)?;
        cfg::declare(raw, &settings.mark)?;
        Some(settings)
    }

    /// True when a selection writes its chosen destination alone, and failover makes the next ones.
    pub fn on_demand(&self) -> bool {
        self.failover && self.results.on_demand
    }

    /// What views are built by.
    pub fn rules(&self) -> Rules {
        Rules {
            unusable: self.compat.unusable_bits(),
            last_resort: self.use_default,
            call_load: self.call_load.is_some(),
            watched: self.pings.is_some(),
        }
    }

    fn check(raw: &sys::glue_modparams) -> Result<Self, BadValue<'static>> {
        let compat = compat(raw)?;
        let setid = match set(&raw.setid_pvname) {
            Some(_) => variable("setid_pvname", &raw.setid_pvname)?,
            None => variable("setid_pvar", &raw.setid_pvar)?,
        };
        warn_of_unknown_bits("flags", raw.flags, HASH_USER_ONLY | FAILOVER);
        warn_of_unknown_bits("ds_dns_mode", raw.ds_dns_mode, 15);
        warn_of_unknown_bits("xavp_dst_mode", raw.xavp_dst_mode, DST_MODES | ON_DEMAND);
        warn_of_unknown_bits("xavp_ctx_mode", raw.xavp_ctx_mode, 1);
        Ok(Settings {
            source: source(raw)?,
            keep: keep(raw)?,
            compat,
            force_dst: raw.force_dst != 0,
            hash_user_only: raw.flags & HASH_USER_ONLY != 0,
            failover: raw.flags & FAILOVER != 0,
            use_default: raw.use_default != 0,
            strict_load: raw.ds_load_mode != 0,
            attrs_none: raw.ds_attrs_none != 0,
            reload_delta_s: whole("reload_delta", raw.reload_delta, "seconds, 0 or more")?,
            call_load: call_load(raw)?,
            dns: dns_params::dns(raw)?,
            reload_state: reload_state(raw)?,
            mark: mark_rules(raw, compat)?,
            pings: ping_params::pings(raw)?,
            default_socket: ping_params::default_socket(raw)?,
            latency: ping_params::latency(raw, compat),
            secondary_timer: ping_params::secondary_timer(raw)?,
            hash_pvar: hash_pvar(raw)?,
            setid,
            attrs: variable("attrs_pvname", &raw.attrs_pvname)?,
            results: results(raw, compat)?,
            listeners: Listeners::find(event_mode(raw)?, compat, bytes(&raw.event_callback)),
        })
    }
}

fn results(raw: &sys::glue_modparams, compat: Compat) -> Result<Results, BadValue<'static>> {
    let avps = Avps {
        dst: avp("dst_avp", &raw.dst_avp)?,
        grp: avp("grp_avp", &raw.grp_avp)?,
        cnt: avp("cnt_avp", &raw.cnt_avp)?,
        dstid: avp("dstid_avp", &raw.dstid_avp)?,
        attrs: avp("attrs_avp", &raw.attrs_avp)?,
        sock: avp("sock_avp", &raw.sock_avp)?,
    };
    let count = raw.xavp_ctx_mode & 1 == 0;
    Ok(Results {
        any: raw.flags & FAILOVER != 0 || count || avps.any(),
        dst: xavp("xavp_dst", &raw.xavp_dst)?,
        ctx: xavp("xavp_ctx", &raw.xavp_ctx)?,
        attrs: raw.xavp_dst_mode & 1 == 0,
        socket: raw.xavp_dst_mode & 2 != 0,
        sockname: raw.xavp_dst_mode & 4 != 0,
        on_demand: raw.xavp_dst_mode & ON_DEMAND != 0,
        place: compat.writes_places(),
        count,
        avps,
    })
}

/// True for a config of the time of 3.2, by its names. `sock_avp` is of 4.3 to 5.1, whose states
/// mean what they do in 5.6, and whose configs have the AVP parameters as well.
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

fn compat(raw: &sys::glue_modparams) -> Result<Compat, BadValue<'static>> {
    let Some(value) = set(&raw.compat) else {
        if uses_old_names(raw) {
            log_warn!(
                "the config uses names of version 3.2: its meaning of list flag 2, of probing and \
                 of marks applies (set compat to choose another)"
            );
            return Ok(Compat::V3_2);
        }
        let version = sys::KSR_VERSION_NUMBER / 1000;
        return Ok(Compat::for_core(version / 1000, version % 1000));
    };
    Compat::parse(value).ok_or(BadValue {
        name: "compat",
        value,
        expected: "\"3.2\", \"5.6\", \"6.0\" or \"6.1\"",
    })
}

fn reload_state(raw: &sys::glue_modparams) -> Result<ReloadState, BadValue<'static>> {
    match set(&raw.reload_state) {
        None | Some(b"keep") => Ok(ReloadState::Keep),
        Some(b"file") => Ok(ReloadState::FromList),
        Some(value) => {
            let expected = "\"keep\" or \"file\"";
            Err(BadValue {
                name: "reload_state",
                value,
                expected,
            })
        }
    }
}

fn mark_rules(raw: &sys::glue_modparams, compat: Compat) -> Result<MarkRules, BadValue<'static>> {
    let probing = match (raw.ds_probing_threshold, raw.ds_probing_threshhold) {
        (sys::GLUE_UNSET, sys::GLUE_UNSET) => compat.default_probing_threshold(),
        (sys::GLUE_UNSET, old) => threshold("ds_probing_threshhold", old)?,
        (new, _) => threshold("ds_probing_threshold", new)?,
    };
    Ok(MarkRules {
        compat,
        probing_threshold: probing,
        inactive_threshold: threshold("ds_inactive_threshold", raw.ds_inactive_threshold)?,
        probing_mode: ping_params::probing_mode(raw)?,
    })
}

fn threshold(name: &'static str, value: i32) -> Result<u32, BadValue<'static>> {
    whole(name, value, "a number of failures, 0 or more")
}

/// A number that is not negative.
pub(crate) fn whole(
    name: &'static str,
    value: i32,
    expected: &'static str,
) -> Result<u32, BadValue<'static>> {
    u32::try_from(value).map_err(|_| BadValue {
        name,
        value: value.to_string().leak().as_bytes(),
        expected,
    })
}

/// Largest `ds_hash_size`: 2^26 slots take a gigabyte.
const MAX_HASH_SIZE: u32 = 26;

fn call_load(raw: &sys::glue_modparams) -> Result<Option<CallLoad>, BadValue<'static>> {
    let seconds = |name, value| whole(name, value, "seconds, 0 or more");
    let lifetimes = Lifetimes {
        expire_s: seconds("ds_hash_expire", raw.ds_hash_expire)?,
        init_expire_s: seconds("ds_hash_initexpire", raw.ds_hash_initexpire)?,
    };
    let check_s = seconds("ds_hash_check_interval", raw.ds_hash_check_interval)?;
    let expected = "a power of two, 0 (off) to 26";
    let size = whole("ds_hash_size", raw.ds_hash_size, expected)?;
    if size > MAX_HASH_SIZE {
        let value = size.to_string().leak().as_bytes();
        return Err(BadValue {
            name: "ds_hash_size",
            value,
            expected,
        });
    }
    Ok((size > 0).then_some(CallLoad {
        size,
        lifetimes,
        check_s,
    }))
}

fn event_mode(raw: &sys::glue_modparams) -> Result<EventMode, BadValue<'static>> {
    let number = raw.event_callback_mode;
    EventMode::from_number(number).ok_or_else(|| BadValue {
        name: "event_callback_mode",
        value: number.to_string().leak().as_bytes(),
        expected: "0, 1, 2 or 3",
    })
}

fn hash_pvar(raw: &sys::glue_modparams) -> Result<Option<Format>, BadValue<'static>> {
    let Some(value) = set(&raw.hash_pvar) else {
        return Ok(None);
    };
    let expected = "a text whose variables the server knows, as $fU@$ci";
    match Format::parse(value) {
        Some(format) => Ok(Some(format)),
        None => Err(BadValue {
            name: "hash_pvar",
            value,
            expected,
        }),
    }
}

fn warn_of_unknown_bits(name: &str, value: i32, known: i32) {
    if value & !known != 0 {
        log_warn!(
            "parameter {name}: bits {} mean nothing and are ignored",
            value & !known
        );
    }
}

/// Where what operators have set is kept over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nowhere.
    Nowhere,
    /// In a file of its own.
    File(&'static [u8]),
    /// In the table that the list is in.
    Table,
}

fn keep(raw: &sys::glue_modparams) -> Result<Keep, BadValue<'static>> {
    let in_table = match raw.db_state_mode {
        0 => false,
        1 => true,
        other => {
            return Err(BadValue {
                name: "db_state_mode",
                value: other.to_string().leak().as_bytes(),
                expected: "0 or 1",
            });
        }
    };
    match (set(&raw.state_file), in_table) {
        (None, false) => Ok(Keep::Nowhere),
        (Some(path), false) => Ok(Keep::File(path)),
        (None, true) if set(&raw.db_url).is_some() => Ok(Keep::Table),
        (file, true) => Err(BadValue {
            name: "db_state_mode",
            value: b"1",
            expected: match file {
                Some(_) => "0 where state_file is set",
                None => "0 without db_url (see state_file)",
            },
        }),
    }
}

/// A table where the config names a database, else a file.
fn source(raw: &sys::glue_modparams) -> Result<Source, BadValue<'static>> {
    let Some(url) = set(&raw.db_url) else {
        let path = set(&raw.list_file).unwrap_or_else(default_list);
        return Ok(Source::File(path));
    };
    let bad = |name, value, expected| BadValue {
        name,
        value,
        expected,
    };
    let name = |name, value: &sys::str_| match bytes(value).trim_ascii() {
        b"" => Err(bad(name, b"", "a name")),
        value => Ok(value),
    };
    let extra = match set(&raw.ds_db_extra_attrs) {
        None => Vec::new(),
        Some(value) => row::extra_attrs(value).ok_or(bad(
            "ds_db_extra_attrs",
            value,
            "attribute=column;attribute=column",
        ))?,
    };
    Ok(Source::Table(Table {
        url,
        name: name("table_name", &raw.table_name)?,
        columns: Columns {
            names: [
                name("setid_col", &raw.setid_col)?,
                name("destination_col", &raw.destination_col)?,
                name("flags_col", &raw.flags_col)?,
                name("priority_col", &raw.priority_col)?,
                name("attrs_col", &raw.attrs_col)?,
            ],
            extra,
        },
        order: set(&raw.order_col).map(<[u8]>::trim_ascii),
    }))
}

/// `dispatcher.list` in the directory of the server's config files.
fn default_list() -> &'static [u8] {
    [sys::KSR_CFG_DIR.to_bytes(), b"dispatcher.list"]
        .concat()
        .leak()
}
