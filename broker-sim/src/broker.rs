//! The broker without IO, clock or randomness: packets go in, packets come out.
//!
//! One input (`connected`, `handle_*`, `closed`), then `poll_output` until it has none, then `poll_timeout` for when
//! to call `handle_timeout`. The broker speaks MQTT 5; the codec translates 3.1 and 3.1.1 from and to it.

mod command;
mod connect;
mod counts;
mod credentials;
mod deliver;
mod fault;
mod limits;
mod message;
mod outgoing;
mod publish;
mod queue;
mod retained;
mod session;
mod size;
mod subscribe;
mod subscriptions;
mod table;
mod timers;
mod topic;
mod trie;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use baton_protocol::limits::Millis;
use bytestring::ByteString;
use rmqtt_codec::{
    types::Publish,
    v5::{Disconnect, DisconnectReasonCode, Packet},
};

pub(crate) use self::size::publish_bytes;
pub use self::{
    counts::Counts,
    credentials::{BadCredentials, Credentials},
    fault::Fault,
    limits::Limits,
};
use self::{
    retained::Retained,
    session::{Conn, Session},
    subscriptions::{Hit, Subscriptions},
    table::Table,
    timers::Timers,
};

/// One connection, for as long as the broker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(u64);

impl ConnId {
    /// Its number: connections are counted from 1 on.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One MQTT session, for as long as the broker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SessionId(u64);

/// Why the broker closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closing {
    /// The client said DISCONNECT.
    Left,
    /// The client id connected again.
    TakenOver,
    /// The client broke MQTT.
    Fault(Fault),
    /// Somebody asked for it.
    Commanded,
    /// The broker ends.
    Shutdown,
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("left"),
            Self::TakenOver => f.write_str("taken_over"),
            Self::Fault(fault) => fault.fmt(f),
            Self::Commanded => f.write_str("commanded"),
            Self::Shutdown => f.write_str("shutdown"),
        }
    }
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write a packet, then tell `handle_sent` these bytes.
    Send {
        /// To which connection.
        conn: ConnId,
        /// What.
        packet: Packet,
        /// The bytes that the broker counts for it.
        bytes: usize,
    },
    /// Write what is still to be written, then close. The broker has forgotten the connection.
    Close {
        /// Which connection.
        conn: ConnId,
        /// Why.
        why: Closing,
    },
}

/// What waits for a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    Conn(ConnId),
    Session(SessionId),
    /// Sessions that search for retained messages.
    Search,
}

/// A broker.
#[derive(Debug, Default)]
pub struct Broker {
    limits: Limits,
    /// Who may connect; anybody if none.
    credentials: Option<Credentials>,
    conns: Table<ConnId, Conn>,
    sessions: Table<SessionId, Session>,
    clients: BTreeMap<ByteString, SessionId>,
    subscriptions: Subscriptions,
    retained: Retained,
    /// Sessions whose search for retained messages takes long, each once, in the order of their turns.
    searches: VecDeque<SessionId>,
    /// How many messages were passed on.
    routed: u64,
    timers: Timers<Waiting>,
    outputs: VecDeque<Output>,
    counts: Counts,
    /// Kept between messages, so that matching one allocates nothing.
    hits: Vec<Hit>,
    last_conn: u64,
    last_session: u64,
    last_name: u64,
}

