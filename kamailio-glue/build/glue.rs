//! The C side: the probe that proves the defines right, and the glue that is linked into the
//! module.

use super::Result;
use super::defines::Defines;
use super::elf::Module;
use super::headers::Headers;
use super::server::Server;
use std::path::Path;

/// The glue's source files.
const SOURCES: [&str; 12] = [
    "tables.c",
    "kemi.c",
    "events.c",
    "log.c",
    "lock.c",
    "mem.c",
    "server.c",
    "cfg.c",
    "tm.c",
    "dmq.c",
    "http.c",
    "counters.c",
];

/// Options of `make asan`, whose compiler is clang: what it finds ends the process.
const SANITIZERS: [&str; 4] = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
    "-fno-omit-frame-pointer",
    "-g",
];

/// All that a C compilation needs.
pub struct Glue<'a> {
    /// The package's directory.
    pub root: &'a Path,
    /// Where the results go.
    pub out: &'a Path,
    /// The server's headers.
    pub headers: &'a Headers,
    /// The server's defines.
    pub defines: &'a Defines,
    /// The server's features, as defines; see `features`.
    pub features: Vec<String>,
}

/// Struct sizes in bytes as the C compiler sees them; the bindings must agree.
pub struct Sizes(pub Vec<(&'static str, u64)>);

impl Glue<'_> {
    /// The options that the C compiler and bindgen share.
    ///
    /// `-iquote`, not `-I`: the core has headers with the names of system headers.
    pub fn options(&self) -> Vec<String> {
        let ours = ["kamailio-glue", "include"].map(|dir| self.root.join(dir));
        let quoted = ours.iter().chain([&self.headers.root, &self.headers.core]);
        let mut options: Vec<String> = quoted
            .map(|dir| format!("-iquote{}", dir.display()))
            .collect();
        options.extend(self.defines.iter().map(|(name, value)| match value {
            Some(value) => format!("-D{name}={value}"),
            None => format!("-D{name}"),
        }));
        options.extend(self.features.iter().map(|name| format!("-D{name}")));
        if cfg!(feature = "panic-probe") {
            options.push("-DDISPATCHER_PANIC_PROBE".to_owned());
        }
        if cfg!(feature = "sanitizers") {
            options.push("-DDISPATCHER_FAULT_PROBE".to_owned());
        }
        options
    }

    /// The C compiler with those options.
    pub fn c_compiler(&self) -> Result<cc::Tool> {
        self.compiler()
            .try_get_compiler()
            .map_err(|e| format!("no C compiler: {e}; run `make setup`"))
    }

    fn compiler(&self) -> cc::Build {
        let mut build = cc::Build::new();
        // No -Wextra: the server's headers do not pass it.
        build
            .warnings(true)
            .extra_warnings(false)
            .flag("-fno-strict-aliasing")
            .flag_if_supported("-fstack-protector-strong")
            // Two checkouts give the same object, and no path of the machine that built it is in it.
            .flag_if_supported(format!("-ffile-prefix-map={}=.", self.root.display()))
            .flag_if_supported(format!(
                "-ffile-prefix-map={}=kamailio",
                self.headers.root.display()
            ));
        // It needs an optimization level; sanitizers do not see through it.
        if !cfg!(feature = "sanitizers")
            && std::env::var("OPT_LEVEL").is_ok_and(|level| level != "0")
        {
            build.flag("-U_FORTIFY_SOURCE").flag("-D_FORTIFY_SOURCE=2");
        }
        for option in self.options() {
            build.flag(option);
        }
        build
    }

    /// Compiles a module that has nothing but the looked-up texts and some structs, and compares
    /// it with the installed server's modules.
    pub fn prove(&self, server: &Server) -> Result<Sizes> {
        let so = self.out.join("probe.so");
        let output = self
            .c_compiler()?
            .to_command()
            // Where Rust has a sanitizer, cc asks for it here as well, and variables would grow.
            .args(["-shared", "-fno-sanitize=all"])
            .arg("-o")
            .arg(&so)
            .arg(self.root.join("kamailio-glue/probe.c"))
            .output()
            .map_err(|e| format!("cannot run the C compiler: {e}; run `make setup`"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "the server's headers do not compile: {}",
                text.trim()
            ));
        }
        let probe = Module::open(&so)?;
        same(
            "module_version",
            &probe.text("module_version")?,
            &server.full_version,
            server,
        )?;
        same(
            "module_flags",
            &probe.text("module_flags")?,
            &server.flags,
            server,
        )?;
        let size = |name: &str| probe.size_of(&format!("probe_{name}"));
        let exports = size("glue_exports_t")?;
        same(
            "size of module_exports",
            exports,
            server.module_exports(probe.number("module_interface_ver")?)?,
            server,
        )?;
        if let Some(path) = server.packaged_dispatcher() {
            println!("cargo::rerun-if-changed={}", path.display());
            let theirs = Module::open(&path)?;
            same(
                "size of exports in dispatcher.so",
                exports,
                theirs.size_of("exports")?,
                server,
            )?;
            same(
                "size of tm_binds",
                size("tm_binds")?,
                theirs.size_of("tmb")?,
                server,
            )?;
        }
        let names = ["glue_exports_t", "glue_command_t", "tm_binds", "sip_msg"];
        let sizes = names.iter().map(|name| Ok((*name, size(name)?)));
        Ok(Sizes(sizes.collect::<Result<_>>()?))
    }

    /// Writes the options to a file, one a line: the tests compile a module that uses this one.
    pub fn keep_options(&self) -> Result<()> {
        let path = self.out.join("c-options");
        std::fs::write(&path, self.options().join("\n") + "\n")
            .map_err(|e| format!("cannot write {}: {e}", path.display()))
    }

    /// Compiles the glue into a static library for the module.
    pub fn compile(&self) -> Result<()> {
        let dir = self.root.join("kamailio-glue");
        let files = SOURCES.iter().map(|name| dir.join(name));
        let mut build = self.compiler();
        if cfg!(feature = "sanitizers") {
            build.file(dir.join("fault_probe.c"));
            for flag in SANITIZERS {
                build.flag(flag);
            }
        }
        build
            .files(files)
            .try_compile("dispatcher_glue")
            .map_err(|_| "the glue does not compile: see the compiler's words above".to_owned())
    }
}

/// Refuses a difference that the server's loader would refuse, or would not even notice.
fn same<T: PartialEq + std::fmt::Display>(
    what: &str,
    ours: T,
    theirs: T,
    server: &Server,
) -> Result<()> {
    if ours == theirs {
        return Ok(());
    }
    Err(format!(
        "this module would not fit the installed Kamailio {}: {what} is `{ours}`, the server has \
         `{theirs}`; give the headers of exactly that server (`make headers` or KAMAILIO_SRC)",
        server.version()
    ))
}
