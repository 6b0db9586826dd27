//! The broker: a connection for each session, and whether it takes any.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use baton_anchor::{Backend, Opening};
use baton_process::{
    health::Ready,
    net::{Dial, Stream},
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// Time for the broker to take a connection that only asks whether it would.
const PROBE: Duration = Duration::from_secs(2);
/// Time between two such questions: a broker writes each into its log.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// What is known of the broker. Clones share it.
#[derive(Clone)]
pub(crate) struct Broker<D> {
    dial: D,
    shared: Rc<Shared>,
}

struct Shared {
    address: String,
    ready: Ready,
    /// Whether it took the last connection that asked; unknown at first.
    up: Cell<Option<bool>>,
    /// A session's connection failed.
    doubted: Notify,
}

impl<D: Dial> Broker<D> {
    /// The broker at `address`, which is `host:port`.
    pub(crate) fn new(dial: D, address: String, ready: Ready) -> Self {
        ready.clear("the broker hasn't been reached yet");
        let shared = Shared { address, ready, up: Cell::new(None), doubted: Notify::new() };
        Self { dial, shared: Rc::new(shared) }
    }

    /// Keeps an eye on it, for ever: asks at the start, while it is away, and when a session's connection failed.
    pub(crate) async fn watch(&self) {
        loop {
            let probe = timeout(PROBE, self.dial.dial(&self.shared.address)).await;
            // The connection ends here: the broker would wait for a CONNECT on it.
            match probe.map(|dialed| dialed.map(drop)) {
                Ok(Ok(())) => self.shared.show_up(),
                Ok(Err(error)) => self.shared.show_down(&error.to_string()),
                Err(_) => self.shared.show_down("timed out"),
            }
            sleep(PROBE_EVERY).await;
            if self.shared.up.get() == Some(true) {
                self.shared.doubted.notified().await;
            }
        }
    }
}

impl Shared {
    fn show_up(&self) {
        if self.up.replace(Some(true)) != Some(true) {
            self.ready.set();
            info!(event = "broker.up", broker = self.address);
        }
    }

    fn show_down(&self, why: &str) {
        self.ready.clear(&format!("the broker at {} takes no connection: {why}", self.address));
        if self.up.replace(Some(false)) != Some(false) {
            warn!(event = "broker.down", broker = self.address, why);
        }
    }
}

/// Doubts the broker unless the dial succeeds: one that is given up, because it took too long, says nothing itself.
struct Doubt<'a>(Option<&'a Shared>);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.doubted.notify_one();
        }
    }
}

impl<D: Dial> Backend for Broker<D> {
    type Stream = D::Stream;

    async fn dial(&self, _: &Opening) -> io::Result<D::Stream> {
        let mut doubt = Doubt(Some(&self.shared));
        let stream = self.dial.dial(&self.shared.address).await?;
        doubt.0 = None;
        Ok(stream)
    }

    fn reset(stream: D::Stream) {
        stream.reset();
    }
}
