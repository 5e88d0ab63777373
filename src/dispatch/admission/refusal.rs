//! The reasons for which a destination refuses a request.

/// The reason for which a destination that is usable does not take a request. Gates are asked in this order: the last one
/// uses something up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has as many calls as its attribute `maxload` allows.
    Full,
    /// It has more calls than its part of all calls of the set (`ds_bounded_load`).
    Bound,
    /// It has got as many calls within the last second as its attribute `cps` allows.
    Rate,
}

impl Refusal {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Full, Self::Bound, Self::Rate];

    /// Returns the word that commands and metrics show.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "maxload",
            Self::Bound => "bounded_load",
            Self::Rate => "cps",
        }
    }
}
