//! `state_file` where it cannot be written, or where others could put something in its place.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use harness::{Config, Kamailio, Module, TempDir, patience, refuses, this_machine, wait_for};

const OK: &str = "Ok. Dispatcher state updated.";
const LOST: &str = "Ok. Dispatcher state updated. It will not survive a restart: see the log.";
const NOT_KEPT: &str = "states of destinations are not kept, trying again:";

fn config(file: &Path) -> Config {
    Config::routes("request_route { exit; }")
        .list("1 sip:127.0.0.1:7001\n")
        .param("state_file", file.to_str().unwrap())
}

fn as_nobody(config: Config) -> Config {
    config.arg("-u").arg("65534").arg("-g").arg("65534")
}

fn allow_all(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

fn set(server: &Kamailio, state: &str) -> String {
    let answer = server.kamcmd(&["dispatcher.set_state", state, "1", "sip:127.0.0.1:7001"]);
    answer.unwrap().trim().to_owned()
}

fn wait_for_flags(file: &Path, flags: &str) {
    let line = format!("1 0 {flags} sip:127.0.0.1:7001");
    wait_for("the state in the file", patience(5), || {
        fs::read_to_string(file)
            .ok()?
            .lines()
            .any(|found| found == line)
            .then_some(())
    });
}

/// A folder for the file, as its owner alone may write to it.
fn folder(dir: &TempDir) -> PathBuf {
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    folder
}

#[test]
fn a_directory_that_others_can_write_to_is_not_used() {
    let dir = TempDir::new();
    let folder = folder(&dir);
    let file = folder.join("states");
    fs::write(&file, "1 0 4 sip:127.0.0.1:7001\n").unwrap();
    allow_all(&folder, 0o777);
    let config = config(&file).expect_log("states: other users can write to its directory");
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(server.flags(1, "sip:127.0.0.1:7001"), "AX");
    assert_eq!(set(&server, "drain"), LOST);
    server.expect_log("states was not read in full: it is now");
    allow_all(&folder, 0o755);
    wait_for_flags(&file, "65536");
    let unread = fs::read_to_string(folder.join("states.unread"));
    assert_eq!(unread.unwrap(), "1 0 4 sip:127.0.0.1:7001\n");
    server.wait_log("states of destinations are kept again");
    assert_eq!(set(&server, "d"), OK);
    wait_for_flags(&file, "4");
    // And as often as that comes and goes, one line each.
    allow_all(&folder, 0o757);
    set(&server, "a");
    wait_for("a second error", patience(5), || {
        (server.log().matches(NOT_KEPT).count() == 2).then_some(())
    });
    assert_eq!(set(&server, "d"), LOST);
    assert_eq!(set(&server, "i"), LOST);
    assert_eq!(server.log().matches(NOT_KEPT).count(), 2);
}

#[test]
fn links_in_its_way_are_not_followed() {
    let dir = TempDir::new();
    let folder = folder(&dir);
    let (file, other) = (folder.join("states"), dir.path().join("other"));
    fs::write(&other, "mine\n").unwrap();
    let stale = folder.join("states.4294967295.7.new");
    symlink(&other, folder.join("states.new")).unwrap();
    symlink(&other, &stale).unwrap();
    let touch = std::process::Command::new("touch")
        .args(["-h", "-d", "2 minutes ago"])
        .arg(&stale)
        .status();
    assert!(touch.unwrap().success());
    let server = Kamailio::start(Module::Rust, config(&file));
    assert_eq!(set(&server, "d"), OK);
    wait_for_flags(&file, "4");
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine\n");
    let written = fs::symlink_metadata(&file).unwrap();
    assert!(written.is_file());
    assert_eq!(written.permissions().mode() & 0o777, 0o600);
    let mut left: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["states", "states.new"]);
}

