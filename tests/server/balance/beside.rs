//! Algorithm 100 beside algorithm 0 of the C module: which keys move, and where they go.

use std::collections::BTreeMap;

use super::{config, places_of_calls};
use crate::call_load::number;
use harness::{Kamailio, Module, this_server};

/// The keys that moved, in percent of all; those that had to, because their destination is gone; and the greatest part
/// of what one destination took of these.
#[derive(Debug)]
struct Moved {
    all: f64,
    own: f64,
    to_one: f64,
}

fn moved(before: &[String], after: &[String], gone: &str) -> Moved {
    let percent = |count: usize| count as f64 * 100.0 / before.len() as f64;
    let both = before.iter().zip(after);
    let own = both.clone().filter(|(from, _)| *from == gone);
    let mut to = BTreeMap::new();
    own.clone()
        .for_each(|(_, to_uri)| *to.entry(to_uri).or_insert(0_usize) += 1);
    let most = to.values().max().copied().unwrap_or(0);
    Moved {
        all: percent(both.filter(|(from, to)| from != to).count()),
        own: percent(own.clone().count()),
        to_one: most as f64 * 100.0 / own.count() as f64,
    }
}

/// Returns the load of the fullest destination, as a multiple of the mean, if the nth of 200 keys comes 1/n times.
fn fullest(places: &[String], count: usize) -> f64 {
    let mut loads = BTreeMap::new();
    for (nth, place) in (1..=200).zip(places) {
        *loads.entry(place).or_insert(0.0) += 1.0 / f64::from(nth);
    }
    let all: f64 = loads.values().sum();
    loads.into_values().fold(0.0, f64::max) * count as f64 / all
}

/// Returns the fewest and the most keys of a destination, in percent of its fair share.
fn shares(places: &[String], count: usize) -> (f64, f64) {
    let mut of = BTreeMap::new();
    places
        .iter()
        .for_each(|place| *of.entry(place).or_insert(0_usize) += 1);
    let percent = |keys: &usize| (*keys * count) as f64 * 100.0 / places.len() as f64;
    let least = if of.len() < count {
        Some(&0)
    } else {
        of.values().min()
    };
    let most = of.values().max();
    (least.map_or(0.0, percent), most.map_or(0.0, percent))
}

#[test]
fn fewer_keys_move_than_with_the_c_module() {
    if this_server::lacks_c_module() {
        return;
    }
    let keys = number("BALANCE_KEYS", 1_000);
    for count in [10, 100] {
        let uri = |n: usize| format!("sip:127.0.0.1:{}", 7000 + n);
        let line = |n: usize| format!("1 {} 0 0 duid=gw{n}\n", uri(n));
        let list: String = (0..count).map(line).collect();
        let gone = uri(count / 3);
        for (module, algorithm) in [(Module::C, 0), (Module::Rust, 100)] {
            let server = Kamailio::start(module, config(&list).param("reload_delta", 0));
            let places = || places_of_calls(&server, algorithm, keys);
            let before = places();
            let fullest = fullest(&before, count);
            let (least, most) = shares(&before, count);
            server
                .kamcmd(&["dispatcher.set_state", "i", "1", &gone])
                .unwrap();
            let down = moved(&before, &places(), &gone);
            server
                .kamcmd(&["dispatcher.set_state", "a", "1", &gone])
                .unwrap();
            server.write_list(list.replace(&line(count / 3), ""));
            server.kamcmd(&["dispatcher.reload"]).unwrap();
            let removed = moved(&before, &places(), &gone);
            eprintln!(
                "{count} destinations, {keys} keys, {module:?}, algorithm {algorithm}: shares {least:.1} to {most:.1} %, down {down:.1?}, removed {removed:.1?}, fullest at Zipf keys {fullest:.2} of the mean"
            );
            if algorithm == 100 {
                assert_eq!((down.all, removed.all), (down.own, removed.own));
                assert!(down.to_one < 70.0, "{down:?}");
                // Four standard deviations.
                let off = 400.0 * (count as f64 / keys as f64).sqrt();
                assert!(
                    least >= 100.0 - off && most <= 100.0 + off,
                    "{least}, {most}"
                );
            } else {
                assert_eq!((down.to_one, down.all), (100.0, down.own));
                assert!(removed.all > 60.0, "{removed:?}");
            }
        }
    }
}
