//! The machine that the tests run on: what they need of it besides the server. A test that needs
//! what it lacks says so and returns.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::this_server::skip_for_lack_of;

/// Returns true, after saying so, where a server cannot have an `/etc/resolv.conf` of its own, or
/// where nobody may listen at a name server's port. Both need root, and a container may refuse them.
pub fn lacks_name_servers() -> bool {
    static LACK: OnceLock<Option<&str>> = OnceLock::new();
    let lack = LACK.get_or_init(|| {
        let mounts = Command::new("unshare").args(["-m", "true"]).output();
        if !mounts.is_ok_and(|output| output.status.success()) {
            return Some("`unshare -m` makes no mount namespace here");
        }
        let denied = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
        let port = UdpSocket::bind(("127.53.0.1", 53));
        let denied = port.err().is_some_and(denied);
        denied.then_some("nobody may listen at port 53 here")
    });
    lack.is_some_and(|why| {
        skip_for_lack_of("name servers", why);
        true
    })
}

/// Returns true, after saying so, where nobody may make a network of his own: that needs root, and a container may
/// refuse it.
pub fn lacks_networks() -> bool {
    let line = "ip link add one type veth peer name other && ip link set lo up";
    let made = Command::new("unshare")
        .args(["-n", "sh", "-c", line])
        .output();
    let lacks = !made.is_ok_and(|output| output.status.success());
    if lacks {
        skip_for_lack_of("networks", "`unshare -n` makes no network here");
    }
    lacks
}

/// Returns true where there can be no [`super::switch`]: it needs networks of its own, and devices that end in a program.
pub fn has_no_switch() -> bool {
    static LACKS: OnceLock<bool> = OnceLock::new();
    *LACKS.get_or_init(|| {
        let line = "ip tuntap add dev one mode tun && ip link set one up";
        let made = Command::new("unshare")
            .args(["-n", "sh", "-c", line])
            .output();
        !made.is_ok_and(|output| output.status.success())
    })
}

/// As [`has_no_switch`], and says so.
pub fn lacks_a_switch() -> bool {
    let lacks = has_no_switch();
    if lacks {
        skip_for_lack_of("a switch", "`unshare -n ip tuntap` makes no device here");
    }
    lacks
}

/// Returns true, after saying so, where nobody may make a network and mounts of his own: both need root, and a container
/// may refuse them.
pub fn lacks_rooms() -> bool {
    let made = Command::new("unshare")
        .args(["-n", "-m", "sh", "-c", "mount -t tmpfs none /run"])
        .output();
    let lacks = !made.is_ok_and(|output| output.status.success());
    if lacks {
        skip_for_lack_of("rooms", "`unshare -n -m` makes no network and mounts here");
    }
    lacks
}

/// Returns a program of Prometheus, `promtool` or `prometheus`: that of the machine, or the one that `make setup-tests`
/// unpacks. `None`, after saying so, where there is none.
pub fn prometheus(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = super::root().join("target/prometheus/usr/bin");
    let found = std::env::split_paths(&paths)
        .chain([unpacked])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        skip_for_lack_of(
            "Prometheus",
            "there is no Prometheus here (make setup-tests)",
        );
    }
    found
}

/// Returns true, after saying so, where this user and group cannot run a program: they may not enter `/`.
pub fn lacks_a_root_for((uid, gid): (u32, u32)) -> bool {
    let mut command = Command::new("true");
    let runs = command.uid(uid).gid(gid).current_dir("/").status();
    let lacks = !runs.is_ok_and(|status| status.success());
    if lacks {
        skip_for_lack_of("a root for others", "other users may not enter / here");
    }
    lacks
}
