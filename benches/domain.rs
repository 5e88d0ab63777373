//! Microbenchmarks: parsing, hashing, and choosing from views of many sizes, without a server.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use dispatcher::dispatch::hash::hash;
use dispatcher::dispatch::list::attrs::{self, Attrs};
use dispatcher::dispatch::list::destination::{Addr, DestSpec, Proto};
use dispatcher::dispatch::list::file;
use dispatcher::dispatch::select::algorithm::{self, Start};
use dispatcher::dispatch::state::transition::State;
use dispatcher::shm::dest::address::{Match, Source};
use dispatcher::shm::set::view::Rules;
use dispatcher::shm::table::store::{ReloadState, Store};
use dispatcher_bench::{Heap, Spin};
use lock_api::RawMutex;
use rand::SeedableRng;
use rand::rngs::StdRng;

const SIZES: [usize; 4] = [10, 1_000, 10_000, 100_000];
const ATTRIBUTES: &str = "duid=gw-17;socket=udp:192.0.2.1:5060;weight=1;rweight=1;maxload=200";
const RULES: Rules = Rules {
    unusable: State(65_541),
    use_default: false,
    call_load: false,
    watched: false,
    counted: false,
    shared: false,
    rates: false,
    ping_words: false,
};
/// State bit: disabled.
const DISABLED: u32 = 4;

const STARTS: [(&str, Start); 9] = [
    ("alg 0, hash", Start::Hash(123_456_789)),
    ("alg 4, round-robin", Start::RoundRobin),
    ("alg 6, random", Start::Random(987_654_321)),
    ("alg 8, first", Start::First),
    ("alg 9, weight", Start::Weight),
    ("alg 11, relative weight", Start::RelativeWeight),
    ("alg 13, latency", Start::Latency),
    ("alg 14, priority", Start::Priority),
    ("alg 15, SRV", Start::Service),
];

type HeapStore = Store<Heap, Spin>;

/// What a list needs to keep while its destinations are borrowed.
struct Names(Vec<(String, [Addr; 1])>);

impl Names {
    fn new(count: usize) -> Self {
        let name = |n: usize| {
            let [.., a, b, c] = n.to_be_bytes();
            let uri = format!("sip:10.{a:03}.{b:03}.{c:03}:5060");
            (uri, [Addr::V4([10, a, b, c])])
        };
        Self((0..count).map(name).collect())
    }

    /// Destinations in `sets` sets; the first `dead` ones are disabled.
    fn specs<'n>(&'n self, sets: usize, dead: usize) -> Vec<DestSpec<'n>> {
        let body: &'static [u8] = b"weight=1;rweight=1";
        let attrs = attrs::parse(body).map_or_else(|_| Attrs::default(), |(attrs, _)| attrs);
        let spec = |(n, (uri, addrs)): (usize, &'n (String, [Addr; 1]))| DestSpec {
            set: i32::try_from(n % sets + 1).unwrap_or(1),
            uri: uri.as_bytes().into(),
            host: 4..18,
            port: 5060,
            proto: Proto::NONE,
            addrs: addrs.into(),
            flags: State(if n < dead { DISABLED } else { 0 }),
            priority: 0,
            attrs_body: body,
            attrs,
            socket: 0,
        };
        self.0.iter().enumerate().map(spec).collect()
    }
}

/// A published table.
fn store(names: &Names, sets: usize, dead: usize) -> HeapStore {
    let store = Store::create(Heap, Spin::INIT, RULES).expect("room for the root");
    // SAFETY: one process, and nothing is pinned.
    unsafe { store.make_slots(2) }.expect("room for the slots");
    load(&store, &names.specs(sets, dead));
    store
}

fn load(store: &HeapStore, specs: &[DestSpec<'_>]) {
    let mut random = StdRng::seed_from_u64(1);
    let loaded = store.load(store.ticket(), specs, ReloadState::Keep, &mut random);
    black_box(loaded.expect("room for the table"));
}

fn drop_store(store: HeapStore) {
    // SAFETY: nothing is pinned any more, and no other process has it.
    unsafe { store.destroy() };
}

fn parsing(c: &mut Criterion) {
    let call_id = b"3848276298220188511@atlanta.example.com";
    c.bench_function("hash of a Call-ID/39", |b| {
        b.iter(|| hash(black_box(call_id), None));
    });
    c.bench_function("attributes of a destination/1", |b| {
        b.iter(|| attrs::parse(black_box(ATTRIBUTES.as_bytes())).is_ok());
    });
    let line = |n| format!("1 sip:10.1.2.{n}:5060 0 5 {ATTRIBUTES}\n");
    let text: String = (0..1_000).map(line).collect();
    c.bench_function("parse a list/1000", |b| {
        b.iter(|| {
            let mut lines = Vec::new();
            file::parse(black_box(text.as_bytes()), &mut lines, &mut |_| {});
            lines.len()
        });
    });
}

fn choosing(c: &mut Criterion) {
    for size in SIZES {
        let names = Names::new(size);
        let all = store(&names, 1, 0);
        let last = store(&names, 1, size - 1);
        for (name, start) in STARTS {
            let pinned = all.pin(0);
            let view = pinned.view(1).expect("set 1");
            c.bench_function(&format!("{name}/{size}"), |b| {
                b.iter(|| algorithm::choose(view, black_box(start)));
            });
        }
        {
            let pinned = last.pin(0);
            let view = pinned.view(1).expect("set 1");
            c.bench_function(&format!("alg 8, only the last/{size}"), |b| {
                b.iter(|| algorithm::choose(view, black_box(Start::First)));
            });
        }
        {
            let pinned = all.pin(0);
            let view = pinned.view(1).expect("set 1");
            let order = |b: &mut criterion::Bencher<'_>| {
                b.iter(|| {
                    let choice = algorithm::choose(view, black_box(Start::RoundRobin));
                    choice.map(|choice| choice.order(view).take(3).sum::<usize>())
                });
            };
            c.bench_function(&format!("choice and order of three/{size}"), order);
        }
        drop_store(all);
        drop_store(last);
    }
}

fn finding(c: &mut Criterion) {
    for size in SIZES {
        let names = Names::new(size);
        let store = store(&names, size.div_ceil(100), 0);
        c.bench_function(&format!("pin, find the set, unpin/{size}"), |b| {
            b.iter(|| store.pin(0).view(black_box(1)).is_some());
        });
        let want = Match {
            port: true,
            proto: false,
            set: None,
        };
        let miss = Addr::V4([192, 0, 2, 1]);
        let hit = names.0.last().map_or(miss, |name| name.1[0]);
        for (name, addr) in [("source, hit", hit), ("source, miss", miss)] {
            let source = Source {
                addr: addr.into(),
                port: 5060,
                proto: Proto::NONE,
            };
            let pinned = store.pin(0);
            let table = pinned.table().expect("a table");
            c.bench_function(&format!("{name}/{size}"), |b| {
                b.iter(|| {
                    table
                        .find_source(black_box(source), want, |_| true)
                        .is_some()
                });
            });
        }
        drop_store(store);
    }
}

fn loading(c: &mut Criterion) {
    for size in [1_000, 10_000] {
        let names = Names::new(size);
        let store = store(&names, 1, 0);
        let specs = names.specs(1, 0);
        c.bench_function(&format!("load again/{size}"), |b| {
            b.iter(|| load(&store, &specs));
        });
        drop_store(store);
    }
}

criterion_group! {
    name = domain;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(30);
    targets = parsing, choosing, finding, loading
}
criterion_main!(domain);
