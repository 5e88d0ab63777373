//! Remarks of a check on attributes that act on calls only where a parameter turns them on.

use super::ramp;
use crate::dispatch::list::attr_text;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::passive::standing::MOST_FAILS;
use crate::dispatch::text::number_within;

/// The attribute of a destination that has a slow start of its own length.
pub const SLOW_START: &str = "slowstart";

/// The attributes that act on calls where a parameter turns them on: true for those that are on.
#[derive(Clone, Copy, Debug)]
pub struct SwitchedOn {
    /// `cps`, by `ds_cps`.
    pub cps: bool,
    /// `fails`, by `ds_passive`.
    pub fails: bool,
    /// `slowstart`, by `ds_slow_start`.
    pub slow_start: bool,
}

/// Returns the remarks on these attributes of a set whose destinations have these texts of attributes.
pub fn on_attributes<'a>(
    set: SetId,
    on: SwitchedOn,
    bodies: impl Iterator<Item = &'a [u8]> + Clone,
) -> Vec<String> {
    // The reader of lists warns itself of a cps that is no number.
    let attributes = [
        ("cps", "ds_cps", on.cps, None),
        ("fails", "ds_passive", on.fails, Some(MOST_FAILS)),
        (
            SLOW_START,
            "ds_slow_start",
            on.slow_start,
            Some(ramp::MOST_S),
        ),
    ];
    let remarks = attributes.into_iter().flat_map(|(name, parameter, is_on, most)| {
        let values = bodies.clone().filter_map(|body| attr_text::value(body, name.as_bytes()));
        let count = values.clone().count();
        let off = (count > 0 && !is_on).then(|| {
            format!("set {set}: {count} destinations with {name}: no effect without the parameter {parameter}")
        });
        let odd = most.and_then(|most| {
            let odd = values.filter(|value| number_within(value, most).is_none()).count();
            (odd > 0).then(|| {
                format!("set {set}: {odd} destinations with a {name} that is no number from 0 to {most}")
            })
        });
        off.into_iter().chain(odd)
    });
    remarks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_are_off_or_odd_are_remarked() {
        let remarks = |fails, values: &[&str]| {
            let on = SwitchedOn {
                cps: false,
                fails,
                slow_start: false,
            };
            let bodies: Vec<_> = values
                .iter()
                .map(|value| format!("a=b;fails={value}"))
                .collect();
            on_attributes(-7, on, bodies.iter().map(String::as_bytes))
        };
        let off = "set -7: 2 destinations with fails: no effect without the parameter ds_passive";
        let odd = "set -7: 1 destinations with a fails that is no number from 0 to 1023";
        assert_eq!(remarks(false, &["3", "1024"]), [off, odd]);
        assert_eq!(remarks(true, &["-1"]), [odd]);
        assert_eq!(remarks(true, &["many"]), [odd]);
        for fine in [&[][..], &["0", " 1023 "]] {
            assert_eq!(remarks(true, fine), [""; 0]);
        }
        assert_eq!(remarks(false, &[]), [""; 0]);
    }
}
