//! How much a connection takes at once. The server cuts what neither the socket nor its queue takes, after it has sent
//! the start, so whoever makes a long reply asks before.

use core::mem::{MaybeUninit, size_of};
use std::fs;
use std::os::fd::RawFd;

use super::sys;

/// A reply is larger than what the server can send at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The most that it can send, in bytes.
    pub room: usize,
    /// The least `tcp_conn_wq_max` with which it could send the reply.
    pub queue: usize,
}

/// Returns what is missing for a reply of this size to the connection whose request this process serves. The server
/// takes as much as the send buffer of the socket and the queue behind it hold. `None` if that is enough, and if the
/// server waits for the socket, as with `tcp_async` off.
pub fn shortage(size: usize) -> Option<Shortage> {
    // SAFETY: a call without arguments that reads the core's config of this process.
    let queue = usize::try_from(unsafe { sys::glue_tcp_queue() }).ok()?;
    // The process may have thousands of connections, which are not looked through for a small reply.
    if size <= queue {
        return None;
    }
    let buffer = send_buffer()?;
    (size > buffer + queue).then(|| Shortage {
        room: buffer + queue,
        queue: size - buffer,
    })
}

/// Returns the size of the send buffer of the connection that has received something last. Of several at the same
/// millisecond it is the smallest.
fn send_buffer() -> Option<usize> {
    let open = fs::read_dir("/proc/self/fd").ok()?;
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let connections = numbers.filter_map(|fd: RawFd| {
        let info: libc::tcp_info = option(fd, libc::IPPROTO_TCP, libc::TCP_INFO)?;
        let size: libc::c_int = option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF)?;
        let is_open = info.tcpi_state == ESTABLISHED || info.tcpi_state == CLOSE_WAIT;
        is_open.then_some((info.tcpi_last_data_recv, usize::try_from(size).ok()?))
    });
    connections.min().map(|(_, size)| size)
}

/// State of a connection that is open on both sides (linux/tcp.h, `TCP_ESTABLISHED`).
const ESTABLISHED: u8 = 1;
/// State of a connection whose peer has sent all that it will send (linux/tcp.h, `TCP_CLOSE_WAIT`).
const CLOSE_WAIT: u8 = 8;

/// Returns an option of a socket; `None` if the descriptor is of another kind.
fn option<T: Integers>(fd: RawFd, level: libc::c_int, name: libc::c_int) -> Option<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<T>()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes of the option, whose type is `T`, and nothing if the
    // descriptor is no such socket (getsockopt(2)).
    let done =
        unsafe { libc::getsockopt(fd, level, name, value.as_mut_ptr().cast(), &raw mut length) };
    // SAFETY: integers, for which zeroes are a value, as far as the kernel has not written them.
    (done == 0).then(|| unsafe { value.assume_init() })
}

/// Types of integers alone, so that any bytes are a value.
///
/// # Safety
/// The type has no other fields.
unsafe trait Integers {}

// SAFETY: an integer.
unsafe impl Integers for libc::c_int {}
// SAFETY: a struct of integers (linux/tcp.h).
unsafe impl Integers for libc::tcp_info {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_no_send_buffer() {
        let file = fs::File::open("/dev/null").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        let size: Option<libc::c_int> = option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF);
        assert_eq!(size, None);
    }
}
