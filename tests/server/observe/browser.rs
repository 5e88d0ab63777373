//! `ds_page` in a real browser, which is driven as a person would use it.

use std::thread;

use harness::{
    Answer, Browser, Config, Kamailio, Module, Request, Uac, Uas, axe, free_port, this_server,
};
use serde_json::{Value, json};

use super::page::config;

/// The way of doc/reference/page.md: a socket of its own, with a process of its own.
const ROUTES: &str = r#"
request_route {
    if (is_method("INVITE")) { ds_select_dst("1", "4"); }
    sl_send_reply("200", "OK");
}
event_route[xhttp:request] {
    if ($Rp == {{HTTP}} && $hu =~ "^/dispatcher") { ds_page(); } else { xhttp_reply("404", "Not Found", "", ""); }
}
"#;

/// A server with a page, and a browser.
struct Stage {
    browser: Browser,
    server: Kamailio,
    url: String,
}

fn listening(config: Config, port: u16) -> Config {
    config
        .global(&format!("socket_workers=1\nlisten=tcp:127.0.0.1:{port}"))
        .define("HTTP", port)
}

/// Starts both; `None` where something is missing.
fn stage(config: Config) -> Option<Stage> {
    if this_server::lacks(&["xhttp.so"]) {
        return None;
    }
    let browser = Browser::start()?;
    let port = free_port();
    let server = Kamailio::start(Module::Rust, listening(config, port));
    let url = format!("http://127.0.0.1:{port}/dispatcher/");
    Some(Stage {
        browser,
        server,
        url,
    })
}

impl Stage {
    /// Opens the page, and waits until it shows something.
    fn open(&self, fragment: &str) {
        // A fragment alone would not load it anew.
        self.browser.open("about:blank");
        self.browser.open(&format!("{}#{fragment}", self.url));
        self.browser
            .wait("document.querySelector('#versions').textContent");
    }

