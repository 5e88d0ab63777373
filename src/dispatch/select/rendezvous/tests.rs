//! Shares of keys, and which keys move when destinations go, come and change. Each figure holds in five runs, which have
//! keys of their own.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::{choose, choose_in_dialog, home, ranking, sorted};
use crate::dispatch::balance::cost::Key;
use crate::dispatch::balance::identity::{Name, identity};
use crate::dispatch::hash::hash;
use crate::dispatch::select::algorithm::tests::Set;
use crate::dispatch::select::algorithm::{Choice, Start};
use crate::dispatch::select::failover::Order;
use crate::dispatch::select::{algorithm, candidates::Candidates};

const RUNS: u64 = if cfg!(miri) { 1 } else { 5 };
const KEYS: usize = if cfg!(miri) { 300 } else { 100_000 };

/// Returns a set of usable destinations with unique ids, and these weights if there are any.
fn set(len: usize, weights: &[u8]) -> Set {
    let mut set = Set::new(&vec![1; len]);
    let duid = |n: usize| identity(Name::Duid(format!("gw{n}").as_bytes()), 1);
    set.identities = (0..len).map(duid).collect();
    set.relative = weights.to_vec();
    set
}

/// Returns the Call-IDs of a run.
fn call_ids(run: u64, count: usize) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(run);
    let mut call_id = || format!("{:032x}@10.0.{}.1", random.random::<u128>(), run);
    (0..count).map(|_| call_id()).collect()
}

fn keys(run: u64, count: usize) -> Vec<Key> {
    let call_ids = call_ids(run, count);
    call_ids
        .iter()
        .map(|text| Key::of(text.as_bytes()))
        .collect()
}

/// Four standard deviations of a count out of `of`, each of which is counted with this probability.
fn four_sigma(of: usize, probability: f64) -> f64 {
    4.0 * (of as f64 * probability * (1.0 - probability)).sqrt()
}

fn assert_near(count: usize, of: usize, probability: f64, what: &str) {
    let expected = of as f64 * probability;
    let off = (count as f64 - expected).abs();
    let most = four_sigma(of, probability);
    assert!(
        off <= most,
        "{what}: {count} of {of}, expected {expected:.0} by {most:.0}"
    );
}

fn chosen(set: &Set, keys: &[Key]) -> Vec<usize> {
    keys.iter().map(|&key| choose(set, key).unwrap()).collect()
}

fn count_of(chosen: &[usize], at: usize) -> usize {
    chosen.iter().filter(|&&found| found == at).count()
}

#[test]
fn each_gets_its_share() {
    for run in 0..RUNS {
        let keys = keys(run, KEYS);
        let equal = chosen(&set(10, &[]), &keys);
        for at in 0..10 {
            assert_near(
                count_of(&equal, at),
                KEYS,
                0.1,
                &format!("run {run}, {at} of ten"),
            );
        }
        let weights = [10, 20, 30, 40];
        let weighted = chosen(&set(4, &weights), &keys);
        for (at, weight) in weights.into_iter().enumerate() {
            let share = f64::from(weight) / 100.0;
            assert_near(
                count_of(&weighted, at),
                KEYS,
                share,
                &format!("run {run}, weight {weight}"),
            );
        }
        // Among many, it is the smallest distances that count.
        let keys = &keys[..KEYS / 50];
        let many = chosen(&set(200, &[]), keys);
        let half = many.iter().filter(|&&at| at % 2 == 0).count();
        assert_near(
            half,
            keys.len(),
            0.5,
            &format!("run {run}, every second of 200"),
        );
    }
}

#[test]
fn a_weight_that_changes_moves_the_difference() {
    for run in 0..RUNS {
        let keys = keys(run, KEYS);
        let before = chosen(&set(4, &[10, 20, 30, 40]), &keys);
        let after = chosen(&set(4, &[10, 20, 30, 10]), &keys);
        let moved: Vec<_> = before
            .iter()
            .zip(&after)
            .filter(|(from, to)| from != to)
            .collect();
        assert!(moved.iter().all(|&(&from, _)| from == 3), "run {run}");
        let difference = 40.0 / 100.0 - 10.0 / 70.0;
        assert_near(moved.len(), KEYS, difference, &format!("run {run}"));
    }
}

