//! One seed, one run.

use std::{rc::Rc, sync::Once, time::Duration};

use baton_process::clock::Clock;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    runtime::Builder,
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};

use crate::{
    clients::Clients,
    director::Director,
    fault::Hits,
    journal::{Journal, Scribe, Summary},
    judge::Judge,
    net::{Frames, Link, Net},
    tier::{Cast, Kind, Node, Size, Tier},
    totals::{Totals, gauge},
};

/// Virtual milliseconds for which faults are drawn.
const FAULTS: u64 = 60_000;
/// Clients of a run.
const CLIENTS: u32 = 20;
/// Virtual time in which every session must have a tunnel once nothing is wrong any more: two attaches in a row that a
/// fault has cost their full T_attach (20 s each at most), and the longest backoff (5 s).
const RECOVERY: Duration = Duration::from_secs(45);
/// Virtual time in which everybody must have left: 400 kB to a slow reader are under way.
const LEAVING: Duration = Duration::from_secs(120);
/// Virtual time after which nothing is held for a client that is quiet: the round trip of the slowest way, 100 ms for an
/// acknowledgement that waits for company, and some looks.
const QUIET: Duration = Duration::from_secs(2);
/// Virtual time after which nothing is left of a session whose edge was killed: the grace time and a little.
const FORGOTTEN: Duration = Duration::from_secs(75);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) journal: Summary,
    pub(crate) totals: Totals,
    pub(crate) hits: Hits,
    /// Clients that were told in MQTT that no server is available.
    pub(crate) refused: u64,
    /// Bytes (before recorders) or messages (before broker-sim) that arrived.
    pub(crate) received: u64,
    pub(crate) cast: Cast,
    pub(crate) virtual_ms: u64,
    pub(crate) frames: Frames,
    /// Clients for whom nothing was held while they were quiet.
    pub(crate) quiet: u64,
}

/// Plays a seed; `all` prints its journal.
pub(crate) fn run(seed: u64, all: bool) -> Outcome {
    judge_panics();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("no resource of ours");
    let _listening = Scribe::listen();
    let local = LocalSet::new();
    runtime.block_on(local.run_until(story(seed, all)))
}

/// A panic of a task is a violation: a real process would abort.
pub(crate) fn judge_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            usual(panic);
            Judge::panicked(&panic.to_string());
        }));
    });
}

async fn story(seed: u64, all: bool) -> Outcome {
    let clock = Clock::start();
    Journal::begin(clock, all);
    let judge = Judge::begin(clock);
    let mut chance = SmallRng::seed_from_u64(seed);
    let tier = Rc::new(tier(clock, &mut chance));
    spawn_local(tier.net.clone().run());
    tier.start_all();
    let edges: Vec<_> = tier.of(Kind::Edge).map(|edge| (edge.host, edge.address())).collect();
    let clients = Clients::of(&tier);
    for number in 0..CLIENTS {
        clients.start(number, edges[number as usize % edges.len()].clone(), &tier, &judge);
    }
    let director = Director::new(Rc::clone(&tier), Rc::clone(&judge), clients.clone(), tier.chance());
    let play = async {
        Rc::clone(&director).direct(FAULTS).await;
        ending(&tier, &clients, &judge).await;
    };
    tokio::select! {
        biased;
        () = judge.until_violated() => {}
        () = play => {}
    }
    for node in &tier.nodes {
        tier.bury(node);
    }
    books(&tier, &clients, &judge);
    Outcome {
        seed,
        violations: judge.violations(),
        totals: tier.totals.borrow().clone(),
        hits: director.hits(),
        refused: judge.refusals(),
        received: clients.received(),
        cast: tier.cast,
        virtual_ms: judge.now(),
        frames: tier.net.frames(),
        quiet: judge.quiet(),
        journal: Journal::end(),
    }
}

fn tier(clock: Clock, chance: &mut SmallRng) -> Tier {
    let base = Link { latency: chance.random_range(1..40), jitter: chance.random_range(0..20), ..Link::default() };
    let size = Size {
        edges: chance.random_range(2..=3),
        origins: chance.random_range(2..=4),
        homes: chance.random_range(2..=3),
    };
    let cast = [Cast::Recorders, Cast::Sidecars, Cast::Inside][chance.random_range(0..3)];
    let net = Net::new(clock, SmallRng::from_rng(chance), base);
    let sets = vec![(Kind::Edge, "drain.deadline=3s")];
    Tier::new(net, base, cast, size, SmallRng::from_rng(chance), sets)
}

/// Nothing is wrong any more: every session is live again, everybody leaves, and nothing is left.
async fn ending(tier: &Tier, clients: &Clients, judge: &Judge) {
    let all_live = || {
        tier.of(Kind::Edge).filter_map(Node::metrics).all(|metrics| {
            let (sessions, tunnels) = (gauge(&metrics, "baton_sessions"), gauge(&metrics, "baton_tunnels"));
            sessions == tunnels
        })
    };
    if !until(RECOVERY, all_live).await {
        return judge.violated(&format!("sessions have no tunnel {RECOVERY:?} after the last fault"));
    }
    judge.close();
    if !until(LEAVING, || clients.settle()).await {
        judge.violated(&format!("not all has arrived {LEAVING:?} after the last message"));
        clients.verdict(judge);
    }
    // A home keeps what it has for a session whose edge was killed, as long as it keeps the session.
    let held = || {
        let edges = tier.of(Kind::Edge).filter_map(Node::metrics);
        edges.map(|metrics| gauge(&metrics, "baton_buffered_bytes")).sum::<u64>()
    };
    let quiet = clients.quiet();
    if quiet > 0 && !until(QUIET, || held() == 0).await {
        judge.violated(&format!("edges hold {} bytes {QUIET:?} after the last message", held()));
    }
    judge.looked_at_quiet(quiet);
    if !until(LEAVING, || clients.dismiss()).await {
        judge.violated(&format!("clients haven't left {LEAVING:?} after they were told to"));
    }
    sleep(FORGOTTEN).await;
    clients.verdict(judge);
    for node in &tier.nodes {
        let Some(metrics) = node.metrics() else { continue };
        for name in ["baton_sessions", "baton_tunnels", "baton_buffered_bytes"] {
            let left = gauge(&metrics, name);
            if left > 0 {
                judge.violated(&format!("{} has {left} {name} left at the end", node.name));
            }
        }
    }
}

/// What the processes' own numbers must come to.
fn books(tier: &Tier, clients: &Clients, judge: &Judge) {
    let totals = tier.totals.borrow();
    if let Some(garbage) = totals.links.get("garbage") {
        judge.violated(&format!("{garbage} trunks ended for what the other end had sent"));
    }
    let Frames { empty, .. } = tier.net.frames();
    if empty > 0 {
        judge.violated(&format!("{empty} DATA of nothing"));
    }
    if totals.wills > clients.vanished() {
        judge.violated(&format!("{} wills, and {} clients vanished", totals.wills, clients.vanished()));
    }
}

/// Whether it holds in time.
async fn until(patience: Duration, holds: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !holds() {
            sleep(LOOK).await;
        }
    };
    timeout(patience, waiting).await.is_ok()
}