    fn text(&self, selector: &str) -> String {
        let text = self.browser.run(&format!(
            "return document.querySelector({selector:?}).innerText"
        ));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The URIs of the rows, in order.
    fn uris(&self) -> Vec<String> {
        let uris = self.browser.run(
            "return [...document.querySelectorAll('#rows th')].map((cell) => cell.firstChild.data)",
        );
        serde_json::from_value(uris).unwrap()
    }

    fn wait_uris(&self, uris: &[&str]) {
        let shown = "JSON.stringify([...document.querySelectorAll('#rows th')].map((cell) => cell.firstChild.data))";
        self.browser
            .wait(&format!("{shown} === {:?}", json!(uris).to_string()));
    }

    fn click(&self, selector: &str) {
        // A person's click takes the focus as well.
        let script =
            format!("const it = document.querySelector({selector:?}); it.focus(); it.click()");
        self.browser.run(&script);
    }

    /// Nothing was refused, nothing failed, and no script but ours ran.
    fn is_clean(&self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }
}

/// Some of everything: each state, a set that is down, names, attributes.
fn mixed() -> Config {
    let list = "\
1 sip:gw1.a@127.0.0.1:7001;transport=udp 0 10 duid=gw1;weight=50;maxload=200;carrier=north
1 sip:gw2.a@127.0.0.1:7002 0 10 duid=gw2;weight=50;maxload=200;carrier=north
1 sip:gw3.a@127.0.0.1:7003 2 0 duid=gw3;carrier=south
1 sip:gw4.a@127.0.0.1:7004 1 0 duid=gw4;carrier=south
2 sip:media1@127.0.0.1:7011 0 0 duid=media1;desc=Announcements
2 sip:media2@127.0.0.1:7012 65536 0 duid=media2
3 sip:spare@127.0.0.1:7021 4 0 duid=spare
4 sip:announce@127.0.0.1:7031 0 0 duid=announce
";
    config(ROUTES)
        .list(list)
        .param("ds_hash_size", 4)
        .param("counters", 2)
        .param("metrics_attrs", "carrier")
        .param("set_name", "1=Carrier North")
        .param("set_name", "2=Media")
        .param("set_name", "3=Spare carrier")
}

#[test]
fn the_page_follows_a_gateway_that_dies_and_comes_back() {
    let mut gateways: Vec<Uas> = (0..3).map(|_| Uas::start(Answer::Code(200))).collect();
    let list: String = gateways
        .iter()
        .map(|gateway| format!("1 {}\n", gateway.uri()))
        .collect();
    let config = config(ROUTES)
        .list(list)
        .param("ds_ping_interval", 1)
        .param("ds_ping_fr_timeout", 500)
        .param("ds_probing_mode", 1)
        .param("ds_probing_threshold", 1);
    let Some(stage) = stage(config) else { return };
    stage.open("every=1");
    stage
        .browser
        .wait("document.querySelector('#headline').textContent === 'All 3 destinations are up'");
    assert_eq!(stage.uris().len(), 3);
    assert!(
        stage.text("#sets").contains("3 of 3 up"),
        "{}",
        stage.text("#sets")
    );
    let died = gateways[1].uri();
    gateways[1].stop();
    stage.browser.wait("document.querySelector('#headline').textContent === '1 of 3 destinations is out of service'");
    stage
        .browser
        .wait("document.querySelector('#rows tr').className === 'state-inactive'");
    assert_eq!(stage.uris()[0], died, "the worst is first");
    let row = stage.text("#rows tr");
    assert!(
        row.contains("Inactive") && row.contains("no reply"),
        "{row}"
    );
    assert_eq!(stage.text("#said"), format!("{died} is inactive."));
    assert!(
        stage
            .browser
            .run("return document.title")
            .as_str()
            .unwrap()
            .starts_with("(1) ")
    );
    let flags = stage
        .server
        .jsonrpc("dispatcher.ping_status", json!([]))
        .unwrap();
    let same = flags["TARGETS"]
        .as_array()
        .unwrap()
        .iter()
        .find(|dest| dest["DEST"]["URI"] == *died);
    assert!(
        same.unwrap()["DEST"]["WHY"]
            .as_str()
            .unwrap()
            .contains("no reply")
    );
    stage.click("summary");
    let newest = |to: &str| {
        let text = "document.querySelector('#changes li')?.innerText ?? ''";
        stage.browser.wait(&format!(
            "({text}).includes('{died}') && ({text}).includes('{to}')"
        ));
    };
    newest("Active to inactive");
    let change = stage.text("#changes");
    assert!(
        change.contains(&died)
            && change.contains("Active to inactive")
            && change.contains("no reply"),
        "{change}"
    );
    gateways[1].restart();
    stage
        .browser
        .wait("document.querySelector('#headline').textContent === 'All 3 destinations are up'");
    stage.browser.wait(&format!(
        "document.querySelector('#said').textContent === '{died} is active.'"
    ));
    newest("Inactive to active");
    assert_eq!(
        stage.browser.run("return location.hash"),
        "#every=1&history=1"
    );
    stage.is_clean();
}

#[test]
fn what_is_shown_can_be_filtered_sorted_and_shared() {
    let Some(stage) = stage(mixed()) else { return };
    stage.open("");
    assert_eq!(stage.uris().len(), 8);
    assert!(
        stage.text("#sets").starts_with("Set 3\n"),
        "{}",
        stage.text("#sets")
    );
    let rows = stage.text("#rows");
    assert!(
        rows.contains("carrier north") && rows.contains("Announcements"),
        "{rows}"
    );
    // A part of a URI, as it is typed.
    stage.browser.run("document.querySelector('#q').focus()");
    for key in ["g", "w", "4"] {
        stage.browser.press(key);
    }
    stage.wait_uris(&["sip:gw4.a@127.0.0.1:7004"]);
    assert_eq!(stage.browser.run("return location.hash"), "#q=gw4");
    assert_eq!(stage.browser.run("return document.activeElement.id"), "q");
    stage.click("#clear");
    stage
        .browser
        .wait("document.querySelectorAll('#rows tr').length === 8");
    // A state.
    stage.click("#states [data-state=draining]");
    stage.wait_uris(&["sip:media2@127.0.0.1:7012"]);
    assert_eq!(
        stage
            .browser
            .run("return document.activeElement.dataset.state"),
        "draining"
    );
    // A set, by its card, and by the link that this makes.
    stage.open("");
    stage.click("#sets [data-set='2']");
    stage.wait_uris(&["sip:media2@127.0.0.1:7012", "sip:media1@127.0.0.1:7011"]);
    stage.open("set=2&sort=uri");
    stage.wait_uris(&["sip:media1@127.0.0.1:7011", "sip:media2@127.0.0.1:7012"]);
    assert_eq!(
        stage
            .browser
            .run("return document.querySelector('#head [aria-sort]').innerText.trim()"),
        "Destination"
    );
    stage.browser.run("history.back()");
    // A column, twice.
    stage.open("set=1");
    stage.browser.run("[...document.querySelectorAll('#head button')].find((b) => b.textContent === 'Priority').click()");
    stage
        .browser
        .wait("document.querySelector('#head [aria-sort=descending]')?.textContent === 'Priority'");
    stage.browser.wait("document.querySelector('#rows th').textContent.startsWith('sip:gw2') || document.querySelector('#rows th').textContent.startsWith('sip:gw1')");
    stage.click("#head [aria-sort] button");
    stage
        .browser
        .wait("document.querySelector('#head [aria-sort=ascending]')?.textContent === 'Priority'");
    assert_eq!(
        stage.browser.run("return location.hash"),
        "#set=1&sort=priority"
    );
    // All of it by the keyboard: from the top to the first set, which is then chosen.
    stage.open("");
    for _ in 0..3 {
        stage.browser.press("\u{e004}");
    }
    assert_eq!(
        stage
            .browser
            .run("return document.activeElement.dataset.set"),
        "3"
    );
    stage.browser.press("\u{e007}");
    stage.wait_uris(&["sip:spare@127.0.0.1:7021"]);
    assert_eq!(
        stage
            .browser
            .run("return document.activeElement.getAttribute('aria-pressed')"),
        "true"
    );
    stage.is_clean();
}

#[test]
fn ten_thousand_destinations_are_leafed_through() {
    let list: String = (0..10_000)
        .map(|n| format!("{} sip:gw{n}@127.0.0.1:{}\n", n % 300, 10_000 + n))
        .collect();
    let Some(stage) = stage(config(ROUTES).list(list).shm_mb(128)) else {
        return;
    };
    stage.open("count=500&sort=uri");
    assert_eq!(stage.text("#headline"), "All 10,000 destinations are up");
    let mut pages = 1;
    let mut last = stage.uris();
    while stage
        .browser
        .run("return document.querySelector('#on').disabled")
        == Value::Bool(false)
    {
        stage.click("#on");
        stage.browser.wait(&format!(
            "document.querySelector('#rows th').firstChild.data !== {:?}",
            last[0]
        ));
        last = stage.uris();
        pages += 1;
    }
    assert!((20..=100).contains(&pages), "{pages} pages");
    assert!(
        stage.text("#place").ends_with("10,000 of 10,000"),
        "{}",
        stage.text("#place")
    );
    stage.click("#back");
    stage
        .browser
        .wait("!document.querySelector('#on').disabled");
    let largest = stage.browser.run(
        "return Math.max(...performance.getEntriesByType('resource').map((one) => one.decodedBodySize))",
    );
    assert!(
        (50_000..=96_000).contains(&largest.as_u64().unwrap()),
        "{largest}"
    );
    stage.is_clean();
}

#[test]
fn nobody_is_kept_out_by_how_the_page_is_made() {
    let Some(axe) = axe() else { return };
    let Some(stage) = stage(mixed()) else { return };
    for scheme in ["light", "dark"] {
        stage.browser.scheme(scheme);
        for width in [1_360, 400] {
            stage.browser.size(width, 900);
            stage.open("set=1&q=a&history=1");
            stage.browser.run(&axe);
            let found = stage.browser.run_async(
                "const found = await axe.run(document, { resultTypes: ['violations'] }); \
                 return found.violations.map((one) => [one.id, one.help, one.nodes.map((node) => node.html + ' ' + node.failureSummary)]);",
            );
            assert_eq!(found, json!([]), "{scheme}, {width} pixels: {found:#}");
            let wide = stage
                .browser
                .run("return document.documentElement.scrollWidth");
            assert!(
                wide.as_u64().unwrap() <= width.into(),
                "{wide} pixels in {width}"
            );
        }
    }
    stage.is_clean();
}

#[test]
fn hostile_texts_of_a_list_do_nothing() {
    let list = "\
1 sip:\"><img/src=x/onerror=window.hurt=1>@127.0.0.1:7001 0 0 duid=></script><script>window.hurt=2</script>
1 sip:{{NUL}}javascript:window.hurt=3@127.0.0.1:7002 0 0 duid='-window.hurt-';desc=<b>bold</b>
";
    let config = config(ROUTES)
        .define("NUL", "%00")
        .list(list)
        .param("set_name", "1=<svg onload=window.hurt=4>");
    let Some(stage) = stage(config) else { return };
    stage.open("q=%3Cimg%20src%3Dx%20onerror%3Dwindow.hurt%3D5%3E");
    stage
        .browser
        .wait("document.querySelector('#rows tr') === null");
    stage.open("sort=uri&state=active");
    assert_eq!(stage.uris().len(), 2);
    let row = stage.text("#rows");
    assert!(row.contains("<img/src=x/onerror=window.hurt=1>"), "{row}");
    assert!(
        stage.text("#sets").contains("<svg onload"),
        "{}",
        stage.text("#sets")
    );
    for nothing in [
        "window.hurt",
        "document.images.length",
        "document.querySelector('#rows b, .card svg[onload]')",
    ] {
        let found = stage.browser.run(&format!("return {nothing} || null"));
        assert_eq!(found, Value::Null, "{nothing}");
    }
    assert_eq!(stage.browser.run("return document.scripts.length"), 1);
    stage.is_clean();
}

#[test]
fn the_page_survives_a_restart_of_the_server() {
    let Some(Stage {
        browser,
        server,
        url,
    }) = stage(mixed())
    else {
        return;
    };
    let port = url
        .rsplit(':')
        .next()
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let stage = Stage {
        browser,
        server,
        url,
    };
    stage.open("every=1&set=2");
    let Stage {
        browser,
        server,
        url,
    } = stage;
    server.stop();
    browser.wait("!document.querySelector('#banner').hidden");
    let banner = browser.run("return document.querySelector('#banner').textContent");
    assert!(
        banner
            .as_str()
            .unwrap()
            .starts_with("The server does not answer. What you see is from "),
        "{banner}"
    );
    assert_eq!(
        browser.run("return document.querySelectorAll('#rows tr').length"),
        2
    );
    let server = Kamailio::start(Module::Rust, listening(mixed(), port));
    browser.wait("document.querySelector('#banner').hidden");
    let stage = Stage {
        browser,
        server,
        url,
    };
    stage.wait_uris(&["sip:media2@127.0.0.1:7012", "sip:media1@127.0.0.1:7011"]);
}

/// Pictures for people, in target/page; doc/guide has one of them.
#[test]
fn the_page_looks_well() {
    let Some(stage) = stage(mixed()) else { return };
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..30 {
                let invite = Request::new("INVITE", "sip:bob@example.test");
                Uac::new().request(stage.server.addr(), &invite);
            }
        });
    });
    for (name, scheme, width, height) in [
        ("light", "light", 1_360, 860),
        ("dark", "dark", 1_360, 860),
        ("narrow", "light", 400, 1_900),
    ] {
        stage.browser.scheme(scheme);
        stage.browser.size(width, height);
        stage.open("");
        stage.browser.picture(name);
    }
}
