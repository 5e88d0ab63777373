//! A database server that a test starts in its own directory and on a port of its own, and ends by
//! its process id.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::kind::PASSWORD;
use crate::{free_port, patience, poll, wait_for};

/// A server; ended when it is dropped.
pub struct Daemon {
    pub port: u16,
    child: Child,
    start: Box<dyn Fn(u16) -> Command + Send>,
    asks: Box<dyn Fn(u16) -> Command + Send>,
}

impl Daemon {
    /// MariaDB, with the database and the user `kam`.
    pub fn mariadb(dir: &Path) -> Self {
        let data = dir.join("mysql");
        let user = is_root().then_some("--user=root");
        let mut install = Command::new("mariadb-install-db");
        install
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
            .arg(format!("--datadir={}", data.display()))
            .args(user);
        run(&mut install);
        let init = dir.join("init.sql");
        // One statement in each line: the server reads the file line by line.
        let grants: String = ["localhost", "'127.0.0.1'"]
            .map(|host| {
                format!(
                    "CREATE USER IF NOT EXISTS kam@{host} IDENTIFIED BY '{PASSWORD}';\n\
                     GRANT ALL ON *.* TO kam@{host};\n"
                )
            })
            .concat();
        let grants = format!("CREATE DATABASE IF NOT EXISTS kam;\n{grants}");
        fs::write(&init, grants).expect("first statements");
        let home = dir.to_owned();
        let start = move |port: u16| {
            let mut command = Command::new(in_sbin("mariadbd"));
            command
                .arg("--no-defaults")
                .arg(format!("--datadir={}", home.join("mysql").display()))
                .arg(format!("--socket={}", home.join("my.sock").display()))
                .arg(format!("--pid-file={}", home.join("my.pid").display()))
                .arg(format!("--init-file={}", init.display()))
                .arg(format!("--port={port}"))
                .args(["--bind-address=127.0.0.1", "--skip-networking=0"])
                .arg("--innodb-buffer-pool-size=16M")
                .args(user);
            command
        };
        let asks = |port: u16| {
            let mut command = Command::new("mariadb");
            command
                .args(["--no-defaults", "--protocol=tcp", "-h127.0.0.1", "-ukam"])
                .arg(format!("-p{PASSWORD}"))
                .arg(format!("-P{port}"))
                .args(["-e", "SELECT 1", "kam"]);
            command
        };
        Self::start(dir, start, asks)
    }

    /// PostgreSQL, with the database and the user `kam`. It refuses to run as root.
    pub fn postgres(dir: &Path) -> Self {
        let data = dir.join("pg");
        fs::create_dir(&data).expect("its directory");
        let account = postgres_account();
        if let Some((uid, gid)) = account {
            chown(&data, Some(uid), Some(gid)).expect("a directory of its own");
            fs::set_permissions(dir, Permissions::from_mode(0o755)).expect("a way there");
        }
        let as_itself = move |program: PathBuf| {
            let mut command = Command::new(program);
            if let Some((uid, gid)) = account {
                command.uid(uid).gid(gid);
            }
            command.current_dir("/");
            command
        };
        let mut init = as_itself(postgres_program("initdb"));
        init.args([
            "--no-sync",
            "--locale=C",
            "--encoding=UTF8",
            "-A",
            "trust",
            "-U",
            "kam",
            "-D",
        ]);
        run(init.arg(&data));
        let directory = data.clone();
        let start = move |port: u16| {
            let mut command = as_itself(postgres_program("postgres"));
            command
                .arg("-D")
                .arg(&directory)
                .arg("-p")
                .arg(port.to_string());
            command.args(["-h", "127.0.0.1", "-F"]);
            command.arg("-k").arg(&directory);
            command
        };
        let client = |database: &'static str, sql: &'static str| {
            move |port: u16| {
                let mut command = Command::new("psql");
                command.args(["-X", "-q", "-h", "127.0.0.1", "-U", "kam", "-d", database]);
                command.arg("-p").arg(port.to_string()).args(["-c", sql]);
                command
            }
        };
        let daemon = Self::start(dir, start, client("postgres", "SELECT 1"));
        run(&mut client("postgres", "CREATE DATABASE kam")(daemon.port));
        daemon
    }

