//! The history of changes of states (parameter `history_size`), and what of it somebody asks for.

use crate::dispatch::list::destination::SetId;
use crate::kamailio::config::instance::Module;
use crate::shm::observe::changes::history::{Change, URI};

/// The changes that somebody asks for.
pub enum Filter<'f> {
    /// All of them.
    All,
    /// Those of a set.
    Set(SetId),
    /// Those of destinations whose URI equals this one but for letter case.
    Uri(&'f [u8]),
}

impl Filter<'_> {
    fn takes(&self, change: &Change<'_>) -> bool {
        match self {
            Filter::All => true,
            Filter::Set(set) => change.set == *set,
            Filter::Uri(uri) => {
                let kept = uri.get(..URI).unwrap_or(uri);
                change.uri.eq_ignore_ascii_case(kept)
            }
        }
    }
}

/// Returns the newest changes of those that are asked for, at most so many, the newest first.
pub fn newest(module: &Module, filter: &Filter<'_>, count: usize) -> Vec<Change<'static>> {
    let kept = module.history.iter().flat_map(|history| history.newest());
    kept.filter(|change| filter.takes(change))
        .take(count)
        .collect()
}
