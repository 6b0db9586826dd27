//! What can go wrong, and with what.

use std::fmt;

/// Edges, origins and homes of the tier, numbered from 1. A home is a sidecar before a broker of its own.
pub const EDGES: u8 = 4;
/// One is always left of them, and three can be in trouble: a fault a second with what comes after it needs that.
pub const ORIGINS: u8 = 4;
/// The first is never killed.
pub const HOMES: u8 = 3;
/// The edge that is killed.
pub const MORTAL_EDGE: u8 = 3;
/// The edge that is told to end.
pub const LEAVING_EDGE: u8 = 4;
/// The home whose sidecar is killed.
pub const MORTAL_HOME: u8 = 2;
/// The home whose broker is killed.
pub const HOME_OF_MORTAL_BROKER: u8 = 3;

/// Milliseconds for which something may hang.
pub(super) const HANGS: [u64; 7] = [200, 400, 800, 1_600, 3_200, 5_000, 8_000];
/// Milliseconds for which something may be away.
const ABSENCES: [u64; 4] = [200, 500, 1_000, 2_000];
/// Milliseconds for which all origins may be away: well below the grace time.
const BLACKOUTS: [u64; 5] = [1_000, 2_000, 3_000, 4_000, 5_000];

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// SIGTERM to an origin; it is started again when it has ended.
    OriginDrained,
    /// SIGKILL to an origin.
    OriginKilled,
    /// SIGKILL to two origins at the same moment.
    TwoOriginsKilled,
    /// SIGKILL to all origins; none for a while.
    AllOriginsDown,
    /// SIGSTOP to an origin, and SIGCONT later.
    OriginStopped,
    /// A link between an edge and an origin is reset, and can't be had for a while.
    EdgeLinkCut,
    /// A link between an edge and an origin swallows everything for a while.
    EdgeLinkStalled,
    /// A link between an edge and an origin is slow.
    EdgeLinkSlowed,
    /// A link between an origin and a home is reset, and can't be had for a while.
    HomeLinkCut,
    /// A link between an origin and a home swallows everything for a while.
    HomeLinkStalled,
    /// A link between an origin and a home is slow.
    HomeLinkSlowed,
    /// SIGSTOP to an edge, and SIGCONT later.
    EdgeStopped,
    /// SIGKILL to an edge.
    EdgeKilled,
    /// SIGTERM to an edge whose clients stay.
    EdgeLeft,
    /// SIGSTOP to a sidecar, and SIGCONT later.
    HomeStopped,
    /// SIGKILL to a sidecar.
    HomeKilled,
    /// SIGKILL to a broker.
    BrokerKilled,
}

/// A process or a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// An edge.
    Edge(u8),
    /// An origin.
    Origin(u8),
    /// A home: its sidecar.
    Home(u8),
    /// The broker of a home.
    Broker(u8),
    /// From an edge to an origin.
    EdgeLink(u8, u8),
    /// From an origin to a home.
    HomeLink(u8, u8),
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Milliseconds from the start until it begins.
    pub at: u64,
    /// What goes wrong.
    pub class: Class,
    /// With what.
    pub things: Vec<Thing>,
    /// Milliseconds from its begin until it is over.
    pub lasting: u64,
}

