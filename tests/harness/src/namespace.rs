//! Network namespaces, each of which lives as long as somebody holds it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

/// The namespace of the thread that opens this file.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace. It is gone with its last socket, process and holder, whatever becomes of the test.
pub struct Namespace(File);

impl Namespace {
    /// Makes one that has nothing but loopback.
    pub fn new() -> Self {
        let maker = std::thread::spawn(|| {
            leave();
            File::open(OWN).expect("the new namespace")
        });
        Self(maker.join().expect("a namespace"))
    }

    /// Its name in the kernel, as links below `/proc` show it.
    pub fn id(&self) -> String {
        let link = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let name = std::fs::read_link(link).expect("the namespace");
        name.to_string_lossy().into_owned()
    }

    /// Runs something in it, on this thread. Sockets and processes that it makes stay there.
    pub fn enter<T>(&self, run: impl FnOnce() -> T) -> T {
        /// Brings the thread back, after a panic as well.
        struct Back(File);
        impl Drop for Back {
            fn drop(&mut self) {
                join(&self.0);
            }
        }
        let _back = Back(File::open(OWN).expect("the namespace of this thread"));
        join(&self.0);
        run()
    }
}

fn join(namespace: &File) {
    // SAFETY: setns takes an open descriptor and a number, and moves this thread alone (setns(2)).
    let done = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Moves this thread, and what it starts from now on, into a network that has nothing but loopback. No packet leaves it,
/// whatever its address.
pub fn leave() {
    // SAFETY: unshare takes a number; the new network is that of this thread alone (unshare(2)).
    let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    ip("link set lo up");
}

/// Runs `ip` with these words, in the namespace of this thread.
pub fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status();
    assert!(status.expect("ip runs").success(), "ip {words}");
}
