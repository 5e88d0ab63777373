//! Modules in C of the tests' own, compiled against the headers of the server.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a module's source (a path below the repository) into `dir`; yields the file.
pub fn c_module(source: &str, dir: &Path) -> PathBuf {
    let source = super::root().join(source);
    let name = source.file_stem().expect("a source file").to_string_lossy();
    let object = dir.join(format!("{name}.so"));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args(options())
        .arg(format!("-DMOD_NAME=\"{name}\""))
        .arg(format!("-DMOD_NAMEID={name}"))
        .args(["-O2", "-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .arg(&object)
        .arg(&source)
        .output()
        .expect("a C compiler");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    object
}

/// The options that the module's build found for the server: `DISPATCHER_C_OPTIONS`, else those of
/// the newest build beside this program.
fn options() -> Vec<String> {
    let file = std::env::var_os("DISPATCHER_C_OPTIONS").map(PathBuf::from);
    let file = file.unwrap_or_else(|| {
        let program = std::env::current_exe().expect("this program's path");
        // A test is in target/debug/deps, a program in target/debug.
        let mut builds = program
            .ancestors()
            .filter_map(|above| std::fs::read_dir(above.join("release/build")).ok());
        let builds = builds.next().expect("a build of the module");
        let files = builds
            .flatten()
            .map(|build| build.path().join("out/c-options"));
        let newest = files.filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file)));
        let newest = newest.max().map(|(_, file)| file);
        newest.expect("c-options of a build with the feature `kamailio`")
    });
    let text = std::fs::read_to_string(file).expect("the options");
    let of_any_module = |option: &&str| !option.starts_with("-DMOD_NAME");
    text.lines()
        .filter(of_any_module)
        .map(str::to_owned)
        .collect()
}
