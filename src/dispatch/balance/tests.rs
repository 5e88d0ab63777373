//! Values that can never change. They come from a program of its own, which computes logarithms in decimal fractions of
//! 70 digits, quotients as fractions, and XXH64 by its specification.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::cost::{Cost, Key, distance, least_draw, mix};
use super::identity::{self, Name, identity};
use crate::dispatch::hash::xxh64;

#[test]
fn identities() {
    let uri: &[u8] = b"sip:192.0.2.1:5060";
    let golden = [
        (Name::Duid(b"gw1"), 1, 0x3d51_0928_2999_fa25),
        (Name::Duid(b"GW1"), 1, 0x3d51_0928_2999_fa25),
        (Name::Duid(b"gw1"), 2, 0x79b5_2104_2c06_2f09),
        (Name::Duid(b"gw1"), 10, 0x9bcf_4e78_8b90_3611),
        (Name::Duid(b"East-\xc4"), 1, 0x2a4f_2430_9a6d_58b5),
        (Name::Uri(uri, b""), 1, 0x3cda_a28d_a147_3fac),
        (
            Name::Uri(uri, b"udp:10.0.0.5:5060"),
            1,
            0x3f71_4ce9_8b8c_79ee,
        ),
        (Name::Uri(uri, b"lan"), 1, 0x75c7_5e52_94a1_0098),
        (Name::Uri(uri, b""), 2, 0x3a55_6551_7e2e_122d),
        (
            Name::Uri(b"sip:192.0.2.1:5060;transport=tls;r2=on", b""),
            1,
            0x0e4d_5ad2_f9e5_79d0,
        ),
    ];
    for (name, nth, expected) in golden {
        let found = identity(name, nth);
        assert_eq!(found, expected, "{name:?} {nth}: {found:#x}");
    }
}

#[test]
fn keys() {
    let call_id = b"0123456789abcdef0123456789@10.0.0.1";
    assert_eq!(Key::of(b"").0, 0xef46_db37_51d8_e999);
    assert_eq!(Key::of(call_id).0, 0xfca9_e039_7d87_b4f9);
    assert_eq!(Key::of(b"alice@example.com").0, 0xc21e_b846_cc96_c11e);
    let of_uri = Key::of_parts(b"alice", Some(b"example.com"));
    assert_eq!(of_uri, Key::of(b"alice@example.com"));
    assert_eq!(
        Key::of_parts(b"", Some(b"example.com:5070")),
        Key::of(b"example.com:5070")
    );
    // A telephone number has an empty host.
    assert_eq!(
        Key::of_parts(b"+15551234", Some(b"")).0,
        0x5080_8e50_bb5f_9a05
    );
    assert_eq!(Key::of_parts(b"alice", None), Key::of(b"alice"));
    assert_eq!(Key::of_parts(b"", None), Key::of(b""));
}

#[test]
fn mixed_words() {
    let golden = [
        (0, 0),
        (1, 0x5692_161d_100b_05e5),
        (2, 0xdbd2_3897_3a2b_148a),
        (0x0123_4567_89ab_cdef, 0xb2c0_58e4_ebb5_112c),
        (u64::MAX, 0xb4d0_55fc_f2cb_bd7b),
    ];
    for (word, expected) in golden {
        assert_eq!(mix(word), expected, "{word:#x}");
    }
}

#[test]
fn distances() {
    let golden = [
        (0, 227_633_266_688),
        (0x7ff, 227_633_266_688),
        (0x800, 223_338_299_392),
        (0x1000, 220_825_904_582),
        (1 << 32, 137_438_950_519),
        (1 << 62, 8_589_934_592),
        (0x7fff_ffff_ffff_ffff, 4_294_967_296),
        (1 << 63, 4_294_967_296),
        (0xc000_0000_0000_0000, 1_782_572_486),
        (0xdead_beef_cafe_babe, 864_062_957),
        (u64::MAX - (1 << 20), 1),
        (u64::MAX - 2048, 1),
        (u64::MAX, 0),
    ];
    for (word, expected) in golden {
        assert_eq!(distance(word), expected, "{word:#x}");
    }
}

/// The start of each segment is a point that the definition gives: its logarithm, rounded to the nearest.
#[test]
fn points_of_the_logarithm() {
    let at = |point: u64| {
        // The first number of the segment between 2^52 and 2^53.
        let word = ((1 << 52) + (point << 42) - 1) << 11;
        (1 << 32) - distance(word)
    };
    let points: Vec<u64> = (0..1024).map(at).chain([1 << 32]).collect();
    let bytes: Vec<u8> = points
        .iter()
        .flat_map(|point| point.to_le_bytes())
        .collect();
    let few = [0, 1, 2, 511, 512, 1022, 1023].map(|at| points[at]);
    let expected = [
        0,
        6_048_149,
        12_090_400,
        2_508_359_429,
        2_512_394_810,
        4_288_913_238,
        4_291_941_006,
    ];
    assert_eq!(few, expected);
    assert_eq!(xxh64(&bytes), 0xd466_7bf3_b9fd_4de4);
}

/// Identities and weights of a list.
type List = Vec<(u64, u8)>;

fn ten_equal() -> List {
    let duid = |n| identity(Name::Duid(format!("gw{n}").as_bytes()), 1);
    (1..=10).map(|n| (duid(n), 1)).collect()
}

fn four_weighted() -> List {
    let weights = [10, 20, 30, 40];
    let equal = ten_equal().into_iter();
    equal
        .zip(weights)
        .map(|((identity, _), weight)| (identity, weight))
        .collect()
}

