//! What a worker is given besides its configuration, listeners and dialer.

use rand::{SeedableRng, rngs::SmallRng};

use crate::{
    clock::Clock,
    config::Shared,
    health::{Health, Ready},
    metrics::Metrics,
    phase::Phases,
    role::Role,
    secrets::Secrets,
};

/// A worker's surroundings: the process around it, or what a simulator puts in its place.
#[derive(Debug)]
pub struct Env {
    /// What the process is.
    pub role: Role,
    /// The sections of the configuration that all roles have.
    pub shared: Shared,
    /// Its numbers.
    pub metrics: Metrics,
    /// Its life. The worker enters `Serving` itself, and returns some time after `Draining` was entered.
    pub phases: Phases,
    /// Whether the worker wants work.
    pub ready: Ready,
    /// Time.
    pub clock: Clock,
    /// Chance, for jitter and choices that needn't be secret.
    pub chance: SmallRng,
    /// Chance that must be.
    pub secrets: Secrets,
}

impl Env {
    /// The surroundings of a worker in this process; to be called on its runtime.
    pub fn new(role: Role, shared: Shared) -> Self {
        let mut secrets = Secrets::of_the_kernel();
        let seed = secrets.number();
        Self::with(role, shared, seed, secrets)
    }

    /// Surroundings that are the same in every run with the same seed; to be called on the worker's runtime.
    pub fn simulated(role: Role, shared: Shared, seed: u64) -> Self {
        Self::with(role, shared, seed, Secrets::of_a_seed(seed))
    }

    fn with(role: Role, shared: Shared, seed: u64, secrets: Secrets) -> Self {
        Self {
            role,
            shared,
            metrics: Metrics::new(role.word()),
            phases: Phases::new(),
            ready: Ready::new(),
            clock: Clock::start(),
            chance: SmallRng::seed_from_u64(seed),
            secrets,
        }
    }

    /// What the admin address answers from.
    pub(crate) fn health(&self) -> Health {
        Health::new(&self.phases, &self.ready, self.clock)
    }
}
