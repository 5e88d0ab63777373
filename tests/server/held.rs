//! A process is stopped while it reads the lists, or while it changes them: the others go on, and say who it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::transports;
use harness::{Config, Kamailio, Module, Probe, Uac, patience, this_server, wait_for};
use serde_json::{Value, json};

/// A process that is stopped, and goes on when this is dropped.
pub struct Stopped(i32);

impl Stopped {
    pub fn stop(pid: u32) -> Self {
        let pid = i32::try_from(pid).unwrap();
        signal(pid, libc::SIGSTOP);
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, libc::SIGCONT);
    }
}

fn signal(pid: i32, number: i32) {
    // SAFETY: a system call without memory; the process is a child of the server, which the test started.
    assert_eq!(unsafe { libc::kill(pid, number) }, 0);
}

/// The process that answers JSON-RPC; `kamcmd` is answered by another one.
fn json_process(server: &Kamailio) -> u32 {
    process(server, |name| {
        name.contains("jsonrpc") && name.contains("datagram")
    })
}

/// The process with such a name, in small letters.
pub fn process(server: &Kamailio, is_it: impl Fn(&str) -> bool) -> u32 {
    // It may answer before the server has counted it.
    wait_for("the process", patience(5), || find_process(server, &is_it))
}

fn find_process(server: &Kamailio, is_it: impl Fn(&str) -> bool) -> Option<u32> {
    let list = server.jsonrpc("core.ps", json!([])).expect("core.ps");
    let items = list.as_array().expect("an array");
    let name = |item: &Value| item.as_str().map(str::to_lowercase).unwrap_or_default();
    let pair = items.chunks(2).find(|pair| is_it(&name(&pair[1])));
    let pid = &pair?[0];
    let number = pid.as_u64().or_else(|| pid.as_str()?.parse().ok());
    u32::try_from(number?).ok()
}

/// A command that a route runs.
const ADD: &str = r#"{"jsonrpc": "2.0", "method": "dispatcher.add", "params": [1, "sip:127.0.0.1:7010"], "id": 1}"#;

/// A list of so many destinations.
fn list(count: usize) -> String {
    let line = |n: usize| {
        format!(
            "1 sip:127.{}.{}.{}:7001\n",
            n / 65_025,
            n / 255 % 255,
            n % 255
        )
    };
    (1..=count).map(line).collect()
}

fn config(count: usize) -> Config {
    let change = Probe::new().op("reload", "ds_reload();");
    let change = change.op(
        "command",
        &format!("jsonrpc_exec('{ADD}'); $du = $_s(sip:$jsonrpl(code));"),
    );
    change.config().children(4).shm_mb(64).list(list(count))
}

/// A number of `dispatcher.stats`, in a struct inside it if `part` is one.
fn stat(server: &Kamailio, part: &str, name: &str) -> u64 {
    let text = server.kamcmd(&["dispatcher.stats"]).expect("its answer");
    let rest = text.split_once(part).expect(part).1;
    let rest = rest.split_once(&format!("{name}: ")).expect(name).1;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap()
}

/// Answers a selection within a time that no waiting worker would keep.
fn serves(server: &Kamailio) -> bool {
    let request = Probe::request("idst,1,4");
    let reply = Uac::new().try_request(server.addr(), &request, patience(1));
    reply.is_some_and(|reply| Probe::lines(&reply)[0].contains("rc=1"))
}

/// Asks the process again and again, and stops it at a moment that `is_right`.
fn stop_while(server: &Kamailio, command: &str, is_right: impl Fn(u32) -> bool) -> (u32, Stopped) {
    let pid = json_process(server);
    server.allow_log("failed to send the response");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // The list is longer than any answer.
                let _ = server.jsonrpc_within(command, json!([]), Duration::from_millis(100));
            }
        });
        let stopped = wait_for("the right moment", patience(30), || {
            let stopped = Stopped::stop(pid);
            is_right(pid).then_some(stopped)
        });
        over.store(true, Ordering::Relaxed);
        (pid, stopped)
    })
}

