//! Keys and certificates for TLS.

use std::path::Path;
use std::process::Command;

/// Makes a key and a certificate `name.pem`, signed by `ca`, or by itself.
pub fn certificate(dir: &Path, name: &str, ca: Option<&str>) {
    let file = |name: &str, end: &str| dir.join(format!("{name}.{end}")).display().to_string();
    let mut command = Command::new("openssl");
    command.args([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
    ]);
    command.args(["-subj", &format!("/CN={name}.test")]);
    command.args(["-keyout", &file(name, "key"), "-out", &file(name, "pem")]);
    if let Some(ca) = ca {
        command.args(["-CA", &file(ca, "pem"), "-CAkey", &file(ca, "key")]);
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    }
    let out = command.output().expect("openssl runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}
