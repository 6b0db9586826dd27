//! The users: groups of counted clients, by what may happen to them.

use std::time::Duration;

use baton_protocol::{
    id::{NodeName, UserId},
    ring::{Ring, VNODES},
};

use super::{
    Failure,
    fault::{Class, HOME_OF_MORTAL_BROKER, HOMES, LEAVING_EDGE, MORTAL_EDGE, MORTAL_HOME, Thing},
};
use crate::{
    load::{Load, Plan, Shape, Tempo},
    tier::Tier,
};

/// Edges that hang at most.
pub(super) const LASTING_EDGES: [u8; 2] = [1, 2];
/// The home that hangs at most, as its broker.
const LASTING_HOME: u8 = 1;
/// Clients that must hold.
const SHELTERED: u32 = 40;
/// Clients of each group that is cut off now and then.
const EXPOSED: u32 = 12;
/// Messages a second of each client: enough for a gap of half a second to show, little enough for a machine on which the
/// tier, its links and its users share two processors.
const PACE: u32 = 5;
/// How long a client that was cut off waits before it connects again.
pub(super) const RETURN: Duration = Duration::from_millis(100);
/// User names that are tried until the ring puts one where it is to be: each third one will do.
const NAMES: u32 = 1_000;

/// A group.
#[derive(Clone, Debug)]
pub(super) struct Cohort {
    pub(super) name: &'static str,
    pub(super) edges: &'static [u8],
    pub(super) home: u8,
    pub(super) clients: u32,
    /// What may cost its clients their connection: this, done to that.
    pub(super) ends_by: Option<(Class, Thing)>,
}

pub(super) const COHORTS: [Cohort; 5] = [
    Cohort { name: "sheltered", edges: &LASTING_EDGES, home: LASTING_HOME, clients: SHELTERED, ends_by: None },
    Cohort {
        name: "edge-killed",
        edges: &[MORTAL_EDGE],
        home: LASTING_HOME,
        clients: EXPOSED,
        ends_by: Some((Class::EdgeKilled, Thing::Edge(MORTAL_EDGE))),
    },
    Cohort {
        name: "edge-left",
        edges: &[LEAVING_EDGE],
        home: LASTING_HOME,
        clients: EXPOSED,
        ends_by: Some((Class::EdgeLeft, Thing::Edge(LEAVING_EDGE))),
    },
    Cohort {
        name: "home-killed",
        edges: &LASTING_EDGES,
        home: MORTAL_HOME,
        clients: EXPOSED,
        ends_by: Some((Class::HomeKilled, Thing::Home(MORTAL_HOME))),
    },
    Cohort {
        name: "broker-killed",
        edges: &LASTING_EDGES,
        home: HOME_OF_MORTAL_BROKER,
        clients: EXPOSED,
        ends_by: Some((Class::BrokerKilled, Thing::Broker(HOME_OF_MORTAL_BROKER))),
    },
];

impl Cohort {
    /// Connects its clients. Those that must hold publish to each other in pairs, across both edges; the others each to
    /// itself, so that nobody's loss is somebody else's.
    pub(super) fn start(&self, tier: &Tier) -> Result<Load, Failure> {
        let address = |edge: &u8| tier.address(&Thing::Edge(*edge).to_string());
        let addresses = self.edges.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let plan = Plan {
            tempo: Tempo::Rate(self.clients * PACE),
            username: Some(user_of(self.home)),
            ..Plan::new(self.name, &addresses, self.clients)
        };
        let plan = match self.ends_by {
            None => Plan { wills: true, ..plan },
            Some(_) => Plan { shape: Shape::Selves, returning: Some(RETURN), reborn: true, ..plan },
        };
        Ok(Load::start(plan)?)
    }

    /// Whether its messages may come by there.
    pub(super) fn passes(&self, thing: Thing) -> bool {
        match thing {
            Thing::Origin(_) => true,
            Thing::Edge(edge) | Thing::EdgeLink(edge, _) => self.edges.contains(&edge),
            Thing::Home(home) | Thing::HomeLink(_, home) | Thing::Broker(home) => self.home == home,
        }
    }
}

/// A user whom the ring puts at this home.
fn user_of(home: u8) -> String {
    let name = |home| NodeName::new(&Thing::Home(home).to_string()).expect("short, of letters and digits");
    let members: Vec<_> = (1..=HOMES).map(|home| (name(home), 1)).collect();
    let ring = Ring::new(&members, VNODES, 0).expect("few homes of weight 1 with names of their own");
    let mut names = (0..NAMES).map(|nth| format!("user-{nth}"));
    names.find(|user| *ring.home(&UserId::new(user)) == name(home)).expect("each home has a share of the users")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_home_has_its_user() {
        let users: std::collections::BTreeSet<_> = (1..=HOMES).map(user_of).collect();
        assert_eq!(users.len(), usize::from(HOMES));
    }
}
