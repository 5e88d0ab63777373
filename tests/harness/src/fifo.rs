//! Questions to a server through its fifo; the answer comes through one that we make.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::poll;

/// How often the fifos are looked at.
const STEP: Duration = Duration::from_millis(2);

/// Writes `question` and a line end into the first of `fifos` that is there; yields what comes back
/// through `answer`, a new fifo, as soon as it is `whole`.
pub fn ask(
    fifos: &[PathBuf],
    answer: &Path,
    question: &str,
    limit: Duration,
    whole: impl Fn(&[u8]) -> bool,
) -> Result<String> {
    make(answer)?;
    let text = exchange(fifos, answer, question, limit, whole);
    let _ = std::fs::remove_file(answer);
    text
}

fn exchange(
    fifos: &[PathBuf],
    answer: &Path,
    question: &str,
    limit: Duration,
    whole: impl Fn(&[u8]) -> bool,
) -> Result<String> {
    // Open for both, so that neither side waits for the other.
    let mut options = OpenOptions::new();
    let options = options
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK);
    let mut from = options.open(answer)?;
    let is_fifo = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo());
    let fifo = poll(STEP, limit, || fifos.iter().find(is_fifo), Option::is_some);
    let fifo = fifo.ok_or_else(|| Error::new(ErrorKind::NotFound, "the server has no fifo"))?;
    // Kept open until the answer: what was written is lost if nobody has the fifo open.
    let mut to = options.open(fifo)?;
    writeln!(to, "{question}")?;
    let (mut text, mut chunk) = (Vec::new(), vec![0; 65_536]);
    let read = || {
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            text.extend_from_slice(&chunk[..read]);
        }
        !text.is_empty() && whole(&text)
    };
    let is_whole = poll(STEP, limit, read, |whole| *whole);
    let text = String::from_utf8_lossy(&text).into_owned();
    if is_whole {
        Ok(text)
    } else {
        let so_far = format!("so far: {text:?}");
        Err(Error::new(ErrorKind::TimedOut, so_far))
    }
}

fn make(path: &Path) -> Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a NUL-terminated path that outlives the call (mkfifo(3)).
    match unsafe { libc::mkfifo(path.as_ptr(), 0o600) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}
