//! The differences to the C module that are meant; each is in `doc/differences.md` as well.

/// One difference: which comparisons it covers, and why it is there.
pub struct Difference {
    /// Its name in `doc/differences.md`.
    pub name: &'static str,
    /// Why ours answers differently.
    pub reason: &'static str,
    /// True if it explains this pair of answers: (comparison, C's answer, ours).
    pub applies: fn(&str, &str, &str) -> bool,
}

/// All of them. Keep each as narrow as it can be.
pub const EXPLAINED: &[Difference] = &[];