    fn start(
        dir: &Path,
        start: impl Fn(u16) -> Command + Send + 'static,
        asks: impl Fn(u16) -> Command + Send + 'static,
    ) -> Self {
        let log = dir.join("daemon.log");
        let start = move |port: u16| {
            let mut command = start(port);
            let log = File::options().create(true).append(true).open(&log);
            let log = log.expect("the server's log");
            command.stdin(Stdio::null());
            command
                .stdout(log.try_clone().expect("its log"))
                .stderr(log);
            end_with_parent(&mut command);
            command
        };
        let port = free_port();
        let child = start(port).spawn().expect("the database's server");
        let daemon = Self {
            port,
            child,
            start: Box::new(start),
            asks: Box::new(asks),
        };
        daemon.wait();
        daemon
    }

    /// Waits until it answers.
    fn wait(&self) {
        wait_for("an answer of the database", patience(60), || {
            let mut ask = (self.asks)(self.port);
            ask.stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            ask.status()
                .is_ok_and(|status| status.success())
                .then_some(())
        });
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("it was there");
        self.child.wait().expect("its end");
    }

    /// Stops it so that it answers nothing, or lets it go on.
    pub fn pause(&self, paused: bool) {
        let signal = if paused { libc::SIGSTOP } else { libc::SIGCONT };
        signal_to(self.child.id(), signal);
    }

    /// Starts it again, on the same port and with the same data.
    pub fn restart(&mut self) {
        // After `kill -9`, PostgreSQL's other processes still end.
        let spawn = || {
            let mut child = (self.start)(self.port).spawn().ok()?;
            let mut ask = (self.asks)(self.port);
            ask.stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            wait_for("its start or its end", patience(60), || {
                let answers = ask.status().is_ok_and(|status| status.success());
                let ended = child.try_wait().is_ok_and(|status| status.is_some());
                (answers || ended).then_some(())
            });
            let alive = child.try_wait().is_ok_and(|status| status.is_none());
            alive.then_some(child)
        };
        self.child = wait_for("the database again", patience(60), spawn);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        signal_to(self.child.id(), libc::SIGCONT);
        // To PostgreSQL: do not wait for clients.
        signal_to(self.child.id(), libc::SIGQUIT);
        let ended = || matches!(self.child.try_wait(), Ok(Some(_)));
        let step = std::time::Duration::from_millis(20);
        poll(step, patience(2), ended, |ended| *ended);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the kernel to end the server at once if the test's thread ends without doing so.
fn end_with_parent(command: &mut Command) {
    let ask = || {
        let signal = libc::c_ulong::from(libc::SIGQUIT.unsigned_abs());
        // SAFETY: PR_SET_PDEATHSIG takes one integer and no pointer (prctl(2)).
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: prctl is async-signal-safe (signal-safety(7) rules for the child between fork and
    // exec) and touches nothing but the child's own death signal.
    unsafe { command.pre_exec(ask) };
}

fn signal_to(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).expect("a process id fits");
    // SAFETY: kill takes two integers (kill(2)); pid names a child that we started and have not
    // waited for.
    unsafe { libc::kill(pid, signal) };
}

fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail (getuid(2)).
    unsafe { libc::getuid() == 0 }
}

/// Runs a command that must succeed.
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = said + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// User and group that the package made for PostgreSQL, which does not run as root; none where
/// somebody else runs the tests.
pub fn postgres_account() -> Option<(u32, u32)> {
    if !is_root() {
        return None;
    }
    let ask = |what: &str| {
        let output = Command::new("id").args([what, "postgres"]).output();
        let text = String::from_utf8(output.expect("id runs").stdout).expect("a number");
        text.trim().parse().expect("the user postgres is there")
    };
    Some((ask("-u"), ask("-g")))
}

/// A program of the newest PostgreSQL: Debian puts them beside PATH.
fn postgres_program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}

/// A server's program, which is not in every user's PATH.
fn in_sbin(name: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(name);
    if path.exists() { path } else { name.into() }
}
