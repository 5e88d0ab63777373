//! One running server: start, readiness, log, stop.

use std::fs::File;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    Config, Fault, Module, TempDir, free_port, lists, module, packaged, patience, rpc, this_server,
};
use super::{sanitizer, under_valgrind, valgrind, wait_for};

/// A server. Dropping it stops it and checks its log; it must be dropped by the thread that
/// started it, because the kernel stops the server when that thread ends.
pub struct Kamailio {
    child: Child,
    stopped: bool,
    addr: SocketAddr,
    module: Module,
    dir: TempDir,
    announced: Mutex<super::log::Announced>,
}

/// How a start attempt ended.
enum Start {
    Ready,
    PortTaken,
    Failed(String),
}

impl Kamailio {
    /// Starts a server and waits until it answers an RPC.
    pub fn start(module: Module, config: Config) -> Self {
        Self::try_start(module, config).unwrap_or_else(|why| panic!("{why}"))
    }

    /// As [`Kamailio::start`]; a server that does not come up yields the reason and its log.
    pub fn try_start(module: Module, config: Config) -> Result<Self, String> {
        Self::launch(module, &config).into_ready(&config)
    }

    /// Starts the same config under the C module and ours, side by side: `(c, ours)`.
    pub fn pair(config: &Config) -> (Self, Self) {
        let c = Self::launch(Module::C, config);
        let ours = Self::start(Module::Rust, config.clone().native());
        let c = c.into_ready(config).unwrap_or_else(|why| panic!("{why}"));
        (c, ours)
    }

    fn into_ready(mut self, config: &Config) -> Result<Self, String> {
        loop {
            match self.ready() {
                Start::Ready => return Ok(self),
                Start::PortTaken => {
                    self.kill();
                    self = Self::launch(self.module, config);
                }
                Start::Failed(why) => {
                    self.kill();
                    let log = self.log();
                    return Err(format!(
                        "server with the {:?} module: {why}\n{log}",
                        self.module
                    ));
                }
            }
        }
    }

    fn launch(module: Module, config: &Config) -> Self {
        let (dir, addr) = prepare(module, config);
        let child = command(config, dir.path())
            .spawn()
            .expect("kamailio starts");
        let announced = Mutex::new(config.announced.clone());
        Self {
            child,
            stopped: false,
            addr,
            module,
            dir,
            announced,
        }
    }

