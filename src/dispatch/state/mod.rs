//! States of a destination, and what changes them.
//!
//! | module | contents |
//! | --- | --- |
//! | [`flags`] | The state flags. |
//! | [`transition`] | What marks, pings and commands change of a state. |
//! | [`compat`] | Differences between the versions of the C module. |
//! | [`probe`] | Which destinations are pinged, and what a reply means. |
//! | [`latency`] | Round-trip times and their estimate. |
//! | [`schedule`] | The spread of pings over the interval. |
//! | [`event`] | Which state change raises which event. |
//! | [`seen`] | What has happened to a destination since it was last looked at. |

pub mod compat;
pub mod event;
pub mod flags;
pub mod latency;
pub mod probe;
pub mod schedule;
pub mod seen;
pub mod transition;