impl Broker {
    /// An empty broker.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Lets in only these users from now on.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ..self }
    }

    /// Its bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What it has seen and holds.
    pub fn counts(&self) -> Counts {
        Counts { sessions: self.sessions.len(), connections: self.conns.len(), ..self.counts }
    }

    /// Messages that wait for the client, sent and unacknowledged ones included; none if it has no MQTT session.
    pub fn backlog(&self, client: &str) -> Option<usize> {
        Some(self.sessions[self.clients.get(client)?].outgoing.len())
    }

    /// A connection begins.
    pub fn connected(&mut self, now: Millis) -> ConnId {
        self.last_conn += 1;
        let id = ConnId(self.last_conn);
        self.conns.insert(id, Conn::new(now, self.limits.connect));
        self.timers.set(Waiting::Conn(id), Some(now + self.limits.connect));
        id
    }

    /// A packet arrived.
    pub fn handle(&mut self, conn: ConnId, packet: Packet, now: Millis) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        at.seen = now;
        let result = match (at.session, packet) {
            (None, Packet::Connect(connect)) => self.connect(conn, *connect, now),
            (None, _) => Err(Fault::FirstNotConnect),
            (Some(session), packet) => self.packet(conn, session, packet, now),
        };
        if let Err(fault) = result {
            self.handle_fault(conn, fault, now);
        }
    }

    fn packet(&mut self, conn: ConnId, session: SessionId, packet: Packet, now: Millis) -> Result<(), Fault> {
        match packet {
            Packet::Connect(_) => return Err(Fault::SecondConnect),
            Packet::Publish(publish) => return self.publish(conn, session, publish, now),
            Packet::PublishRelease(ack) => self.release(conn, session, ack.packet_id),
            Packet::PublishAck(ack) => self.acknowledged(session, ack.packet_id, now),
            Packet::PublishReceived(ack) => self.received(conn, session, &ack, now),
            Packet::PublishComplete(ack) => self.completed(session, ack.packet_id, now),
            Packet::Subscribe(subscribe) => return self.subscribe(conn, session, subscribe, now),
            Packet::Unsubscribe(unsubscribe) => return self.unsubscribe(conn, session, &unsubscribe, now),
            Packet::PingRequest => self.send(conn, Packet::PingResponse),
            Packet::Disconnect(disconnect) => return self.disconnect(conn, session, &disconnect, now),
            Packet::ConnectAck(_) | Packet::SubscribeAck(_) | Packet::UnsubscribeAck(_) | Packet::PingResponse => {
                return Err(Fault::ServerOnly);
            }
            // No connection has a method, so none may have an AUTH [MQTT-4.12.0-7].
            Packet::Auth(_) => return Err(Fault::Protocol),
        }
        Ok(())
    }

    /// The client broke MQTT, as far as the shell can see it: it is told as MQTT prescribes, and closed.
    pub fn handle_fault(&mut self, conn: ConnId, fault: Fault, now: Millis) {
        let Some(at) = self.conns.get(&conn) else { return };
        match (at.session, fault.refusal()) {
            (None, None) => self.close(conn, None, Closing::Fault(fault), now),
            (None, Some(refusal)) => self.refuse(conn, refusal, fault, now),
            (Some(_), _) => {
                let reason_string = at.reason(fault.reason());
                let disconnect = Disconnect { reason_string, ..Disconnect::new(fault.disconnect()) };
                self.send(conn, Packet::Disconnect(disconnect));
                self.close(conn, None, Closing::Fault(fault), now);
            }
        }
    }

    /// The connection is gone, without a DISCONNECT unless the broker has seen one.
    pub fn closed(&mut self, conn: ConnId, now: Millis) {
        self.leave(conn, now);
    }

    /// The shell has written `bytes` of what it was given for the connection.
    pub fn handle_sent(&mut self, conn: ConnId, bytes: usize, now: Millis) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        at.unsent = at.unsent.saturating_sub(bytes);
        if let Some(session) = at.session {
            self.pump(session, now);
        }
    }

    /// The broker ends: every connection is told and closed, and no will is published for it.
    pub fn shut_down(&mut self, now: Millis) {
        let mut all: Vec<_> = self.conns.keys().copied().collect();
        all.sort();
        for conn in all {
            if let Some(conn) = self.conns.get_mut(&conn) {
                conn.will = None;
            }
            self.close(conn, Some(DisconnectReasonCode::ServerShuttingDown), Closing::Shutdown, now);
        }
    }

    /// What to do next; none means that the broker waits for an input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.timers.next()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Millis) {
        while let Some(waiting) = self.timers.pop(now) {
            match waiting {
                Waiting::Conn(conn) => self.silence(conn, now),
                Waiting::Session(session) => self.session_due(session, now),
                Waiting::Search => self.search_on(now),
            }
        }
    }

    /// The deadline of a connection isn't moved at each packet, but looked at when it is reached.
    fn silence(&mut self, id: ConnId, now: Millis) {
        let Some(conn) = self.conns.get(&id) else { return };
        let Some(patience) = conn.patience else { return };
        if conn.seen + patience > now {
            return self.timers.set(Waiting::Conn(id), Some(conn.seen + patience));
        }
        let fault = if conn.session.is_some() { Fault::KeepAlive } else { Fault::NoConnect };
        self.handle_fault(id, fault, now);
    }

    /// Sends a packet that isn't a message. A reason string that makes it too large for the client is left out
    /// [MQTT-3.2.2-19, MQTT-3.4.2-2, MQTT-3.5.2-2, MQTT-3.6.2-2, MQTT-3.7.2-2, MQTT-3.9.2-1, MQTT-3.11.2-1,
    /// MQTT-3.14.2-3].
    fn send(&mut self, id: ConnId, mut packet: Packet) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let mut bytes = size::wire_bytes(&packet);
        if bytes > conn.packet_max && take_reason(&mut packet) {
            bytes = size::wire_bytes(&packet);
        }
        // Not even that fits only a client whose maximum is refused: then the close alone tells [MQTT-3.1.2-24].
        if bytes > conn.packet_max {
            return;
        }
        conn.unsent += bytes;
        self.outputs.push_back(Output::Send { conn: id, packet, bytes });
    }

    fn close(&mut self, conn: ConnId, code: Option<DisconnectReasonCode>, why: Closing, now: Millis) {
        let connected = self.conns.get(&conn).is_some_and(|conn| conn.session.is_some());
        if let Some(code) = code.filter(|_| connected) {
            self.send(conn, Packet::Disconnect(Disconnect::new(code)));
        }
        self.outputs.push_back(Output::Close { conn, why });
        self.leave(conn, now);
    }

    /// Publishes the will of a session that is still there.
    fn publish_will(&mut self, publish: Box<Publish>, from: SessionId, now: Millis) {
        self.counts.wills += 1;
        self.route(message::Message::new(publish, now), from, now);
    }
}

/// Takes the reason string out of a packet; whether there was one.
fn take_reason(packet: &mut Packet) -> bool {
    let reason = match packet {
        Packet::ConnectAck(ack) => &mut ack.reason_string,
        Packet::PublishAck(ack) | Packet::PublishReceived(ack) => &mut ack.reason_string,
        Packet::PublishRelease(ack) | Packet::PublishComplete(ack) => &mut ack.reason_string,
        Packet::SubscribeAck(ack) => &mut ack.reason_string,
        Packet::UnsubscribeAck(ack) => &mut ack.reason_string,
        Packet::Disconnect(disconnect) => &mut disconnect.reason_string,
        _ => return false,
    };
    reason.take().is_some()
}
