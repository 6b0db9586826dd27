//! The usual load in a tier, which must notice nothing, and how to tell that it didn't.

use baton_drill::{
    load::{Load, Plan, Tempo},
    tier::{Layout, Role, Tier},
};

#[path = "../support/tier.rs"]
mod tier;
#[path = "../support/wire.rs"]
pub(crate) mod wire;

pub(crate) use tier::{
    BATON, PATIENCE, carried, closed, connects, drain, edges_total, is_known, layout, moved, sessions, skip, start,
    tier, until,
};

/// Clients of the usual load, and messages a second of all together: a machine with two cores isn't full with it.
const CLIENTS: u32 = 160;
pub(crate) const RATE: u32 = 800;
/// Messages after which a load has been everywhere: four for each client.
const ENOUGH: u64 = 4 * CLIENTS as u64;

/// Makes a test of each of these stories before broker-sim, and another before mosquitto.
macro_rules! before_both_brokers {
    ($($story:ident)*) => {
        mod broker_sim {
            $(#[test] fn $story() { super::$story(baton_drill::tier::Broker::Sim) })*
        }
        mod mosquitto {
            $(#[test] fn $story() { super::$story(baton_drill::tier::Broker::Mosquitto) })*
        }
    };
}

/// A load that heeds wills: one that is published anywhere shows as a stray.
pub(crate) fn plan(tier: &Tier, name: &str) -> Plan {
    Plan { tempo: Tempo::Rate(RATE), wills: true, ..Plan::new(name, &tier.edges(), CLIENTS) }
}

/// A tier with the usual load in it.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) tier: Tier,
    pub(crate) load: Load,
}

impl Play {
    /// Starts everything, and waits until messages flow.
    pub(crate) fn begin(layout: Layout) -> Option<Self> {
        let tier = start(layout)?;
        let plan = plan(&tier, "load");
        Some(Self::begin_with(tier, plan))
    }

    /// As [`Self::begin`], in a tier that runs.
    pub(crate) fn begin_with(tier: Tier, plan: Plan) -> Self {
        let load = Load::start(plan).expect("a thread");
        load.ready(PATIENCE).unwrap_or_else(|late| panic!("{late}"));
        load.publish();
        let play = Self { tier, load };
        play.goes_on();
        play
    }

    /// Waits until as many new messages have come as make four for each client.
    pub(crate) fn goes_on(&self) {
        self.load.received(ENOUGH, PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    }

    /// Waits until so many sessions have moved in this way since the start, and messages flow again.
    pub(crate) fn recovers(&self, kind: &str, moves: f64) {
        assert!(moves > 0.0, "the fault hit nothing");
        until("the sessions move", || moved(&self.tier, kind) >= moves);
        self.goes_on();
    }

    /// Ends the load: no client was dropped, no message lost, doubled or out of order, and no broker has seen anything
    /// but the clients that connected at the start.
    pub(crate) fn ends_unnoticed(self) {
        let clients = self.load.plan().clients;
        until("every session has a tunnel", || sessions(&self.tier, "live") == f64::from(clients));
        assert_eq!(edges_total(&self.tier, "baton_client_closes_total", &[]), 0.0);
        assert_eq!(connects(&self.tier), f64::from(clients), "a client connected again");
        let report = self.load.finish(PATIENCE);
        assert!(report.verdict.is_clean(), "{report}");
        assert!(report.verdict.tallies.iter().all(|tally| tally.received > 0), "{report}");
        for broker in self.tier.names(Role::BrokerSim) {
            let samples = self.tier.metrics(&broker).expect("it answers");
            for never in ["baton_broker_wills_total", "baton_broker_takeovers_total", "baton_broker_dropped_total"] {
                assert_eq!(samples.value(never, &[]), Some(0.0), "{never}");
            }
        }
        assert_eq!(connects(&self.tier), f64::from(clients), "a client connected again");
    }
}
