//! AddressSanitizer and UndefinedBehaviorSanitizer: how a server gets their runtime, and what they report.
//!
//! The module does not bring the runtime along, because it must be the first library of a process. So it is preloaded.
//! A leak is not looked for: the server's processes end without giving anything back. Memcheck tells ours from theirs.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Returns the library that `SANITIZER` names; none where the module has no sanitizers.
fn runtime() -> Option<OsString> {
    std::env::var_os("SANITIZER").filter(|path| !path.is_empty())
}

/// True when the module has sanitizers.
pub fn is_on() -> bool {
    runtime().is_some()
}

/// Returns the most bytes of shared memory that a server keeps of what the module gave back, so that a later use is seen:
/// 64 kB in each of its processes.
pub fn kept() -> i64 {
    if is_on() { 1 << 20 } else { 0 }
}

/// Has a server load the runtime, which writes one file for each process that has a fault.
pub fn preload(command: &mut Command, dir: &Path) {
    let Some(runtime) = runtime() else {
        return;
    };
    let file = dir.join("sanitizer").display().to_string();
    // A refused allocation is an ordinary error of the module, and tests ask for it.
    let options = format!(
        "log_path={file}:detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1:\
         strict_string_checks=1:print_stacktrace=1"
    );
    command
        .env("LD_PRELOAD", runtime)
        .env("ASAN_OPTIONS", &options)
        .env("UBSAN_OPTIONS", &options);
}

/// Returns every report in `dir` that has a frame of the dispatcher module. The others are the server's own: it crashes
/// unseen now and then while it stops.
pub fn faults(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter(|file| file.file_name().to_string_lossy().starts_with("sanitizer."))
        .map(|file| {
            let text = std::fs::read(file.path()).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        })
        .filter(|report| {
            ["dispatcher", "kamailio-glue"]
                .iter()
                .any(|ours| report.contains(ours))
        })
        .collect()
}
