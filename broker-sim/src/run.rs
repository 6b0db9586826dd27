//! The role: a plain port, an anchor for each home, one broker behind all of them.

use std::{io, rc::Rc, time::Duration};

use baton_anchor::{Home, Setup};
use baton_link::{Worker, budget::Budget};
use baton_process::{
    env::Env,
    metrics::Metrics,
    net::{Listen, TcpKind, TcpListen},
    phase::Phase,
    run::Exit,
};
use baton_protocol::{error::CloseCause, id::NodeName, limits::Millis};
use tokio::{
    task::{JoinError, JoinSet, spawn_local},
    time::{Instant, timeout},
};
use tracing::info;

use crate::{
    admin::{Desk, Requests},
    broker::{Broker, Limits},
    config::{Config, Crash},
    faults::{Engine, RULES},
    homes::Inside,
    serve::{BrokerHandle, FAREWELL, serve_stream},
    transcript::Recorder,
    websocket::Transport,
};

/// How long clients may take to leave by themselves once the process is asked to end, by default.
const DRAIN_DEADLINE: Millis = 30_000;
/// Beyond the farewell of the last connection: for its close to pass through the tunnels.
const LAST_TUNNELS: Duration = Duration::from_secs(1);
/// How long the origins may take to pass on what the last tunnels said.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The keys that say where a home listens.
const HOME_LISTEN: &str = "anchor.listen or broker_sim.homes";

/// Where clients and origins come in.
pub struct Listeners<L> {
    /// For clients without a relay.
    pub plain: L,
    /// For the origins, by home.
    pub homes: Vec<(NodeName, L)>,
}

impl Listeners<TcpListen> {
    /// Binds what the configuration names.
    ///
    /// # Errors
    /// An address can't be had; the message names it.
    pub fn bind(config: &Config, metrics: &Metrics) -> io::Result<Self> {
        let home = |(name, listen): &(NodeName, String)| {
            Ok((name.clone(), TcpListen::bind(HOME_LISTEN, listen, TcpKind::Link, metrics)?))
        };
        Ok(Self {
            plain: TcpListen::bind("broker_sim.listen", &config.listen, TcpKind::Session, metrics)?,
            homes: config.homes.iter().map(home).collect::<io::Result<_>>()?,
        })
    }
}

/// Serves until the process drains and its clients have left, or have been sent away.
///
/// # Errors
/// A listener is beyond repair.
pub async fn run<L: Listen>(config: Config, env: Env, listeners: Listeners<L>, requests: Requests) -> io::Result<Exit> {
    let recorder = match &config.transcript {
        Some(path) => Recorder::default().to_file(path)?,
        None => Recorder::default(),
    };
    let limits = &env.shared.limits;
    let broker_limits = Limits {
        sessions: limits.sessions,
        connect: limits.connect_time,
        receive: config.receive,
        keep_alive: config.keep_alive,
        ..Limits::default()
    };
    run_recorded(config, broker_limits, env, listeners, requests, recorder).await
}

/// The same for a broker with bounds of its own, and with a recorder that whoever starts it has made.
pub(crate) async fn run_recorded<L: Listen>(
    config: Config,
    broker_limits: Limits,
    mut env: Env,
    listeners: Listeners<L>,
    requests: Requests,
    recorder: Recorder,
) -> io::Result<Exit> {
    let crash = config.crash;
    let names = listeners.homes.iter().map(|(name, _)| name);
    let (handle, homes) = broker(config, broker_limits, &mut env, names, recorder)?;
    let timers = handle.clone();
    spawn_local(async move { timers.run_timers().await });
    spawn_local(requests.answer(Desk { handle: handle.clone(), homes: homes.clone() }));
    let mut links = JoinSet::new();
    for (home, (_, listener)) in homes.iter().zip(listeners.homes) {
        links.spawn_local(baton_anchor::serve::serve(Rc::clone(home), listener));
    }
    env.phases.enter(Phase::Serving);
    env.ready.set();
    info!(event = "broker.serving", homes = homes.len());

    tokio::select! {
        biased;
        () = env.phases.wait_for(Phase::Draining) => {}
        () = handle.crashed() => {
            handle.finish_transcript();
            if crash == Crash::Abort {
                std::process::abort();
            }
            return Ok(Exit::Left(handle.served()));
        }
        error = accept(listeners.plain, &handle, env.shared.limits.sessions) => return Err(error),
        Some(ended) = links.join_next() => return Err(beyond_repair(ended)),
    }
    env.ready.clear("draining");
    let deadline = env.shared.drain.deadline.unwrap_or(DRAIN_DEADLINE);
    let left = drain(&handle, &homes, links, Duration::from_millis(deadline)).await;
    Ok(if left == 0 { Exit::Done } else { Exit::Left(left) })
}

