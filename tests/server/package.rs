//! The Debian package's selector (`debian/select`) with the versions and flags of real servers: this one, and those that
//! the matrix has fetched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Config, Kamailio, Module, TempDir, check_config_as_it_is, module, root};

/// Other builds beside that of the server, by the program that they are for.
struct Package {
    dir: TempDir,
    program: PathBuf,
}

/// The lines that `kamailio -v` begins with `name`.
fn about(program: &Path, name: &str) -> String {
    let output = Command::new(program).arg("-v").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
        .to_owned()
}

/// This server and the fetched ones, each version once.
fn servers() -> Vec<PathBuf> {
    let matrix = fs::read_dir(harness::root().join("target/matrix"));
    let fetched = matrix
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path().join("bin/kamailio"));
    let mut servers = vec![module::kamailio()];
    for program in fetched.filter(|program| program.is_file()) {
        let version = about(&program, "version:");
        if servers
            .iter()
            .all(|known| about(known, "version:") != version)
        {
            servers.push(program);
        }
    }
    servers
}

/// The build-id, in hexadecimal digits, of a program that is no script.
fn build_id(program: &Path) -> Option<String> {
    let output = Command::new("readelf")
        .arg("-n")
        .arg(program)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let id = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Build ID: "))?;
    Some(id.to_owned())
}