impl Class {
    /// Each of them.
    pub const ALL: [Self; 17] = [
        Self::OriginDrained,
        Self::OriginKilled,
        Self::TwoOriginsKilled,
        Self::AllOriginsDown,
        Self::OriginStopped,
        Self::EdgeLinkCut,
        Self::EdgeLinkStalled,
        Self::EdgeLinkSlowed,
        Self::HomeLinkCut,
        Self::HomeLinkStalled,
        Self::HomeLinkSlowed,
        Self::EdgeStopped,
        Self::EdgeKilled,
        Self::EdgeLeft,
        Self::HomeStopped,
        Self::HomeKilled,
        Self::BrokerKilled,
    ];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::OriginDrained => "origin drained",
            Self::OriginKilled => "origin killed",
            Self::TwoOriginsKilled => "two origins killed",
            Self::AllOriginsDown => "all origins down",
            Self::OriginStopped => "origin stopped",
            Self::EdgeLinkCut => "edge link cut",
            Self::EdgeLinkStalled => "edge link stalled",
            Self::EdgeLinkSlowed => "edge link slowed",
            Self::HomeLinkCut => "home link cut",
            Self::HomeLinkStalled => "home link stalled",
            Self::HomeLinkSlowed => "home link slowed",
            Self::EdgeStopped => "edge stopped",
            Self::EdgeKilled => "edge killed",
            Self::EdgeLeft => "edge left",
            Self::HomeStopped => "home stopped",
            Self::HomeKilled => "home killed",
            Self::BrokerKilled => "broker killed",
        }
    }

    /// Milliseconds for which it may last. A process that is told to end takes its own time; these are least times.
    pub(super) fn lasts(self) -> &'static [u64] {
        match self {
            Self::OriginDrained | Self::EdgeLeft => &[1_500],
            Self::OriginStopped | Self::EdgeLinkStalled | Self::HomeLinkStalled => &HANGS,
            // A home that hangs holds all of its sessions up, whichever way they go.
            Self::EdgeStopped | Self::HomeStopped => &HANGS[..6],
            Self::EdgeLinkSlowed | Self::HomeLinkSlowed => &HANGS[3..6],
            Self::AllOriginsDown => &BLACKOUTS,
            Self::OriginKilled
            | Self::TwoOriginsKilled
            | Self::EdgeLinkCut
            | Self::HomeLinkCut
            | Self::EdgeKilled
            | Self::HomeKilled
            | Self::BrokerKilled => &ABSENCES,
        }
    }

    /// Milliseconds after it until what it hit counts as whole: connections are made again, after a silence by dialing
    /// that has to fail first, and clients have found their way back.
    pub(super) fn settles(self) -> u64 {
        match self {
            Self::EdgeLinkSlowed | Self::HomeLinkSlowed => 200,
            Self::OriginDrained | Self::EdgeLinkCut | Self::HomeLinkCut => 1_500,
            Self::OriginKilled | Self::TwoOriginsKilled | Self::AllOriginsDown => 2_000,
            Self::EdgeStopped => 2_500,
            Self::OriginStopped | Self::EdgeLinkStalled | Self::HomeLinkStalled => 4_000,
            Self::EdgeKilled | Self::EdgeLeft => 4_000,
            Self::HomeStopped | Self::HomeKilled | Self::BrokerKilled => 6_000,
        }
    }

    /// Whether nothing gets through meanwhile.
    pub(super) fn blocks(self) -> bool {
        !matches!(self, Self::EdgeLinkSlowed | Self::HomeLinkSlowed)
    }

    /// All that it could be done to.
    pub(super) fn targets(self) -> Vec<Vec<Thing>> {
        let each = |count: u8, thing: fn(u8) -> Thing| (1..=count).map(|nth| vec![thing(nth)]).collect();
        let links = |from: u8, to: u8, thing: fn(u8, u8) -> Thing| {
            (1..=from).flat_map(|one| (1..=to).map(move |other| vec![thing(one, other)])).collect()
        };
        match self {
            Self::OriginDrained | Self::OriginKilled | Self::OriginStopped => each(ORIGINS, Thing::Origin),
            Self::TwoOriginsKilled => (1..=ORIGINS)
                .flat_map(|one| (one + 1..=ORIGINS).map(move |other| vec![Thing::Origin(one), Thing::Origin(other)]))
                .collect(),
            Self::AllOriginsDown => vec![(1..=ORIGINS).map(Thing::Origin).collect()],
            Self::EdgeLinkCut | Self::EdgeLinkStalled | Self::EdgeLinkSlowed => links(EDGES, ORIGINS, Thing::EdgeLink),
            Self::HomeLinkCut | Self::HomeLinkStalled | Self::HomeLinkSlowed => links(ORIGINS, HOMES, Thing::HomeLink),
            Self::EdgeStopped => each(EDGES, Thing::Edge),
            Self::EdgeKilled => vec![vec![Thing::Edge(MORTAL_EDGE)]],
            Self::EdgeLeft => vec![vec![Thing::Edge(LEAVING_EDGE)]],
            Self::HomeStopped => each(HOMES, Thing::Home),
            Self::HomeKilled => vec![vec![Thing::Home(MORTAL_HOME)]],
            Self::BrokerKilled => vec![vec![Thing::Broker(HOME_OF_MORTAL_BROKER)]],
        }
    }
}

impl Thing {
    /// Whether what happens to one of them is felt by the other.
    pub(super) fn touches(self, other: Self) -> bool {
        let ends = |link: Self, end: Self| match link {
            Self::EdgeLink(edge, origin) => end == Self::Edge(edge) || end == Self::Origin(origin),
            Self::HomeLink(origin, home) => end == Self::Origin(origin) || end == Self::Home(home),
            Self::Broker(home) => end == Self::Home(home),
            Self::Edge(_) | Self::Origin(_) | Self::Home(_) => false,
        };
        self == other || ends(self, other) || ends(other, self)
    }

    /// Whether it is an origin or leads to one.
    pub(super) fn is_of_origins(self) -> bool {
        matches!(self, Self::Origin(_) | Self::EdgeLink(..) | Self::HomeLink(..))
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge(edge) => write!(f, "edge-{edge}"),
            Self::Origin(origin) => write!(f, "origin-{origin}"),
            Self::Home(home) => write!(f, "home-{home}"),
            Self::Broker(broker) => write!(f, "broker-{broker}"),
            Self::EdgeLink(edge, origin) => write!(f, "edge-{edge} to origin-{origin}"),
            Self::HomeLink(origin, home) => write!(f, "origin-{origin} to home-{home}"),
        }
    }
}

impl Fault {
    /// Milliseconds from the start until it is over.
    pub fn until(&self) -> u64 {
        self.at + self.lasting
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let things: Vec<_> = self.things.iter().map(ToString::to_string).collect();
        write!(f, "{}: {} for {} ms", self.class.words(), things.join(", "), self.lasting)
    }
}
