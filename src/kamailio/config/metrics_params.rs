//! The parameters of metrics.

use super::value::{Read, bad_number, parsed, set, whole};
use crate::kamailio::server::sys;

/// Labels of a destination that `metrics_attrs` cannot name.
const OURS: [&str; 6] = ["set", "destination", "duid", "socket", "copy", "priority"];

/// The settings of metrics.
pub struct Metrics {
    /// The most destinations with metrics of their own; 0 for no limit.
    pub destinations: usize,
    /// The attributes that are labels of `destination_info`.
    pub attrs: Vec<&'static str>,
    /// The file that they are written to, if there is one.
    pub file: Option<&'static [u8]>,
    /// Seconds from one writing to the next.
    pub interval_s: u64,
}

/// Reads the parameters.
pub(super) fn metrics(raw: &sys::glue_modparams) -> Read<Metrics> {
    let expected = "names of attributes that can be labels, as carrier,site, and none of set, destination, duid, \
                    socket, copy and priority";
    let destinations = whole(
        "metrics_destinations",
        raw.metrics_destinations,
        "a number of destinations, 0 for all",
    );
    let interval_s = match u64::try_from(raw.metrics_interval) {
        Ok(0) | Err(_) => {
            return bad_number(
                "metrics_interval",
                raw.metrics_interval,
                "seconds, 1 or more",
            );
        }
        Ok(interval_s) => interval_s,
    };
    Ok(Metrics {
        destinations: usize::try_from(destinations).unwrap_or(usize::MAX),
        attrs: parsed("metrics_attrs", &raw.metrics_attrs, labels, expected)?.unwrap_or_default(),
        file: set(&raw.metrics_file),
        interval_s,
    })
}

/// Reads names that are labels as Prometheus has them, each once.
fn labels(names: &'static [u8]) -> Option<Vec<&'static str>> {
    let mut labels: Vec<&str> = Vec::new();
    for name in core::str::from_utf8(names).ok()?.split(',') {
        let name = name.trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let begins_well = name.starts_with(|c: char| !c.is_ascii_digit());
        let is_ours = OURS.contains(&name) || name.starts_with("__");
        if !begins_well || !name.chars().all(is_name) || is_ours || labels.contains(&name) {
            return None;
        }
        labels.push(name);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::labels;

    #[test]
    fn names_of_labels_are_told_from_others() {
        assert_eq!(labels(b"carrier, site"), Some(vec!["carrier", "site"]));
        for bad in [
            &b""[..],
            b"a,",
            b"1a",
            b"a-b",
            b"set",
            b"a,a",
            b"__a",
            b"\xff",
        ] {
            assert_eq!(labels(bad), None, "{bad:?}");
        }
    }
}
