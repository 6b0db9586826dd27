//! What can go wrong, and how often it does.

use std::collections::BTreeMap;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// A link has another latency and jitter.
    Slow,
    /// Nothing passes a link in one direction.
    OneWay,
    /// Nothing passes a link.
    Partition,
    /// The connections over a link are reset.
    Reset,
    /// They are reset, and no new one comes about.
    Held,
    /// A client or a broker doesn't read.
    SlowReader,
    /// A process is stopped and continued.
    Stop,
    /// An origin dies and starts again.
    KillOrigin,
    /// The host of an origin loses its power, and comes back.
    PowerOrigin,
    /// An origin is drained and starts again.
    DrainOrigin,
    /// The same while all else is well, when every move must be make-before-break.
    CalmDrain,
    /// An origin comes back with another ring.
    RingChange,
    /// An edge dies, with its clients' connections.
    KillEdge,
    /// An edge is told to end, and closes its clients.
    DrainEdge,
    /// An anchor dies, with its sessions.
    KillHome,
    /// A broker dies, with its connections.
    KillBroker,
    /// A client or its broker leaves, or resets the connection.
    Leave,
}

/// Faults, and how often each is drawn.
pub(crate) const WEIGHTS: [(Fault, u32); 15] = [
    (Fault::Slow, 10),
    (Fault::OneWay, 8),
    (Fault::Partition, 8),
    (Fault::Reset, 10),
    (Fault::Held, 5),
    (Fault::SlowReader, 10),
    (Fault::Stop, 10),
    (Fault::KillOrigin, 10),
    (Fault::PowerOrigin, 5),
    (Fault::DrainOrigin, 12),
    (Fault::KillEdge, 2),
    (Fault::DrainEdge, 1),
    (Fault::KillHome, 2),
    (Fault::KillBroker, 2),
    (Fault::Leave, 16),
];

/// Those that aren't drawn: they come with others, or in a pause between them.
pub(crate) const BESIDES: [Fault; 2] = [Fault::CalmDrain, Fault::RingChange];

/// How often a fault came about, and how often it hit something.
pub(crate) type Hits = BTreeMap<Fault, (u64, u64)>;
