//! The switch between the servers does what it is told, and counts it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use harness::switch::line::Condition;
use harness::switch::{Place, Switch};
use harness::this_machine::lacks_a_switch;
use harness::{patience, wait_for};

/// Two places with a socket each.
struct Pair {
    switch: Switch,
    places: [Place; 2],
    sockets: [UdpSocket; 2],
}

impl Pair {
    fn make(seed: u64) -> Self {
        let switch = Switch::start(seed);
        let addresses = [1, 2].map(|host| Ipv4Addr::new(10, 99, 0, host));
        let places = addresses.map(|address| switch.place(&[address]));
        let socket = |n: usize| {
            let bind = || UdpSocket::bind((addresses[n], 5060)).unwrap();
            let socket = places[n].namespace.enter(bind);
            socket.set_read_timeout(Some(patience(1) / 5)).unwrap();
            let size: libc::c_int = 8 << 20;
            // SAFETY: setsockopt reads one number, whose size is given (socket(7)).
            let done = unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_RCVBUFFORCE,
                    (&raw const size).cast(),
                    size_of_val(&size) as libc::socklen_t,
                )
            };
            assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
            socket
        };
        let sockets = [socket(0), socket(1)];
        Self {
            switch,
            places,
            sockets,
        }
    }

    /// Sets the condition from the first to the second.
    fn forth(&self, condition: Condition) {
        let [from, to] = &self.places;
        self.switch.set(from, to, condition);
    }

    fn send(&self, from: usize, text: &str) {
        let to = SocketAddr::from(([10, 99, 0, 2 - u8::from(from == 1)], 5060));
        self.sockets[from].send_to(text.as_bytes(), to).unwrap();
    }

    /// The next message within 200 ms.
    fn receive(&self, at: usize) -> Option<String> {
        let mut buffer = vec![0; 65_535];
        let length = self.sockets[at].recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    /// Sends so many numbers from the first to the second; yields those that come, in their order.
    fn numbers(&self, count: usize) -> Vec<usize> {
        for number in 0..count {
            self.send(0, &number.to_string());
        }
        let come = std::iter::from_fn(|| self.receive(1));
        come.map(|number| number.parse().unwrap()).collect()
    }
}

#[test]
fn a_good_line_carries_everything_in_its_order_and_fragments() {
    if lacks_a_switch() {
        return;
    }
    let pair = Pair::make(1);
    assert_eq!(pair.numbers(500), (0..500).collect::<Vec<_>>());
    let long = format!("KDMQ {}", "x".repeat(8_000));
    pair.send(1, &long);
    assert_eq!(pair.receive(0), Some(long));
    let [one, other] = &pair.places;
    let (forth, back) = (
        pair.switch.traffic(one, other),
        pair.switch.traffic(other, one),
    );
    assert_eq!((forth.packets, forth.kdmqs, forth.lost), (500, 0, 0));
    // 8,013 bytes of UDP in fragments of 1,480, each with 20 bytes of IP.
    assert_eq!(
        (back.packets, back.kdmqs, back.bytes),
        (6, 1, 8_013 + 6 * 20)
    );
}

#[test]
fn the_share_that_is_lost_is_the_one_that_was_told_and_follows_from_the_seed() {
    if lacks_a_switch() {
        return;
    }
    let lossy = Condition {
        loss: 0.3,
        ..Condition::default()
    };
    let run = |seed| {
        let pair = Pair::make(seed);
        pair.forth(lossy);
        let come = pair.numbers(2_000);
        let traffic = pair.switch.traffic(&pair.places[0], &pair.places[1]);
        assert_eq!(traffic.lost as usize, 2_000 - come.len());
        // Four standard deviations of 2,000 choices.
        assert!((520..=680).contains(&traffic.lost), "{traffic:?}");
        come
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
}

#[test]
fn a_cut_is_one_way_and_heals() {
    if lacks_a_switch() {
        return;
    }
    let pair = Pair::make(1);
    pair.forth(Condition::CUT);
    pair.send(0, "lost");
    pair.send(1, "back");
    assert_eq!(pair.receive(0).as_deref(), Some("back"));
    assert_eq!(pair.receive(1), None);
    pair.forth(Condition::default());
    pair.send(0, "forth");
    assert_eq!(pair.receive(1).as_deref(), Some("forth"));
}

#[test]
fn a_slow_line_takes_its_time_and_others_do_not() {
    if lacks_a_switch() {
        return;
    }
    let pair = Pair::make(1);
    let delay = Duration::from_millis(150);
    pair.forth(Condition {
        delay,
        ..Condition::default()
    });
    let time = |from: usize| {
        let begun = Instant::now();
        pair.send(from, "x");
        wait_for("the message", patience(5), || pair.receive(1 - from));
        begun.elapsed()
    };
    let (slow, quick) = (time(0), time(1));
    assert!(slow >= delay && quick < slow, "{slow:?} {quick:?}");
}

#[test]
fn messages_come_twice_and_in_another_order() {
    if lacks_a_switch() {
        return;
    }
    let pair = Pair::make(3);
    pair.forth(Condition {
        doubled: 0.2,
        reordered: 0.2,
        ..Condition::default()
    });
    let come = pair.numbers(500);
    let doubled = pair
        .switch
        .traffic(&pair.places[0], &pair.places[1])
        .doubled;
    assert_eq!(come.len(), 500 + doubled as usize);
    assert!((64..=136).contains(&doubled), "{doubled}");
    let mut sorted = come.clone();
    sorted.sort_unstable();
    assert_ne!(come, sorted);
    sorted.dedup();
    assert_eq!(sorted, (0..500).collect::<Vec<_>>());
}

#[test]
fn what_was_recorded_can_be_given_again() {
    if lacks_a_switch() {
        return;
    }
    let pair = Pair::make(1);
    let [one, other] = &pair.places;
    pair.switch.record(one, other);
    pair.send(0, "one");
    assert_eq!(pair.receive(1).as_deref(), Some("one"));
    let packets = pair.switch.recorded(one, other);
    pair.send(0, "two");
    assert_eq!(pair.receive(1).as_deref(), Some("two"));
    pair.switch.replay(other, &packets);
    assert_eq!(pair.receive(1).as_deref(), Some("one"));
}

#[test]
fn a_panic_leaves_no_device_and_no_namespace() {
    if lacks_a_switch() {
        return;
    }
    let held = |id: &str| {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
        links.filter(|link| link.to_str() == Some(id)).count()
    };
    let mut id = String::new();
    let end = catch_unwind(AssertUnwindSafe(|| {
        let pair = Pair::make(1);
        id = pair.places[0].namespace.id();
        assert_eq!(held(&id), 1);
        panic!("on purpose");
    }));
    assert!(end.is_err());
    assert_eq!(held(&id), 0, "{id}");
}
