//! The module defines what the server's loader looks up, its own entry points, and nothing else:
//! every further name could be taken over by, or take over, another module's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

/// The names that the loader asks for.
const LOOKED_UP: [&str; 5] = [
    "exports",
    "mod_register",
    "module_flags",
    "module_interface_ver",
    "module_version",
];

/// The dynamic symbols of the module under test, as `nm` shows them with `option`.
fn symbols(option: &str) -> Vec<String> {
    let module = std::env::var("DISPATCHER_SO")
        .unwrap_or_else(|_| "target/release/dispatcher.so".to_owned());
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

#[test]
fn the_panic_probe_is_not_in_a_release() {
    assert!(
        !symbols("--defined-only")
            .iter()
            .any(|d| d == "dsr_panic_probe")
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
