//! The installed server, known by its own modules: what they say about version, flags and sizes
//! is what its loader will ask of ours.

use super::Result;
use super::elf::Module;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The texts and places that the installed server expects of a module.
pub struct Server {
    /// Where its modules are.
    pub modules: PathBuf,
    /// `module_version` of its modules, such as `kamailio 5.6.3 (x86_64/linux)`.
    pub full_version: String,
    /// `module_flags` of its modules.
    pub flags: String,
}

/// Finds the server's modules: `KAMAILIO_MODULES`, else where the distributions put them.
///
/// As for the server's own `mpath`, a module may have a directory of its own, as in a source tree
/// where the server was built.
pub fn find() -> Result<Server> {
    println!("cargo::rerun-if-env-changed=KAMAILIO_MODULES");
    let modules = match env::var_os("KAMAILIO_MODULES") {
        Some(dir) => PathBuf::from(dir),
        None => packaged().ok_or(
            "no installed Kamailio found (tm.so): run `make setup`, or set KAMAILIO_MODULES to \
             its module directory",
        )?,
    };
    let path = module_in(&modules, "tm");
    println!("cargo::rerun-if-changed={}", path.display());
    // A package's files keep the dates of its build; this one has the date of the installation.
    let installed = Path::new("/var/lib/dpkg/info/kamailio.list");
    if installed.exists() {
        println!("cargo::rerun-if-changed={}", installed.display());
    }
    let tm = Module::open(&path)
        .map_err(|e| format!("{e}: KAMAILIO_MODULES must be the server's module directory"))?;
    Ok(Server {
        full_version: tm.text("module_version")?,
        flags: tm.text("module_flags")?,
        modules,
    })
}

impl Server {
    /// `5.6.3` of `kamailio 5.6.3 (x86_64/linux)`.
    pub fn version(&self) -> &str {
        self.full_version.split(' ').nth(1).unwrap_or_default()
    }

    /// Writes down, for packages, which server the module fits: version and flags, one a line.
    pub fn keep(&self, out: &Path) -> Result<()> {
        let text = format!("{}\n{}\n", self.full_version, self.flags);
        fs::write(out.join("server"), text).map_err(|e| format!("cannot write OUT_DIR/server: {e}"))
    }

    /// Size of the `exports` of its modules; of those with the same interface where it knows
    /// several, as 4.x does.
    pub fn module_exports(&self, interface: u32) -> Result<u64> {
        for name in ["tm", "pv", "sl", "rr"] {
            let module = Module::open(&module_in(&self.modules, name))?;
            if module.number("module_interface_ver")? == interface {
                return module.size_of("exports");
            }
        }
        Err(format!(
            "none of the usual modules in {} has the interface {interface}",
            self.modules.display()
        ))
    }

    /// Links the server's own libraries that the module needs: the database interface up to 5.8,
    /// in 4.x also MI and unique ids. Later the server itself has them, or has them no more.
    pub fn link_libraries(&self) -> Result<()> {
        let major = self.version().split('.').next();
        let major: u32 = major.and_then(|major| major.parse().ok()).unwrap_or(0);
        if self.link("srdb1").is_none() && major < 6 {
            let dir = self.modules.parent().unwrap_or(&self.modules);
            return Err(format!(
                "no libsrdb1.so.1 in {}: it comes with Kamailio {}",
                dir.display(),
                self.version()
            ));
        }
        for name in ["kmi", "srutils"] {
            self.link(name);
        }
        Ok(())
    }

    /// Links a library that lies beside the directory of the modules, or where the server's
    /// makefiles leave it. The module must find it by itself: there, or where `KAMAILIO_RUNPATH` says
    /// that it will be. `None` where there is none.
    fn link(&self, name: &str) -> Option<()> {
        let beside = self.modules.parent()?;
        let dirs = [beside.to_owned(), beside.join("lib").join(name)];
        let files = [format!("lib{name}.so.1"), format!("lib{name}.so")];
        let (dir, library) = dirs
            .into_iter()
            .flat_map(|dir| files.clone().map(|file| (dir.clone(), dir.join(file))))
            .find(|(_, library)| library.exists())?;
        println!("cargo::rustc-cdylib-link-arg={}", library.display());
        println!("cargo::rerun-if-env-changed=KAMAILIO_RUNPATH");
        let runpath = env::var_os("KAMAILIO_RUNPATH").map_or(dir, PathBuf::from);
        println!(
            "cargo::rustc-cdylib-link-arg=-Wl,-rpath,{}",
            runpath.display()
        );
        Some(())
    }

    /// The packaged C module, which holds a `tm_binds`; `None` where it is not installed.
    pub fn packaged_dispatcher(&self) -> Option<PathBuf> {
        Some(module_in(&self.modules, "dispatcher")).filter(|p| p.exists())
    }
}

/// Where a module lies: in the directory of all modules, or in one of its own there.
fn module_in(modules: &Path, name: &str) -> PathBuf {
    let file = format!("{name}.so");
    let flat = modules.join(&file);
    let own = modules.join(name).join(&file);
    if own.exists() && !flat.exists() {
        own
    } else {
        flat
    }
}

/// The first packaged module directory that has tm.so.
fn packaged() -> Option<PathBuf> {
    let mut libs: Vec<PathBuf> = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/local/lib64",
    ]
    .iter()
    .map(PathBuf::from)
    .collect();
    if let Ok(entries) = fs::read_dir(Path::new("/usr/lib")) {
        libs.extend(entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()));
    }
    libs.into_iter()
        .map(|p| p.join("kamailio/modules"))
        .find(|p| p.join("tm.so").exists())
}