    fn ready(&mut self) -> Start {
        let end = Instant::now() + patience(20);
        loop {
            if self
                .child
                .try_wait()
                .expect("state of the server")
                .is_some()
            {
                self.stopped = true;
                if self.log().contains("Address already in use") {
                    return Start::PortTaken;
                }
                return Start::Failed("ended while starting".to_owned());
            }
            // The control process serves RPC only after all modules are initialized.
            if self.dir.path().join("ctl").exists()
                && rpc::kamcmd(self.dir.path(), &["core.version"]).is_ok()
            {
                return Start::Ready;
            }
            if Instant::now() > end {
                return Start::Failed("no RPC answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Which module it runs.
    pub fn module(&self) -> Module {
        self.module
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Its IPv4 address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its IPv6 address, with [`Config::ipv6`].
    pub fn addr6(&self) -> SocketAddr {
        SocketAddr::from((Ipv6Addr::LOCALHOST, self.port()))
    }

    /// Process id of the main process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its working directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The list file.
    pub fn list_path(&self) -> PathBuf {
        self.dir.path().join("dispatcher.list")
    }

    /// Replaces the list file; takes effect with `dispatcher.reload`.
    pub fn write_list(&self, content: impl AsRef<[u8]>) {
        lists::write(&self.list_path(), content.as_ref());
    }

    /// True while the main process lives.
    pub fn is_running(&mut self) -> bool {
        !self.stopped
            && self
                .child
                .try_wait()
                .expect("state of the server")
                .is_none()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log has `text`.
    pub fn wait_log(&self, text: &str) {
        wait_for(&format!("log line {text:?}"), patience(10), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Announces a log line that must come before the server stops.
    pub fn expect_log(&self, text: &str) {
        self.announced
            .lock()
            .unwrap()
            .expected
            .push(text.to_owned());
    }

    /// Announces a log line that may come.
    pub fn allow_log(&self, text: &str) {
        self.announced.lock().unwrap().allowed.push(text.to_owned());
    }

    /// The log is not looked at: for the C module, where it is only the measure.
    pub fn ignore_log(&self) {
        self.announced.lock().unwrap().anything = true;
    }

    /// Runs the real `kamcmd`; yields its output.
    pub fn kamcmd(&self, args: &[&str]) -> Result<String, Fault> {
        rpc::kamcmd(self.dir.path(), args)
    }

    /// JSON-RPC through jsonrpcs; yields `result`. Replies over 64 kB need [`Self::kamcmd`].
    pub fn jsonrpc(&self, method: &str, params: Value) -> Result<Value, Fault> {
        rpc::json_rpc(self.dir.path(), method, &params, patience(10))
    }

    /// As [`Self::jsonrpc`], but gives up after `limit`.
    pub fn jsonrpc_within(
        &self,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, Fault> {
        rpc::json_rpc(self.dir.path(), method, &params, limit)
    }

    /// JSON-RPC; yields the reply as it was written, keys in the server's order.
    pub fn jsonrpc_text(&self, method: &str, params: Value) -> Result<String, Fault> {
        rpc::json_text(self.dir.path(), method, &params, patience(10))
    }

    /// JSON-RPC; yields the bytes of the reply.
    pub fn jsonrpc_bytes(&self, method: &str, params: Value) -> Result<Vec<u8>, Fault> {
        rpc::json_bytes(self.dir.path(), method, &params, patience(10))
    }

    /// Sends a signal to all of its processes at once.
    pub fn signal_all(&self, number: i32) {
        signal(-self.group(), number);
    }

    /// Ends what is left of a server whose death is the measure.
    pub fn abandon(mut self) {
        self.kill();
    }

    /// Stops the server and checks its log. Dropping it does the same.
    pub fn stop(self) {}

    fn kill(&mut self) {
        if !self.stopped {
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.stopped = true;
        }
        signal(-self.group(), libc::SIGKILL);
    }

    fn group(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits")
    }

    /// Asks the server to end, and waits for it. A child that was just forked swallows the signal
    /// that the main process sends it once, so after a second the whole group is asked again.
    fn terminate(&mut self) {
        self.rest();
        let end = Instant::now() + patience(15);
        let (mut target, mut ask) = (self.group(), Instant::now());
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= ask {
                signal(target, libc::SIGTERM);
                (target, ask) = (-self.group(), ask + patience(1));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until all its processes sleep, at most a moment. A process that is told to end does so
    /// wherever it is (`sig_usr` in the server's main.c), amid a change of shared memory, too, in
    /// which the main process then may go round for ever. The test has its answer before the
    /// worker has put away what the answer took.
    fn rest(&self) {
        let end = Instant::now() + patience(1);
        while Instant::now() < end && !is_asleep(self.pid()) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A fault, or a remark only where the server had begun to stop: it handles signals wherever a
    /// process is, in the middle of a log line, too, and then may wait for a lock of its own (seen
    /// about once in a thousand stops). That it stops at all is a test of its own.
    fn why_it_goes_on(&self) -> Option<String> {
        if !self.log().contains("Thank you for flying") {
            return Some("server did not stop on SIGTERM".to_owned());
        }
        eprintln!("the server began to stop, and did not end in time");
        None
    }

    /// Stops the server; false when it had to be killed.
    pub fn ends(mut self) -> bool {
        self.terminate();
        let ended = !matches!(self.child.try_wait(), Ok(None));
        self.kill();
        self.stopped = true;
        ended
    }

    /// Ends a server whose faults are the measure; yields them.
    pub fn faults(mut self) -> Vec<String> {
        self.finish()
    }

    /// Ends the server; yields what was wrong with its life.
    fn finish(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Ok(Some(status)) = self.child.try_wait() {
            faults.push(format!("server ended before it was stopped: {status}"));
        } else {
            self.terminate();
            if matches!(self.child.try_wait(), Ok(None)) {
                faults.extend(self.why_it_goes_on());
            }
        }
        self.kill();
        self.stopped = true;
        faults.extend(self.announced.lock().unwrap().faults(&self.log()));
        if under_valgrind() {
            faults.extend(valgrind::faults(self.dir.path()));
        }
        faults.extend(sanitizer::faults(self.dir.path()));
        faults
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        if self.stopped {
            return;
        }
        let faults = self.finish();
        if std::thread::panicking() {
            eprintln!(
                "--- log of the server with the {:?} module\n{}",
                self.module,
                self.log()
            );
        } else {
            let text = faults.join("\n");
            assert!(
                faults.is_empty(),
                "{:?} module: {text}\n--- log\n{}",
                self.module,
                self.log()
            );
        }
    }
}

/// True when a process and its children all wait for something.
fn is_asleep(pid: u32) -> bool {
    // proc_pid_stat(5): the state stands behind the name, which is in parentheses.
    let waits = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, state)| state);
        state.is_none_or(|state| state.starts_with('S'))
    };
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    waits(&pid.to_string()) && children.split_whitespace().all(waits)
}

/// Starts a server that must refuse its config; yields its log.
pub fn fails_to_start(module: Module, config: Config) -> String {
    loop {
        let mut server = Kamailio::launch(module, &config);
        match server.ready() {
            Start::Ready => {
                server.kill();
                panic!("the server started, but must not\n{}", server.log());
            }
            Start::PortTaken => server.kill(),
            Start::Failed(why) => {
                let ended = server.stopped;
                server.kill();
                assert!(
                    ended,
                    "the server neither started nor ended: {why}\n{}",
                    server.log()
                );
                return server.log();
            }
        }
    }
}

/// Starts a server with our module, which must refuse the config and say why: in an ERROR of the module with this text.
/// Yields the log.
pub fn refuses(config: Config, why: &str) -> String {
    let log = fails_to_start(Module::Rust, config);
    let said = |line: &str| line.contains(" ERROR: dispatcher ") && line.contains(why);
    assert!(log.lines().any(said), "no ERROR says {why:?}\n{log}");
    log
}

/// Lets `kamailio -c` check a config; yields its output, as an error if it refuses the config.
pub fn check_config(module: Module, config: &Config) -> Result<String, String> {
    let (dir, _) = prepare(module, config);
    check(dir.path(), config)
}

/// As [`check_config`], without leaving out what the C module under test does not know.
pub fn check_config_as_it_is(module: Module, config: &Config) -> Result<String, String> {
    let (dir, addr) = prepare(module, config);
    let text = fill(&config.assembled(), module, config, addr, dir.path());
    std::fs::write(dir.path().join("kamailio.cfg"), text).expect("config file");
    check(dir.path(), config)
}

fn check(dir: &Path, config: &Config) -> Result<String, String> {
    let mut command = Command::new(module::kamailio());
    command
        .args(["-c", "-E", "-f"])
        .arg(dir.join("kamailio.cfg"));
    command.arg("-w").arg(dir).arg("-Y").arg(dir);
    sanitizer::preload(&mut command, dir);
    let out = command.args(&config.args).output().expect("kamailio runs");
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    if out.status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}

/// A directory with the config, the list and the test's own files.
fn prepare(module: Module, config: &Config) -> (TempDir, SocketAddr) {
    let dir = TempDir::new();
    let addr = config.address;
    let addr = addr.unwrap_or_else(|| ([127, 0, 0, 1], free_port()).into());
    let as_5_6 = module != Module::C && !config.native;
    let text = this_server::adapt(config.assembled(), as_5_6);
    let mut text = fill(&text, module, config, addr, dir.path());
    if module == Module::C && !config.as_it_is {
        text = packaged::adapt(&text);
    }
    std::fs::write(dir.path().join("kamailio.cfg"), text).expect("config file");
    if let Some(list) = &config.list {
        let list = fill_bytes(list, module, config, addr, dir.path());
        lists::write(&dir.path().join("dispatcher.list"), &list);
    }
    for (name, content) in &config.files {
        let content = fill(content, module, config, addr, dir.path());
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("its directory");
        std::fs::write(path, content).expect("file of the test");
    }
    (dir, addr)
}

fn fill(text: &str, module: Module, config: &Config, addr: SocketAddr, dir: &Path) -> String {
    let port = addr.port();
    let mut listen = format!("listen=udp:{addr}\n");
    if config.ipv6 {
        listen += &format!("listen=udp:[::1]:{port}\n");
    }
    if config.tcp {
        listen += &format!("listen=tcp:{addr}\ntcp_children=1\n");
    } else {
        listen += "disable_tcp=yes\n";
    }
    let mpath = match &config.server {
        Some(server) => server.mpath.clone(),
        None => module.mpath(dir),
    };
    let mut text = text.to_owned();
    for (name, value) in &config.defines {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    let directory = dir.display().to_string();
    text.replace("{{LISTEN}}", &listen)
        .replace("{{MPATH}}", &mpath)
        .replace("{{CHILDREN}}", &config.children.to_string())
        .replace("{{LIST}}", &format!("{directory}/dispatcher.list"))
        .replace("{{DIR}}", &directory)
        .replace("{{PORT}}", &port.to_string())
}

/// List files may hold any bytes; only those that are text get their placeholders filled.
fn fill_bytes(
    list: &[u8],
    module: Module,
    config: &Config,
    addr: SocketAddr,
    dir: &Path,
) -> Vec<u8> {
    match std::str::from_utf8(list) {
        Ok(text) => fill(text, module, config, addr, dir).into_bytes(),
        Err(_) => list.to_vec(),
    }
}

fn command(config: &Config, dir: &Path) -> Command {
    let other = config.server.as_ref().map(|server| server.program.clone());
    let program = other.unwrap_or_else(module::kamailio);
    let mut command = match config.wrapper.split_first() {
        Some((wrapper, args)) => wrapped(wrapper, args, &program, dir),
        None if under_valgrind() => valgrind::command(&program, dir),
        None => Command::new(program),
    };
    let log = File::create(dir.join("log")).expect("log file");
    command
        .args(["-DD", "-E"])
        .arg("-f")
        .arg(dir.join("kamailio.cfg"));
    command.arg("-w").arg(dir).args(&config.args);
    if this_server::core() >= (5, 0) {
        command.arg("-Y").arg(dir);
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("log file"))
        .stderr(log);
    sanitizer::preload(&mut command, dir);
    command.process_group(0);
    // SAFETY: prctl is async-signal-safe (signal-safety(7) rules for the child between fork and
    // exec) and touches nothing but the child's own death signal.
    unsafe {
        command.pre_exec(stop_with_parent);
    }
    command
}

/// `wrapper args… program`, with `{{DIR}}` filled in.
fn wrapped(wrapper: &str, args: &[String], program: &Path, dir: &Path) -> Command {
    let directory = dir.display().to_string();
    let mut command = Command::new(wrapper);
    command.args(args.iter().map(|arg| arg.replace("{{DIR}}", &directory)));
    command.arg(program);
    command
}

/// Asks the kernel to end the server if the test process is killed.
fn stop_with_parent() -> std::io::Result<()> {
    let signal = libc::c_ulong::from(libc::SIGTERM.unsigned_abs());
    // SAFETY: PR_SET_PDEATHSIG takes one integer and no pointer (prctl(2)).
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: kill takes two integers (kill(2)); pid names a child that we started, or its group.
    unsafe {
        libc::kill(pid, signal);
    }
}