#[test]
fn a_destination_that_goes_moves_its_own_keys_and_takes_them_back() {
    for run in 0..RUNS {
        let keys = keys(run, KEYS);
        let mut set = set(10, &[]);
        let before = chosen(&set, &keys);
        set.states[3] = 0;
        let without = chosen(&set, &keys);
        let own = count_of(&before, 3);
        let mut to = [0; 10];
        for (&from, &at) in before.iter().zip(&without) {
            assert!(
                from == 3 || from == at,
                "run {run}: a key of {from} moved to {at}"
            );
            to[at] += usize::from(from == 3);
        }
        for at in (0..10).filter(|&at| at != 3) {
            assert_near(
                to[at],
                own,
                1.0 / 9.0,
                &format!("run {run}, from 3 to {at}"),
            );
        }
        set.states[3] = 1;
        assert_eq!(chosen(&set, &keys), before);
        // Half of all.
        for at in [0, 2, 3, 5, 8] {
            set.states[at] = 0;
        }
        let half = chosen(&set, &keys);
        for at in [1, 4, 6, 7, 9] {
            assert_near(
                count_of(&half, at),
                KEYS,
                0.2,
                &format!("run {run}, {at} of five"),
            );
        }
    }
}

/// How many keys move when one of `len` leaves the list, in the mean and at most, as a multiple of its share.
fn moved_by_removals(len: usize, keys: &[Key]) -> (f64, f64) {
    let all = set(len, &[]);
    let before = chosen(&all, keys);
    let moved: Vec<f64> = (0..len)
        .map(|gone| {
            let mut rest = set(len, &[]);
            rest.identities.remove(gone);
            rest.states.pop();
            let after = chosen(&rest, keys);
            let back = |at: usize| at + usize::from(at >= gone);
            let moved = before
                .iter()
                .zip(&after)
                .filter(|&(&from, &to)| from != back(to));
            assert!(
                moved.clone().all(|(&from, _)| from == gone),
                "{gone} of {len}"
            );
            moved.count() as f64 * len as f64 / keys.len() as f64
        })
        .collect();
    (
        moved.iter().sum::<f64>() / len as f64,
        moved.iter().copied().fold(0.0, f64::max),
    )
}

#[test]
fn a_removal_moves_exactly_its_share() {
    for run in 0..RUNS {
        let (mean, worst) = moved_by_removals(10, &keys(run, KEYS / 20));
        assert!(
            (0.999..1.001).contains(&mean) && worst <= 1.2,
            "run {run}: {mean}, {worst}"
        );
        let (mean, _) =
            moved_by_removals(if cfg!(miri) { 12 } else { 100 }, &keys(run, KEYS / 200));
        assert!((0.999..1.001).contains(&mean), "run {run}: {mean}");
    }
}

/// For the comparison with algorithm 0: there, all of the destination's keys go to its neighbour, and a removal moves
/// nearly all keys.
#[test]
fn a_hash_of_the_position_moves_more() {
    let hashes: Vec<u32> = call_ids(0, KEYS / 10)
        .iter()
        .map(|text| hash(text.as_bytes(), None))
        .collect();
    let by_position = |set: &Set| -> Vec<usize> {
        let choice = |&hash| algorithm::choose(set, Start::Hash(hash)).unwrap().at;
        hashes.iter().map(choice).collect()
    };
    let mut all = set(10, &[]);
    let before = by_position(&all);
    all.states[3] = 0;
    let without = by_position(&all);
    let moved = before.iter().zip(&without).filter(|(from, to)| from != to);
    assert!(moved.clone().all(|(&from, &to)| (from, to) == (3, 4)));
    let after = by_position(&set(9, &[]));
    let stayed = before
        .iter()
        .zip(&after)
        .filter(|(from, to)| from == to)
        .count();
    assert!(stayed < hashes.len() / 5, "{stayed} of {}", hashes.len());
}

