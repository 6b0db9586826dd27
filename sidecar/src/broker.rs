//! The broker: a connection for each session.

use std::{cell::Cell, io, net::SocketAddr, rc::Rc, time::Duration};

use baton_anchor::{Backend, NotDialed, Opening};
use baton_process::{
    clock::Clock,
    health::Ready,
    metrics::{Gauge, Metrics},
    net::{Address, Reach, Stream, is_exhausted},
};
use baton_protocol::limits::Millis;
use tokio::{io::AsyncWriteExt, sync::Notify, time::timeout};
use tracing::warn;

use crate::{
    config::{Config, Probe},
    connection::Connection,
    probe::Form,
    proxy,
    routes::{Route, Routes},
};

/// Time for the broker to take a connection, or to answer what a probe asks. A busy broker is not a dead one.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);
/// Least time between two log lines about full ways: clients come and go while they are.
const FULL_LOG_SPAN: Millis = 60_000;
/// Time for the broker to take a session's connection while there is another of its addresses: an edge gives an open 5 s at
/// first.
const ANSWER_OR_ELSEWHERE: Duration = Duration::from_secs(1);
/// Ways that are tried for one session: with `ANSWER` for each they fit in the 20 s that an anchor gives a dial.
const TRIES: usize = 3;

/// The broker of a sidecar. Clones share it.
pub(crate) struct Broker<R> {
    pub(crate) shared: Rc<Shared<R>>,
}

impl<R> Clone for Broker<R> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared) }
    }
}

/// What a broker's connections and the watch over it share.
pub(crate) struct Shared<R> {
    pub(crate) reach: R,
    pub(crate) routes: Routes,
    pub(crate) clock: Clock,
    pub(crate) proxy_protocol: bool,
    pub(crate) probe: Probe,
    /// Who the probe says that it is.
    pub(crate) client_id: String,
    /// All addresses, for people.
    pub(crate) addresses: String,
    pub(crate) ready: Ready,
    /// How the next probe asks.
    pub(crate) form: Cell<Form>,
    /// On which way it is asked next: where it was well, or the next one.
    pub(crate) asking: Cell<usize>,
    /// Whether it was well when it was last asked; unknown at first.
    pub(crate) up: Cell<Option<bool>>,
    pub(crate) up_shown: Gauge,
    /// When it was last said that there is no room.
    pub(crate) full_said: Cell<Option<Millis>>,
    /// A session's connection failed.
    pub(crate) doubted: Notify,
}

impl<R: Reach> Broker<R> {
    /// The broker of this configuration.
    pub(crate) fn new(reach: R, config: &Config, clock: Clock, ready: Ready, metrics: &Metrics) -> Self {
        ready.clear("the broker hasn't been reached yet");
        let up_shown = Gauge::default();
        metrics.register("broker_up", "Whether the broker is well", up_shown.clone());
        let shared = Shared {
            routes: Routes::new(&config.brokers, &config.sources, |to| reach.ports(to), metrics),
            reach,
            clock,
            proxy_protocol: config.proxy_protocol,
            probe: config.probe,
            client_id: format!("baton-probe-{}", config.name),
            addresses: config.brokers.iter().map(Address::to_string).collect::<Vec<_>>().join(", "),
            ready,
            form: Cell::new(Form::USUAL),
            asking: Cell::new(0),
            up: Cell::new(None),
            up_shown,
            full_said: Cell::new(None),
            doubted: Notify::new(),
        };
        Self { shared: Rc::new(shared) }
    }

    /// Where it is, for people.
    pub(crate) fn addresses(&self) -> &str {
        &self.shared.addresses
    }
}

impl<R: Reach> Shared<R> {
    fn show_full(&self) {
        let now = self.clock.now();
        if self.full_said.get().is_none_or(|said| now - said >= FULL_LOG_SPAN) {
            self.full_said.set(Some(now));
            let why = "no local port or no descriptor is left for it: see sidecar.sources and the limit of open files";
            warn!(event = "broker.full", broker = self.addresses, why);
        }
    }

    /// A connection on whichever way has room and answers.
    async fn connect(&self) -> Result<Connection<R::Stream>, NotDialed> {
        let mut failure = NotDialed::Full;
        let mut tried = Vec::new();
        while tried.len() < TRIES {
            let now = self.clock.now();
            let Some(place) = self.routes.take(now, &tried) else { break };
            let elsewhere = self.routes.leads_elsewhere(&place.route, now);
            // Whoever gives up first, here or at the edge: this way isn't the next one's first choice.
            let mut avoid = Avoid { clock: self.clock, route: Some(&place.route) };
            let within = if elsewhere { ANSWER_OR_ELSEWHERE } else { ANSWER };
            let dialed = timeout(within, self.reach.reach(&place.route.to, place.route.from)).await;
            let error = match dialed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    avoid.route = None;
                    drop(avoid);
                    return Ok(Connection { stream, _place: place });
                }
                Err(error) => error,
            };
            if is_exhausted(&error) {
                avoid.route = None;
                place.route.ports_ended(self.clock.now());
            } else {
                failure = NotDialed::Unreachable(error.to_string());
            }
            drop(avoid);
            tried.push(Rc::clone(&place.route));
        }
        Err(failure)
    }
}

/// Avoids a way when it's dropped, unless it's taken back.
struct Avoid<'a> {
    clock: Clock,
    route: Option<&'a Route>,
}

impl Drop for Avoid<'_> {
    fn drop(&mut self) {
        if let Some(route) = self.route {
            route.avoid(self.clock.now());
        }
    }
}

impl<R: Reach> Backend for Broker<R> {
    type Stream = Connection<R::Stream>;

    async fn dial(&self, opening: &Opening) -> Result<Self::Stream, NotDialed> {
        let shared = &self.shared;
        if shared.up.get() == Some(false) {
            return Err(NotDialed::Unreachable("it isn't well".into()));
        }
        // A dial that is given up, because it took too long, says nothing itself.
        let mut doubt = Doubt(Some(&shared.doubted));
        let connected = shared.connect().await;
        if !matches!(connected, Err(NotDialed::Unreachable(_))) {
            doubt.0 = None;
        }
        if matches!(connected, Err(NotDialed::Full)) {
            shared.show_full();
        }
        let mut connection = connected?;
        if shared.proxy_protocol {
            let client: Option<SocketAddr> = opening.client.as_deref().and_then(|client| client.parse().ok());
            let header = proxy::for_client(client, R::ends(&connection.stream).map(|(_, broker)| broker));
            let written = connection.stream.write_all(&header).await;
            written.map_err(|error| NotDialed::Unreachable(error.to_string()))?;
        }
        Ok(connection)
    }

    fn reset(connection: Self::Stream) {
        connection.stream.reset();
    }
}

/// Doubts the broker when it's dropped, unless it's taken back.
struct Doubt<'a>(Option<&'a Notify>);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(doubted) = self.0 {
            doubted.notify_one();
        }
    }
}
