//! Plain files: read without waiting for what is none, and replaced in one step.
//!
//! A file is replaced by another one beside it, which nobody but the server's user may open. In a directory that other
//! users can write to, they could put a link or a file of their own in the way, so nothing is read or written there.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::kamailio::server::heap;

/// The permission of others to write.
const OTHERS_WRITE: u32 = 0o002;

/// Returns the path with these bytes.
pub fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Reads a plain file.
///
/// # Errors
/// It cannot be read, or is no plain file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a FIFO without O_NONBLOCK waits for somebody to write to it.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    require_plain(&file.metadata()?)?;
    read_all(&mut file)
}

/// Reads an open file to its end.
///
/// # Errors
/// It cannot be read, or is larger than the memory that this process gets.
pub fn read_all(file: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    heap::reserve(&mut text, len).map_err(io::Error::other)?;
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Writes a file in one step: at any moment it holds the old text or the new one.
///
/// # Errors
/// It is as it was, but for an error of the last step, the sync of its directory.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    require_safe(path)?;
    let beside = beside(path);
    let replaced = write_new(&beside, text).and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&beside);
    }
    replaced?;
    File::open(folder_of(path))?.sync_all()
}

/// Writes a text where [`replace`] would, and removes it again; also removes what servers left there that were killed
/// while they wrote.
///
/// # Errors
/// [`replace`] would fail.
pub fn try_out(path: &Path, text: &[u8]) -> io::Result<()> {
    require_safe(path)?;
    remove_stale(path);
    let beside = beside(path);
    let written = write_new(&beside, text);
    let removed = fs::remove_file(&beside);
    written.and(removed)
}

/// Makes sure that nobody else decides what is read from a path or written there.
///
/// # Errors
/// The path is something else than a plain file, or other users can write to its directory.
pub fn require_safe(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) => require_plain(&found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let folder = fs::metadata(folder_of(path))?;
    if folder.permissions().mode() & OTHERS_WRITE != 0 {
        return Err(io::Error::other("other users can write to its directory"));
    }
    Ok(())
}

fn require_plain(found: &fs::Metadata) -> io::Result<()> {
    if found.is_file() {
        Ok(())
    } else {
        Err(io::Error::other("not a plain file"))
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Returns the name that this process writes to: `NAME.PID.new`.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    beside.into()
}

/// Writes a file that is not there yet; what is left there of a process with the same number goes first.
fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// Removes files beside `path` that [`replace`] of processes that have ended left there.
fn remove_stale(path: &Path) {
    let Some(name) = path.file_name() else { return };
    for entry in fs::read_dir(folder_of(path))
        .into_iter()
        .flatten()
        .flatten()
    {
        let found = entry.file_name();
        let pid = found.as_bytes().strip_prefix(name.as_bytes());
        let pid = pid.and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(b".new"));
        let is_pid = |pid: &&[u8]| !pid.is_empty() && pid.iter().all(u8::is_ascii_digit);
        let Some(pid) = pid.filter(is_pid) else {
            continue;
        };
        if !Path::new("/proc").join(OsStr::from_bytes(pid)).exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// An empty directory of a test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("dispatcher-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
            let mut names: Vec<_> = entries
                .map(|entry| name(entry).into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let folder = Folder::new("link");
        let (file, other) = (folder.0.join("st"), folder.0.join("other"));
        fs::write(&other, "mine").unwrap();
        symlink(&other, beside(&file)).unwrap();
        replace(&file, b"text").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        let written = fs::symlink_metadata(&file).unwrap();
        assert!(written.is_file());
        assert_eq!(written.permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&file).unwrap(), b"text");
        assert_eq!(folder.names(), ["other", "st"]);
    }

    #[test]
    fn what_dead_processes_left_is_removed() {
        let folder = Folder::new("stale");
        let file = folder.0.join("st");
        let mine = std::process::id();
        for name in [
            "st.4294967295.new",
            "st.1.new",
            "st.x.new",
            "st..new",
            "st.4294967295.newer",
        ] {
            fs::write(folder.0.join(name), "").unwrap();
        }
        fs::write(folder.0.join(format!("st.{mine}.new")), "").unwrap();
        try_out(&file, b"text").unwrap();
        let kept = ["st..new", "st.1.new", "st.4294967295.newer", "st.x.new"];
        assert_eq!(folder.names(), kept);
    }

    #[test]
    fn what_is_no_plain_file_is_neither_read_nor_written() {
        let folder = Folder::new("plain");
        for path in [Path::new("/dev/null"), &folder.0] {
            for done in [
                read(path).map(|_| ()),
                replace(path, b""),
                try_out(path, b""),
            ] {
                assert!(done.unwrap_err().to_string().contains("not a plain file"));
            }
        }
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_not_used() {
        let folder = Folder::new("others");
        let file = folder.0.join("st");
        fs::set_permissions(&folder.0, PermissionsExt::from_mode(0o1777)).unwrap();
        let why = replace(&file, b"").unwrap_err().to_string();
        assert_eq!(why, "other users can write to its directory");
        assert_eq!(folder.names(), [""; 0]);
    }
}
