//! A wall clock of a server's own.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A wall clock: a library that is loaded before all others adds an offset to it.
pub struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// Builds the library in a folder; the reason where this machine cannot.
    pub fn make(folder: &Path) -> Result<Self, String> {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        let offset = folder.join("offset");
        fs::write(&source, include_str!("clock.c")).expect("the clock's source");
        fs::write(&offset, 0_i64.to_ne_bytes()).expect("the clock's offset");
        let built = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .output();
        match built {
            Ok(output) if output.status.success() => Ok(Self { library, offset }),
            Ok(output) => panic!("cc: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(format!("cc: {error}")),
            Err(error) => panic!("cc: {error}"),
        }
    }

    /// Returns the environment variables for a server.
    pub fn environment(&self) -> [String; 2] {
        [
            format!("LD_PRELOAD={}", self.library.display()),
            format!("TEST_CLOCK={}", self.offset.display()),
        ]
    }

    /// Sets the offset from the true time. Unit: seconds.
    pub fn set(&self, offset: i64) {
        let file = fs::OpenOptions::new().write(true).open(&self.offset);
        let written = file.and_then(|file| file.write_all_at(&offset.to_ne_bytes(), 0));
        written.expect("the clock's offset");
    }
}
