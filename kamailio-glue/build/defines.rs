//! The preprocessor defines under which the server was built. They change struct layouts, and the
//! loader compares the list of most of them byte by byte.

use super::Result;
use super::headers::Headers;
use super::server::Server;
use std::fs;
use std::path::Path;
use std::process::Command;

/// An ordered list of `-D` options.
pub struct Defines(Vec<(String, Option<String>)>);

/// Asks the server's own makefile, through `defines.mk`.
pub fn read(makefile: &Path, headers: &Headers, server: &Server) -> Result<Defines> {
    println!(
        "cargo::rerun-if-changed={}",
        headers.root.join("Makefile.defs").display()
    );
    // The makefile's own default is /usr/local; packages keep their config in /etc.
    let packaged =
        server.modules.starts_with("/usr/lib") || server.modules.starts_with("/usr/lib64");
    let config = packaged.then_some("cfg_target=/etc/kamailio/");
    // The variables of a make that runs cargo must not reach this make.
    let output = Command::new("make")
        .args(["--silent", "--no-print-directory", "-f"])
        .arg(makefile)
        .args(config)
        .current_dir(&headers.root)
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .env_remove("MFLAGS")
        .output()
        .map_err(|e| format!("cannot run make: {e}; run `make setup`"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "the server's Makefile.defs does not work here: {}",
            text.trim()
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // 4.x and 5.4 print notices about the compiler between the defines.
    let mut defines = Defines(
        text.lines()
            .filter_map(|line| line.strip_prefix("-D"))
            .map(|d| match d.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (d.to_owned(), None),
            })
            .collect(),
    );
    defines.set("MOD_NAME", Some("\"dispatcher\""));
    defines.set("MOD_NAMEID", Some("dispatcher"));
    // 4.x knows two layouts of `exports`, and asks which one a module has.
    defines.set("KAMAILIO_MOD_INTERFACE", None);
    Ok(defines)
}

impl Defines {
    /// Name and value of each define.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    fn has(&self, name: &str) -> bool {
        self.iter().any(|(n, _)| n == name)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(n, _)| *n == name)
            .and_then(|(_, value)| value)
    }

    fn set(&mut self, name: &str, value: Option<&str>) {
        self.unset(name);
        self.0.push((name.to_owned(), value.map(str::to_owned)));
    }

    fn unset(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name);
    }

    /// Makes the list say what the installed server says: its makefile gives the defaults, its
    /// package may have chosen otherwise.
    pub fn reconcile(&mut self, server: &Server, headers: &Headers) -> Result<()> {
        self.reconcile_version(server, headers)?;
        let path = headers.core.join("ver_defs.h");
        let text = fs::read_to_string(&path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let tokens = Tokens::of(&server.flags);
        for (define, token) in flag_names(&text) {
            match (tokens.has(&token), self.has(&define)) {
                (true, false) => self.set(&define, None),
                (false, true) => self.unset(&define),
                _ => {}
            }
        }
        self.reconcile_lock(&tokens);
        Ok(())
    }

    /// Version, architecture and system from the text `NAME VERSION (ARCH/OS)`.
    fn reconcile_version(&mut self, server: &Server, headers: &Headers) -> Result<()> {
        let full = &server.full_version;
        let parts = full
            .strip_suffix(')')
            .and_then(|s| s.split_once(" ("))
            .and_then(|(l, r)| {
                let (name, version) = l.split_once(' ')?;
                let (arch, os) = r.split_once('/')?;
                Some((name, version, arch, os))
            });
        let Some((name, version, arch, os)) = parts else {
            return Err(format!(
                "the installed tm.so has an unknown form of version: {full}"
            ));
        };
        let ours = self
            .get("VERSION")
            .unwrap_or_default()
            .trim_matches('"')
            .to_owned();
        if release(&ours) != release(version) {
            return Err(format!(
                "the headers in {} are of Kamailio {ours}, the installed server is {version}: \
                 run `make headers`, or set KAMAILIO_SRC to a tree of {version}",
                headers.root.display()
            ));
        }
        self.set("NAME", Some(&format!("\"{name}\"")));
        self.set("VERSION", Some(&format!("\"{version}\"")));
        self.set("ARCH", Some(&format!("\"{arch}\"")));
        self.set("OS_QUOTED", Some(&format!("\"{os}\"")));
        if let Some(number) = version_number(version) {
            self.set("VERSIONVAL", Some(&number.to_string()));
        }
        Ok(())
    }

    /// The one token that stands for a combination of defines.
    fn reconcile_lock(&mut self, tokens: &Tokens) {
        for define in [
            "FAST_LOCK",
            "BUSY_WAIT",
            "ADAPTIVE_WAIT",
            "ADAPTIVE_WAIT_LOOPS",
            "NOSMP",
        ] {
            self.unset(define);
        }
        if tokens.has("FAST_LOCK-ADAPTIVE_WAIT") {
            self.set("ADAPTIVE_WAIT", None);
            self.set("ADAPTIVE_WAIT_LOOPS", Some("1024"));
        }
        if tokens.has("FAST_LOCK-BUSY_WAIT") {
            self.set("BUSY_WAIT", None);
        }
        if tokens.0.iter().any(|t| t.starts_with("FAST_LOCK")) {
            self.set("FAST_LOCK", None);
        }
        if tokens.1 {
            self.set("NOSMP", None);
        }
    }
}

