//! The tree with the server's headers.

use super::Result;
use std::env;
use std::path::{Path, PathBuf};

/// Directories of a Kamailio source tree.
pub struct Headers {
    /// Holds `Makefile.defs`, `modules/` and `lib/`.
    pub root: PathBuf,
    /// Holds `sr_module.h`; the same directory in 4.x.
    pub core: PathBuf,
}

/// Finds the tree: `KAMAILIO_SRC`, else what `make headers` left in `target/kamailio-src`.
pub fn find(package: &Path) -> Result<Headers> {
    println!("cargo::rerun-if-env-changed=KAMAILIO_SRC");
    let given = env::var_os("KAMAILIO_SRC").filter(|v| !v.is_empty());
    let tree = match &given {
        Some(dir) => PathBuf::from(dir),
        None => package.join("target/kamailio-src"),
    };
    // Written anew by `make headers`; the headers themselves keep the dates of their archive.
    let stamp = tree.join(".version");
    if stamp.exists() {
        println!("cargo::rerun-if-changed={}", stamp.display());
    }
    layout(&tree).ok_or_else(|| match given {
        Some(_) => format!(
            "KAMAILIO_SRC={} is no Kamailio source tree: no sr_module.h in src/core or in itself",
            tree.display()
        ),
        None => "no Kamailio headers: run `make headers`, or set KAMAILIO_SRC to the source tree \
                 of the installed version"
            .to_owned(),
    })
}

/// The directories of `tree`, in the layout of 5.x or of 4.x.
fn layout(tree: &Path) -> Option<Headers> {
    let new = Headers {
        root: tree.join("src"),
        core: tree.join("src/core"),
    };
    let old = Headers {
        root: tree.to_owned(),
        core: tree.to_owned(),
    };
    [new, old]
        .into_iter()
        .find(|h| h.core.join("sr_module.h").exists() && h.root.join("Makefile.defs").exists())
}