impl Package {
    /// No builds yet, for a server whose modules are where the tests have them.
    fn new(program: &Path) -> Self {
        let dir = TempDir::new();
        let modules = module::packaged_modules();
        let output = Command::new(program).arg("-I").output().unwrap();
        let own =
            String::from_utf8_lossy(&output.stdout).contains(&format!("modules: {modules}\n"));
        let mut program = program.to_owned();
        if !own {
            // A server that was unpacked and not installed: its own answer names directories of the machine.
            let script = format!(
                "#!/bin/sh\ncase $1 in -I) echo ' Default paths to modules: {modules}' ;; \
                 *) exec {} \"$@\" ;; esac\n",
                program.display()
            );
            program = dir.path().join("kamailio");
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir(dir.path().join("builds")).unwrap();
        Package { dir, program }
    }

    fn build(&self, name: &str) -> PathBuf {
        self.dir.path().join("builds").join(name)
    }

    /// Adds a build for a server: a link to the module under test, and what it is for.
    fn add(&self, name: &str, server: &Path, id: &str) {
        let (build, so) = (self.build(name), std::env::var("DISPATCHER_SO"));
        fs::create_dir(&build).unwrap();
        let so = so.map_or_else(
            |_| harness::root().join("target/release/dispatcher.so"),
            PathBuf::from,
        );
        std::os::unix::fs::symlink(so, build.join("dispatcher.so")).unwrap();
        let text = format!(
            "{}\n{}\n{id}\n",
            about(server, "version:"),
            about(server, "flags:")
        );
        fs::write(build.join("server"), text).unwrap();
    }

    fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Runs the selector, and returns what it says.
    fn select(&self) -> String {
        let mut command = Command::new(harness::root().join("debian/select"));
        command
            .env("KAMAILIO", &self.program)
            .env("RUN", self.run());
        let output = command
            .env("BUILDS", self.dir.path().join("builds"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && errors.is_empty(), "{errors}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.strip_prefix("kamailio-dispatcher-rust: ")
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// The build that is linked, and the file that a config imports.
    fn chosen(&self) -> (Option<PathBuf>, Option<String>) {
        let link = fs::read_link(self.run().join("modules/dispatcher.so")).ok();
        (
            link,
            fs::read_to_string(self.run().join("kamailio.cfg")).ok(),
        )
    }

    fn assert_nothing_chosen(&self) {
        assert_eq!(self.chosen(), (None, None));
    }
}

#[test]
fn the_selector_chooses_by_version_and_flags() {
    let servers = servers();
    println!("selector: strings of {} servers", servers.len());
    for server in &servers {
        let package = Package::new(server);
        for (at, other) in servers.iter().enumerate() {
            package.add(&format!("build{at}"), other, "");
        }
        let at = servers.iter().position(|one| one == server).unwrap();
        let version = about(server, "version:");
        let said = package.select();
        assert!(
            said.starts_with(&version) && said.ends_with(&format!(": build{at} is used")),
            "{said}"
        );
        let (link, config) = package.chosen();
        assert_eq!(
            link,
            Some(package.build(&format!("build{at}")).join("dispatcher.so"))
        );
        let mpath = format!("mpath=\"{}/modules:", package.run().display());
        assert!(config.as_ref().unwrap().contains(&mpath), "{config:?}");
        // Again, it changes nothing.
        assert_eq!(package.select(), said);
        assert_eq!(package.chosen(), (link, config));
        let files = fs::read_dir(package.run()).unwrap().count()
            + fs::read_dir(package.run().join("modules")).unwrap().count();
        assert_eq!(files, 3, "nothing else is left");

        fs::remove_dir_all(package.build(&format!("build{at}"))).unwrap();
        let said = package.select();
        assert_eq!(
            said,
            format!("no build for {version} with its flags: the packaged module is used")
        );
        package.assert_nothing_chosen();
    }
}

#[test]
fn other_flags_or_half_a_description_fit_nothing() {
    let server = module::kamailio();
    let package = Package::new(&server);
    package.add("build", &server, "");
    let file = package.build("build").join("server");
    let good = fs::read_to_string(&file).unwrap();
    let (version, flags) = (about(&server, "version:"), about(&server, "flags:"));
    let shorter = flags.rsplit_once(", ").unwrap().0;
    let others = [
        format!("{version}\n{flags}, MORE\n\n"),
        format!("{version}\n{shorter}\n\n"),
        format!("{version}x\n{flags}\n\n"),
        format!("{version}\n{flags}"),
        String::new(),
    ];
    for other in others {
        fs::write(&file, &other).unwrap();
        assert!(package.select().starts_with("no build for "), "{other}");
        package.assert_nothing_chosen();
    }
    fs::write(&file, good).unwrap();
    assert!(package.select().ends_with("build is used"));
}

#[test]
fn another_build_of_the_server_is_named() {
    let server = module::kamailio();
    let package = Package::new(&server);
    // Of a script there is no build-id.
    let id = build_id(&package.program).unwrap_or_default();
    package.add("build", &server, &id);
    assert_eq!(
        package.select(),
        format!("{}: build is used", about(&server, "version:"))
    );
    package.add("aaaaa", &server, "0123456789abcdef0123456789abcdef01234567");
    let said = package.select();
    assert!(
        said.ends_with(" (same version and flags, other build): aaaaa is used"),
        "{said}"
    );
}

#[test]
fn a_server_that_does_not_run_has_the_packaged_module() {
    let server = module::kamailio();
    let mut package = Package::new(&server);
    package.add("build", &server, "");
    package.select();
    for (script, why) in [
        ("exit 1", "does not run"),
        ("echo version: kamailio 5.6.3", "does not say what it is"),
        ("exit 0", "does not say what it is"),
    ] {
        let program = package.dir.path().join("broken");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let good = std::mem::replace(&mut package.program, program);
        assert!(
            package
                .select()
                .ends_with(&format!("{why}: the packaged module is used"))
        );
        package.assert_nothing_chosen();
        package.program = good;
        assert!(package.select().ends_with("build is used"));
    }
}

const CONFIG: &str = r#"#!KAMAILIO
debug=2
log_stderror=yes
children=1
auto_aliases=no
{{LISTEN}}
mpath="{{PACKAGED}}"
import_file "{{RUN}}/kamailio.cfg"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "ctl.so"
loadmodule "jsonrpcs.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:{{DIR}}/ctl")
modparam("dispatcher", "list_file", "{{LIST}}")
#!ifdef WITH_DISPATCHER_RUST
modparam("dispatcher", "reload_state", "keep")
#!endif
request_route { drop; }
"#;

/// With a build ours is loaded; without one the packaged module is, and the config keeps our parameters from it.
#[test]
fn one_line_of_the_config_adopts_what_the_selector_chose() {
    let server = module::kamailio();
    let package = Package::new(&server);
    package.add("build", &server, "");
    let start = || {
        let config = Config::raw(CONFIG)
            .list("1 sip:127.0.0.1:7001\n")
            .as_it_is()
            .native();
        let config = config
            .define("RUN", package.run().display())
            .define("PACKAGED", module::packaged_modules());
        let server = Kamailio::start(Module::C, config);
        server.ignore_log();
        server.kamcmd(&["dispatcher.list"]).unwrap();
        server.kamcmd(&["dispatcher.stats"]).is_ok()
    };
    package.select();
    assert!(start(), "ours");
    if harness::this_server::lacks_c_module() {
        return;
    }
    fs::remove_dir_all(package.build("build")).unwrap();
    package.select();
    assert!(!start(), "the packaged one");
}

/// The configs that the package has to be copied are well-formed, and nothing of the tests is left in them.
#[test]
fn the_examples_of_the_package_are_configs_of_a_server() {
    let dir = TempDir::new();
    let script = root().join("debian/examples.sh");
    let made = Command::new("sh").arg(script).arg(dir.path()).status();
    assert!(made.unwrap().success());
    for name in ["carrier", "edge", "freeswitch", "registrar"] {
        let read = |kind: &str| {
            let text = fs::read_to_string(dir.path().join(format!("{name}.{kind}"))).unwrap();
            assert!(
                !text.contains("{{") && !text.contains("127.0.0.1"),
                "{text}"
            );
            text
        };
        let (config, list) = (read("cfg"), read("list"));
        let lines = list.lines().filter(|line| line.contains("sip:192.0.2."));
        assert!(lines.count() >= 3, "{list}");
        let adopts = "import_file \"/run/kamailio-dispatcher-rust/kamailio.cfg\"";
        assert!(config.contains(adopts), "{config}");
        let config = Config::raw(&config.replace(adopts, "mpath=\"{{MPATH}}\""));
        let checked = check_config_as_it_is(Module::Rust, &config.list(list));
        checked.unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}
