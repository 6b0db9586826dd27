//! What a link is like, in one direction.

use baton_protocol::limits::Millis;

/// One direction between two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Milliseconds that everything takes.
    pub(crate) latency: Millis,
    /// Up to so many milliseconds more.
    pub(crate) jitter: Millis,
    /// Faults for which nothing arrives.
    pub(crate) blocked: u32,
    /// Faults for which no new connection arrives.
    pub(crate) no_new: u32,
}
