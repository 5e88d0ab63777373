//! Remarks of a check on the weights of a set of which something else becomes than is written.

use super::weight_slots;
use crate::dispatch::list::destination::SetId;

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
}
