//! The tier that things go wrong in: a proxy on every link, and how each fault is done and undone.

use std::{collections::BTreeMap, path::Path, time::Duration};

use super::{
    Failure,
    fault::{Class, EDGES, Fault, HOMES, LEAVING_EDGE, ORIGINS, Thing},
};
use crate::{
    proxy::{Mode, Proxy},
    tier::{Broker, Layout, Role, Samples, Tier},
};

/// Time for the slowest step: a process that ends, or one that starts.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a slow link adds, each way.
const SLOW: Duration = Duration::from_millis(80);
/// The exit code of a process that has closed clients that stayed.
const SESSIONS_LEFT: i32 = 3;

/// Why an edge that isn't killed may have to close a client of a home or broker that was, or refuse it.
const CAUSES: [&str; 4] = ["gone", "broker_left", "broker_reset", "unavailable"];

/// How long a session lives without a tunnel: several times the longest that the schedule has for it. As what a dead
/// edge has left behind is held for that long, the end of a run waits for it.
pub(super) const GRACE: Duration = Duration::from_secs(20);

pub(super) struct Scene {
    pub(super) tier: Tier,
    links: BTreeMap<Thing, Proxy>,
}

impl Scene {
    /// Starts all processes, each connected with the next through a proxy.
    pub(super) fn start(binary: &Path) -> Result<Self, Failure> {
        let homes = u16::from(HOMES);
        let layout = Layout {
            edges: EDGES.into(),
            origins: ORIGINS.into(),
            homes,
            brokers: homes,
            broker: Broker::SimApart,
            ..Layout::new(binary)
        };
        let grace = format!("{}s", GRACE.as_secs());
        let layout = layout
            .set(Role::Edge, "edge.user_id", "username")
            .set(Role::Edge, "drain.deadline", "1s")
            .set(Role::Origin, "drain.spread", "500ms")
            .set(Role::Origin, "drain.deadline", "5s")
            .set(Role::Sidecar, "anchor.grace", &grace);
        let mut scene = Self { tier: Tier::new(layout)?, links: BTreeMap::new() };
        for edge in 1..=EDGES {
            let proxies = scene.tier.proxies_to_origins(&Thing::Edge(edge).to_string())?;
            scene.links.extend((1..).zip(proxies).map(|(origin, proxy)| (Thing::EdgeLink(edge, origin), proxy)));
        }
        for origin in 1..=ORIGINS {
            for home in 1..=HOMES {
                let (from, to) = (Thing::Origin(origin).to_string(), Thing::Home(home).to_string());
                scene.links.insert(Thing::HomeLink(origin, home), scene.tier.proxy_to_home(&from, &to)?);
            }
        }
        scene.tier.start_all()?;
        for home in 1..=HOMES {
            let up = |samples: &Samples| samples.total("baton_broker_up", &[]) == 1.0;
            scene.tier.until(&Thing::Home(home).to_string(), PATIENCE, "its broker is up", up)?;
        }
        Ok(scene)
    }

    /// Does it. Returns how much it hits: tunnels of an origin, sessions of an edge or a home, connections of a link.
    pub(super) fn begin(&mut self, fault: &Fault) -> Result<f64, Failure> {
        let mut hit = 0.0;
        for thing in &fault.things {
            hit += self.carried(*thing)?;
        }
        for thing in &fault.things {
            self.strike(fault.class, *thing)?;
        }
        Ok(hit)
    }

    fn strike(&mut self, class: Class, thing: Thing) -> Result<(), Failure> {
        let node = thing.to_string();
        match class {
            Class::OriginDrained | Class::EdgeLeft => self.tier.terminate(&node)?,
            Class::OriginStopped | Class::EdgeStopped | Class::HomeStopped => self.tier.stop(&node)?,
            Class::OriginKilled
            | Class::TwoOriginsKilled
            | Class::AllOriginsDown
            | Class::EdgeKilled
            | Class::HomeKilled
            | Class::BrokerKilled => self.tier.kill(&node)?,
            Class::EdgeLinkCut | Class::HomeLinkCut => self.proxy(thing).set(Mode::Cut)?,
            Class::EdgeLinkStalled | Class::HomeLinkStalled => self.proxy(thing).set(Mode::Stall)?,
            Class::EdgeLinkSlowed | Class::HomeLinkSlowed => self.proxy(thing).delay(SLOW, SLOW),
        }
        Ok(())
    }