/// The words of a flags text, and whether `-NOSMP` hung on one of them.
struct Tokens(Vec<String>, bool);

impl Tokens {
    fn of(flags: &str) -> Self {
        let smp_less = flags.contains("-NOSMP");
        let flags = flags.replace("-NOSMP", "");
        Self(
            flags.split(", ").map(|t| t.trim().to_owned()).collect(),
            smp_less,
        )
    }

    fn has(&self, token: &str) -> bool {
        self.0.iter().any(|t| t == token)
    }
}

/// Which define stands behind which word of the flags text, read from the tree's `ver_defs.h`:
/// `#ifdef X` followed by `#define X_STR ", WORD"`, as far as `SER_COMPILE_FLAGS` lists `X_STR`.
fn flag_names(ver_defs: &str) -> Vec<(String, String)> {
    let listed = ver_defs
        .split("#define SER_COMPILE_FLAGS")
        .nth(1)
        .unwrap_or_default();
    let listed: Vec<&str> = listed.split_whitespace().collect();
    let mut names = Vec::new();
    let mut define = "";
    for line in ver_defs.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("#ifdef ") {
            define = name.trim();
        } else if line.starts_with("#else") {
            // The text here is the word of a define that is off: 4.x has one.
            define = "";
        }
        let Some(rest) = line.strip_prefix("#define ") else {
            continue;
        };
        let Some((variable, text)) = rest.split_once(' ') else {
            continue;
        };
        let token = text.trim().trim_matches(['"', ',', ' ']);
        let ours = variable.trim_end_matches(',') == format!("{define}_STR");
        if ours && !token.is_empty() && listed.contains(&variable.trim_end_matches(',')) {
            names.push((define.to_owned(), token.to_owned()));
        }
    }
    // Several words share this define; see `reconcile_lock`.
    names.retain(|(define, _)| define != "FAST_LOCK" && define != "NOSMP");
    names
}

/// `5.6` of `5.6.3`: headers of one release serve all its patch levels.
fn release(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

/// 5006003 for `5.6.3`; `None` for a version that is not three numbers.
fn version_number(version: &str) -> Option<u32> {
    let digits = version
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()?;
    let mut parts = digits.split('.').map(str::parse::<u32>);
    let mut number = 0;
    for _ in 0..3 {
        number = number * 1000 + parts.next()?.ok()?;
    }
    Some(number)
}
