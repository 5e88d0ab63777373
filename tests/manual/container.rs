//! The container of contrib/container: its manifests agree with each other and with the image, and its config, list and
//! commands run with a real server, under the user of the image. `make test-container` builds the image.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::{Module, Request, Uac, kamailio, patience, poll, root, this_machine, wait_for};
use serde_json::{Value, json};

use super::{room, scene};

fn text(name: &str) -> String {
    fs::read_to_string(root().join("contrib/container").join(name)).expect(name)
}

/// What a part of the Containerfile says: the text behind each of these words, with its lines joined.
fn instructions(word: &str) -> Vec<String> {
    let file = text("Containerfile").replace("\\\n", " ");
    let lines = file
        .lines()
        .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    lines.map(str::to_owned).collect()
}

fn instruction(word: &str) -> String {
    let mut found = instructions(word);
    assert_eq!(found.len(), 1, "{word} in the Containerfile: {found:?}");
    found.remove(0)
}

/// The number of the user and of its group.
fn user() -> u32 {
    let (user, group) = ids();
    assert_eq!(user, group);
    user
}

fn ids() -> (u32, u32) {
    let user = instruction("USER");
    let (user, group) = user.split_once(':').expect("user and group");
    (
        user.parse().expect("a user"),
        group.parse().expect("a group"),
    )
}

/// The command with which the image says whether it is well.
fn health() -> String {
    let health = instruction("HEALTHCHECK");
    health.split_once(" CMD ").expect("a command").1.to_owned()
}

/// The command that the image runs.
fn command() -> Vec<String> {
    serde_json::from_str(&instruction("CMD")).expect("words")
}

