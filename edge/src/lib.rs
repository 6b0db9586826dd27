//! The edge relay: it holds the clients' connections, and tunnels each session through an origin, and another, and
//! another.
//!
//! ```text
//!  client ── TCP ──► [client]  reads CONNECT, owns the socket and the half, runs the loop
//!                       │
//!                    [seat]    when to attach, and what came of it ──► [origins]  connections, choice, leave
//!                    [search]  what that takes while it lasts             │ [choice] [pacing] [backoff]: pure
//!                                                                         ▼
//!                                                                      origins ══ trunks, control streams
//! ```

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use baton_link::{Worker, budget::Budget};
use baton_process::{
    env::Env,
    net::{Dial, Listen},
    phase::Phase,
    run::Exit,
};
use baton_protocol::{error::CloseCause, limits::Millis, session::Terms};
use rand::SeedableRng;
use tokio::{
    sync::Notify,
    task::{JoinSet, yield_now},
    time::{Instant, sleep_until},
};
use tracing::info;

pub mod backoff;
pub mod choice;
mod client;
mod config;
mod origins;
pub mod pacing;
mod refusals;
mod search;
mod seat;

pub use config::Config;

use crate::{client::Rules, origins::Origins, seat::House};

/// Time for sessions to leave after SIGTERM, by default.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs an edge until it has drained: takes clients from `listener`, reaches origins through `dial`.
///
/// # Errors
/// The listener is beyond repair.
pub async fn run<L: Listen, D: Dial>(config: Config, env: Env, listener: L, dial: D) -> io::Result<Exit> {
    let limits = env.shared.limits;
    let worker = Worker::start(env.clock, Budget::new(limits.buffered_bytes, "sessions", &env.metrics));
    let opens = u32::try_from(limits.opens_per_second).unwrap_or(u32::MAX);
    let mut env = env;
    let chance = rand::rngs::SmallRng::from_rng(&mut env.chance);
    let origins = Origins::new(
        config.name.clone(),
        config.origins.clone(),
        worker,
        env.metrics.clone(),
        env.ready.clone(),
        opens,
        chance,
    );
    origins.start(&dial);
    let terms = Terms {
        window: limits.window,
        send_cap: limits.window,
        detached_cap: limits.window,
        open: limits.open_wait,
        half_closed: limits.half_closed,
        slow: limits.slow,
        ..Terms::edge()
    };
    let patient = Arc::new(Terms { slow: Millis::MAX, ..terms.clone() });
    let terms = Arc::new(terms);
    let rules = Rc::new(Rules {
        connect_bytes: limits.connect_bytes,
        connect_time: limits.connect_time,
        user_id: config.user_id,
        patient,
        stretched: RefCell::new(Arc::clone(&terms)),
        terms,
    });
    let house = Rc::new(House {
        origins,
        secrets: RefCell::new(env.secrets),
        dcr: config.dcr,
        show: env.shared.log.user_id,
        refusals: RefCell::default(),
        closing: false.into(),
        closed: Notify::new(),
    });
    env.phases.enter(Phase::Serving);
    info!(event = "edge.serving", name = %config.name, origins = ?config.origins);
    let used = env.metrics.limit("sessions", limits.sessions as u64);
    let mut clients = JoinSet::new();
    let mut listener = listener;
    loop {
        tokio::select! {
            biased;
            () = env.phases.wait_for(Phase::Draining) => break,
            Some(_) = clients.join_next() => {}
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                admit(&mut clients, &house, &rules, stream, peer, limits.sessions);
            }
        }
        used.set(i64::try_from(clients.len()).unwrap_or(i64::MAX));
    }
    drop(listener);
    env.ready.clear("draining");
    let deadline = env.shared.drain.deadline.map_or(DRAIN, Duration::from_millis);
    Ok(drain(clients, &house, deadline).await)
}

fn admit<S: baton_process::net::Stream>(
    clients: &mut JoinSet<()>,
    house: &Rc<House>,
    rules: &Rc<Rules>,
    stream: S,
    peer: SocketAddr,
    most: usize,
) {
    if clients.len() >= most || house.origins.worker.is_short() {
        house.origins.metrics.client_closed(CloseCause::Overload);
        stream.reset();
        return;
    }
    clients.spawn_local(client::serve(Rc::clone(house), Rc::clone(rules), stream, peer));
}

/// Waits for the clients to leave; those that are left at the deadline are closed.
async fn drain(mut clients: JoinSet<()>, house: &Rc<House>, deadline: Duration) -> Exit {
    let (began, at_first) = (house.origins.worker.now(), clients.len());
    info!(event = "edge.drain", sessions = at_first, deadline_ms = deadline.as_millis());
    let until = sleep_until(Instant::now() + deadline);
    tokio::pin!(until);
    loop {
        tokio::select! {
            biased;
            left = clients.join_next() => if left.is_none() { break },
            () = &mut until => break,
        }
    }
    let left = clients.len();
    house.closing.set(true);
    house.closed.notify_waiters();
    house.origins.wake_all();
    while clients.join_next().await.is_some() {}
    // What the sessions said last is written by the links' own tasks.
    yield_now().await;
    house.origins.settled().await;
    let time_ms = house.origins.worker.now() - began;
    info!(event = "edge.drained", left_by_themselves = at_first - left, closed = left, time_ms);
    if left == 0 { Exit::Done } else { Exit::Left(left) }
}
