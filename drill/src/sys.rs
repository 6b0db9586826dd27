//! What a mosquitto says of itself under `$SYS`, to a subscriber of its own: the broker's own account of connections and
//! messages, for whoever doesn't want to take clients' or a log's word.
//!
//! Every update brings a few numbers. [`Account`] is what follows from them; this is the connection that hears them.
//! It is one more client of the broker, which `$SYS` counts too, before its first update.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::{Buf, BytesMut};

use crate::mqtt::{Frame, Packet, Qos, encode};

mod account;

pub use account::Account;
use account::Updates;

/// The client id of the one that listens.
const CLIENT_ID: &str = "baton-sys";
/// Time for a broker on this machine to take a connection.
const CONNECTING: Duration = Duration::from_secs(30);
/// Bytes that are read at a time; an update is some thousand.
const READ_BYTES: usize = 16 * 1024;

/// What the reader has heard.
#[derive(Debug, Default)]
struct Heard {
    updates: Updates,
    /// PINGRESPs: all that the broker had written before it saw the ping was read before.
    pongs: u64,
    /// Why nothing more comes.
    end: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Heard>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        // A reader that panicked has left numbers that are still what was heard.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscriber that listens until it is dropped.
#[derive(Debug)]
pub struct Sys {
    stream: TcpStream,
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

impl Sys {
    /// Connects to a mosquitto that publishes `$SYS` (`sys_interval`, in seconds).
    ///
    /// # Errors
    /// No connection, or no thread.
    pub fn listen(broker: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&broker, CONNECTING)?;
        let mut out = BytesMut::new();
        let connect =
            encode::Connect { client_id: CLIENT_ID, username: None, keep_alive: 0, clean_session: true, will: None };
        encode::connect(&connect, &mut out);
        // In order, and each once, as everything over one connection.
        let filters = account::TOPICS.map(|topic| (topic.to_owned(), Qos::AtMostOnce));
        encode::subscribe(1, &filters, &mut out);
        stream.write_all(&out)?;
        let (shared, input) = (Arc::new(Shared::default()), stream.try_clone()?);
        let theirs = Arc::clone(&shared);
        let reader = thread::Builder::new().name(CLIENT_ID.into()).spawn(move || {
            let end = read(input, &theirs);
            theirs.lock().end = Some(end);
            theirs.changed.notify_all();
        })?;
        Ok(Self { stream, shared, reader: Some(reader) })
    }

    /// What the updates come to that have come whole.
    pub fn account(&self) -> Account {
        self.shared.lock().updates.account()
    }

    /// Waits until the account fulfils `condition`.
    ///
    /// # Errors
    /// If that takes longer than `patience`, the broker closes, or what it says can't be.
    pub fn until(&self, patience: Duration, condition: impl Fn(&Account) -> bool) -> io::Result<Account> {
        self.wait(patience, |heard| condition(&heard.updates.account()))
    }

    /// Waits for the account of an update that began after this was asked.
    ///
    /// # Errors
    /// As [`Self::until`].
    pub fn settled(&self, patience: Duration) -> io::Result<Account> {
        let pongs = self.shared.lock().pongs;
        let mut ping = BytesMut::new();
        encode::pingreq(&mut ping);
        (&self.stream).write_all(&ping)?;
        // An update that has begun by then may be from before; it, and the one after it, are to be whole.
        let begun = self.wait(patience, |heard| heard.pongs > pongs)?.updates;
        self.until(patience, |account| account.updates >= begun + 2)
    }

    fn wait(&self, patience: Duration, condition: impl Fn(&Heard) -> bool) -> io::Result<Account> {
        let waits = |heard: &mut Heard| heard.end.is_none() && !condition(heard);
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), patience, waits);
        let (heard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let account = heard.updates.account();
        if condition(&heard) {
            return Ok(account);
        }
        let why = heard.end.as_deref().unwrap_or("it didn't say so in time");
        Err(io::Error::other(format!("the broker's $SYS: {why}; so far {account:?}")))
    }
}

impl Drop for Sys {
    fn drop(&mut self) {
        // Ends the reader; where the broker has closed, it has ended already.
        drop(self.stream.shutdown(Shutdown::Both));
        drop(self.reader.take().map(JoinHandle::join));
    }
}

/// Hears what comes until nothing does; returns why.
fn read(mut stream: TcpStream, shared: &Shared) -> String {
    let mut input = BytesMut::new();
    let mut chunk = vec![0; READ_BYTES];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return "it closed the connection".into(),
            Ok(read) => input.extend_from_slice(&chunk[..read]),
            Err(error) => return error.to_string(),
        }
        if let Err(end) = hear(&mut input, &mut shared.lock()) {
            return end;
        }
        shared.changed.notify_all();
    }
}

/// Takes all whole packets.
fn hear(input: &mut BytesMut, heard: &mut Heard) -> Result<(), String> {
    while let Some((frame, length)) = Frame::take(input).map_err(|malformed| malformed.to_string())? {
        match Packet::parse(frame).map_err(|malformed| malformed.to_string())? {
            Packet::ConnAck { code: 0, .. } => {}
            Packet::ConnAck { code, .. } => return Err(format!("connection refused, code {code}")),
            Packet::SubAck { codes, .. } if codes.iter().all(|code| *code == 0) => {}
            Packet::Publish(publish) => heard.updates.handle(publish.topic, publish.payload, publish.retain)?,
            Packet::PingResp => heard.pongs += 1,
            packet => return Err(format!("unexpected {packet:?}")),
        }
        input.advance(length);
    }
    Ok(())
}
