//! The identities and weights of a set, for algorithms 100 to 107.
//!
//! | module | contents |
//! | --- | --- |
//! | [`key_shares`] | The identities and weights by which a key finds its destination. |

pub mod key_shares;
