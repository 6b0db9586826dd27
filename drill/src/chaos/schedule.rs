//! What goes wrong, and when: a function of a seed and nothing else.
//!
//! Each time it is the turn of the class that was chosen least often; if nothing of that class can be hit now, another
//! one goes first. Of the things that it can hit, it is the one that was left alone for longest. Two rules:
//!
//! - What is hit is whole before: no process that is down, no link to one.
//! - A way is left: each edge reaches each home through some origin that nothing is wrong with, but for
//!   [`Class::AllOriginsDown`].

use std::{collections::BTreeMap, fmt};

use crate::bytes::noise::word;

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
const HANGS: [u64; 7] = [200, 400, 800, 1_600, 3_200, 5_000, 8_000];
/// Milliseconds for which something may be away.
const ABSENCES: [u64; 4] = [200, 500, 1_000, 2_000];
/// Milliseconds for which all origins may be away: well below the grace time.
const BLACKOUTS: [u64; 5] = [1_000, 2_000, 3_000, 4_000, 5_000];
/// Milliseconds by which a fault that can't come yet is put off.
const STEP: u64 = 100;

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
    fn lasts(self) -> &'static [u64] {
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
    fn blocks(self) -> bool {
        !matches!(self, Self::EdgeLinkSlowed | Self::HomeLinkSlowed)
    }

    /// All that it could be done to.
    fn targets(self) -> Vec<Vec<Thing>> {
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
    fn touches(self, other: Self) -> bool {
        let ends = |link: Self, end: Self| match link {
            Self::EdgeLink(edge, origin) => end == Self::Edge(edge) || end == Self::Origin(origin),
            Self::HomeLink(origin, home) => end == Self::Origin(origin) || end == Self::Home(home),
            Self::Broker(home) => end == Self::Home(home),
            Self::Edge(_) | Self::Origin(_) | Self::Home(_) => false,
        };
        self == other || ends(self, other) || ends(other, self)
    }

    /// Whether it is an origin or leads to one.
    fn is_of_origins(self) -> bool {
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

/// So many faults, in order, at least `every` milliseconds from each to the next.
pub fn schedule(seed: u64, faults: usize, every: u64) -> Vec<Fault> {
    let mut making = Making { seed, drawn: 0, now: 0, made: Vec::new(), last: BTreeMap::new() };
    while making.made.len() < faults {
        match making.next() {
            Some(fault) => {
                making.last.extend(fault.things.iter().map(|thing| (*thing, fault.at)));
                making.made.push(fault);
                making.now += every;
            }
            None => making.now += STEP,
        }
    }
    making.made
}

struct Making {
    seed: u64,
    drawn: u64,
    now: u64,
    made: Vec<Fault>,
    /// When each thing was hit last.
    last: BTreeMap<Thing, u64>,
}

impl Making {
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        word(self.seed, self.drawn)
    }

    fn next(&mut self) -> Option<Fault> {
        let mut classes: Vec<_> = Class::ALL.map(|class| (self.count(class), self.draw(), class)).into();
        classes.sort_unstable();
        let due = classes.first().map(|(_, _, class)| *class)?;
        classes.into_iter().find_map(|(_, _, class)| self.fault(class, due))
    }

    fn count(&self, class: Class) -> usize {
        self.made.iter().filter(|fault| fault.class == class).count()
    }

    /// One of this class now, if that doesn't put off the class whose turn it is.
    fn fault(&mut self, class: Class, due: Class) -> Option<Fault> {
        // It needs all origins, and would wait for ever.
        let waits = due == Class::AllOriginsDown && class != due;
        let mut targets = class.targets();
        targets.retain(|things| {
            let in_the_way = waits && things.iter().any(|thing| thing.is_of_origins());
            !in_the_way && self.is_whole(things) && (class == Class::AllOriginsDown || self.leaves_a_way(class, things))
        });
        let left_alone = |things: &Vec<Thing>| things.iter().filter_map(|thing| self.last.get(thing).copied()).max();
        let mut ranked: Vec<_> = targets.into_iter().map(|things| (left_alone(&things), things)).collect();
        let longest = ranked.iter().map(|(last, _)| *last).min()?;
        ranked.retain(|(last, _)| *last == longest);
        let (_, things) = ranked.swap_remove(pick(self.draw(), ranked.len()));
        let lasts = class.lasts();
        Some(Fault { at: self.now, class, things, lasting: lasts[pick(self.draw(), lasts.len())] })
    }

    /// What goes wrong now, or has consequences still.
    fn current(&self) -> impl Iterator<Item = &Fault> {
        // The longest there is; so only the last few are looked at.
        let span = HANGS[HANGS.len() - 1] + Class::HomeKilled.settles();
        let recent = self.made.iter().rev().take_while(move |fault| fault.at + span > self.now);
        recent.filter(|fault| fault.until() + fault.class.settles() > self.now)
    }

    fn is_whole(&self, things: &[Thing]) -> bool {
        let hit = |thing: Thing| self.current().any(|fault| fault.things.iter().any(|other| thing.touches(*other)));
        !things.iter().any(|thing| hit(*thing))
    }

    fn leaves_a_way(&self, class: Class, things: &[Thing]) -> bool {
        if !class.blocks() || !things.iter().any(|thing| thing.is_of_origins()) {
            return true;
        }
        let blocking = self.current().filter(|fault| fault.class.blocks()).flat_map(|fault| &fault.things);
        each_has_a_way(&blocking.chain(things).copied().collect::<Vec<_>>())
    }
}

/// Whether each edge reaches each home with these in its way.
fn each_has_a_way(blocked: &[Thing]) -> bool {
    let passes = |edge, origin, home| {
        let way = [Thing::EdgeLink(edge, origin), Thing::Origin(origin), Thing::HomeLink(origin, home)];
        !way.iter().any(|thing| blocked.contains(thing))
    };
    let mut pairs = (1..=EDGES).flat_map(|edge| (1..=HOMES).map(move |home| (edge, home)));
    pairs.all(|(edge, home)| (1..=ORIGINS).any(|origin| passes(edge, origin, home)))
}

/// An index below `len`, which isn't 0.
fn pick(drawn: u64, len: usize) -> usize {
    usize::try_from(drawn % len as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_schedule() {
        assert_eq!(schedule(7, 200, 1_000), schedule(7, 200, 1_000));
        assert_ne!(schedule(7, 200, 1_000), schedule(8, 200, 1_000));
        assert_eq!(schedule(7, 200, 1_000)[..50], schedule(7, 50, 1_000));
    }

    #[test]
    fn ten_minutes_have_each_class_at_the_asked_rate() {
        for seed in 0..20 {
            let faults = schedule(seed, 600, 1_000);
            let last = faults.last().unwrap().at;
            assert!(last <= 610_000, "seed {seed}: the last at {last} ms");
            for class in Class::ALL {
                let count = faults.iter().filter(|fault| fault.class == class).count();
                assert!(count >= 24, "seed {seed}: {count} of {class:?}");
            }
        }
    }

    #[test]
    fn a_way_is_left_and_what_is_hit_is_whole() {
        for seed in 0..20 {
            let faults = schedule(seed, 300, 500);
            let mut at_once = 0;
            for (nth, fault) in faults.iter().enumerate() {
                let goes_on = |earlier: &&Fault| earlier.until() + earlier.class.settles() > fault.at;
                let current: Vec<_> = faults[..nth].iter().filter(goes_on).collect();
                at_once = at_once.max(current.len() + 1);
                for other in &current {
                    let touch = fault.things.iter().any(|thing| other.things.iter().any(|o| thing.touches(*o)));
                    assert!(!touch, "seed {seed}: {fault} while {other}");
                }
                let now: Vec<_> = current.into_iter().chain([fault]).filter(|fault| fault.class.blocks()).collect();
                let things: Vec<_> = now.iter().flat_map(|fault| &fault.things).copied().collect();
                let dark = now.iter().any(|fault| fault.class == Class::AllOriginsDown);
                assert!(dark || each_has_a_way(&things), "seed {seed}: {fault}");
            }
            assert!(at_once >= 6, "seed {seed}: {at_once}");
        }
    }

    #[test]
    fn a_way_is_one_origin_with_both_links() {
        let all_but_one = [Thing::Origin(1), Thing::Origin(2), Thing::Origin(3)];
        assert!(each_has_a_way(&all_but_one));
        for last in [Thing::Origin(4), Thing::EdgeLink(2, 4), Thing::HomeLink(4, 1)] {
            assert!(!each_has_a_way(&[&all_but_one[..], &[last]].concat()), "{last}");
        }
        assert!(each_has_a_way(&[Thing::EdgeLink(1, 1), Thing::HomeLink(2, 1), Thing::Edge(1), Thing::Home(1)]));
    }
}
