//! What a process tells of itself in numbers: one `Metrics` per process, every family there from the start.
//!
//! Label values come from closed sets (`'static` words, names out of the configuration); no user, client or session is
//! ever one.

mod labels;
mod tasks;
mod words;

use std::{
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicI64},
};

use baton_protocol::{
    error::CloseCause,
    limits::Millis,
    session::edge::{MoveReason, Moved},
};
use prometheus_client::{
    encoding::text,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Metric, Registry},
};

pub use self::words::{AttachKind, MoveKind, SessionState};
use self::{
    labels::{
        AttachLabels, CauseLabels, DigestLabels, MoveLabels, NameLabels, PlaceLabels, ReasonLabels, RoleLabels,
        SessionLabels, WhatLabels,
    },
    tasks::Tasks,
};

/// A number that goes up and down.
pub type Gauge = prometheus_client::metrics::gauge::Gauge<i64, AtomicI64>;

/// The process's numbers. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    families: Arc<Families>,
}

struct Families {
    // Taken to register a family and to encode, never on the way of a byte.
    registry: Mutex<Registry>,
    sessions: [Gauge; SessionState::ALL.len()],
    tunnels: Gauge,
    opens_accepted: Counter,
    resumes_accepted: Counter,
    attaches: Family<AttachLabels, Counter>,
    moves: Family<MoveLabels, Counter>,
    move_seconds: Histogram,
    detached_seconds: Histogram,
    client_closes: [Counter; CloseCause::ALL.len()],
    buffered_bytes: Family<PlaceLabels, Gauge>,
    limit: Family<NameLabels, Gauge>,
    limit_used: Family<NameLabels, Gauge>,
    ring_digest: Family<DigestLabels, Gauge>,
    link_closes: Family<ReasonLabels, Counter>,
    refused_input: Family<WhatLabels, Counter>,
    accept_failures: Counter,
}

/// Bounds of the duration histograms, in seconds: 1 ms, doubled, up to 65 s, which is just over the grace time.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

fn as_seconds(millis: Millis) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

