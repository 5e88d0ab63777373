//! Reference counts, and what is made when somebody first needs it: given back once, with the last holder.

use super::{Shared, thread};
use crate::shm::dest::record::DestRecord;
use crate::shm::dest::record_slab::Records;
use crate::shm::memory::refcount::{Counted, Hold};
use crate::shm::set::set_record::SetRecord;
use crate::shm::tests::models::memory::Pieces;

/// Makes some records in one slab, and leaves them as bare references.
pub fn records<const N: usize>() -> [Shared<Counted<DestRecord>>; N] {
    let mut records = Records::new(&Pieces, N, false);
    [(); N].map(|()| Shared(records.make().unwrap().into_raw()))
}

/// Takes a reference back, and gives it up.
pub fn release(record: Shared<Counted<DestRecord>>) {
    drop(unsafe { Hold::from_raw(record.0, &Pieces) });
}

/// Two holders of a record use it and let go.
fn record() {
    let [record] = records();
    record.retain();
    let other = thread(move || {
        assert_ne!(
            record
                .home
                .load(crate::shm::memory::atomic::Ordering::Relaxed),
            core::ptr::null_mut()
        );
        release(record);
    });
    record.set_position(3);
    release(record);
    other.join().unwrap();
}

/// Two records of a slab go at once: it goes with the later one.
fn slab() {
    let [one, two] = records();
    let other = thread(move || release(one));
    two.set_position(3);
    release(two);
    other.join().unwrap();
}

/// A holder that lets go hands a reference on, which a third one gives up.
fn handed_on() {
    let [record] = records();
    record.retain();
    let others = [
        thread(move || {
            record.retain();
            release(record);
            release(record);
        }),
        thread(move || record.set_position(1)),
    ];
    for other in others {
        other.join().unwrap();
    }
    release(record);
}

/// Two processes need the vitals of two records of a slab at once: there are vitals, once.
fn vitals() {
    let [one, two] = records();
    let other = thread(move || {
        one.need_vitals(&Pieces).unwrap().health.set_asked_us(5);
        release(one);
    });
    two.need_vitals(&Pieces).unwrap().health.set_asked_us(7);
    assert_eq!(two.health().unwrap().asked_us(), 7);
    other.join().unwrap();
    release(two);
}

/// A process finds vitals that another one makes, or none.
fn vitals_found() {
    let [one, two] = records();
    let other = thread(move || {
        one.need_vitals(&Pieces).unwrap();
        release(one);
    });
    if let Some(health) = two.health() {
        assert_eq!(health.asked_us(), 0);
    }
    other.join().unwrap();
    release(two);
}

/// Two views of a set let go of its record.
fn set_record() {
    let record = Shared(SetRecord::create(&Pieces, false).unwrap().into_raw());
    record.retain();
    let release = |record: Shared<Counted<SetRecord>>| {
        record.begin_change();
        drop(unsafe { Hold::from_raw(record.0, &Pieces) });
    };
    let other = thread(move || release(record));
    release(record);
    other.join().unwrap();
}

super::models! {
    record: [None, None],
    slab: [None, None],
    handed_on: [None, None],
    vitals: [Some(3), None],
    vitals_found: [None, None],
    set_record: [None, None],
}
