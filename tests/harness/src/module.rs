//! Which `dispatcher.so` a server loads, and where the server's own files are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The module under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// Ours, named by `DISPATCHER_SO`.
    Rust,
    /// Ours with a function that panics on purpose, named by `DISPATCHER_PROBE_SO`.
    PanicProbe,
    /// The packaged C module.
    C,
}

/// The server binary: `KAMAILIO`, else found in `PATH`.
pub fn kamailio() -> PathBuf {
    binary("KAMAILIO", "kamailio")
}

/// The RPC client: `KAMCMD`, else found in `PATH`.
pub fn kamcmd() -> PathBuf {
    binary("KAMCMD", "kamcmd")
}

fn binary(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("no {name} in PATH; set {variable}"))
}

/// The server's own module path: `KAMAILIO_MODULES`, else what `kamailio -I` prints.
pub fn packaged_modules() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Ok(path) = std::env::var("KAMAILIO_MODULES") {
            return path;
        }
        let out = Command::new(kamailio())
            .arg("-I")
            .output()
            .expect("kamailio -I runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let line = text
            .lines()
            .find_map(|l| l.trim().strip_prefix("Default paths to modules:"));
        line.expect("kamailio -I names its modules")
            .trim()
            .to_owned()
    })
}

/// Another server, with its modules and the module under test that is built for it.
#[derive(Clone, Debug)]
pub struct Server {
    /// The program.
    pub program: PathBuf,
    /// The value of `mpath`.
    pub mpath: String,
}

impl Server {
    /// The server of a suite of the distribution, where `make test-matrix` has fetched it and built the module for it.
    pub fn fetched(suite: &str) -> Option<Self> {
        let folder = super::root().join("target/matrix").join(suite);
        let (program, own) = (folder.join("bin/kamailio"), folder.join("module"));
        let libraries = std::fs::read_dir(folder.join("root/usr/lib")).ok()?;
        let modules = libraries
            .filter_map(|entry| Some(entry.ok()?.path().join("kamailio/modules")))
            .find(|path| path.join("tm.so").is_file())?;
        let is_there = program.is_file() && own.join("dispatcher.so").is_file();
        is_there.then(|| Self {
            program,
            mpath: format!("{}:{}", own.display(), modules.display()),
        })
    }
}

impl Module {
    /// The value of `mpath`. `dir` is the server's working directory.
    pub fn mpath(self, dir: &Path) -> String {
        match self {
            Self::C => packaged_modules().to_owned(),
            Self::Rust | Self::PanicProbe => {
                format!(
                    "{}:{}",
                    own_directory(self, dir).display(),
                    packaged_modules()
                )
            }
        }
    }
}

/// A directory that holds our module under its load name.
fn own_directory(module: Module, dir: &Path) -> PathBuf {
    let (variable, default) = match module {
        Module::PanicProbe => ("DISPATCHER_PROBE_SO", "target/probe/dispatcher.so"),
        _ => ("DISPATCHER_SO", "target/release/dispatcher.so"),
    };
    let file = match std::env::var_os(variable) {
        Some(file) => PathBuf::from(file),
        None => super::root().join(default),
    };
    let file = file.canonicalize().unwrap_or_else(|error| {
        panic!(
            "module under test {}: {error}; set {variable}",
            file.display()
        )
    });
    if file.file_name().is_some_and(|name| name == "dispatcher.so") {
        return file.parent().expect("a file has a directory").to_owned();
    }
    let modules = dir.join("modules");
    std::fs::create_dir_all(&modules).expect("directory for the module");
    let link = modules.join("dispatcher.so");
    if !link.exists() {
        std::os::unix::fs::symlink(&file, &link).expect("link to the module");
    }
    modules
}
