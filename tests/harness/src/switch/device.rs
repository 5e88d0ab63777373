//! A network device that ends in the switch. What the namespace sends is read here, and what is written here arrives
//! there. The device is gone when it is closed.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::namespace::{Namespace, ip};

/// Where such devices come from.
pub const MAKER: &str = "/dev/net/tun";

/// The largest packet, as on Ethernet.
const MTU: usize = 1_500;
/// Packets that wait until the switch takes them.
const QUEUE: usize = 10_000;

/// The device. It carries IP packets, so there is no ARP, whose loss would be felt much later than that of a message.
pub struct Device(File);

impl Device {
    /// Makes it in a namespace, with addresses there.
    pub fn open(namespace: &Namespace, addresses: &[Ipv4Addr]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sw{}-{number}", std::process::id());
        namespace.enter(|| {
            let file = make(&name).unwrap_or_else(|error| panic!("{MAKER}: {error}"));
            for address in addresses {
                ip(&format!("addr add {address}/16 dev {name}"));
            }
            ip(&format!(
                "link set dev {name} up mtu {MTU} txqueuelen {QUEUE}"
            ));
            Self(file)
        })
    }

    /// The next packet that the namespace has sent; `None` as long as there is none.
    pub fn read(&self) -> Option<Vec<u8>> {
        let mut packet = vec![0; MTU];
        match (&self.0).read(&mut packet) {
            Ok(length) => {
                packet.truncate(length);
                Some(packet)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("a device of the switch: {error}"),
        }
    }

    /// Lets a packet arrive in the namespace. One that is malformed is lost, as on a wire.
    pub fn write(&self, packet: &[u8]) {
        let _ = (&self.0).write(packet);
    }
}

impl AsRawFd for Device {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn make(name: &str) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(MAKER)?;
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: flags as libc::c_short,
        },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: TUNSETIFF reads and writes one ifreq, whose name ends with a zero byte (the kernel's tuntap.rst).
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) };
    match done {
        0 => Ok(file),
        _ => Err(std::io::Error::last_os_error()),
    }
}