    /// Ends it: what is away comes back, without waiting for it to be ready. Returns what wasn't as it must be.
    pub(super) fn end(&mut self, fault: &Fault, hit: f64) -> Result<Option<String>, Failure> {
        let mut wrong = None;
        for thing in &fault.things {
            let node = thing.to_string();
            match fault.class {
                Class::OriginDrained | Class::EdgeLeft => {
                    let code = self.tier.exit(&node, PATIENCE)?.code();
                    // An origin may have to cut off what a fault elsewhere keeps from moving.
                    let right = match fault.class {
                        // Others may have come since they were counted.
                        Class::EdgeLeft => code == Some(SESSIONS_LEFT) || hit == 0.0 && code == Some(0),
                        _ => code == Some(0) || code == Some(SESSIONS_LEFT),
                    };
                    wrong = (!right).then(|| format!("{node} with {hit} tunnels or sessions ended with {code:?}"));
                    self.tier.start(&node)?;
                }
                Class::OriginStopped | Class::EdgeStopped | Class::HomeStopped => self.tier.cont(&node)?,
                Class::OriginKilled
                | Class::TwoOriginsKilled
                | Class::AllOriginsDown
                | Class::EdgeKilled
                | Class::HomeKilled
                | Class::BrokerKilled => self.tier.start(&node)?,
                Class::EdgeLinkCut | Class::HomeLinkCut | Class::EdgeLinkStalled | Class::HomeLinkStalled => {
                    self.proxy(*thing).set(Mode::Pass)?;
                }
                Class::EdgeLinkSlowed | Class::HomeLinkSlowed => {
                    self.proxy(*thing).delay(Duration::ZERO, Duration::ZERO);
                }
            }
        }
        Ok(wrong)
    }

    fn carried(&mut self, thing: Thing) -> Result<f64, Failure> {
        let (node, metric) = match thing {
            Thing::EdgeLink(..) | Thing::HomeLink(..) => return Ok(self.proxy(thing).hits().open as f64),
            Thing::Origin(_) => (thing, "baton_tunnels"),
            Thing::Edge(_) | Thing::Home(_) => (thing, "baton_sessions"),
            Thing::Broker(home) => (Thing::Home(home), "baton_sessions"),
        };
        // It may have been started a moment ago.
        let samples = self.tier.until(&node.to_string(), PATIENCE, "an answer", |_| true)?;
        Ok(samples.total(metric, &[]))
    }

    fn proxy(&self, link: Thing) -> &Proxy {
        self.links.get(&link).expect("there is one on every link")
    }

    /// What edges say of why they closed clients, where that isn't what was done to them. `left` is how many at least
    /// were at an edge that was told to end.
    pub(super) fn strange_causes(&self, left: f64) -> Result<Vec<String>, Failure> {
        let mut strange = Vec::new();
        for edge in super::cohort::LASTING_EDGES {
            let samples = self.tier.metrics(&Thing::Edge(edge).to_string())?;
            let closes = |labels: &[(&str, &str)]| samples.total("baton_client_closes_total", labels);
            let known: f64 = CAUSES.iter().map(|cause| closes(&[("cause", cause)])).sum();
            if closes(&[]) != known {
                strange.push(format!("edge-{edge} closed {} clients, {known} of them for {CAUSES:?}", closes(&[])));
            }
        }
        let shut = self.tier.log_count(&Thing::Edge(LEAVING_EDGE).to_string(), "cause=shutdown")? as f64;
        if shut < left {
            strange.push(format!(
                "edge-{LEAVING_EDGE} closed {shut} clients because it ended, and at least {left} were there"
            ));
        }
        Ok(strange)
    }

    /// The sum of a number over edges that are never killed.
    pub(super) fn at_lasting_edges(&self, metric: &str, labels: &[(&str, &str)]) -> Result<f64, Failure> {
        let mut sum = 0.0;
        for edge in super::cohort::LASTING_EDGES {
            sum += self.tier.metrics(&Thing::Edge(edge).to_string())?.total(metric, labels);
        }
        Ok(sum)
    }
}
