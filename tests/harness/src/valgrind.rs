//! Memcheck: how a server is started under it, and what its logs say.

use std::path::Path;
use std::process::Command;

/// `valgrind … program`, one log file per process in `dir`.
pub fn command(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command
        .arg(format!("--log-file={}/vg.%p.log", dir.display()))
        .args(["--num-callers=30", "--error-limit=no"])
        // Each process is looked at where it ends.
        .args(["--leak-check=full", "--show-leak-kinds=definite"])
        .arg(concat!(
            "--suppressions=",
            env!("CARGO_MANIFEST_DIR"),
            "/memcheck.supp"
        ))
        .arg(program);
    command
}

/// Every error or leak of memcheck in `dir` that has a frame of the dispatcher module.
pub fn faults(dir: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let logs = files.flatten().map(|f| f.path()).filter(|p| {
        p.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with("vg."))
    });
    logs.flat_map(|path| blocks(&std::fs::read_to_string(path).unwrap_or_default()))
        .collect()
}

/// Splits a log at its empty lines (`==pid== `) and keeps the blocks that concern us.
fn blocks(log: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block = String::new();
    for line in log.lines().chain([""]) {
        let text = line.splitn(3, "==").nth(2).unwrap_or("").trim_end();
        if text.trim().is_empty() {
            if block.contains("   at 0x") && block.contains("dispatcher") {
                found.push(format!("memcheck: {block}"));
            }
            block.clear();
        } else {
            block.push_str(text);
            block.push('\n');
        }
    }
    found
}
