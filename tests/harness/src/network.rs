//! Networks of their own: one with the usual size of packets, which is far smaller than on loopback, and one that
//! reaches nothing but its own loopback addresses.

use std::net::SocketAddr;
use std::process::Command;

use super::namespace::{ip, leave};
use super::{Config, Kamailio};

/// The server's address there.
const FAR: &str = "10.77.0.1";

/// Gives the server a network of its own, with its address on loopback, and runs it in there.
const OWN: &str = "ip link set lo up && ip addr add 10.77.0.1/32 dev lo && exec \"$@\"";

impl Config {
    /// Runs the server in a network of its own, where [`from_afar`] reaches it over TCP.
    pub fn far(self) -> Self {
        let config = self.tcp().global("listen=tcp:10.77.0.1:{{PORT}}");
        config.under(&["unshare", "-n", "sh", "-c", OWN, "sh"])
    }
}

/// Connects a thread with a network of its own to a server of [`Config::far`] by a line of 1,500 bytes a packet, and
/// runs something there with the server's address.
pub fn from_afar<T: Send>(server: &Kamailio, run: impl FnOnce(SocketAddr) -> T + Send) -> T {
    let (pid, port) = (server.pid().to_string(), server.port());
    std::thread::scope(|scope| {
        let far = scope.spawn(move || {
            leave();
            ip(&format!(
                "link add near type veth peer name far netns {pid}"
            ));
            ip("addr add 10.78.0.2/24 dev near");
            ip("link set near up");
            for line in ["addr add 10.78.0.1/24 dev far", "link set far up"] {
                let mut there = Command::new("nsenter");
                there.args(["-t", &pid, "-n", "ip"]).args(line.split(' '));
                assert!(there.status().expect("nsenter runs").success(), "{line}");
            }
            ip(&format!("route add {FAR} via 10.78.0.1"));
            run(SocketAddr::new(FAR.parse().expect("an address"), port))
        });
        far.join().expect("the far side ran")
    })
}