/// The home is found without most of the costs, and is what all of them give.
#[test]
fn the_home_is_the_cheapest_of_all() {
    let mut random = StdRng::seed_from_u64(77);
    for round in 0..if cfg!(miri) { 20 } else { 400 } {
        let len = random.random_range(1..60);
        let greatest = [1, 2, 10, 100][round % 4];
        let weights: Vec<u8> = (0..len)
            .map(|_| random.random_range(0..=greatest))
            .collect();
        let set = set(len, if round % 3 == 0 { &[] } else { &weights });
        for _ in 0..50 {
            let key = Key(random.random());
            assert_eq!(
                home(&set, key),
                ranking(&set, key).next(),
                "{weights:?} {key}"
            );
        }
    }
}

#[test]
fn the_order_of_the_list_does_not_matter() {
    for run in 0..RUNS {
        let keys = keys(run, KEYS / 10);
        let weights: Vec<u8> = (1..=20).collect();
        let listed = set(20, &weights);
        let mut order: Vec<usize> = (0..20).collect();
        order.shuffle(&mut StdRng::seed_from_u64(run));
        let mut shuffled = set(20, &weights);
        for (to, &from) in order.iter().enumerate() {
            shuffled.identities[to] = listed.identities[from];
            shuffled.relative[to] = listed.relative[from];
        }
        let found = chosen(&shuffled, &keys);
        let found: Vec<usize> = found.into_iter().map(|at| order[at]).collect();
        assert_eq!(found, chosen(&listed, &keys));
    }
}

/// The failover order goes by cost, whether it is made at once or one by one, and its first one is what would be chosen
/// if those before it were out.
#[test]
fn failover_goes_on_by_cost() {
    for (use_default, drains) in [(false, false), (true, false), (true, true)] {
        for key in keys(9, 200) {
            let mut set = set(8, &[0, 5, 5, 1, 0, 90, 7, 3]);
            set.use_default = use_default;
            set.states[2] = 0;
            set.states[7] = if drains { 2 } else { 1 };
            let at = choose(&set, key).unwrap();
            let order = Order::Key(key);
            let found: Vec<usize> = Choice { at, order }.order(&set).collect();
            assert_eq!(found, sorted(&set, key));
            let len = 8 - 1 - usize::from(drains);
            assert_eq!(found.len(), len, "{found:?}");
            assert!(
                !use_default || drains || found.last() == Some(&7),
                "{found:?}"
            );
            // Those without a weight come behind all that have one.
            let weightless = |at: &&usize| [0, 4].contains(*at);
            let behind = found.iter().position(|at| weightless(&at)).unwrap();
            let rest = found.iter().skip(behind).filter(|&&at| at != 7);
            assert_eq!(rest.filter(weightless).count(), 2, "{found:?}");
            for &tried in &found {
                assert_eq!(choose(&set, key), Some(tried));
                set.states[tried] = 0;
            }
            assert_eq!(choose(&set, key), None);
        }
    }
    assert_eq!(choose(&set(0, &[]), Key(1)), None);
}

#[test]
fn the_default_destination_has_no_share() {
    let mut set = set(4, &[]);
    set.use_default = true;
    for key in keys(3, 500) {
        assert!(choose(&set, key).unwrap() < 3);
    }
    set.states[..3].fill(0);
    assert_eq!(choose(&set, Key(7)), Some(3));
    assert_eq!(set.candidate_count(), 3);
}

#[test]
fn calls_in_progress_stay_at_a_draining_destination() {
    let mut set = set(10, &[]);
    for key in keys(4, 300) {
        let at = home(&set, key).unwrap();
        set.states[at] = 2;
        assert_eq!(choose_in_dialog(&set, key), Some(at));
        assert_ne!(choose(&set, key), Some(at));
        set.states[at] = 0;
        assert_eq!(choose_in_dialog(&set, key), choose(&set, key));
        set.states[at] = 1;
    }
    set.states.fill(2);
    assert!(choose(&set, Key(1)).is_none());
    assert_eq!(choose_in_dialog(&set, Key(1)), home(&set, Key(1)));
}
