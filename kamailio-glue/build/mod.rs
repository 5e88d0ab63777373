//! The steps of the seam's build: find the server, find its headers, agree on the defines,
//! prove that the agreement holds, ask the headers what this version has, then compile the glue
//! and write the bindings.
//!
//! Every error is one sentence that says what to do.

mod bindings;
mod defines;
mod elf;
mod features;
mod glue;
mod headers;
mod page;
mod server;

use std::env;
use std::path::PathBuf;

/// The result of a step of the build; the error is a sentence for the person who builds.
type Result<T> = std::result::Result<T, String>;

/// Runs all steps.
pub fn build() -> Result<()> {
    println!("cargo::rerun-if-changed=kamailio-glue");
    println!("cargo::rerun-if-changed=include");
    let root = path_of("CARGO_MANIFEST_DIR")?;
    let out = path_of("OUT_DIR")?;

    let server = server::find()?;
    let headers = headers::find(&root)?;
    let mut defines = defines::read(&root.join("kamailio-glue/defines.mk"), &headers, &server)?;
    defines.reconcile(&server, &headers)?;

    let mut glue = glue::Glue {
        root: &root,
        out: &out,
        headers: &headers,
        defines: &defines,
        features: Vec::new(),
    };
    let sizes = glue.prove(&server)?;
    glue.features = features::find(&glue)?;
    glue.compile()?;
    glue.keep_options()?;
    server.keep(&out)?;
    bindings::write(&glue, &sizes)?;
    page::write(&root, &out)?;

    // Modules that reopen themselves with RTLD_GLOBAL (app_jsdt, app_lua) would otherwise take
    // over our own references to `exports`.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    // Tables that the server's loader has filled in are read-only afterwards.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,relro,-z,now");
    // Unit tests of the seam run without the server, and so call nothing of it.
    println!("cargo::rustc-link-arg=-Wl,--unresolved-symbols=ignore-all");
    server.link_libraries()?;
    Ok(())
}

/// A path that cargo passes in the environment.
fn path_of(name: &str) -> Result<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is not set: build this package with cargo"))
}