#[test]
fn the_figures_are_those_of_the_lists() {
    let lists = "1 sip:127.0.0.1:7001\n1 sip:127.0.0.1:7002\n2 sip:127.0.0.1:7003\n";
    let server = Kamailio::start(Module::Rust, Probe::new().config().list(lists));
    let figures =
        |server: &Kamailio| ["SETS", "DESTINATIONS", "CALLS"].map(|name| stat(server, "", name));
    assert_eq!(figures(&server), [2, 3, 0]);
    let bytes = stat(&server, "MEMORY", "LISTS");
    server
        .kamcmd(&["dispatcher.add", "3", "sip:127.0.0.1:7004"])
        .unwrap();
    assert_eq!(figures(&server), [3, 4, 0]);
    assert!(stat(&server, "MEMORY", "LISTS") > bytes);
    server
        .kamcmd(&["dispatcher.remove", "3", "sip:127.0.0.1:7004"])
        .unwrap();
    assert_eq!(figures(&server), [2, 3, 0]);
    assert_eq!(stat(&server, "MEMORY", "LISTS"), bytes);
    assert_eq!(stat(&server, "MEMORY", "REPLACED"), 0);
}

#[test]
fn a_reader_that_is_stopped_takes_no_more_than_a_quarter_of_the_memory_and_is_named() {
    let server = Kamailio::start(Module::Rust, config(8_000));
    let reload = || server.kamcmd(&["dispatcher.reload"]);
    let kept = || stat(&server, "MEMORY", "REPLACED_PIECES");
    let (pid, stopped) = stop_while(&server, "dispatcher.list", |_| {
        reload().is_ok() && kept() > 0
    });
    let most = stat(&server, "MEMORY", "REPLACED_MOST");
    assert_eq!(most, 16 << 20);
    let fault = wait_for("a reload is refused", patience(30), || reload().err());
    let kept = stat(&server, "MEMORY", "REPLACED");
    assert!((most..most * 3 / 2).contains(&kept), "{kept}");
    let refused = format!("{kept} bytes of replaced lists cannot be freed");
    assert!(fault.text.contains(&refused), "{fault}");
    server.expect_log("list of 8000 destinations not loaded: ");
    let edit = server.kamcmd(&["dispatcher.add", "1", "sip:127.0.0.1:7009"]);
    assert!(edit.unwrap_err().text.contains(&refused));
    assert!(serves(&server));

    // The oldest reader is seen from the next second on.
    wait_for("who it is", patience(5), || {
        (stat(&server, "READER", "PID") == u64::from(pid)).then_some(())
    });
    let warning = format!("process {pid} has been reading the lists for 1");
    server.expect_log(&warning);
    wait_for(&warning, patience(20), || {
        server.log().contains(&warning).then_some(())
    });
    assert!(stat(&server, "READER", "SECONDS") >= 10);
    let fault = reload().expect_err("still");
    let named = format!("freed: process {pid} has been reading them for 1");
    assert!(fault.text.contains(&named), "{fault}");
    assert_eq!(server.log().matches(&warning).count(), 1, "said once");

    drop(stopped);
    wait_for("all is given back", patience(5), || {
        (stat(&server, "MEMORY", "REPLACED") == 0).then_some(())
    });
    reload().unwrap();
    assert_eq!(stat(&server, "READER", "PID"), 0);
}