#[test]
fn what_is_no_plain_file_neither_holds_up_the_start_nor_is_replaced() {
    let dir = TempDir::new();
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    for path in [fifo.as_path(), Path::new("/dev/full"), dir.path()] {
        let config = config(path)
            .param("log_changes", 0)
            .expect_log("not a plain file");
        let server = Kamailio::start(Module::Rust, config);
        assert_eq!(set(&server, "d"), LOST);
        assert_eq!(server.log().matches(NOT_KEPT).count(), 1);
        assert_eq!(
            server.log().matches("ERROR: dispatcher").count(),
            1,
            "{}",
            server.log()
        );
        server.stop();
        assert!(!fs::symlink_metadata(path).unwrap().is_file());
    }
}

#[test]
fn without_a_directory_or_the_permission_the_server_does_not_start() {
    let dir = TempDir::new();
    let log = refuses(
        config(&dir.path().join("none/states")),
        "state_file can never be written: ",
    );
    assert!(log.contains("none/states: No such file"), "{log}");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    refuses(
        config(&file.join("states")),
        "state_file can never be written: ",
    );
}

#[test]
fn a_full_or_read_only_disk_is_said_once_and_in_each_answer() {
    if this_machine::lacks_name_servers() {
        return;
    }
    let mount = "mkdir -p {{DIR}}/disk && mount -t tmpfs -o size=4k,mode=755,MODE none {{DIR}}/disk && \
                 { head -c 4096 /dev/zero >{{DIR}}/disk/rest; :; } 2>/dev/null && exec \"$0\" \"$@\"";
    for (mode, why) in [("rw", "No space left"), ("ro", "Read-only file system")] {
        let mount = mount.replace(",MODE", &format!(",{mode}"));
        let config = config(Path::new("{{DIR}}/disk/states"))
            .under(&["unshare", "-m", "sh", "-c", &mount])
            .expect_log(&format!("disk/states: {why}"));
        let server = Kamailio::start(Module::Rust, config);
        assert_eq!(set(&server, "d"), LOST);
        assert_eq!(server.log().matches(NOT_KEPT).count(), 1);
        if mode == "rw" {
            // The disk is mounted in the server's name space only.
            let disk = format!("/proc/{}/root{}/disk", server.pid(), server.dir().display());
            fs::remove_file(format!("{disk}/rest")).unwrap();
            wait_for_flags(Path::new(&format!("{disk}/states")), "4");
            server.wait_log("states of destinations are kept again");
            assert_eq!(set(&server, "i"), OK);
        }
    }
}

#[test]
fn it_is_tried_as_the_user_that_the_server_runs_as() {
    let nobody = (65_534, 65_534);
    if this_machine::lacks_a_root_for(nobody) {
        return;
    }
    let dir = TempDir::new();
    let folder = folder(&dir);
    allow_all(&folder, 0o700);
    refuses(
        as_nobody(config(&folder.join("states"))),
        "folder/states: Permission denied",
    );
}

#[test]
fn a_file_that_its_user_may_not_read_stops_the_start() {
    let nobody = (65_534, 65_534);
    if this_machine::lacks_a_root_for(nobody) {
        return;
    }
    let dir = TempDir::new();
    let folder = folder(&dir);
    chown(&folder, Some(nobody.0), Some(nobody.1)).unwrap();
    let file = folder.join("states");
    let line = "1 0 4 sip:127.0.0.1:7001\n";
    fs::write(&file, line).unwrap();
    allow_all(&file, 0o600);
    refuses(as_nobody(config(&file)), "states: Permission denied");
    assert_eq!(fs::read_to_string(&file).unwrap(), line);
}

#[test]
fn a_directory_that_can_only_be_written_to_is_enough() {
    let nobody = (65_534, 65_534);
    if this_machine::lacks_a_root_for(nobody) {
        return;
    }
    let dir = TempDir::new();
    let folder = folder(&dir);
    chown(&folder, Some(nobody.0), Some(nobody.1)).unwrap();
    allow_all(&folder, 0o300);
    // The other modules' sockets are not in a directory of the user's.
    let config = as_nobody(config(&folder.join("states")))
        .allow_log("cannot delete the socket")
        .allow_log("could not delete unix socket");
    let server = Kamailio::start(Module::Rust, config);
    assert_eq!(set(&server, "d"), OK);
    wait_for_flags(&folder.join("states"), "4");
    assert_eq!(set(&server, "drain"), OK);
    wait_for_flags(&folder.join("states"), "65536");
}
