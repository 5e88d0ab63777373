//! A real Prometheus scrapes the page, over a line of 1,500 bytes a packet, with the config and the rules of contrib.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::http::Http;
use harness::network::from_afar;
use harness::this_machine::{lacks_networks, prometheus};
use harness::{Config, Kamailio, Module, TempDir, free_port, patience, this_server, wait_for};
use serde_json::Value;

use super::metrics::config;

/// A Prometheus, which ends with its test.
struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one that scrapes this address each second.
    fn start(target: SocketAddr) -> Self {
        let lo = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status();
        assert!(lo.unwrap().success());
        let dir = TempDir::new();
        let contrib = harness::root().join("contrib/prometheus");
        fs::copy(contrib.join("alerts.yml"), dir.path().join("alerts.yml")).unwrap();
        let settings = fs::read_to_string(contrib.join("prometheus.yml")).unwrap();
        let settings = settings
            .replace("192.0.2.1:9494", &target.to_string())
            .replace("15s", "1s")
            .replace("5s", "1s");
        assert!(settings.contains(&target.to_string()), "{settings}");
        fs::write(dir.path().join("prometheus.yml"), settings).unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let child = Command::new(prometheus("prometheus").unwrap())
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={addr}"))
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Prometheus {
            child,
            addr,
            _dir: dir,
        };
        wait_for("Prometheus", patience(20), || {
            std::net::TcpStream::connect(addr).ok()
        });
        server
    }

    /// The value of an expression; `None` as long as there is none.
    fn value(&self, expression: &str) -> Option<f64> {
        let path = format!("/api/v1/query?query={expression}");
        let reply = Http::to(self.addr).get(&path, &[]);
        let reply: Value = serde_json::from_slice(&reply.body).ok()?;
        reply["data"]["result"][0]["value"][1]
            .as_str()?
            .parse()
            .ok()
    }

    /// The value of an expression, as soon as there is one.
    fn wait_value(&self, expression: &str) -> f64 {
        wait_for(expression, patience(20), || self.value(expression))
    }
}

fn list(count: usize) -> String {
    let line = |n| {
        let (high, low) = (n / 250, n % 250);
        format!(
            "{} sip:gw{n}.example.net@10.{high}.{low}.1:5060 0 0 duid=carrier-{n};maxload=60;carrier=c{}\n",
            n / 100,
            n % 7
        )
    };
    (0..count).map(line).collect()
}

/// A server in a network of its own, with what makes the page long.
fn start(count: usize, settings: &[(&str, i64)], globals: &[&str]) -> Kamailio {
    let mut config: Config = config()
        .list(list(count))
        .far()
        .param("ds_hash_size", 10)
        .param("metrics_attrs", "carrier");
    for &(name, value) in settings {
        config = config.param(name, value);
    }
    for global in globals {
        config = config.global(global);
    }
    // Prometheus ends with its connection open.
    Kamailio::start(Module::Rust, config.allow_log("tcp_read"))
}

/// What the page takes on the wire, and the time until it is there.
fn page(addr: SocketAddr) -> (usize, usize, Duration) {
    let begin = Instant::now();
    let packed = Http::to(addr).get("/metrics", &["Accept-Encoding: gzip"]);
    let took = begin.elapsed();
    assert_eq!(
        packed.status,
        200,
        "{}",
        String::from_utf8_lossy(&packed.body)
    );
    let mut text = String::new();
    let mut reader = flate2::read::GzDecoder::new(&packed.body[..]);
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    (text.len(), packed.body.len(), took)
}

#[test]
fn prometheus_scrapes_a_hundred_a_thousand_and_ten_thousand_destinations() {
    if this_server::lacks(&["xhttp.so"]) || lacks_networks() || prometheus("prometheus").is_none() {
        return;
    }
    let recommended: (&[_], &[_]) = (&[("metrics_destinations", 0)], &["tcp_conn_wq_max=1048576"]);
    for (count, (settings, globals)) in [
        (100, (&[][..], &[][..])),
        (1_000, (&[], &[])),
        (10_000, recommended),
    ] {
        let server = start(count, settings, globals);
        from_afar(&server, |addr| {
            let (raw, packed, took) = page(addr);
            let prometheus = Prometheus::start(addr);
            let dests = prometheus.wait_value("count(kamailio_dispatcher_destination_up)");
            assert_eq!(dests, count as f64);
            assert_eq!(prometheus.wait_value("up"), 1.0);
            let made = prometheus.wait_value("kamailio_dispatcher_scrape_duration_seconds");
            let scraped = prometheus.wait_value("scrape_duration_seconds");
            let samples = prometheus.wait_value("scrape_samples_scraped");
            println!(
                "{count} destinations: {samples} samples, {raw} bytes, {packed} in gzip; made in {:.1} ms, \
                 fetched in {:.1} ms, scraped in {:.1} ms",
                made * 1e3,
                took.as_secs_f64() * 1e3,
                scraped * 1e3
            );
        });
    }
}

#[test]
fn with_the_default_queue_prometheus_is_refused_and_the_text_names_what_is_enough() {
    if this_server::lacks(&["xhttp.so"]) || lacks_networks() || prometheus("prometheus").is_none() {
        return;
    }
    let all = [("metrics_destinations", 0)];
    let server = start(10_000, &all, &[]);
    let said = from_afar(&server, |addr| {
        let refused = Http::to(addr).get("/metrics", &["Accept-Encoding: gzip"]);
        assert_eq!(refused.status, 503, "{}", refused.text());
        let prometheus = Prometheus::start(addr);
        assert_eq!(prometheus.wait_value("up"), 0.0);
        refused.text()
    });
    println!("503 {said}");
    let (begin, advice) = said.split_once(": set it to ").unwrap();
    assert!(begin.starts_with("page of ") && begin.contains(" bytes, tcp_conn_wq_max allows "));
    let (enough, rest) = advice.split_once(',').unwrap();
    assert_eq!(rest, " or ask for level=set\n");
    drop(server);
    let server = start(10_000, &all, &[&format!("tcp_conn_wq_max={enough}")]);
    from_afar(&server, page);
}

/// Runs promtool on a file of contrib.
fn promtool(words: &[&str]) {
    let Some(program) = prometheus("promtool") else {
        return;
    };
    let folder = harness::root().join("contrib/prometheus");
    let output = Command::new(program)
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn the_alerts_fire_and_clear() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts.test.yml"]);
    let alerts = harness::root().join("contrib/prometheus/alerts.yml");
    let tests = harness::root().join("contrib/prometheus/alerts.test.yml");
    let (alerts, tests) = (
        fs::read_to_string(alerts).unwrap(),
        fs::read_to_string(tests).unwrap(),
    );
    let names = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<&str> = names.collect();
    assert_eq!(names.len(), 5);
    for name in names {
        // Each is there before, while it fires, and after.
        assert_eq!(
            tests.matches(&format!("alertname: {name}\n")).count(),
            3,
            "{name}"
        );
    }
}
