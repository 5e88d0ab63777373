//! The tables of weakened orderings.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::collections::BTreeSet;

use super::{calls, counts, epochs, tables, words};
use crate::shm::tests::models::place::Change::{self, FailureTo, LeftOut, To};
use crate::shm::tests::models::place::Kind::{self, Exchange, Fence, Load, Rmw, Store};
use crate::shm::tests::models::place::lines_of;

/// What is known of a weakened ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// This model fails with it.
    FoundBy(&'static str),
    /// No model fails with it, for this reason.
    Argued(&'static str),
    /// It is in no table.
    Unknown,
}

/// A weakened ordering: the file, the text of the line, the operation, and what it is changed to.
type Weakened = (&'static str, &'static str, Kind, Change);

/// The weakened orderings that a model finds: each with the first model that does.
const FOUND: &[(&str, Weakened)] = &[
    (
        "epochs::pin",
        (
            "memory/epoch.rs",
            "slot.epoch.store(now, Release);",
            Store,
            To(Relaxed),
        ),
    ),
    (
        "epochs::pin",
        ("memory/epoch.rs", "fence(SeqCst); [1]", Fence, To(AcqRel)),
    ),
    (
        "epochs::pin",
        ("memory/epoch.rs", "fence(SeqCst); [1]", Fence, LeftOut),
    ),
    (
        "epochs::pin",
        ("memory/epoch.rs", "fence(SeqCst); [3]", Fence, To(AcqRel)),
    ),
    (
        "epochs::pin",
        ("memory/epoch.rs", "fence(SeqCst); [3]", Fence, LeftOut),
    ),
    (
        "epochs::pin",
        ("memory/epoch.rs", PINNED, Load, To(Relaxed)),
    ),
    (
        "epochs::pin",
        (
            "memory/epoch.rs",
            "slot.epoch.store(0, Release);",
            Store,
            To(Relaxed),
        ),
    ),
    (
        "epochs::strays",
        ("memory/epoch.rs", "fence(SeqCst); [2]", Fence, To(AcqRel)),
    ),
    (
        "epochs::strays",
        ("memory/epoch.rs", "fence(SeqCst); [2]", Fence, LeftOut),
    ),
    (
        "epochs::strays",
        (
            "memory/epoch.rs",
            "if self.strays.load(Acquire) > 0 {",
            Load,
            To(Relaxed),
        ),
    ),
    (
        "epochs::strays",
        (
            "memory/epoch.rs",
            "self.epochs.strays.fetch_sub(1, Release);",
            Rmw,
            To(Relaxed),
        ),
    ),
    ("words::events", ("queue.rs", POST, Exchange, To(Relaxed))),
    ("words::events", ("queue.rs", TAKE, Rmw, To(Relaxed))),
    (
        "words::ring_read",
        ("observe/changes/ring.rs", "fence(Release);", Fence, LeftOut),
    ),
    (
        "words::ring_read",
        ("observe/changes/ring.rs", "fence(Acquire);", Fence, LeftOut),
    ),
    (
        "words::ring_read",
        ("observe/changes/ring.rs", TURN, Load, To(Relaxed)),
    ),
    (
        "words::ring_read",
        ("observe/changes/ring.rs", WHOLE, Store, To(Relaxed)),
    ),
    (
        "words::ring_written",
        ("observe/changes/ring.rs", TAKEN, Exchange, To(Relaxed)),
    ),
    (
        "words::watch",
        (
            "memory/watch.rs",
            "self.seen.store(value, Release);",
            Store,
            To(Relaxed),
        ),
    ),
    ("words::watch", ("memory/watch.rs", SEEN, Load, To(Relaxed))),
    (
        "words::hop_before",
        ("dest/next_hop.rs", HALVES, Load, To(Relaxed)),
    ),
    (
        "words::hop_before",
        (
            "dest/next_hop.rs",
            "one.store(u64::from_ne_bytes(first), Release);",
            Store,
            To(Relaxed),
        ),
    ),
    (
        "words::hop_before",
        (
            "dest/next_hop.rs",
            "other.store(u64::from_ne_bytes(second), Release);",
            Store,
            To(Relaxed),
        ),
    ),
    (
        "words::hop_after",
        (
            "dest/next_hop.rs",
            "let word = self.word.load(Acquire);",
            Load,
            To(Relaxed),
        ),
    ),
    (
        "words::hop_after",
        (
            "dest/next_hop.rs",
            "let target = self.target.load(Acquire);",
            Load,
            To(Relaxed),
        ),
    ),
    (
        "words::hop_after",
        (
            "dest/next_hop.rs",
            "self.target.store(fingerprint(target), Release);",
            Store,
            To(Relaxed),
        ),
    ),
    (
        "words::hop_after",
        (
            "dest/next_hop.rs",
            "self.word.store(word, Release);",
            Store,
            To(Relaxed),
        ),
    ),
    (
        "words::hop_overwritten",
        (
            "dest/next_hop.rs",
            ".compare_exchange(before, busy, Acquire, Relaxed)",
            Exchange,
            To(Relaxed),
        ),
    ),
    (
        "counts::record",
        ("memory/refcount.rs", RELEASE, Rmw, To(Acquire)),
    ),
    (
        "counts::record",
        ("memory/refcount.rs", RELEASE, Rmw, To(Release)),
    ),
    (
        "counts::slab",
        ("dest/record_slab.rs", LEAVE_SLAB, Rmw, To(Acquire)),
    ),
    (
        "counts::slab",
        ("dest/record_slab.rs", LEAVE_SLAB, Rmw, To(Release)),
    ),
    (
        "counts::vitals_found",
        ("dest/record_slab.rs", VITALS, Load, To(Relaxed)),
    ),
    (
        "counts::vitals",
        ("dest/record_slab.rs", MAKE_VITALS, Exchange, To(Acquire)),
    ),
    (
        "tables::replaced",
        (
            "table/store.rs",
            "let table = unsafe { root.table.load(SeqCst).as_ref() };",
            Load,
            To(Relaxed),
        ),
    ),
    (
        "tables::replaced",
        ("table/writer.rs", PUBLISH, Rmw, To(Acquire)),
    ),
    (
        "tables::added",
        (
            "table/sets.rs",
            "unsafe { self.view.load(SeqCst).as_ref() }",
            Load,
            To(Relaxed),
        ),
    ),
    (
        "tables::added",
        (
            "table/edit.rs",
            "Some(new) => slot.view.swap(new.as_ptr(), SeqCst),",
            Rmw,
            To(Acquire),
        ),
    ),
    (
        "tables::source",
        (
            "table/sets.rs",
            "unsafe { &*self.addrs.load(Acquire) }",
            Load,
            To(Relaxed),
        ),
    ),
    (
        "tables::source",
        (
            "table/sets.rs",
            "self.addrs.swap(addrs.as_ptr(), Release)",
            Rmw,
            To(Relaxed),
        ),
    ),
    (
        "calls::sticky",
        (
            "calls/sticky.rs",
            "unsafe { root.entries.load(Acquire).as_ref() }",
            Load,
            To(Relaxed),
        ),
    ),
    (
        "calls::sticky",
        (
            "calls/sticky.rs",
            ".compare_exchange(none, made.as_ptr(), Release, Relaxed)",
            Exchange,
            To(Relaxed),
        ),
    ),
];

const PINNED: &str = "let pinned = self.slots.get().iter().map(|slot| slot.epoch.load(Acquire));";
const POST: &str = "let swap = |next| root.newest.compare_exchange(next, raw, Release, Relaxed);";
const TAKE: &str = "let mut at = root.newest.swap(ptr::null_mut(), Acquire);";
const SEEN: &str = "if value == 0 || self.seen.load(Acquire) != value {";
const HALVES: &str = "let halves = self.halves.each_ref().map(|half| half.load(Acquire));";
const TURN: &str = "if place.turn.load(Acquire) != whole {";
const WHOLE: &str = "place.turn.store(2 * ticket + 2, Release); [1]";
const TAKEN: &str = "let taken = place.turn.compare_exchange(seen, writing, Acquire, Relaxed);";
const RELEASE: &str = "if refs.fetch_sub(1, Ordering::AcqRel) == 1 {";
const LEAVE_SLAB: &str = "if live.fetch_sub(1, Ordering::AcqRel) > 1 {";
const LEAVE_PAGE: &str = "if live.fetch_sub(1, Ordering::AcqRel) == 1 {";
const VITALS: &str = "let vitals = NonNull::new(self.vitals.load(Ordering::SeqCst))?;";
const MAKE_VITALS: &str = "let swap = self.vitals.compare_exchange(";
const PUBLISH: &str = "self.store.root().table.swap(table.as_ptr(), SeqCst)";

/// Those that none finds.
const ARGUED: &[(Weakened, &str)] = &[
    (
        ("dest/page.rs", LEAVE_PAGE, Rmw, To(Acquire)),
        BEHIND_THE_LOCK,
    ),
    (
        ("dest/page.rs", LEAVE_PAGE, Rmw, To(Release)),
        BEHIND_THE_LOCK,
    ),
    (
        (
            "dest/record_slab.rs",
            "if !self.vitals.load(Ordering::SeqCst).is_null() {",
            Load,
            To(Relaxed),
        ),
        MADE_ONCE,
    ),
    (
        ("dest/record_slab.rs", MAKE_VITALS, Exchange, To(Release)),
        MADE_ONCE,
    ),
    (
        (
            "dest/record_slab.rs",
            MAKE_VITALS,
            Exchange,
            FailureTo(Relaxed),
        ),
        MADE_ONCE,
    ),
    (("table/writer.rs", PUBLISH, Rmw, To(Release)), NEWEST),
    (
        (
            "table/edit.rs",
            "Some(new) => slot.view.swap(new.as_ptr(), SeqCst),",
            Rmw,
            To(Release),
        ),
        NEWEST,
    ),
    (
        (
            "table/writer.rs",
            "root.versions.fetch_add(1, SeqCst);",
            Rmw,
            To(Acquire),
        ),
        VERSIONS,
    ),
    (
        (
            "table/writer.rs",
            "root.versions.fetch_add(1, SeqCst);",
            Rmw,
            To(Release),
        ),
        VERSIONS,
    ),
    (("table/store.rs", TICKET, Rmw, To(Acquire)), TICKETS),
    (("table/store.rs", TICKET, Rmw, To(Release)), TICKETS),
    (
        (
            "table/store.rs",
            "unsafe { self.root().table.load(SeqCst).as_ref() }",
            Load,
            To(Relaxed),
        ),
        NEWEST,
    ),
];

const TICKET: &str = "Ticket(self.root().tickets.fetch_add(1, SeqCst) + 1)";

const BEHIND_THE_LOCK: &str = "Destinations are given back by the holder of the writer lock, which orders that; the \
    count is as strong as those of records, so that nobody has to know.";
const MADE_ONCE: &str = "Whoever makes vitals or finds them made reads the pointer again before he follows it. It is \
    SeqCst because selections follow changes of what is in them by interleaving.";
const NEWEST: &str = "The pointer that is replaced was published behind the same lock. It is SeqCst for two reasons \
    that are argued by interleaving. A change stores a status and then loads the pointer, and a publisher swaps the \
    pointer and then loads the statuses, so that one of them sees the other (`Writer::publish`). A search that found \
    nothing asks for the newest view.";
const VERSIONS: &str = "Who asks for names compares the version with what he has seen: argued by interleaving with the \
    time of the question.";
const TICKETS: &str = "Tickets are numbers in the order of one word. What a list was read from is ordered by the \
    system calls that read it.";

/// Files whose words are `SeqCst` and argued by interleavings, which shuttle explores.
const INTERLEAVED: &[(&str, &str)] = &[
    (
        "cluster/relied.rs",
        "Times that are written again before they are over; who reads one of before pings once too often.",
    ),
    (
        "dest/ping_word.rs",
        "Words that stand alone: who reads one of before pings once too often, or a little later.",
    ),
    (
        "dest/rate.rs",
        "Admissions: each place of the ring is taken by one exchange, which knows its round.",
    ),
    (
        "dest/probing.rs",
        "Latencies and results of pings, which shares and ranks follow.",
    ),
    (
        "dest/record.rs",
        "States, positions and calls, which bitmaps and trees follow.",
    ),
    (
        "dest/register.rs",
        "A register that is believed if nobody has written meanwhile.",
    ),
    (
        "dest/traffic.rs",
        "Standings, which the bit of a record follows: who ejects stores a standing and then looks at all others.",
    ),
    (
        "set/maxima.rs",
        "A tree that follows the records: after a change its writer looks again.",
    ),
    (
        "set/names_due.rs",
        "A time that is forgotten when a name is: the writer looks again.",
    ),
    (
        "set/set_record.rs",
        "Changes that have begun and ended: a search that finds nothing compares them.",
    ),
    (
        "set/sums.rs",
        "A tree that follows the records: after a change its writer looks again.",
    ),
    (
        "set/usable.rs",
        "A bitmap that follows the records: after a change its writer looks again.",
    ),
    (
        "set/view.rs",
        "Says that a view is replaced: a search that finds nothing asks.",
    ),
];

/// The lines of those files that are not `SeqCst`, and why they need not be.
const WEAKER: &[(&str, &[&str], &str)] = &[
    (
        "dest/record.rs",
        &[
            "let home = unsafe { counted.as_ref() }.home.load(Ordering::Relaxed);",
            "unsafe { self.home.load(Ordering::Relaxed).as_ref() }",
            "self.set.load(Ordering::Relaxed)",
            "self.set.store(set, Ordering::Relaxed);",
        ],
        "Written once, before the record is published.",
    ),
    (
        "dest/record.rs",
        &[
            "State(self.listed.load(Ordering::Relaxed))",
            "self.listed.store(listed.0, Ordering::Relaxed);",
        ],
        "Behind the writer lock, or only shown.",
    ),
    (
        "set/maxima.rs",
        &[
            "leaf.store(value(index), Relaxed);",
            "node.store(self.greatest_child(level - 1, at), Relaxed);",
        ],
        FILLED,
    ),
    (
        "set/sums.rs",
        &[
            "let sum = node.load(Relaxed).wrapping_add(more);",
            "node.store(sum, Relaxed);",
            "cell.store(value, Relaxed);",
        ],
        FILLED,
    ),
    (
        "set/usable.rs",
        &[
            "word.store(word.load(Relaxed) | 1 << (index % WORD), Relaxed);",
            "self.count.fetch_add(1, Relaxed);",
        ],
        FILLED,
    ),
];

const FILLED: &str = "Filled before the view is published.";

/// Returns the lines of a file, without its tests, that name an ordering other than `SeqCst`.
fn weaker_lines(file: &str) -> BTreeSet<String> {
    let mut in_use = false;
    let product = lines_of(file).into_iter().map(|(_, line)| line);
    let product = product.take_while(|line| line != "mod tests {");
    let is_weaker = |line: &String| {
        in_use |= line.starts_with("use ");
        let names = ["Relaxed", "Acquire", "Release", "AcqRel"];
        let is_weaker = !in_use && names.iter().any(|name| line.contains(name));
        in_use &= !line.contains(';');
        is_weaker && !line.starts_with("//")
    };
    product.filter(is_weaker).collect()
}

#[test]
fn what_is_argued_by_interleaving_is_seq_cst_but_for_what_is_listed() {
    for (file, _) in INTERLEAVED {
        let listed = WEAKER.iter().filter(|(of, ..)| of == file);
        let listed: BTreeSet<String> = listed
            .flat_map(|(_, lines, _)| lines.iter().map(|line| (*line).to_owned()))
            .collect();
        assert_eq!(weaker_lines(file), listed, "{file}");
    }
}

#[test]
fn each_row_is_of_a_line_that_is_there_and_of_a_model_that_is_there() {
    let rooms = [
        ("calls", calls::NAMES),
        ("counts", counts::NAMES),
        ("epochs", epochs::NAMES),
        ("tables", tables::NAMES),
        ("words", words::NAMES),
    ];
    let models = rooms.map(|(room, names)| names.iter().map(move |name| format!("{room}::{name}")));
    let models: BTreeSet<String> = models.into_iter().flatten().collect();
    for (model, _) in FOUND {
        assert!(models.contains(*model), "no model {model}");
    }
    let argued = ARGUED.iter().map(|(row, _)| row);
    for (file, line, ..) in FOUND.iter().map(|(_, row)| row).chain(argued) {
        let mut lines = lines_of(file).into_iter();
        assert!(lines.any(|(_, name)| name == *line), "{file}: {line}");
    }
}

/// Returns what is known of a weakened ordering.
pub fn find(file: &str, line: &str, kind: Kind, change: Change) -> Entry {
    let is = |entry: &Weakened| {
        entry.0 == file && entry.1 == line && entry.2 == kind && entry.3 == change
    };
    let found = FOUND.iter().find(|(_, entry)| is(entry));
    let argued = ARGUED.iter().find(|(entry, _)| is(entry));
    let whole = INTERLEAVED.iter().find(|(whole, _)| *whole == file);
    match (found, argued, whole) {
        (Some((model, _)), _, _) => Entry::FoundBy(model),
        (_, Some((_, why)), _) => Entry::Argued(why),
        (_, _, Some((_, why))) => Entry::Argued(why),
        _ => Entry::Unknown,
    }
}

/// Returns how many weakened orderings a model is to find.
pub fn found_by(model: &str) -> usize {
    FOUND.iter().filter(|(name, _)| *name == model).count()
}
