//! A place where examples run as they are written: in a network of its own all of 192.0.2.0/24 is here, and the
//! directories that examples name are empty ones of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::namespace;

/// Directories that examples name. Each room has its own.
const DIRECTORIES: [&str; 4] = ["/etc/kamailio", "/run", "/var/lib", "/var/local"];

/// Where the server's files are.
pub const CONFIG: &str = "/etc/kamailio";

/// Moves this thread, and what it starts from now on, into a room of its own.
pub fn enter() {
    namespace::leave();
    // SAFETY: unshare takes a number; the new table of mounts is that of this thread alone (unshare(2)).
    let done = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    shell("ip address add 192.0.2.0/24 dev lo");
    shell("mount --make-rprivate /");
    for directory in DIRECTORIES {
        shell(&format!(
            "mkdir -p {directory} && mount -t tmpfs none {directory}"
        ));
    }
}

/// Makes the directories empty, but for those that programs expect.
pub fn tidy() {
    for directory in DIRECTORIES {
        for entry in fs::read_dir(directory).expect("a directory of the room") {
            let path = entry.expect("an entry").path();
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.expect("a tidy room");
        }
    }
    for directory in ["/run/kamailio", "/run/mysqld", "/var/lib/kamailio"] {
        fs::create_dir_all(directory).expect("a directory of the room");
    }
}

/// Writes a file of the server.
pub fn write(name: &str, content: &str) {
    fs::write(Path::new(CONFIG).join(name), content).expect("a file of the server");
}

/// Runs a command; yields its output. Panics where it fails.
pub fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output();
    let output = output.expect("a shell");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
    // kamcmd ends well after a fault.
    let fault = line.contains("kamcmd") && text.starts_with("error: ");
    let well = output.status.success() && !fault;
    assert!(well, "{line}\n{text}");
    text
}
