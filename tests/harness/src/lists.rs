//! List files of the tests, and their collection for the test that compares the checker with the server.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// Writes a list file. Where `KEEP_LISTS` names a directory, each list is also kept there once.
pub(crate) fn write(path: &Path, content: &[u8]) {
    std::fs::write(path, content).expect("list file");
    let Some(folder) = std::env::var_os("KEEP_LISTS").map(PathBuf::from) else {
        return;
    };
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    std::fs::create_dir_all(&folder).expect("directory of lists");
    std::fs::write(
        folder.join(format!("{:016x}.list", hasher.finish())),
        content,
    )
    .expect("kept list");
}
