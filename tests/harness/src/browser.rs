//! A real browser without a window: Chromium, driven through chromedriver by WebDriver's JSON.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::this_server::skip_for_lack_of;
use super::{TempDir, free_port, root, wait_for};

/// A browser with one page. Dropping it ends it.
pub struct Browser {
    driver: Child,
    addr: SocketAddr,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; `None`, after saying so, where there is no Chromium or no chromedriver.
    pub fn start() -> Option<Self> {
        let is_there = |program: &str| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        if !is_there("chromedriver") || !is_there("chromium") {
            skip_for_lack_of("a browser", "no chromium and chromedriver here");
            return None;
        }
        let (profile, port) = (TempDir::new(), free_port());
        let log = std::fs::File::create(profile.path().join("log")).expect("log file");
        let mut command = Command::new("chromedriver");
        command
            .arg(format!("--port={port}"))
            // Chromium keeps its files in the temporary directory and below the home directory.
            .env("TMPDIR", profile.path())
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log file"))
            .stderr(log)
            .process_group(0);
        let mut browser = Self {
            driver: command.spawn().expect("chromedriver starts"),
            addr: SocketAddr::from(([127, 0, 0, 1], port)),
            session: String::new(),
            _profile: profile,
        };
        wait_for("chromedriver", Duration::from_secs(20), || {
            TcpStream::connect(browser.addr).ok()
        });
        let options = json!({ "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1360,900"] });
        let wanted =
            json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let session = browser.ask(
            "POST",
            "/session",
            &json!({ "capabilities": { "alwaysMatch": wanted } }),
        );
        let id = session["sessionId"].as_str().expect("a session");
        browser.session = format!("/session/{id}");
        Some(browser)
    }

    /// Goes to a page, and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs the body of a function in the page; yields what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// As [`Browser::run`], for a function that returns a promise.
    pub fn run_async(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; (async () => {{ {script} }})().then(done, (e) => done(String(e)));"
        );
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page.
    pub fn wait(&self, expression: &str) {
        let mut last = Value::Null;
        let what = format!(
            "{expression} (the page: {})",
            self.run("return document.body.innerText")
        );
        wait_for(&what, super::patience(20), || {
            last = self.run(&format!("return Boolean({expression})"));
            (last == Value::Bool(true)).then_some(())
        });
    }

    /// Sends a command of Chromium's own protocol.
    fn devtools(&self, command: &str, params: Value) {
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": params }),
        );
    }

    /// Shows pages in the light or in the dark scheme.
    pub fn scheme(&self, name: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": name });
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    }

    /// Sets the size of the page in pixels.
    pub fn size(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Presses a key, such as `\u{e004}` for the tabulator.
    pub fn press(&self, key: &str) {
        let act = |kind: &str| json!({ "type": kind, "value": key });
        let keys =
            json!({ "type": "key", "id": "keys", "actions": [act("keyDown"), act("keyUp")] });
        self.post("/actions", &json!({ "actions": [keys] }));
    }

    /// Writes a picture of the page to `target/page/NAME.png`.
    pub fn picture(&self, name: &str) {
        let reply = self.ask("GET", &format!("{}/screenshot", self.session), &Value::Null);
        let folder = root().join("target/page");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let picture = base64(reply.as_str().expect("a picture"));
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("picture");
    }

    /// Takes what the browser has complained of since the last call, by its text.
    pub fn complaints(&self) -> Vec<String> {
        let lines = self.post("/se/log", &json!({ "type": "browser" }));
        let lines = lines.as_array().expect("lines of the log");
        let bad = lines.iter().filter(|line| line["level"] != "INFO");
        bad.map(|line| line["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{command}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut stream = TcpStream::connect(self.addr).expect("chromedriver");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.addr,
            body.len()
        );
        stream
            .write_all((head + &body).as_bytes())
            .expect("a request");
        let mut reply = BufReader::new(stream);
        let (mut length, mut line) = (0, String::new());
        while reply.read_line(&mut line).expect("a reply") > 2 {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        let mut text = vec![0; length];
        reply.read_exact(&mut text).expect("a whole reply");
        let mut reply: Value = serde_json::from_slice(&text).expect("JSON");
        let value = reply["value"].take();
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = i32::try_from(self.driver.id()).expect("a process id fits");
        // SAFETY: kill takes two integers (kill(2)); it is the group of our own child, with its browser.
        unsafe { libc::kill(-group, libc::SIGKILL) };
        let _ = self.driver.wait();
    }
}

/// Returns axe-core's script, which `make setup-tests` has fetched; `None`, after saying so, where it could not.
pub fn axe() -> Option<String> {
    let path: PathBuf = root().join("target/axe/axe.min.js");
    let script = std::fs::read_to_string(path).ok();
    if script.is_none() {
        skip_for_lack_of("axe-core", "neither npm nor pip has brought it");
    }
    script
}

/// Returns the bytes that a text in base64 stands for.
fn base64(text: &str) -> Vec<u8> {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |sign| SIGNS.iter().position(|&known| known == sign);
    let bits: Vec<usize> = text.bytes().filter_map(value).collect();
    let groups = bits.chunks(4).flat_map(|group| {
        let word = (0..4).fold(0, |word, at| (word << 6) | group.get(at).unwrap_or(&0));
        let bytes = [word >> 16, word >> 8, word].map(|byte| u8::try_from(byte & 255).unwrap_or(0));
        bytes.into_iter().take(group.len() - 1).collect::<Vec<_>>()
    });
    groups.collect()
}
