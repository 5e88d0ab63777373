//! A server that does not run for some time, as a machine that is moved.

use std::time::{Duration, Instant};

use super::stage::{pinging, play, soon};
use harness::Crowd;

#[test]
fn a_pause_takes_no_gateway_out() {
    let crowd = Crowd::start();
    let names = ["a", "b", "c", "d"];
    let server = play(pinging(), &crowd, &names.map(|name| (name, "")));
    for name in names {
        soon(&server, &crowd.uri(name), "AP");
    }
    for round in 0..40u64 {
        server.signal_all(libc::SIGSTOP);
        std::thread::sleep(Duration::from_millis(3_000 + round * 37));
        server.signal_all(libc::SIGCONT);
        let end = Instant::now() + Duration::from_millis(6_000);
        while Instant::now() < end {
            let lister = server.lister();
            for name in names {
                let flags = lister.flags_of(&crowd.uri(name));
                if flags != "AP" { println!("round {round}: {name} {flags} {:?}", end - Instant::now()); }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    println!("{}", server.log().lines().filter(|l| l.contains("SILENCE") || l.contains("down by")).collect::<Vec<_>>().join("\n"));
}
