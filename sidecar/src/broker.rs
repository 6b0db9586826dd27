//! The broker: a connection for each session, and whether it is well.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use baton_anchor::{Backend, NotDialed, Opening};
use baton_process::{
    clock::Clock,
    health::Ready,
    metrics::{Gauge, Metrics},
    net::{Address, Reach, Stream},
};
use baton_protocol::limits::Millis;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{info, warn};

use crate::{
    config::{Config, Probe},
    probe::{self, Answer, Form},
    proxy,
    routes::{Place, Routes},
};

/// Time for the broker to take a connection, or to answer what a probe asks. A busy broker is not a dead one.
const ANSWER: Duration = Duration::from_secs(5);
/// Least time from one probing connection to the next: a broker writes each into its log.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Least time between two log lines about full ways: clients come and go while they are.
const FULL_LOG_SPAN: Millis = 60_000;
/// Ways that are tried for one session, each to another address.
const TRIES: usize = 3;

/// The broker of a sidecar. Clones share it.
pub(crate) struct Broker<R> {
    shared: Rc<Shared<R>>,
}

impl<R> Clone for Broker<R> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared) }
    }
}

struct Shared<R> {
    reach: R,
    routes: Routes,
    clock: Clock,
    proxy_protocol: bool,
    probe: Probe,
    /// Who the probe says that it is.
    client_id: String,
    /// All addresses, for people.
    addresses: String,
    ready: Ready,
    /// How the next probe asks.
    form: Cell<Form>,
    /// At which of its addresses it was well when it was last asked.
    well_at: Cell<usize>,
    /// Whether it was; unknown at first.
    up: Cell<Option<bool>>,
    up_shown: Gauge,
    /// When it was last said that there is no room.
    full_said: Cell<Option<Millis>>,
    /// A session's connection failed.
    doubted: Notify,
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
            well_at: Cell::new(0),
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

    /// Keeps an eye on it, for ever.
    pub(crate) async fn watch(&self) {
        let shared = &self.shared;
        loop {
            let began = Instant::now();
            match shared.ask().await {
                Ok(stream) => {
                    shared.show_up();
                    let doubt = shared.keep_asking(stream).await;
                    tracing::debug!(event = "broker.doubted", doubt);
                }
                Err(why) => shared.show_down(&why),
            }
            sleep_until(began + ASK_AGAIN).await;
        }
    }
}

impl<R: Reach> Shared<R> {
    /// Connects to one of its addresses where it is well, first where it was last. The connection, if it can be asked
    /// further.
    async fn ask(&self) -> Result<Option<R::Stream>, String> {
        let mut last = String::new();
        let ways: Vec<_> = self.routes.one_to_each().collect();
        for nth in (0..ways.len()).map(|nth| (nth + self.well_at.get()) % ways.len()) {
            let asked = timeout(ANSWER, self.ask_at(&ways[nth].to, ways[nth].from));
            match asked.await.unwrap_or_else(|_| Err("it didn't answer in time".into())) {
                Ok(stream) => {
                    self.well_at.set(nth);
                    return Ok(stream);
                }
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    async fn ask_at(&self, to: &Address, from: Option<std::net::IpAddr>) -> Result<Option<R::Stream>, String> {
        let mut stream = self.reach.reach(to, from).await.map_err(|e| e.to_string())?;
        let form = self.form.get();
        if self.proxy_protocol {
            let (ours, brokers) = R::ends(&stream).filter(|_| !form.says_local).unzip();
            stream.write_all(&proxy::for_client(ours, brokers)).await.map_err(|e| e.to_string())?;
        }
        match self.probe {
            Probe::Connect { .. } => Ok(None),
            Probe::Mqtt { every } => {
                // As clients do: a broker may let one go that is silent for one and a half of these.
                let keep_alive = u16::try_from(every.as_secs() * 3).unwrap_or(u16::MAX);
                let asked = probe::connect(&mut stream, form, &self.client_id, keep_alive).await;
                match asked {
                    Ok(Answer::Taken) => return Ok(Some(stream)),
                    // It may be the version that it doesn't take.
                    Ok(Answer::NotTaken) => self.form.set(Form { version_5: false, ..form }),
                    Err(_) => self.form.set(form.next(self.proxy_protocol)),
                }
                asked.map(|_| None)
            }
        }
    }

    /// Asks every so often until there is a doubt: which.
    async fn keep_asking(&self, stream: Option<R::Stream>) -> String {
        let (Probe::Mqtt { every } | Probe::Connect { every }) = self.probe;
        let Some(mut stream) = stream else {
            tokio::select! {
                biased;
                () = self.doubted.notified() => return "a session's connection failed".into(),
                () = sleep(every) => return "it can only be asked with a new connection".into(),
            }
        };
        loop {
            tokio::select! {
                biased;
                () = self.doubted.notified() => return "a session's connection failed".into(),
                _ = stream.read_u8() => return "it ended the connection that asks".into(),
                () = sleep(every) => {}
            }
            match timeout(ANSWER, probe::ping(&mut stream)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return why,
                Err(_) => return "it didn't answer a PINGREQ in time".into(),
            }
        }
    }

    fn show_up(&self) {
        self.up_shown.set(1);
        if self.up.replace(Some(true)) != Some(true) {
            self.ready.set();
            info!(event = "broker.up", broker = self.addresses);
        }
    }

    fn show_down(&self, why: &str) {
        self.up_shown.set(0);
        self.ready.clear(&format!("the broker at {} is not well: {why}", self.addresses));
        if self.up.replace(Some(false)) != Some(false) {
            warn!(event = "broker.down", broker = self.addresses, why, "opens are refused; what lives is kept");
        }
    }

    fn show_full(&self) {
        let now = self.clock.now();
        if self.full_said.get().is_none_or(|said| now - said >= FULL_LOG_SPAN) {
            self.full_said.set(Some(now));
            let why = "no local port is left for a connection to it: add addresses to sidecar.sources";
            warn!(event = "broker.full", broker = self.addresses, why);
        }
    }

    /// A connection on whichever way has room and answers.
    async fn connect(&self) -> Result<Connection<R::Stream>, NotDialed> {
        let mut failure = NotDialed::Full;
        let mut tried: [Option<Place>; TRIES] = Default::default();
        for nth in 0..TRIES {
            let Some(place) = self.routes.take(self.clock.now()) else { break };
            let before = |other: &Place| other.route.to == place.route.to;
            if matches!(failure, NotDialed::Unreachable(_)) && tried.iter().flatten().any(before) {
                break;
            }
            let dialed = timeout(ANSWER, self.reach.reach(&place.route.to, place.route.from)).await;
            let error = match dialed {
                Ok(Ok(stream)) => return Ok(Connection { stream, _place: place }),
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            if error.kind() == io::ErrorKind::AddrNotAvailable {
                place.route.ports_ended(self.clock.now());
            } else {
                self.routes.avoid(&place.route.to, self.clock.now());
                failure = NotDialed::Unreachable(error.to_string());
            }
            tried[nth] = Some(place);
        }
        Err(failure)
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

/// A session's connection, with its place on the way there.
pub(crate) struct Connection<S> {
    stream: S,
    _place: Place,
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
