//! Modules in C that the tests load beside dispatcher, compiled against the server's headers.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The options that the module's build found for the server: `DISPATCHER_C_OPTIONS`, else those of
/// the newest build beside this test.
fn options() -> Vec<String> {
    let file = std::env::var_os("DISPATCHER_C_OPTIONS").map(PathBuf::from);
    let file = file.unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).expect("target/debug/deps/test");
        let builds =
            std::fs::read_dir(target.join("release/build")).expect("a build of the module");
        let files = builds.map(|build| build.unwrap().path().join("out/c-options"));
        let newest = files
            .filter(|file| file.is_file())
            .max_by_key(|file| file.metadata().unwrap().modified().unwrap());
        newest.expect("c-options of a build with the feature `kamailio`")
    });
    let text = std::fs::read_to_string(file).unwrap();
    let of_any_module = |option: &&str| !option.starts_with("-DMOD_NAME");
    text.lines()
        .filter(of_any_module)
        .map(str::to_owned)
        .collect()
}

/// Compiles `source`, a path in `tests`, as the module `name` into `dir`; yields the file.
pub fn compile(source: &str, name: &str, dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(source);
    let file = dir.join(format!("{name}.so"));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args(options())
        .arg(format!("-DMOD_NAME=\"{name}\""))
        .arg(format!("-DMOD_NAMEID={name}"))
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .arg(&file)
        .arg(source)
        .output()
        .expect("a C compiler");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    file
}
