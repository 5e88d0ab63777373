//! What algorithms 100 to 107 know of the destinations of a set.
//!
//! | module | contents |
//! | --- | --- |
//! | [`key_shares`] | The identities and weights by which a key finds its destination. |

pub mod key_shares;
