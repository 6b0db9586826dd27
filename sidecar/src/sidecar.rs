//! The role: listen, serve, drain.

use std::{io, pin::pin, rc::Rc, time::Duration};

use baton_anchor::{Home, Setup, serve::serve};
use baton_link::{Worker, budget::Budget};
use baton_process::{
    config::Limits,
    env::Env,
    metrics::Metrics,
    net::{Listen, Reach},
    phase::Phase,
    run::Exit,
};
use baton_protocol::{error::CloseCause, limits::Millis};
use tokio::time::{sleep, timeout};
use tracing::info;

use crate::{broker::Broker, config::Config};

/// How long clients may take to leave by themselves once the process is asked to end, by default.
const DRAIN_DEADLINE: Millis = 30_000;
/// How long the sessions that are left may take to end.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long the origins may take to pass on what the last tunnels said.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often the numbers of what is in use are brought up to date.
const NUMBERS_EVERY: Duration = Duration::from_secs(1);

/// Serves until the process drains and its sessions have ended, or have been dropped. `reach` leads to the broker.
///
/// # Errors
/// The listener is beyond repair.
pub async fn run<L: Listen, R: Reach>(config: Config, env: Env, listener: L, reach: R) -> io::Result<Exit> {
    let limits = env.shared.limits;
    let worker = Worker::start(env.clock, Budget::new(limits.buffered_bytes, "sessions", &env.metrics));
    let broker = Broker::new(reach, &config, env.clock, env.ready.clone(), &env.metrics);
    info!(event = "sidecar.start", home = %config.name, broker = broker.addresses());
    let home = Home::new(
        Setup::new(config.name.clone(), config.grace, &env.shared),
        broker.clone(),
        env.metrics.clone(),
        Rc::clone(&worker),
    );
    env.phases.enter(Phase::Serving);

    let (begun, left) = {
        let mut work = pin!(async {
            tokio::select! {
                biased;
                ended = serve(Rc::clone(&home), listener) => ended,
                () = broker.watch() => Ok(()),
                () = show_numbers(&home, &env.metrics, limits) => Ok(()),
            }
        });
        tokio::select! {
            biased;
            () = env.phases.wait_for(Phase::Draining) => {}
            ended = &mut work => return Err(beyond_repair(ended)),
        }
        home.admit(false);
        let deadline = Duration::from_millis(env.shared.drain.deadline.unwrap_or(DRAIN_DEADLINE));
        let begun = worker.now();
        info!(event = "sidecar.drain", step = "begun", home = %home.name(), sessions = home.sessions());
        tokio::select! {
            biased;
            // Sessions that are still here may want to resume: their origins are served as long as there is one.
            ended = &mut work => return Err(beyond_repair(ended)),
            left = leave(&home, deadline) => (begun, left),
        }
        // The listener ends with this block: an origin whose connection is ended would be back at once.
    };
    let _ = timeout(LAST_WORDS, home.close_trunks()).await;
    let ms = worker.now() - begun;
    info!(event = "sidecar.drain", step = "done", home = %home.name(), left, ms);
    Ok(if left == 0 { Exit::Done } else { Exit::Left(left) })
}

/// Waits for the sessions to end, and drops those that are left at the deadline. How many there were.
async fn leave<R: Reach>(home: &Home<Broker<R>>, deadline: Duration) -> usize {
    if timeout(deadline, home.empty()).await.is_ok() {
        return 0;
    }
    let left = home.sessions();
    home.drop_all(CloseCause::Shutdown);
    // A session that doesn't end now ends with the process.
    let _ = timeout(FAREWELL, home.empty()).await;
    left
}

async fn show_numbers<R: Reach>(home: &Home<Broker<R>>, metrics: &Metrics, limits: Limits) {
    let sessions = metrics.limit("sessions", limits.sessions as u64);
    loop {
        sessions.set(i64::try_from(home.sessions()).unwrap_or(i64::MAX));
        sleep(NUMBERS_EVERY).await;
    }
}

fn beyond_repair(ended: io::Result<()>) -> io::Error {
    ended.err().unwrap_or_else(|| io::Error::other("the anchor's listener has ended"))
}
