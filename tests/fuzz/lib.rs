//! Fuzz targets for every text that the domain reads. A target takes any bytes and panics if the product breaks one of
//! the target's rules.
//!
//! | module | contents |
//! | --- | --- |
//! | [`targets`] | The rules, seeds and words of each target. |
//! | [`mutate`] | Inputs that are made from seeds and words. |

pub mod mutate;
pub mod targets;

/// A set of rules for one reader of texts.
pub struct Target {
    /// The name for `TARGET=`.
    pub name: &'static str,
    /// Checks the rules with an input.
    pub run: fn(&[u8]),
    /// Texts that the reader understands, and inputs that once broke a rule.
    pub seeds: &'static [&'static [u8]],
    /// Words that the reader looks for.
    pub words: &'static [&'static [u8]],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    targets::list_file::TARGET,
    targets::attrs::TARGET,
    targets::row::TARGET,
    targets::extra_attrs::TARGET,
    targets::db_url::TARGET,
    targets::state_file::TARGET,
    targets::cursor::TARGET,
    targets::routes::TARGET,
    targets::reply_codes::TARGET,
    targets::states::TARGET,
    targets::words::TARGET,
    targets::uris::TARGET,
    targets::excerpt::TARGET,
    targets::hash::TARGET,
    targets::cluster::TARGET,
];

/// Returns the target with this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
