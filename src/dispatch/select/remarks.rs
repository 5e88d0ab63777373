//! What a check remarks of weights and other attributes of a set: that something else becomes of them than is written.

use super::weight_slots;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::text::number_within;

/// Returns the remarks on a set whose destinations have these weights and relative weights, in index order.
#[must_use]
pub fn on_weights(set: SetId, weights: &[(i32, i32)]) -> Vec<String> {
    let weight = weights.iter().map(|&(weight, _)| weight);
    let slots = weight_slots::remark(weight).map(|remark| remark.to_string());
    let remarks = slots.into_iter().chain(without_share(weights));
    remarks
        .map(|remark| format!("set {set}: {remark}"))
        .collect()
}

/// An attribute that acts on calls where a parameter turns it on.
#[derive(Clone, Copy, Debug)]
pub struct Switched {
    /// Its name.
    pub name: &'static str,
    /// The parameter.
    pub parameter: &'static str,
    /// True if the parameter turns it on.
    pub is_on: bool,
    /// The greatest number that it can be; `None` if the reader of lists warns of others itself.
    pub most: Option<u32>,
}

/// Returns the remarks on one attribute of a set whose destinations have these values of it.
pub fn on_switched<'v>(
    set: SetId,
    attribute: Switched,
    values: impl Iterator<Item = &'v [u8]> + Clone,
) -> impl Iterator<Item = String> {
    let Switched {
        name,
        parameter,
        is_on,
        most,
    } = attribute;
    let count = values.clone().count();
    let odd = |most| {
        let odd = values.filter(|value| number_within(value, most).is_none());
        let odd = odd.count();
        (odd > 0).then(|| {
            format!(
                "set {set}: {odd} destinations with a {name} that is no number from 0 to {most}"
            )
        })
    };
    let off = (count > 0 && !is_on).then(|| {
        format!("set {set}: {count} destinations with {name}: no effect without the parameter {parameter}")
    });
    off.into_iter().chain(most.and_then(odd))
}

/// Returns how many destinations have no share, if others have one.
fn without_share(weights: &[(i32, i32)]) -> Option<String> {
    let without = weights.iter().filter(|&&(_, rweight)| rweight == 0).count();
    let all = weights.len();
    (0 < without && without < all).then(|| {
        format!("{without} of {all} destinations without rweight: no share with algorithms 11 and 100 to 107")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_remark_names_its_set() {
        let remarks = |weights: &[(i32, i32)]| on_weights(-7, weights);
        let (short, some) = (
            "set -7: weights add up to 30, not 100: algorithm 9 gives the last destination 70 of 100 calls on top",
            "set -7: 2 of 3 destinations without rweight: no share with algorithms 11 and 100 to 107",
        );
        assert_eq!(remarks(&[(30, 0), (0, 5), (0, 0)]), [short, some]);
        let one = "set -7: 1 of 2 destinations without rweight: no share with algorithms 11 and 100 to 107";
        assert_eq!(remarks(&[(0, 0), (0, 1)]), [one]);
        for fine in [&[][..], &[(0, 0)], &[(100, 3), (0, 4)], &[(0, 0), (0, 0)]] {
            assert_eq!(remarks(fine), [""; 0]);
        }
    }

    #[test]
    fn attributes_that_are_off_or_odd_are_remarked() {
        let remarks = |is_on, values: &[&'static str]| -> Vec<String> {
            let attribute = Switched {
                name: "fails",
                parameter: "ds_passive",
                is_on,
                most: Some(1_023),
            };
            let values = values.iter().map(|value| value.as_bytes());
            on_switched(-7, attribute, values).collect()
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
