//! Plain files: a read never waits for another kind of file, and a file is replaced in one step.
//!
//! A file is replaced by another one beside it, which nobody but the server's user may write to. In a directory that other
//! users can write to, they could put a link or a file of their own in the way, so nothing is read or written there.

use core::hash::{BuildHasher, Hasher};
use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::kamailio::server::heap;

/// The purpose of a file.
#[derive(Clone, Copy)]
pub struct Purpose {
    /// Its permissions.
    mode: u32,
    /// Its text is on the disk before it has its name, so that it outlives a crash of the machine.
    is_lasting: bool,
}

/// The server itself reads the file when it starts again.
pub const FOR_US: Purpose = Purpose {
    mode: 0o600,
    is_lasting: true,
};

/// Everybody reads the file, as long as its text is new.
pub const FOR_ALL: Purpose = Purpose {
    mode: 0o644,
    is_lasting: false,
};

/// The permission of others to write.
const OTHERS_WRITE: u32 = 0o002;

/// The age at which a file that nobody seems to write any more is removed.
const STALE: Duration = Duration::from_secs(60);

/// Returns the path with these bytes.
pub fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Reads a plain file.
///
/// # Errors
/// It cannot be read, or is no plain file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_if(path, fs::Metadata::is_file)
}

/// Reads a file to its end, if what was opened is of a kind that `ends`.
///
/// # Errors
/// It cannot be read, is of another kind, or is larger than the memory that this process gets.
pub fn read_if(path: &Path, ends: impl FnOnce(&fs::Metadata) -> bool) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let found = file.metadata()?;
    require(ends(&found))?;
    let mut text = Vec::new();
    let len = usize::try_from(found.len()).unwrap_or(usize::MAX);
    heap::reserve(&mut text, len).map_err(io::Error::other)?;
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Opens a file for reading. Without `O_NONBLOCK`, a FIFO would wait for somebody to write to it.
fn open(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    // A socket cannot be opened.
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => not_plain(),
        _ => error,
    })
}

/// Writes a file in one step: at any moment it holds the old text or the new one.
///
/// # Errors
/// It is as it was.
pub fn replace(path: &Path, text: &[u8], purpose: Purpose) -> io::Result<()> {
    require_safe(path)?;
    let beside = beside(path);
    let replaced = write_new(&beside, text, purpose).and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&beside);
    }
    replaced?;
    if purpose.is_lasting {
        // The file is replaced, wherever its directory may only be written to or cannot be synced.
        let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Gives a file the first free name of `NAME.unread`, `NAME.unread.2`, and so on; returns that name, or `None` if
/// there is no such file.
///
/// # Errors
/// The file has its old name.
pub fn put_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    require_safe(path)?;
    let named = |end: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let numbered = (2..).map(|number: u64| named(format!(".unread.{number}")));
    let mut names = std::iter::once(named(".unread".into())).chain(numbered);
    let free = names.find(|name| fs::symlink_metadata(name).is_err());
    let free = free.ok_or(io::ErrorKind::AlreadyExists)?;
    match fs::rename(path, &free) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        renamed => renamed.map(|()| Some(free)),
    }
}

/// Tries to open a file that is there, and writes a text where [`replace`] would, and removes it again; also removes
/// what servers left there that were killed while they wrote.
///
/// # Errors
/// [`read`] or [`replace`] would fail.
pub fn try_out(path: &Path, text: &[u8]) -> io::Result<()> {
    require_safe(path)?;
    match open(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    remove_stale(path);
    let beside = beside(path);
    let written = write_new(&beside, text, FOR_US);
    let removed = fs::remove_file(&beside);
    written.and(removed)
}

/// Makes sure that nobody else decides what is read from a path or written there.
///
/// # Errors
/// The path is something else than a plain file, or other users can write to its directory.
pub fn require_safe(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) => require(found.is_file())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let folder = fs::metadata(folder_of(path))?;
    if folder.permissions().mode() & OTHERS_WRITE != 0 {
        return Err(io::Error::other("other users can write to its directory"));
    }
    Ok(())
}

fn require(is_plain: bool) -> io::Result<()> {
    if is_plain { Ok(()) } else { Err(not_plain()) }
}

