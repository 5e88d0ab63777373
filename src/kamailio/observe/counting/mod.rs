//! Counting: what the rest of the seam calls where something happens.
//!
//! | module | contents |
//! | --- | --- |
//! | [`counts`] | What counts a selection, a failover and a mark. |
//! | [`group`] | The group `dispatcher` of the server's own counters. |

pub mod counts;
pub mod group;