/// The broker with its rules in force, and the anchors of its homes.
fn broker<'a>(
    config: Config,
    limits: Limits,
    env: &mut Env,
    names: impl Iterator<Item = &'a NodeName>,
    recorder: Recorder,
) -> io::Result<(BrokerHandle, Vec<Rc<Home<Inside>>>)> {
    let seed = config.seed.unwrap_or_else(|| env.secrets.number());
    if !config.faults.is_empty() {
        info!(event = "broker.faults", rules = config.faults.len(), seed);
    }
    let broker = Broker::new(limits);
    let broker = match config.users {
        Some(users) => broker.with_credentials(users),
        None => broker,
    };
    let handle = BrokerHandle::observed(broker, env.clock, &env.metrics, Engine::new(seed), recorder);
    handle.add_faults(config.faults).map_err(|_| io::Error::other(format!("more than {RULES} rules")))?;
    let worker = Worker::start(env.clock, Budget::new(env.shared.limits.buffered_bytes, "sessions", &env.metrics));
    let home = |name: &NodeName| {
        Home::new(
            Setup::new(name.clone(), config.grace, &env.shared),
            Inside::new(&handle),
            env.metrics.clone(),
            Rc::clone(&worker),
        )
    };
    let homes = names.map(home).collect();
    Ok((handle, homes))
}

/// Ends everything, in the order in which nobody is cut off from what is still to be said; how many clients had to be
/// sent away.
async fn drain(
    handle: &BrokerHandle,
    homes: &[Rc<Home<Inside>>],
    mut links: JoinSet<io::Result<()>>,
    deadline: Duration,
) -> usize {
    let begun = Instant::now();
    homes.iter().for_each(|home| home.admit(false));
    let left = leave(handle, homes, deadline).await;
    // Origins are served as long as there is a session that may want to resume. One whose connection is ended now would
    // be back at once.
    links.shutdown().await;
    for home in homes {
        // An origin that hangs is left to find out by itself.
        let _ = timeout(LAST_WORDS, home.close_trunks()).await;
    }
    handle.finish_transcript();
    info!(event = "broker.drain", left, millis = begun.elapsed().as_millis());
    left
}

/// Takes clients of the plain port, `most` at a time: further ones wait in the kernel.
async fn accept<L: Listen>(mut listener: L, handle: &BrokerHandle, most: usize) -> io::Error {
    loop {
        handle.fewer_than(most).await;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => return error,
        };
        let handle = handle.clone();
        let stream = Transport::new(stream, handle.packet_bytes());
        spawn_local(async move { serve_stream(stream, &peer.to_string(), &handle).await });
    }
}

/// Waits for the clients to leave, then sends the rest away. How many those were.
async fn leave(handle: &BrokerHandle, homes: &[Rc<Home<Inside>>], deadline: Duration) -> usize {
    if timeout(deadline, empty(handle, homes)).await.is_ok() {
        return 0;
    }
    let in_homes: usize = homes.iter().map(|home| home.sessions()).sum();
    let left = handle.served().max(in_homes);
    handle.shut_down();
    if timeout(FAREWELL + LAST_TUNNELS, empty(handle, homes)).await.is_err() {
        homes.iter().for_each(|home| home.drop_all(CloseCause::Shutdown));
    }
    left
}

/// Until no client is served, and no home has a session whose end the edge may not have heard of.
async fn empty(handle: &BrokerHandle, homes: &[Rc<Home<Inside>>]) {
    handle.fewer_than(1).await;
    for home in homes {
        home.empty().await;
    }
}

fn beyond_repair(ended: Result<io::Result<()>, JoinError>) -> io::Error {
    match ended {
        Ok(Ok(())) => io::Error::other("a home's listener has ended"),
        Ok(Err(error)) => error,
        Err(error) => io::Error::other(error),
    }
}

/// The role over real sockets.
///
/// # Errors
/// An address can't be had, or a listener is beyond repair.
pub async fn run_tcp(config: Config, env: Env, requests: Requests) -> io::Result<Exit> {
    let listeners = Listeners::bind(&config, &env.metrics)?;
    run(config, env, listeners, requests).await
}
