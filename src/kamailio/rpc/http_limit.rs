//! The size of a reply over HTTP. The server cuts what neither the socket nor its queue takes, after the answer 200, so
//! a reply that is too large is refused before.

use core::cell::Cell;
use core::ffi::CStr;
use core::mem::{MaybeUninit, size_of};
use std::fs;
use std::os::fd::RawFd;

use crate::kamailio::server::sys;

/// Room for the head of an HTTP reply.
const HEAD: usize = 512;

/// The length of a reply as jsonrpcs writes it.
#[derive(Default)]
pub struct JsonLength {
    /// Names, values, and the signs around them.
    content: Cell<usize>,
    /// Tabs and line ends, which the parameter `pretty_format` of jsonrpcs turns off.
    layout: Cell<usize>,
}

/// The place of a member in a reply.
#[derive(Clone, Copy)]
pub struct Place {
    /// The number of tabs in front of it.
    depth: usize,
    /// Each member of an array has a structure of its own around it.
    in_array: bool,
}

impl Place {
    /// The place of the members of a reply's first structure.
    pub const TOP: Place = Place {
        depth: 2,
        in_array: false,
    };

    /// Returns the place of the members of a structure here.
    pub fn in_struct(self) -> Self {
        Place {
            depth: self.depth + 1,
            in_array: false,
        }
    }

    /// Returns the place of the members of an array here.
    pub fn in_array(self) -> Self {
        Place {
            depth: self.depth + 2,
            in_array: true,
        }
    }
}

impl JsonLength {
    /// Counts a member with a value of this length.
    pub fn add_value(&self, place: Place, name: &CStr, value: usize) {
        self.add(
            name.count_bytes() + r#""":,"#.len() + value,
            place.depth + 2,
        );
        if place.in_array {
            self.add("{},".len(), place.depth + 1);
        }
    }

    /// Counts a structure or an array without its members.
    pub fn add_node(&self, place: Place, name: &CStr) {
        self.add_value(place, name, "{}".len());
        self.add(0, place.depth + 1);
    }

    /// Counts a text in an array.
    pub fn add_item(&self, text: &[u8]) {
        self.add(text_length(text) + ",".len(), 1);
    }

    fn add(&self, content: usize, layout: usize) {
        self.content.set(self.content.get() + content);
        self.layout.set(self.layout.get() + layout);
    }

    /// Refuses a reply over HTTP that is larger than what the server can send at the moment. Elsewhere there is no such
    /// limit; `is_json` is true for a call through jsonrpcs.
    ///
    /// # Errors
    /// The text of the fault, short enough for jsonrpcs.
    pub fn check(&self, is_json: bool) -> Result<(), String> {
        // SAFETY: a call without arguments that reads the table of processes.
        let over_http = is_json && unsafe { sys::glue_is_tcp_receiver() } != 0;
        if !over_http {
            return Ok(());
        }
        // SAFETY: a call without arguments that reads a parameter of a loaded module.
        let is_compact = unsafe { sys::glue_json_is_compact() } != 0;
        let layout = if is_compact { 0 } else { self.layout.get() };
        let size = HEAD + self.content.get() + layout;
        let Some(room) = room(size).filter(|&room| size > room) else {
            return Ok(());
        };
        Err(format!(
            "Reply of {size} bytes, HTTP takes {room} (tcp_conn_wq_max): \
             ask for a page (dispatcher.list short all OFFSET COUNT)"
        ))
    }
}

/// Returns the length of a text in JSON, with its quotes.
pub fn text_length(text: &[u8]) -> usize {
    let escaped = text.iter().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..=31 => r"\u0000".len(),
        _ => 1,
    });
    escaped.sum::<usize>() + 2
}

/// Returns how many bytes the server takes for the connection whose request this process serves: the send buffer of
/// the socket, and the queue behind it. `None` if it waits for the socket, as with `tcp_async` off, or if the queue
/// alone takes this size.
fn room(size: usize) -> Option<usize> {
    // SAFETY: a call without arguments that reads the core's config of this process.
    let queue = usize::try_from(unsafe { sys::glue_tcp_queue() }).ok()?;
    // The process may have thousands of connections, which are not looked through for a small reply.
    (size > queue)
        .then(send_buffer)
        .flatten()
        .map(|buffer| buffer + queue)
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
    fn the_length_of_a_reply_is_that_of_its_text() {
        let length = JsonLength::default();
        let top = Place::TOP;
        length.add_value(top, c"NRSETS", 1);
        length.add_node(top, c"RECORDS");
        let records = top.in_array();
        length.add_node(records, c"SET");
        length.add_value(records.in_struct(), c"ID", 1);
        let compact = r#""NRSETS":1,"RECORDS":[{"SET":{"ID":1,},},],"#;
        let pretty = "\t\t\"NRSETS\":\t1,\n\t\t\"RECORDS\":\t[{\n\t\t\t\t\"SET\":\t{\n\
                      \t\t\t\t\t\"ID\":\t1\n\t\t\t\t}\n\t\t\t}]\n";
        assert_eq!(length.content.get(), compact.len());
        let whole = length.content.get() + length.layout.get();
        assert!(
            (pretty.len()..pretty.len() + 16).contains(&whole),
            "{whole}"
        );
    }

    #[test]
    fn a_text_is_escaped() {
        assert_eq!(text_length(b"a\"b\\\n"), r#""a\"b\\\n""#.len());
        assert_eq!(text_length(b"\x01"), r#""\u0001""#.len());
        assert_eq!(text_length("\u{e9}".as_bytes()), 4);
    }

    #[test]
    fn files_have_no_send_buffer() {
        let file = fs::File::open("/dev/null").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        let size: Option<libc::c_int> = option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF);
        assert_eq!(size, None);
    }
}
