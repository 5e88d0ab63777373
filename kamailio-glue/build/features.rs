//! Features of this version of the server: the C compiler asks its headers for them, test by test.

use super::Result;
use super::glue::Glue;
use std::fs;

/// The file with the tests, and how the name of one begins.
const TESTS: &str = "kamailio-glue/features.c";
const TRY: &str = "TRY_";

/// The names of the features that the server has, as C spells them: `SERVER_HAS_XAVP_INT`.
///
/// Tells cargo of each feature, so that Rust sees it as `cfg(server_has = "xavp_int")`.
pub fn find(glue: &Glue) -> Result<Vec<String>> {
    let path = glue.root.join(TESTS);
    let text =
        fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let prefix = format!("#ifdef {TRY}");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(str::trim)
        .collect();
    let known: Vec<String> = names
        .iter()
        .map(|name| format!("{:?}", lower(name)))
        .collect();
    println!(
        "cargo::rustc-check-cfg=cfg(server_has, values({}))",
        known.join(", ")
    );
    let compiler = glue.c_compiler()?;
    let mut found = vec!["SERVER_FEATURES_KNOWN".to_owned()];
    for name in names {
        let output = compiler
            .to_command()
            .arg("-fsyntax-only")
            .arg("-Werror=implicit-function-declaration")
            .arg(format!("-D{TRY}{name}"))
            .arg(&path)
            .output()
            .map_err(|e| format!("cannot run the C compiler: {e}; run `make setup`"))?;
        if output.status.success() {
            println!("cargo::rustc-cfg=server_has={:?}", lower(name));
            found.push(format!("SERVER_HAS_{name}"));
        }
    }
    Ok(found)
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}