impl Metrics {
    /// The families, for a process of this role (its word on the command line).
    pub fn new(role: &'static str) -> Self {
        let mut registry = Registry::with_prefix("baton");
        let sessions = family(&mut registry, "sessions", "Sessions by state");
        let tunnels = family(&mut registry, "tunnels", "Tunnels that carry a session");
        let attaches = family(&mut registry, "attaches", "Attaches by what became of them");
        let moves = family(&mut registry, "moves", "Sessions that changed their tunnel");
        let move_seconds = seconds();
        registry.register("move_seconds", "From the need for another tunnel to its acceptance", move_seconds.clone());
        let detached_seconds = seconds();
        registry.register("detached_seconds", "Time that sessions had no tunnel", detached_seconds.clone());
        let client_closes = family(&mut registry, "client_closes", "Client connections closed, by cause");
        let buffered_bytes = family(&mut registry, "buffered_bytes", "Payload bytes held, by where");
        let limit = family(&mut registry, "limit", "Limits, each in its own unit");
        let limit_used = family(&mut registry, "limit_used", "What counts against a limit now");
        let ring_digest = family(&mut registry, "ring_digest_info", "The ring in use; equal on origins that agree");
        registry.register("build", "The program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        let link_closes = family(&mut registry, "link_closes", "Connections between tiers that ended, by reason");
        let refused_input =
            family(&mut registry, "refused_input", "Input that was no protocol of ours, by what it hit");
        let accept_failures = Counter::default();
        registry.register("accept_failures", "Accepts that failed for want of a resource", accept_failures.clone());

        let attach = |kind| AttachLabels { kind, outcome: ACCEPTED };
        let metrics = Families {
            sessions: SessionState::ALL.map(|state| handle(&sessions, SessionLabels { role, state: state.word() })),
            tunnels: handle(&tunnels, RoleLabels { role }),
            opens_accepted: handle(&attaches, attach(AttachKind::Open.word())),
            resumes_accepted: handle(&attaches, attach(AttachKind::Resume.word())),
            attaches,
            moves,
            move_seconds,
            detached_seconds,
            client_closes: CloseCause::ALL.map(|cause| handle(&client_closes, CauseLabels { cause: cause.word() })),
            buffered_bytes,
            limit,
            limit_used,
            ring_digest,
            link_closes,
            refused_input,
            accept_failures,
            registry: Mutex::new(registry),
        };
        // A rate over a series that first appears with its first event misses that event.
        for kind in MoveKind::ALL {
            for reason in [MoveReason::Solicited, MoveReason::BlackHole, MoveReason::Lost] {
                handle(&metrics.moves, move_labels(kind, reason, ACCEPTED));
            }
        }
        Self { families: Arc::new(metrics) }
    }

    /// A session half goes from one state to another: `None` before its first and after its last.
    pub fn session(&self, from: Option<SessionState>, to: Option<SessionState>) {
        if let Some(from) = from {
            self.families.sessions[from as usize].dec();
        }
        if let Some(to) = to {
            self.families.sessions[to as usize].inc();
        }
    }

    /// Tunnels of this process, to count up and down.
    pub fn tunnels(&self) -> &Gauge {
        &self.families.tunnels
    }

    /// An attach was accepted.
    pub fn attach_accepted(&self, kind: AttachKind) {
        match kind {
            AttachKind::Open => self.families.opens_accepted.inc(),
            AttachKind::Resume => self.families.resumes_accepted.inc(),
        };
    }

    /// An attach was refused with this word, or ended as `outcome` says ("timeout", "lost", ...).
    pub fn attach_failed(&self, kind: AttachKind, outcome: &'static str) {
        self.families.attaches.get_or_create(&AttachLabels { kind: kind.word(), outcome }).inc();
    }

    /// A session has changed its tunnel, `took` after the need for it arose.
    pub fn moved(&self, moved: Moved, took: Millis) {
        self.families.moves.get_or_create(&move_labels(MoveKind::of(moved), moved.reason, ACCEPTED)).inc();
        self.families.move_seconds.observe(as_seconds(took));
    }

    /// A try to change a session's tunnel failed as `outcome` says; the session goes on.
    pub fn move_failed(&self, kind: MoveKind, reason: MoveReason, outcome: &'static str) {
        self.families.moves.get_or_create(&move_labels(kind, reason, outcome)).inc();
    }

    /// A session has a tunnel again, after `took` without one.
    pub fn reattached(&self, took: Millis) {
        self.families.detached_seconds.observe(as_seconds(took));
    }

    /// A client's connection was closed, or, at an anchor, a session ended.
    pub fn client_closed(&self, cause: CloseCause) {
        self.families.client_closes[cause as usize].inc();
    }

    /// How often clients were closed for this cause so far.
    pub fn client_closes(&self, cause: CloseCause) -> u64 {
        self.families.client_closes[cause as usize].get()
    }

    /// Payload bytes held in one place. Keep the handle: finding it takes a lock and a hash.
    pub fn buffered_bytes(&self, place: &'static str) -> Gauge {
        handle(&self.families.buffered_bytes, PlaceLabels { r#where: place })
    }

    /// Announces a limit, and gives what counts against it. Keep the handle: finding it takes a lock and a hash.
    pub fn limit(&self, name: &'static str, bound: u64) -> Gauge {
        handle(&self.families.limit, NameLabels { name }).set(i64::try_from(bound).unwrap_or(i64::MAX));
        handle(&self.families.limit_used, NameLabels { name })
    }

    /// The ring now in use, by its digest.
    pub fn ring_digest(&self, digest: &str) {
        self.families.ring_digest.clear();
        handle(&self.families.ring_digest, DigestLabels { digest: digest.into() }).set(1);
    }

    /// A connection between tiers ended.
    pub fn link_closed(&self, reason: &'static str) {
        self.families.link_closes.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Input was refused that is no protocol of ours.
    pub fn refused_input(&self, what: &'static str) {
        self.families.refused_input.get_or_create(&WhatLabels { what }).inc();
    }

    /// A listener failed to take a connection.
    pub(crate) fn accept_failed(&self) {
        self.families.accept_failures.inc();
    }

    /// Adds a family of the role's own. `name` goes without the prefix `baton_`, and without `_total` for counters.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry().register(name, help, metric);
    }

    /// Counts the tasks of the runtime that this is called on, at each scrape.
    pub(crate) fn count_tasks(&self) {
        self.registry().register_collector(Box::new(Tasks::here()));
    }

    /// Everything in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry()).expect("a String takes whatever is written to it");
        text
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.families.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

/// The outcome of an attach or a move that came about.
const ACCEPTED: &str = "accepted";

fn move_labels(kind: MoveKind, reason: MoveReason, outcome: &'static str) -> MoveLabels {
    MoveLabels { kind: kind.word(), reason: reason.word(), outcome }
}

fn family<L, M>(registry: &mut Registry, name: &str, help: &str) -> Family<L, M>
where
    Family<L, M>: Metric + Clone + Default,
{
    let family = Family::default();
    registry.register(name, help, Family::clone(&family));
    family
}

fn handle<L: Clone + Eq + Hash, M: Clone + Default>(family: &Family<L, M>, labels: L) -> M {
    family.get_or_create_owned(&labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_and_both_kinds_of_moves_are_there_from_the_start() {
        let text = Metrics::new("edge").encode();
        for cause in CloseCause::ALL {
            assert!(text.contains(&format!("baton_client_closes_total{{cause=\"{cause}\"}} 0")), "{text}");
        }
        for line in [
            "baton_moves_total{kind=\"broken\",reason=\"lost\",outcome=\"accepted\"} 0",
            "baton_moves_total{kind=\"planned\",reason=\"solicited\",outcome=\"accepted\"} 0",
            "baton_sessions{role=\"edge\",state=\"live\"} 0",
            "baton_build_info{version=\"",
            "baton_tunnels{role=\"edge\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn each_cause_and_state_counts_in_its_own_series() {
        let metrics = Metrics::new("edge");
        for (index, cause) in CloseCause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index);
            metrics.client_closed(cause);
            assert_eq!(metrics.client_closes(cause), 1);
        }
        for (index, state) in SessionState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, index);
            assert_eq!(SessionState::of(state.word()), Some(state));
        }
        metrics.session(None, Some(SessionState::Opening));
        metrics.session(Some(SessionState::Opening), Some(SessionState::Live));
        let text = metrics.encode();
        assert!(text.contains("baton_sessions{role=\"edge\",state=\"opening\"} 0"), "{text}");
        assert!(text.contains("baton_sessions{role=\"edge\",state=\"live\"} 1"), "{text}");
    }

    #[test]
    fn what_happens_shows() {
        let metrics = Metrics::new("origin");
        let same = metrics.clone();
        same.moved(Moved { reason: MoveReason::Solicited, planned: true }, 3);
        same.attach_accepted(AttachKind::Resume);
        same.attach_failed(AttachKind::Open, "unreachable");
        same.limit("sessions", 100).set(7);
        same.buffered_bytes("stage").inc_by(5);
        same.ring_digest("old");
        same.ring_digest("new");
        same.register("broker_connects", "MQTT connections", Counter::<u64>::default());
        let text = metrics.encode();
        for line in [
            "baton_moves_total{kind=\"planned\",reason=\"solicited\",outcome=\"accepted\"} 1",
            "baton_move_seconds_bucket{le=\"0.004\"} 1",
            "baton_attaches_total{kind=\"resume\",outcome=\"accepted\"} 1",
            "baton_attaches_total{kind=\"open\",outcome=\"unreachable\"} 1",
            "baton_limit{name=\"sessions\"} 100",
            "baton_limit_used{name=\"sessions\"} 7",
            "baton_buffered_bytes{where=\"stage\"} 5",
            "baton_ring_digest_info{digest=\"new\"} 1",
            "baton_broker_connects_total 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("old"), "one ring at a time");
    }
}
