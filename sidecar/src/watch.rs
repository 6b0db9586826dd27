//! Whether the broker is well: asked at the start, every so often, and when there is a doubt.

use std::{net::IpAddr, time::Duration};

use baton_process::net::{Address, Reach, is_exhausted};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    broker::{ANSWER, Broker, Shared},
    config::Probe,
    probe::{self, Answer, Form},
    proxy,
};

/// Least time from one probing connection to the next: a broker writes each into its log.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Time after which no further way is tried for one answer, for sessions are opened in vain meanwhile: enough for two that
/// are silent. The next question begins with the next way.
const ASKING: Duration = Duration::from_secs(10);

/// What came of asking.
enum Finding<S> {
    /// It is well; and the connection, if it can be asked further on that.
    Well(Option<S>),
    /// It isn't: why.
    Unwell(String),
    /// We couldn't ask: why.
    Unknown(String),
}

impl<R: Reach> Broker<R> {
    /// Keeps an eye on it, for ever.
    pub(crate) async fn watch(&self) {
        let shared = &self.shared;
        loop {
            let began = Instant::now();
            match shared.ask().await {
                Finding::Well(stream) => {
                    shared.show_up();
                    let doubt = shared.keep_asking(stream).await;
                    debug!(event = "broker.doubted", doubt);
                }
                Finding::Unwell(why) => shared.show_down(&why),
                Finding::Unknown(why) => debug!(event = "broker.unasked", why),
            }
            sleep_until(began + ASK_AGAIN).await;
        }
    }
}

impl<R: Reach> Shared<R> {
    /// Asks on one way after another, first where it was well last.
    async fn ask(&self) -> Finding<R::Stream> {
        let (began, ways) = (Instant::now(), self.routes.all());
        let mut finding = Finding::Unknown("there is no way to it".into());
        for _ in 0..ways.len() {
            let way = &ways[self.asking.get() % ways.len()];
            let asked = timeout(ANSWER, self.ask_at(&way.to, way.from)).await;
            match asked.unwrap_or_else(|_| Finding::Unwell("it didn't answer in time".into())) {
                Finding::Well(stream) => return Finding::Well(stream),
                Finding::Unwell(why) => finding = Finding::Unwell(why),
                Finding::Unknown(why) if matches!(finding, Finding::Unknown(_)) => finding = Finding::Unknown(why),
                Finding::Unknown(_) => {}
            }
            self.asking.set(self.asking.get() + 1);
            if began.elapsed() >= ASKING {
                break;
            }
        }
        finding
    }

    async fn ask_at(&self, to: &Address, from: Option<IpAddr>) -> Finding<R::Stream> {
        let mut stream = match self.reach.reach(to, from).await {
            Ok(stream) => stream,
            Err(error) if is_exhausted(&error) => return Finding::Unknown(error.to_string()),
            Err(error) => return Finding::Unwell(error.to_string()),
        };
        let form = self.form.get();
        if self.proxy_protocol {
            let (ours, brokers) = R::ends(&stream).filter(|_| !form.says_local).unzip();
            if let Err(error) = stream.write_all(&proxy::for_client(ours, brokers)).await {
                return Finding::Unwell(error.to_string());
            }
        }
        let Probe::Mqtt { every } = self.probe else { return Finding::Well(None) };
        // As clients do: a broker may let one go that is silent for one and a half of these.
        let keep_alive = u16::try_from(every.as_secs() * 3).unwrap_or(u16::MAX);
        match probe::connect(&mut stream, form, &self.client_id, keep_alive).await {
            Ok(Answer::Taken) => Finding::Well(Some(stream)),
            Ok(Answer::NotTaken) => Finding::Well(None),
            Ok(Answer::OtherVersion) => {
                self.form.set(Form { version_5: !form.version_5, ..form });
                Finding::Well(None)
            }
            Ok(Answer::Unavailable) => Finding::Unwell("it says that it isn't available".into()),
            Err(why) => {
                self.form.set(form.next(self.proxy_protocol));
                Finding::Unwell(why)
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
}