/// The documents of a file in YAML.
fn documents(name: &str) -> Vec<Value> {
    let program = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
    let mut python = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut input = python.stdin.take().expect("its input");
    input.write_all(text(name).as_bytes()).expect("the file");
    drop(input);
    let output = python.wait_with_output().expect("its output");
    assert!(
        output.status.success(),
        "{name} is no YAML (package python3-yaml)"
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn document(name: &str) -> Value {
    let mut documents = documents(name);
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

/// Every key of a document.
fn keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                into.insert(key.clone());
                keys(value, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

/// The keys of the manifest, as Kubernetes spells them: it ignores others without a word.
const KEYS: &str = "allowPrivilegeEscalation apiVersion app automountServiceAccountToken capabilities command configMap \
    containerPort containers dnsPolicy drop emptyDir exec fsGroup hostNetwork image initialDelaySeconds kind labels \
    livenessProbe matchLabels medium memory metadata mountPath name periodSeconds ports protocol readOnly \
    readOnlyRootFilesystem readinessProbe replicas requests resources runAsGroup runAsNonRoot runAsUser seccompProfile \
    securityContext selector spec strategy template timeoutSeconds type volumeMounts volumes";

fn names(list: &Value) -> BTreeSet<&str> {
    let list = list.as_array().expect("a list");
    let names = list.iter().map(|one| one["name"].as_str().expect("a name"));
    names.collect()
}

#[test]
fn the_manifests_agree_with_each_other_and_with_the_image() {
    let deployment = document("deployment.yaml");
    let mut found = BTreeSet::new();
    keys(&deployment, &mut found);
    let known: BTreeSet<String> = KEYS.split_whitespace().map(str::to_owned).collect();
    assert_eq!(found, known);
    assert_eq!(deployment["apiVersion"], "apps/v1");
    assert_eq!(deployment["kind"], "Deployment");
    let template = &deployment["spec"]["template"];
    let selected = &deployment["spec"]["selector"]["matchLabels"];
    assert_eq!(selected, &template["metadata"]["labels"]);

    // The user is that of the image, and may write where the volumes are.
    let (user, group) = ids();
    let pod = &template["spec"];
    let context = &pod["securityContext"];
    assert_eq!(context["runAsNonRoot"], true);
    assert_eq!(context["runAsUser"], user);
    assert_eq!(context["runAsGroup"], group);
    assert_eq!(context["fsGroup"], group);
    let made = instruction("RUN");
    assert!(
        made.contains(&format!("groupadd --system --gid {group} ")),
        "{made}"
    );
    assert!(
        made.contains(&format!("useradd --system --uid {user} ")),
        "{made}"
    );

    let containers = pod["containers"].as_array().expect("containers");
    assert_eq!(
        names(&pod["containers"]),
        BTreeSet::from(["kamailio", "reload"])
    );
    for container in containers {
        let confined = &container["securityContext"];
        assert_eq!(confined["allowPrivilegeEscalation"], false);
        assert_eq!(confined["readOnlyRootFilesystem"], true);
        assert_eq!(confined["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(container["image"], containers[0]["image"]);
        let mounted = names(&container["volumeMounts"]);
        assert!(mounted.is_subset(&names(&pod["volumes"])), "{mounted:?}");
    }
    let server = &containers[0];
    assert_eq!(server["name"], "kamailio");
    assert_eq!(
        server["readinessProbe"]["exec"]["command"],
        json!(["sh", "-c", health()])
    );
    assert_eq!(
        server["livenessProbe"]["exec"]["command"],
        json!(["kamcmd", "core.version"])
    );
    let ports = server["ports"].as_array().expect("ports").iter();
    let ports: Vec<String> = ports
        .map(|port| {
            let protocol = port["protocol"].as_str().expect("a protocol");
            format!("{}/{}", port["containerPort"], protocol.to_lowercase())
        })
        .collect();
    assert_eq!(ports.join(" "), instruction("EXPOSE"));

    // Both see the list, and both the control socket; the whole map is mounted, or changes would not arrive.
    let mounts = |container: &Value, volume: &str| {
        let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
        let mut found = mounts.filter(|mount| mount["name"] == volume);
        found.next().map(|mount| mount["mountPath"].clone())
    };
    for (volume, path) in [("config", "/etc/kamailio"), ("run", "/run/kamailio")] {
        for container in containers {
            assert_eq!(mounts(container, volume), Some(json!(path)));
        }
    }
    assert_eq!(mounts(server, "states"), Some(json!("/var/lib/kamailio")));
    assert_eq!(containers[1]["command"], json!(["dispatcher-reload"]));
    let copied = instruction("COPY");
    assert!(
        copied.starts_with("contrib/container/dispatcher-reload "),
        "{copied}"
    );

    let custom = document("kustomization.yaml");
    assert_eq!(custom["kind"], "Kustomization");
    assert_eq!(custom["resources"], json!(["deployment.yaml"]));
    assert_eq!(custom["generatorOptions"]["disableNameSuffixHash"], true);
    let map = &custom["configMapGenerator"][0];
    assert_eq!(map["files"], json!(["kamailio.cfg", "dispatcher.list"]));
    let volumes = pod["volumes"].as_array().expect("volumes").iter();
    let mut of_map = volumes.filter(|volume| volume["configMap"]["name"] == map["name"]);
    assert!(
        of_map
            .next()
            .is_some_and(|volume| volume["name"] == "config")
    );
}

/// A program that ends with its guard, and so do the processes that it has started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).output();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts words under the user of the image; what they say goes into a file.
    fn start(words: &[String], said: &Path) -> Self {
        let file = File::create(said).expect("a file");
        let user = user();
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={user}"), format!("--regid={user}")])
            .args(["--clear-groups", "--"])
            .args(words)
            .process_group(0)
            .stdout(file.try_clone().expect("the file"))
            .stderr(file);
        Running(command.spawn().expect("setpriv runs"))
    }

    /// Asks it to end, as a runtime of containers does; returns whether it ended well.
    fn ends(mut self) -> bool {
        room::shell(&format!("kill -TERM {}", self.0.id()));
        let state = || self.0.try_wait().expect("its state");
        wait_for("its end", patience(20), state).success()
    }
}

/// Has the selector choose the module under test, as the package does in the image.
fn install() {
    let build = Path::new("/var/local/builds/this");
    fs::create_dir_all(build).expect("a directory");
    let path = Module::Rust.mpath(Path::new("/var/local"));
    let module = Path::new(path.split(':').next().expect("a path")).join("dispatcher.so");
    fs::copy(module, build.join("dispatcher.so")).expect("the module");
    let select = root().join("debian/select");
    let said = room::shell(&format!(
        "kamailio={}
        $kamailio -v | sed -n -e 's/^version: *//p' -e 's/^flags: *//p' | sed 's/ *$//' >/var/local/builds/this/server
        echo >>/var/local/builds/this/server
        KAMAILIO=$kamailio BUILDS=/var/local/builds sh {}",
        kamailio().display(),
        select.display()
    ));
    assert!(said.ends_with("this is used"), "{said}");
}

#[test]
fn its_server_balances_calls_and_follows_its_list() {
    if this_machine::lacks_rooms() {
        return;
    }
    let inside = std::thread::spawn(|| {
        room::enter();
        room::tidy();
        install();
        for directory in ["/run/kamailio", "/var/lib/kamailio"] {
            chown(directory, Some(user()), Some(user())).expect("its directory");
        }
        for name in ["kamailio.cfg", "dispatcher.list"] {
            room::write(name, &text(name));
        }
        follow();
    });
    if let Err(why) = inside.join() {
        std::panic::resume_unwind(why);
    }
}

/// The server, with what is beside it.
fn follow() {
    let gateways = scene::gateways(200);
    let mut words = command();
    words[0] = kamailio().display().to_string();
    let (log, said) = (Path::new("/var/local/log"), Path::new("/var/local/said"));
    let log_text = || fs::read_to_string(log).expect("the log");
    let server = Running::start(&words, log);
    let well = || {
        let health = Command::new("sh").args(["-c", &health()]).output();
        health.is_ok_and(|output| output.status.success())
    };
    let up = poll(
        std::time::Duration::from_millis(50),
        patience(20),
        well,
        |well| *well,
    );
    assert!(up, "{}", log_text());
    room::shell("kamcmd dispatcher.stats");
    let owner = fs::metadata("/run/kamailio/kamailio_ctl").expect("the control socket");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), user());

    let (uac, at) = (Uac::new(), ([127, 0, 0, 1], 5060).into());
    let call = uac.call(at, Request::new("INVITE", "sip:callee@service.test"));
    let call = call.unwrap_or_else(|reply| panic!("{reply:?}\n{}", log_text()));
    assert!(
        call.answered_by().starts_with("192.0.2.1"),
        "{}",
        call.answered_by()
    );
    assert_eq!(call.bye().status(), Some(200));
    for bad in [" WARNING: ", " ERROR: ", " CRITICAL: "] {
        assert!(!log_text().contains(bad), "{}", log_text());
    }

    let script = root().join("contrib/container/dispatcher-reload");
    let mode = fs::metadata(&script)
        .expect("the script")
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111, "it must be a program");
    fs::copy(script, "/var/local/dispatcher-reload").expect("the script");
    let words = [
        "/var/local/dispatcher-reload",
        "/etc/kamailio/dispatcher.list",
        "0.1",
    ];
    let reload = Running::start(&words.map(str::to_owned), said);
    let answers = |part: &str| {
        let text = || fs::read_to_string(said).expect("answers");
        let pause = std::time::Duration::from_millis(50);
        let said = poll(pause, patience(20), text, |text| text.contains(part));
        assert!(said.contains(part), "no {part} in {said}");
    };
    answers("KEPT: 2");
    room::write(
        "dispatcher.list",
        &format!("{}1 sip:192.0.2.12:5060\n", text("dispatcher.list")),
    );
    answers("ADDED: 1");
    room::write("dispatcher.list", "x\n");
    answers("error: 500");
    assert!(room::shell("kamcmd dispatcher.list").contains("sip:192.0.2.12:5060"));
    room::write("dispatcher.list", "1 sip:192.0.2.12:5060\n");
    answers("REMOVED: 2");
    assert!(well());
    assert!(reload.ends(), "the sidecar ends well");
    assert!(server.ends(), "{}", log_text());
    assert!(!well(), "nobody answers");
    drop(gateways);
}
