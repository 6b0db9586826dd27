//! The role: listen, serve, drain.

use std::{cell::Cell, io, pin::pin, rc::Rc};

use baton_link::{Worker, budget::Budget};
use baton_process::{
    env::Env,
    metrics::{Gauge, Metrics},
    net::{Dial, Listen},
    offenders::Offenders,
    phase::{Phase, Phases},
    run::Exit,
};
use baton_protocol::{id::NodeName, ring::Ring};
use tracing::info;

use crate::{
    config::{Config, HomeDown},
    drain::drain,
    edges::{self, Edges},
    homes::Homes,
};

/// One origin; shared by the tasks of its trunks and tunnels, which are all on one worker.
pub(crate) struct Origin {
    pub(crate) name: NodeName,
    /// Which process this is: the name, and a number that is different after each start.
    pub(crate) instance: String,
    pub(crate) ring: Ring,
    pub(crate) home_down: HomeDown,
    pub(crate) homes: Rc<Homes>,
    pub(crate) edges: Edges,
    pub(crate) budget: Rc<Budget>,
    pub(crate) offenders: Offenders,
    pub(crate) metrics: Metrics,
    pub(crate) phases: Phases,
    pub(crate) worker: Rc<Worker>,
    sessions: usize,
    sessions_used: Gauge,
    carried: Cell<usize>,
    tunnels: Cell<usize>,
    tunnels_shown: Gauge,
}

impl Origin {
    /// Whether new attaches are to be refused for now.
    pub(crate) fn is_full(&self) -> bool {
        self.carried.get() >= self.sessions || self.budget.is_short()
    }

    /// Tunnels that carry a session.
    pub(crate) fn tunnels(&self) -> usize {
        self.tunnels.get()
    }

    /// So many more attaches or tunnels are carried.
    pub(crate) fn carries(&self, more: i8) {
        self.carried.set(self.carried.get().saturating_add_signed(more.into()));
        self.sessions_used.inc_by(more.into());
    }

    pub(crate) fn tunnel_began(&self) {
        self.tunnels.set(self.tunnels.get() + 1);
        self.tunnels_shown.inc();
    }

    pub(crate) fn tunnel_ended(&self) {
        self.tunnels.set(self.tunnels.get() - 1);
        self.tunnels_shown.dec();
    }
}

/// Serves until the process drains and the edges have left, or have been cut off.
///
/// # Errors
/// The listener is beyond repair.
pub async fn run<L: Listen, D: Dial>(config: Config, mut env: Env, listener: L, dial: D) -> io::Result<Exit> {
    let (metrics, limits) = (env.metrics.clone(), &env.shared.limits);
    let budget = Budget::new(limits.buffered_bytes, "splice", &metrics);
    let worker = Worker::start(env.clock, Rc::clone(&budget));
    let digest = format!("{:016x}", config.ring.digest());
    metrics.ring_digest(&digest);
    let instance = format!("{}/{:016x}", config.name, env.secrets.number());
    info!(event = "origin.start", origin = %config.name, instance, homes = config.homes.len(), ring = digest);
    let homes = Homes::keep(config.homes, &dial, &worker, &metrics, &env.ready, &mut env.chance);
    let origin = Rc::new(Origin {
        name: config.name,
        instance,
        ring: config.ring,
        home_down: config.home_down,
        homes,
        edges: Edges::default(),
        budget,
        offenders: Offenders::default(),
        phases: env.phases.clone(),
        worker,
        sessions: limits.sessions,
        sessions_used: metrics.limit("sessions", limits.sessions as u64),
        carried: Cell::new(0),
        tunnels: Cell::new(0),
        tunnels_shown: metrics.tunnels().clone(),
        metrics,
    });
    env.phases.enter(Phase::Serving);
    {
        // The listener ends with this block: from then on, connections go to a successor, or nowhere.
        let mut serve = pin!(edges::serve(Rc::clone(&origin), listener));
        tokio::select! {
            biased;
            () = env.phases.wait_for(Phase::Draining) => {}
            error = &mut serve => return Err(error),
        }
    }
    env.ready.clear("draining");
    Ok(drain(&origin, env.shared.drain).await)
}