fn not_plain() -> io::Error {
    io::Error::other("not a plain file")
}

fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Returns a name to write to: `NAME.PID.RANDOM.new`. Servers in other containers may have a process of the same number.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    let random = RandomState::new().build_hasher().finish();
    beside.push(format!(".{}.{random}.new", std::process::id()));
    beside.into()
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &[u8], purpose: Purpose) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FOR_US.mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    file.write_all(text)?;
    file.set_permissions(fs::Permissions::from_mode(purpose.mode))?;
    if purpose.is_lasting {
        file.sync_all()?;
    }
    Ok(())
}

/// Removes files beside `path` that [`replace`] of processes that have ended left there. Processes in other containers
/// cannot be seen, but none writes for longer than [`STALE`].
fn remove_stale(path: &Path) {
    let Some(name) = path.file_name() else { return };
    let entries = fs::read_dir(folder_of(path)).into_iter().flatten();
    for entry in entries.flatten() {
        let found = entry.file_name();
        let Some(pid) = writer(name.as_bytes(), found.as_bytes()) else {
            continue;
        };
        let changed = entry.metadata().and_then(|found| found.modified());
        let is_old = changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > STALE));
        if is_old && !Path::new("/proc").join(OsStr::from_bytes(pid)).exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns the number of the process that has written a file, if its name is one of [`beside`].
fn writer<'f>(name: &[u8], found: &'f [u8]) -> Option<&'f [u8]> {
    let rest = found.strip_prefix(name)?.strip_prefix(b".")?;
    let mut numbers = rest.strip_suffix(b".new")?.split(|&byte| byte == b'.');
    let is_number = |text: &&[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let (pid, _) = (
        numbers.next().filter(is_number)?,
        numbers.next().filter(is_number)?,
    );
    numbers.next().is_none().then_some(pid)
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
        symlink(&other, &file).unwrap();
        assert!(write_new(&file, b"text", FOR_US).is_err());
        replace(&file, b"text", FOR_US).unwrap();
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
        let old = std::time::SystemTime::now() - 2 * STALE;
        let left = [
            "st..7.new",
            "st.1.7.new",
            "st.4294967295.7.new",
            "st.4294967295.7.newer",
            "st.4294967295.new",
            "st.4294967295.x.new",
            "st.x.7.new",
        ];
        for name in left {
            let made = File::create(folder.0.join(name)).unwrap();
            made.set_modified(old).unwrap();
        }
        // A server in another container may be writing it.
        fs::write(folder.0.join("st.4294967295.8.new"), "").unwrap();
        try_out(&file, b"text").unwrap();
        let mut kept: Vec<_> = left.into_iter().collect();
        kept[2] = "st.4294967295.8.new";
        kept.sort_unstable();
        assert_eq!(folder.names(), kept);
    }

    #[test]
    fn servers_with_the_same_number_write_to_different_names() {
        let path = Path::new("st");
        assert_ne!(beside(path), beside(path));
    }

    #[test]
    fn what_is_put_aside_replaces_nothing() {
        let folder = Folder::new("aside");
        let file = folder.0.join("st");
        assert_eq!(put_aside(&file).unwrap(), None);
        for name in ["st.unread", "st.unread.2", "st.unread.3"] {
            fs::write(&file, name).unwrap();
            let aside = put_aside(&file).unwrap().unwrap();
            assert_eq!(aside, folder.0.join(name));
        }
        for name in ["st.unread", "st.unread.2", "st.unread.3"] {
            assert_eq!(fs::read(folder.0.join(name)).unwrap(), name.as_bytes());
        }
        assert_eq!(folder.names().len(), 3);
    }

    #[test]
    fn what_is_no_plain_file_is_neither_read_nor_written() {
        let folder = Folder::new("plain");
        for path in [Path::new("/dev/null"), &folder.0] {
            for done in [
                read(path).map(|_| ()),
                replace(path, b"", FOR_US),
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
        let why = replace(&file, b"", FOR_US).unwrap_err().to_string();
        assert_eq!(why, "other users can write to its directory");
        assert_eq!(folder.names(), [""; 0]);
    }
}