/// Two without a share among them.
fn five_by_uri() -> List {
    let weights = [(1, 0), (2, 1), (3, 100), (4, 0), (5, 50)];
    let uri = |n: u8| identity(Name::Uri(format!("sip:192.0.2.{n}").as_bytes(), b""), 1);
    weights.map(|(n, weight)| (uri(n), weight)).to_vec()
}

fn order(list: &List, key: Key) -> Vec<usize> {
    let costs = list.iter().enumerate();
    let costs = costs.map(|(at, &(identity, weight))| Cost::new(key, identity, weight, at));
    let mut costs: Vec<_> = costs.collect();
    costs.sort_unstable();
    costs.iter().map(Cost::at).collect()
}

#[test]
fn orders() {
    let equal: [(&str, [usize; 10]); 7] = [
        ("", [9, 1, 2, 6, 5, 0, 8, 4, 7, 3]),
        ("a", [2, 0, 6, 1, 7, 4, 3, 8, 9, 5]),
        ("alice@example.com", [8, 7, 4, 3, 2, 6, 0, 5, 9, 1]),
        (
            "+15551234567@example.org:5070",
            [9, 6, 3, 2, 7, 1, 0, 8, 5, 4],
        ),
        (
            "0123456789abcdef0123456789@10.0.0.1",
            [3, 6, 2, 9, 0, 4, 7, 1, 5, 8],
        ),
        ("call-0@10.0.0.1", [6, 2, 9, 8, 3, 7, 5, 0, 4, 1]),
        ("call-5@10.0.0.1", [3, 7, 1, 8, 4, 2, 5, 9, 0, 6]),
    ];
    for (text, expected) in equal {
        assert_eq!(
            order(&ten_equal(), Key::of(text.as_bytes())),
            expected,
            "{text}"
        );
    }
    let weighted: [(&str, [usize; 4], [usize; 5]); 6] = [
        ("", [2, 1, 3, 0], [2, 4, 1, 0, 3]),
        ("a", [2, 0, 3, 1], [4, 2, 1, 3, 0]),
        ("alice@example.com", [3, 2, 1, 0], [2, 4, 1, 0, 3]),
        (
            "0123456789abcdef0123456789@10.0.0.1",
            [3, 2, 0, 1],
            [4, 2, 1, 3, 0],
        ),
        ("call-4@10.0.0.1", [3, 2, 0, 1], [4, 2, 1, 0, 3]),
        ("call-5@10.0.0.1", [3, 1, 2, 0], [2, 4, 1, 0, 3]),
    ];
    for (text, four, five) in weighted {
        let key = Key::of(text.as_bytes());
        assert_eq!(order(&four_weighted(), key), four, "{text}");
        assert_eq!(order(&five_by_uri(), key), five, "{text}");
    }
}

/// Ten thousand keys, and which destination takes each.
#[test]
fn choices() {
    let golden: [(List, u64, &[usize]); 3] = [
        (
            ten_equal(),
            0x40ab_972b_0df6_7624,
            &[1037, 1006, 987, 977, 1040, 1005, 1030, 945, 967, 1006],
        ),
        (
            four_weighted(),
            0xdafd_ab06_7405_7f72,
            &[1041, 2007, 2989, 3963],
        ),
        (
            five_by_uri(),
            0x395b_f026_9432_a059,
            &[0, 73, 6631, 0, 3296],
        ),
    ];
    for (list, expected, shares) in golden {
        let choice = |n: u32| order(&list, Key::of(format!("{n}@host").as_bytes()))[0];
        let choices: Vec<u8> = (0..10_000)
            .map(|n| u8::try_from(choice(n)).unwrap())
            .collect();
        let share = |at| {
            choices
                .iter()
                .filter(|&&choice| usize::from(choice) == at)
                .count()
        };
        let found: Vec<usize> = (0..list.len()).map(share).collect();
        assert_eq!(found, shares);
        assert_eq!(xxh64(&choices), expected);
    }
}

/// Those of one name are counted by their lines, and an equal one more leaves the others as they were.
#[test]
fn equal_names_are_counted_in_the_order_of_the_list() {
    let names = [
        Name::Duid(b"a"),
        Name::Uri(b"sip:b", b""),
        Name::Duid(b"A"),
        Name::Duid(b"a"),
    ];
    let lines = [7, 1, 3, 5];
    let mut found = [0; 4];
    identity::write(&mut found, |at| names[at], |at| lines[at]);
    let expected = [
        identity(names[0], 3),
        identity(names[1], 1),
        identity(names[0], 1),
        identity(names[0], 2),
    ];
    assert_eq!(found, expected);
}

/// A destination that draws less than the bound is dearer, and the bound is near.
#[test]
fn the_bound_of_draws_holds() {
    let mut random = StdRng::seed_from_u64(78);
    let mut near = 0;
    for _ in 0..if cfg!(miri) { 200 } else { 200_000 } {
        // Draws near the end are those that win.
        let draw = random.random::<u64>() | !(u64::MAX >> random.random_range(0..40));
        let (weight, greatest) = (random.random_range(1..=100), random.random_range(1..=100));
        let bound = least_draw(distance(draw), weight, greatest);
        for less in [1, 2, 2048, 1 << 20, random.random_range(1..=bound.max(1))] {
            let Some(other) = bound.checked_sub(less) else {
                continue;
            };
            let other_weight = random.random_range(1..=greatest);
            let dearer = distance(other) * weight > distance(draw) * other_weight;
            assert!(dearer, "{draw:#x} {weight}, {other:#x} {other_weight}");
        }
        let all = draw >= bound || weight > greatest;
        assert!(all, "{draw:#x} {weight} {greatest}");
        near += usize::from(weight == greatest && draw - bound < (1 << 50));
    }
    assert!(near > 0);
}
