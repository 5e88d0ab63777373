//! A module that was built for another server is refused by name, and nothing crashes.
//!
//! The other server is made up: a copy of our module in which the text that the loader compares
//! says another version, or other flags.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use harness::{Module, TempDir, module, sanitizer};

/// Runs the server with a copy of our module in which `from` became `to`, of the same length.
fn run_with(from: &str, to: &str, mode: &str) -> Output {
    assert_eq!(from.len(), to.len());
    let dir = TempDir::new();
    let mpath = Module::Rust.mpath(dir.path());
    let ours = mpath.split(':').next().expect("our directory");
    let mut bytes = std::fs::read(format!("{ours}/dispatcher.so")).expect("our module");
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "{from} is not in the module");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let file = dir.path().join("dispatcher.so");
    std::fs::write(&file, bytes).expect("the copy");
    let config = dir.path().join("k.cfg");
    let text = format!(
        "mpath=\"{}\"\ndisable_tcp=yes\nlisten=udp:127.0.0.1:{}\nloadmodule \"tm.so\"\n\
         loadmodule \"{}\"\nrequest_route {{ exit; }}\n",
        module::packaged_modules(),
        harness::free_port(),
        file.display()
    );
    std::fs::write(&config, text).expect("the config");
    let mut command = Command::new(module::kamailio());
    sanitizer::preload(&mut command, dir.path());
    command
        .args([mode, "-E", "-w"])
        .arg(dir.path())
        .arg("-f")
        .arg(&config)
        .output()
        .expect("kamailio runs")
}

/// The server refuses the module, says so, and ends by itself.
fn refused(from: &str, to: &str, said: &str) {
    for mode in ["-c", "-DD"] {
        let output = run_with(from, to, mode);
        let text = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.signal(), None, "{mode}: {text}");
        assert!(!output.status.success(), "{mode}: {text}");
        assert!(text.contains(said), "{mode}: {said} not in {text}");
        assert!(text.contains("dispatcher.so"), "{mode}: {text}");
    }
}

/// `(5.6.3, 5.6.4)` for a server 5.6.3, as the loader's text has them.
fn versions() -> (String, String) {
    let output = Command::new(module::kamailio()).arg("-v").output();
    let text = output.expect("kamailio -v runs").stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let version = words[2].to_owned();
    let (front, patch) = version.rsplit_once('.').expect("three numbers");
    let last = if patch.ends_with('9') { '8' } else { '9' };
    let other = format!("{front}.{}{last}", &patch[..patch.len() - 1]);
    (version, other)
}

#[test]
fn a_module_of_another_patch_level_is_refused_with_both_versions() {
    let (version, other) = versions();
    let of = |version: &str| format!("kamailio {version} (");
    let said = "module version mismatch";
    refused(&of(&version), &of(&other), said);
}

#[test]
fn a_module_with_other_flags_is_refused() {
    refused(", USE_FUTEX", ", USE_PUTEX", "flags mismatch");
}
