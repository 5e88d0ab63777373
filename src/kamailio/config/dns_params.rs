//! The parameters of names: `ds_dns_mode` and those that belong to it.

use super::value::whole;
use crate::kamailio::server::sys;

/// When the names of destinations are asked for, and how.
#[derive(Clone, Copy, Debug)]
pub struct DnsSettings {
    /// When a list is read (mode 1).
    pub at_load: bool,
    /// In each `ds_is_from_list` (mode 2).
    pub at_match: bool,
    /// Milliseconds between two questions for each name by a process of its own (mode 4); 0 for
    /// never.
    pub every_ms: u64,
    /// Neither when a list is read nor by a process of its own.
    pub at_match_only: bool,
    /// By the rules of SIP, NAPTR and SRV (mode 8 beside another one).
    pub by_sip: bool,
    /// Milliseconds for which an answer is good in `ds_is_from_list`; 0 asks the server each time.
    pub ttl_ms: u64,
    /// Take all addresses of a name, not the first alone (`ds_dns_match_all`).
    pub all: bool,
}

/// Reads the parameters.
pub(super) fn dns(raw: &sys::glue_modparams) -> DnsSettings {
    let has = |bit| raw.ds_dns_mode & bit != 0;
    let ms_if = |used: bool, name, value| match used {
        true => u64::from(whole(name, value, "seconds, 0 or more")) * 1_000,
        false => 0,
    };
    DnsSettings {
        at_load: has(1),
        at_match: has(2),
        every_ms: ms_if(has(4), "ds_dns_interval", raw.ds_dns_interval),
        at_match_only: has(2) && !has(1 | 4),
        by_sip: has(8) && has(1 | 2 | 4),
        ttl_ms: ms_if(has(2), "ds_dns_ttl", raw.ds_dns_ttl),
        all: raw.ds_dns_match_all != 0,
    }
}
