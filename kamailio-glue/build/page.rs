//! The page of `ds_page`: its parts in one file, and the headers that belong to it.

use super::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// The most bytes of the page.
const MOST: usize = 64_000;

/// Writes `page.html` and `page.csp`.
pub fn write(root: &Path, out: &Path) -> Result<()> {
    let source = root.join("src/kamailio/observe/page");
    println!("cargo::rerun-if-changed={}", source.display());
    let read = |name: &str| {
        let path = source.join(name);
        fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))
    };
    let (style, script) = (read("page.css")?, read("page.js")?);
    let page = read("page.html")?;
    let page = page.replace("{{page.css}}", &style);
    let page = page.replace("{{page.js}}", &script);
    if page.len() > MOST {
        return Err(format!(
            "the page has {} bytes, more than {MOST}",
            page.len()
        ));
    }
    // Nothing runs in the page but this script, and it asks nobody but the server that the page comes from.
    let csp = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(&style),
        hash(&script)
    );
    for (name, content) in [("page.html", page), ("page.csp", csp)] {
        let path = out.join(name);
        fs::write(&path, content).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(())
}

fn hash(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text))
}
