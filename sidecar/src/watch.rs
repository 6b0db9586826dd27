//! Whether the broker is well: asked at the start, every so often, and when there is a doubt.

use std::{net::IpAddr, time::Duration};

use baton_process::net::{Address, Reach};
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

impl<R: Reach> Broker<R> {
    /// Keeps an eye on it, for ever.
    pub(crate) async fn watch(&self) {
        let shared = &self.shared;
        loop {
            let began = Instant::now();
            match shared.ask().await {
                Ok(stream) => {
                    shared.show_up();
                    let doubt = shared.keep_asking(stream).await;
                    debug!(event = "broker.doubted", doubt);
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

    async fn ask_at(&self, to: &Address, from: Option<IpAddr>) -> Result<Option<R::Stream>, String> {
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
}