#[test]
fn a_writer_that_is_stopped_makes_no_worker_wait_for_long_and_is_named() {
    let server = Kamailio::start(Module::Rust, config(20_000));
    let (pid, stopped) = stop_while(&server, "dispatcher.reload", |pid| {
        // Inside the server's allocator it holds the lock of that, too.
        stat(&server, "WRITER", "PID") == u64::from(pid) && serves(&server)
    });
    let busy = format!("list of 20000 destinations not loaded: process {pid} ");
    server.expect_log(&busy);
    std::thread::scope(|scope| {
        let reload = scope.spawn(|| Probe::run(&Uac::new(), server.addr(), "reload"));
        wait_for("a worker that waits", patience(5), || {
            (stat(&server, "WRITER", "WRITERS_WAITING") > 0).then_some(())
        });
        assert!(reload.join().unwrap()[0].contains("rc=-1"));
        // The request was sent again meanwhile, to another worker.
        wait_for("nobody who waits", patience(5), || {
            (stat(&server, "WRITER", "WRITERS_WAITING") == 0).then_some(())
        });
    });
    let (ran, workers) = (AtomicBool::new(true), Uac::new());
    let command = std::thread::scope(|scope| {
        let server = &server;
        let begun = Instant::now();
        let add = scope.spawn(move || {
            let answer = server.kamcmd(&["dispatcher.add", "1", "sip:127.0.0.1:7009"]);
            (answer, begun.elapsed())
        });
        let others = scope.spawn(|| {
            while ran.load(Ordering::Relaxed) {
                assert!(serves(server), "while a worker waits");
            }
        });
        // The first seconds of the holder are not watched yet.
        let changes = [
            ("reload", "rc=-1"),
            ("reload", "rc=-1"),
            ("command", "du=sip:500"),
        ];
        for (change, fails) in changes {
            let begun = Instant::now();
            let lines = Probe::run(&workers, server.addr(), change);
            assert!(lines[0].contains(fails), "{lines:?}");
            let took = begun.elapsed();
            assert!(took >= Duration::from_millis(900), "{took:?}");
            assert!(took < patience(4), "{took:?}");
        }
        ran.store(false, Ordering::Relaxed);
        others.join().unwrap();
        add.join().unwrap()
    });
    let (answer, took) = command;
    let fault = answer.expect_err("the lists stay");
    assert!(fault.text.contains(&format!("process {pid}")), "{fault}");
    assert!(
        took >= Duration::from_secs(9) && took < patience(20),
        "{took:?}"
    );
    let warning = format!("process {pid} has been changing the lists for 1");
    server.expect_log(&warning);
    wait_for(&warning, patience(10), || {
        server.log().contains(&warning).then_some(())
    });

    drop(stopped);
    wait_for("the lock is free", patience(10), || {
        (stat(&server, "WRITER", "PID") == 0).then_some(())
    });
    server
        .kamcmd(&["dispatcher.add", "1", "sip:127.0.0.1:7009"])
        .unwrap();
    let named = format!("{busy}has been changing the lists for ");
    assert!(server.log().contains(&named), "the log names the holder");
}

#[test]
fn a_command_over_http_makes_its_worker_wait_no_longer_than_a_route() {
    if this_server::lacks(&["jsonrpcs.so", "xhttp.so"]) {
        return;
    }
    let routes = "request_route { sl_send_reply(\"200\", \"OK\"); }\n\
                  event_route[xhttp:request] { jsonrpc_dispatch(); }";
    let config = Config::routes(routes).shm_mb(64).list(list(20_000));
    let server = Kamailio::start(Module::Rust, config.all_transports());
    let by_http = |command, params: &Value| transports::by_http(&server, command, params);
    let (pid, stopped) = stop_while(&server, "dispatcher.reload", |pid| {
        // Inside the server's allocator it holds the lock of that, too, and nobody answers.
        stat(&server, "WRITER", "PID") == u64::from(pid)
            && by_http("core.uptime", &json!([])).is_ok()
    });
    let begun = Instant::now();
    let answer = by_http("dispatcher.add", &json!([1, "sip:127.0.0.1:7009"]));
    let took = begun.elapsed();
    let fault = answer.expect_err("the lists stay");
    assert!(fault.text.contains(&format!("process {pid}")), "{fault}");
    assert!(took >= Duration::from_millis(900), "{took:?}");
    assert!(took < patience(4), "{took:?}");
    drop(stopped);
}
