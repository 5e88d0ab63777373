//! The store: readers pin and read while lists are replaced and edited.

use std::sync::Arc;

use lock_api::RawMutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::thread;
use crate::dispatch::list::destination::{DestSpec, Proto};
use crate::shm::dest::address::{Key, Match, Source};
use crate::shm::dest::destination::Dest;
use crate::shm::table::edit::Revision;
use crate::shm::table::lock::Patience;
use crate::shm::table::store::{ReloadState, Store};
use crate::shm::tests::models::memory::{ModelLock, Pieces};
use crate::shm::tests::spec;
use crate::shm::tests::store::RULES;

type Tables = Arc<Store<Pieces, ModelLock>>;

/// Who does not get the writer lock at once does not wait.
const AT_ONCE: Patience = Patience {
    wait_ms: 0,
    now_s: || 0,
};

fn random() -> SmallRng {
    SmallRng::seed_from_u64(1)
}

/// Makes a store for three processes, with a list.
fn tables(list: &[DestSpec<'_>]) -> Tables {
    let store = Store::create(Pieces, ModelLock::INIT, RULES).unwrap();
    unsafe { store.make_slots(3) }.unwrap();
    load(&store, list);
    Arc::new(store)
}

fn load(store: &Store<Pieces, ModelLock>, list: &[DestSpec<'_>]) {
    let ticket = store.ticket();
    let keep = ReloadState::Keep;
    let loaded = store.load_and_tell(AT_ONCE, ticket, list, keep, &mut random(), &mut |_, _| {});
    loaded.unwrap();
}

/// Frees the store: nobody pins any more, so nothing is left of what was replaced.
fn end(store: &Tables) {
    store.collect();
    assert_eq!(store.holdings(0).notes, 0);
    unsafe { store.destroy() };
}

fn a() -> DestSpec<'static> {
    spec(1, "sip:a:5060", 0, 0)
}

fn b() -> DestSpec<'static> {
    spec(1, "sip:b:5060", 0, 0)
}

/// A reader reads the destinations of a set: there is one at least, and each is whole.
fn read(store: &Tables, process: usize) {
    let pinned = store.pin(process);
    let view = pinned.view(1).unwrap();
    assert!(view.dest_count() > 0);
    for at in 0..view.dest_count() {
        let dest = view.dest(at).unwrap();
        assert!(dest.uri().starts_with(b"sip:"));
        assert_eq!(dest.record().set(), 1);
    }
}

/// A list is replaced by another one while a process reads.
fn replaced() {
    let store = tables(&[a()]);
    let reading = store.clone();
    let reader = thread(move || read(&reading, 1));
    load(&store, &[b()]);
    reader.join().unwrap();
    end(&store);
}

/// A destination is added while a process reads.
fn added() {
    let store = tables(&[a()]);
    let reading = store.clone();
    let reader = thread(move || read(&reading, 1));
    store.add(AT_ONCE, &b(), &mut random()).unwrap();
    reader.join().unwrap();
    end(&store);
}

/// A destination is removed while a process reads.
fn removed() {
    let store = tables(&[a(), b()]);
    let reading = store.clone();
    let reader = thread(move || read(&reading, 1));
    let removed = store.remove(AT_ONCE, 1, b"sip:b:5060", &mut random());
    assert_eq!(removed, Ok(1));
    reader.join().unwrap();
    end(&store);
}

/// A set comes while a process looks for it: a table is replaced whose views live on.
fn set_added() {
    let store = tables(&[a()]);
    let reading = store.clone();
    let reader = thread(move || {
        read(&reading, 1);
        let pinned = reading.pin(1);
        if let Some(view) = pinned.view(2) {
            assert_eq!(view.dest(0).unwrap().uri(), b"sip:c:5060");
        }
    });
    let added = spec(2, "sip:c:5060", 0, 0);
    store.add(AT_ONCE, &added, &mut random()).unwrap();
    reader.join().unwrap();
    end(&store);
}

/// A process looks whom a request is from, while the index of addresses is replaced.
fn source() {
    let store = tables(&[a()]);
    let reading = store.clone();
    let reader = thread(move || {
        let source = Source {
            addr: Key::v4([127, 0, 0, 1]),
            port: 5060,
            proto: Proto::NONE,
        };
        let want = Match {
            port: true,
            proto: false,
            set: Some(1),
        };
        let pinned = reading.pin(1);
        let found = pinned.table().unwrap().find_source(source, want, |_| true);
        assert!(found.unwrap().uri().starts_with(b"sip:a"));
    });
    let is_a = |dest: &Dest| dest.uri().starts_with(b"sip:a");
    let revision = Revision {
        priority: Some(5),
        ..Revision::default()
    };
    let modified = store.modify(AT_ONCE, 1, None, is_a, revision, &mut random());
    modified.unwrap();
    reader.join().unwrap();
    end(&store);
}

/// A process keeps a record that leaves the lists, as a ping does, and gives it up later.
fn held() {
    let store = tables(&[a()]);
    let holding = store.clone();
    let holder = thread(move || {
        let pinned = holding.pin(1);
        let dest = pinned.view(1).unwrap().dest(0).unwrap();
        let held = holding.hold(dest);
        drop(pinned);
        held.unload();
    });
    load(&store, &[b()]);
    holder.join().unwrap();
    end(&store);
}

/// Two processes want to write: one of them is refused, or comes after the other. A third one looks who writes.
fn writers() {
    let store = tables(&[a()]);
    let writing = store.clone();
    let writer = thread(move || writing.add(AT_ONCE, &b(), &mut random()).is_ok());
    let watching = store.clone();
    let watcher = thread(move || {
        let holdings = watching.holdings(1);
        assert!(
            holdings
                .writer
                .is_none_or(|held| held.pid == std::process::id())
        );
        assert!(holdings.notes < 3);
    });
    let c = spec(1, "sip:c:5060", 0, 0);
    let mut added = usize::from(store.add(AT_ONCE, &c, &mut random()).is_ok());
    added += usize::from(writer.join().unwrap());
    watcher.join().unwrap();
    assert!(added > 0);
    let pinned = store.pin(0);
    assert_eq!(pinned.view(1).unwrap().dest_count(), 1 + added);
    drop(pinned);
    assert_eq!(store.holdings(1).writer, None);
    end(&store);
}

super::models! {
    replaced: [Some(2), Some(3)],
    added: [Some(2), Some(3)],
    removed: [Some(2), Some(3)],
    set_added: [Some(2), Some(3)],
    source: [Some(2), Some(3)],
    held: [Some(2), Some(3)],
    writers: [Some(1), Some(2)],
}
