//! A switch between network namespaces: it passes packets on, and delays, loses, doubles, reorders and cuts them as it is
//! told, for each direction between two places. All chance follows from a seed.
//!
//! | file | contents |
//! | --- | --- |
//! | [`device`] | the network device of a place, which ends in the switch |
//! | [`line`] | the condition of a direction, and what it makes of a packet |
//! | [`packet`] | the part of a packet that the switch reads |
//!
//! The kernel of a machine may lack what `tc` needs for this, and its choices follow no seed.

mod device;
pub mod line;
mod packet;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::namespace::Namespace;
use super::service::Service;
use device::Device;
use line::{Condition, Traffic};

/// Longest time that the switch sleeps, so that it sees a new place.
const NAP: Duration = Duration::from_millis(20);

/// A place at the switch: its namespace, and its number.
#[derive(Clone)]
pub struct Place {
    /// Where its sockets and processes are.
    pub namespace: Arc<Namespace>,
    number: usize,
}

/// A direction: from one place to another.
type Way = (usize, usize);

/// What the switch knows of a direction.
struct Line {
    condition: Condition,
    traffic: Traffic,
    random: StdRng,
    /// Packets that were sent, while they are recorded.
    record: Option<Vec<Vec<u8>>>,
}

#[derive(Default)]
struct Inside {
    devices: Vec<Arc<Device>>,
    places: HashMap<Ipv4Addr, usize>,
    lines: HashMap<Way, Line>,
    /// Packets that are under way, by the time of their arrival and their number.
    under_way: BTreeMap<(Instant, u64), (Way, Vec<u8>)>,
    sent: u64,
    seed: u64,
}

/// The switch. Dropping it ends its thread; devices and namespaces are gone with the last holder, after a panic as well.
pub struct Switch(Service<Inside>);

impl Switch {
    /// Starts one without places, whose choices follow from the seed.
    pub fn start(seed: u64) -> Self {
        let service = Service::start(turn);
        let switch = Self(service);
        switch.0.known().seed = seed;
        switch
    }

    /// Makes a place with these addresses, which are all of 10.99.0.0/16.
    pub fn place(&self, addresses: &[Ipv4Addr]) -> Place {
        let namespace = Arc::new(Namespace::new());
        let device = Device::open(&namespace, addresses);
        let mut inside = self.0.known();
        let number = inside.devices.len();
        inside.devices.push(Arc::new(device));
        let places = addresses.iter().map(|&address| (address, number));
        inside.places.extend(places);
        Place { namespace, number }
    }

    fn with_line<T>(&self, from: &Place, to: &Place, change: impl FnOnce(&mut Line) -> T) -> T {
        change(self.0.known().line((from.number, to.number)))
    }

    /// Sets the condition of one direction.
    pub fn set(&self, from: &Place, to: &Place, condition: Condition) {
        self.with_line(from, to, |line| line.condition = condition);
    }

    /// Returns the condition of one direction.
    pub fn condition(&self, from: &Place, to: &Place) -> Condition {
        self.with_line(from, to, |line| line.condition)
    }

    /// Returns what went in one direction so far.
    pub fn traffic(&self, from: &Place, to: &Place) -> Traffic {
        self.with_line(from, to, |line| line.traffic)
    }

    /// Keeps a copy of each packet of one direction from now on.
    pub fn record(&self, from: &Place, to: &Place) {
        self.with_line(from, to, |line| line.record = Some(Vec::new()));
    }

    /// Ends a record; yields the packets in their order.
    pub fn recorded(&self, from: &Place, to: &Place) -> Vec<Vec<u8>> {
        self.with_line(from, to, |line| line.record.take().unwrap_or_default())
    }

    /// Gives recorded packets to a place once more, as if they came from where they once came from.
    pub fn replay(&self, to: &Place, packets: &[Vec<u8>]) {
        let device = Arc::clone(&self.0.known().devices[to.number]);
        for packet in packets {
            device.write(packet);
        }
    }
}

impl Inside {
    fn line(&mut self, way: Way) -> &mut Line {
        let seed = self.seed;
        self.lines.entry(way).or_insert_with(|| {
            // Each direction has chances of its own, so that the traffic of others does not change them.
            let (from, to) = (way.0 as u64, way.1 as u64);
            Line {
                condition: Condition::default(),
                traffic: Traffic::default(),
                random: StdRng::seed_from_u64(seed ^ (from << 48) ^ (to << 32)),
                record: None,
            }
        })
    }

    /// Takes a packet that a place has sent.
    fn take(&mut self, from: usize, packet: Vec<u8>, now: Instant) {
        let Some(head) = packet::head(&packet) else {
            return;
        };
        let Some(&to) = self.places.get(&head.to) else {
            return;
        };
        let line = self.line((from, to));
        if let Some(record) = &mut line.record {
            record.push(packet.clone());
        }
        let arrivals = line.condition.fate(&mut line.random);
        line.traffic.count(packet.len(), head.is_kdmq, &arrivals);
        for delay in arrivals.into_iter().flatten() {
            self.sent += 1;
            let key = (now + delay, self.sent);
            self.under_way.insert(key, ((from, to), packet.clone()));
        }
    }

    /// Gives out what is due; yields how long there is nothing to do.
    fn deliver(&mut self) -> Duration {
        let now = Instant::now();
        while let Some(entry) = self.under_way.first_entry() {
            let due = entry.key().0;
            if due > now {
                return NAP.min(due - now);
            }
            let (way, packet) = entry.remove();
            // A line that was cut meanwhile has lost what was under way.
            if self.line(way).condition.cut {
                self.line(way).traffic.lost += 1;
            } else {
                self.devices[way.1].write(&packet);
            }
        }
        NAP
    }
}

/// Passes on what has come and what is due, after waiting for the first.
fn turn(inside: &Mutex<Inside>) {
    let (nap, devices) = {
        let mut inside = inside.lock().unwrap();
        (inside.deliver(), inside.devices.clone())
    };
    wait(&devices, nap);
    for (from, device) in devices.iter().enumerate() {
        while let Some(packet) = device.read() {
            inside.lock().unwrap().take(from, packet, Instant::now());
        }
    }
}

/// Waits until one of the devices has a packet, or until the time is over.
fn wait(devices: &[Arc<Device>], limit: Duration) {
    let mut asked: Vec<libc::pollfd> = devices
        .iter()
        .map(|device| libc::pollfd {
            fd: device.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let limit = libc::timespec {
        tv_sec: 0,
        tv_nsec: limit.subsec_nanos().into(),
    };
    let number = asked.len() as libc::nfds_t;
    // SAFETY: ppoll writes to as many entries as `asked` has, reads the time, and takes no mask of signals (ppoll(2)).
    unsafe {
        libc::ppoll(asked.as_mut_ptr(), number, &limit, std::ptr::null());
    }
}
