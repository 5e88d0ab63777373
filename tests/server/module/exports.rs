//! The module defines what the server's loader looks up, its own entry points, and nothing else:
//! every further name could be taken over by, or take over, another module's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::process::Command;

/// The names that the loader asks for.
const LOOKED_UP: [&str; 5] = [
    "exports",
    "mod_register",
    "module_flags",
    "module_interface_ver",
    "module_version",
];

/// The file of the module under test.
fn module() -> String {
    std::env::var("DISPATCHER_SO").unwrap_or_else(|_| "target/release/dispatcher.so".to_owned())
}

/// The dynamic symbols of the module under test, as `nm` shows them with `option`.
fn symbols(option: &str) -> Vec<String> {
    let module = module();
    let output = Command::new("nm")
        .args(["-D", option, &module])
        .output()
        .expect("nm runs");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "nm {module}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(str::to_owned)
        .collect()
}

#[test]
fn only_the_loaders_names_and_our_prefix_are_defined() {
    let defined = symbols("--defined-only");
    for name in LOOKED_UP {
        assert!(defined.iter().any(|d| d == name), "{name} is not defined");
    }
    let others: Vec<&String> = defined
        .iter()
        .filter(|d| !LOOKED_UP.contains(&d.as_str()) && !d.starts_with("dsr_"))
        .collect();
    assert!(others.is_empty(), "also defined: {others:?}");
}

/// The Makefile takes the paths out; other builds may have them.
#[test]
fn no_path_of_the_machine_that_built_it_is_in_it() {
    let module = PathBuf::from(module());
    if !module.ends_with("target/release/dispatcher.so") {
        return;
    }
    let bytes = std::fs::read(module).unwrap();
    let home = std::env::var("HOME").unwrap_or_default() + "/.";
    let here = harness::root().display().to_string();
    for path in [home, here] {
        let found = bytes
            .windows(path.len())
            .find(|bytes| *bytes == path.as_bytes());
        assert!(found.is_none(), "{path} is in the module");
    }
}

/// As in Debian's packages.
#[test]
fn the_c_code_watches_its_stack_and_the_linker_protects_its_tables() {
    let called = symbols("--undefined-only");
    let calls = |name: fn(&str) -> bool| called.iter().any(|called| name(called));
    assert!(calls(|name| name.starts_with("__stack_chk_fail")));
    let fortified = |name: &str| name.split('@').next().unwrap().ends_with("_chk");
    assert!(
        calls(fortified),
        "no function that knows its bounds: {called:?}"
    );
    let headers = Command::new("readelf").args(["-lWd", &module()]).output();
    let headers = String::from_utf8(headers.expect("readelf runs").stdout).unwrap();
    assert!(
        headers.contains("GNU_RELRO") && headers.contains("BIND_NOW"),
        "{headers}"
    );
    let stack = headers.lines().find(|line| line.contains("GNU_STACK"));
    assert!(
        stack.is_some_and(|line| line.contains(" RW ")),
        "code may run on the stack: {headers}"
    );
}

#[test]
fn the_panic_probe_is_not_in_a_release() {
    assert!(
        !symbols("--defined-only")
            .iter()
            .any(|d| d.ends_with("_probe"))
    );
}

#[test]
fn c_and_rust_find_each_other() {
    // The linker leaves what it cannot find to the loader, which would refuse the module.
    let missing: Vec<String> = symbols("--undefined-only")
        .into_iter()
        .filter(|name| name.starts_with("glue_") || name.starts_with("dsr_"))
        .collect();
    assert!(missing.is_empty(), "not linked: {missing:?}");
}
