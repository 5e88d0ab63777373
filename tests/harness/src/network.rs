//! Networks of their own: one with the usual size of packets, which is far smaller than on loopback, and one that
//! reaches nothing but its own loopback addresses.

use std::net::SocketAddr;
use std::process::Command;

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

/// Moves this thread, and what it starts from now on, into a network that has nothing but loopback. No packet leaves it,
/// whatever its address.
pub fn leave() {
    // SAFETY: unshare takes a number; the new network is that of this thread alone (unshare(2)).
    let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(status.expect("ip runs").success(), "no loopback");
}

/// Connects a thread with a network of its own to a server of [`Config::far`] by a line of 1,500 bytes a packet, and
/// runs something there with the server's address.
pub fn from_afar<T: Send>(server: &Kamailio, run: impl FnOnce(SocketAddr) -> T + Send) -> T {
    let (pid, port) = (server.pid().to_string(), server.port());
    std::thread::scope(|scope| {
        let far = scope.spawn(move || {
            // SAFETY: unshare takes a number; the new network is that of this thread alone (unshare(2)).
            let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
            for command in [
                &format!("ip link add near type veth peer name far netns {pid}"),
                "ip addr add 10.78.0.2/24 dev near",
                "ip link set near up",
                &format!("nsenter -t {pid} -n ip addr add 10.78.0.1/24 dev far"),
                &format!("nsenter -t {pid} -n ip link set far up"),
                &format!("ip route add {FAR} via 10.78.0.1"),
            ] {
                let mut words = command.split(' ');
                let program = words.next().expect("a program");
                let status = Command::new(program).args(words).status();
                assert!(status.expect("ip runs").success(), "{command}");
            }
            run(SocketAddr::new(FAR.parse().expect("an address"), port))
        });
        far.join().expect("the far side ran")
    })
}
