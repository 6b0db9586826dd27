//! CONNECT, DISCONNECT, client takeover, and the ends of connections and MQTT sessions.

use std::num::NonZeroU16;

use baton_protocol::limits::Millis;
use bytestring::ByteString;
use rmqtt_codec::types::Publish;
use rmqtt_codec::v5::{
    Connect, ConnectAck, ConnectAckReason, Disconnect, DisconnectReasonCode, LastWill, Packet, PublishProperties,
};

use super::{
    Broker, Closing, ConnId, Fault, SessionId, Waiting,
    limits::{PACKET_FLOOR, TOPIC_ALIASES},
    session::{Session, Will},
    size::connack_bytes,
    topic::{self, Filter},
};

impl Broker {
    pub(super) fn connect(&mut self, id: ConnId, connect: Connect, now: Millis) -> Result<(), Fault> {
        self.counts.connects += 1;
        let conn = self.conns.get_mut(&id).expect("only a live connection has packets");
        conn.packet_max = connect.max_packet_size.map_or(usize::MAX, |max| max.get() as usize);
        // The codec sees to it that with MQTT 5 there is a Receive Maximum.
        conn.mqtt5 = connect.receive_max.is_some();
        conn.reasons = conn.mqtt5 && connect.request_problem_info;
        check(&connect)?;
        self.credentials.as_ref().map_or(Ok(()), |known| known.check(&connect))?;

        let assigned = connect.client_id.is_empty().then(|| self.fresh_client());
        let client = assigned.as_ref().unwrap_or(&connect.client_id);
        let (session, session_present) = self.session_of(client, connect.clean_start, now)?;
        let server_keepalive_sec = self.attach(id, session, &connect, now);
        let ack = ConnectAck {
            session_present,
            assigned_client_id: assigned,
            server_keepalive_sec,
            // [MQTT-3.1.2-28]: a part of the topics that no other session is told of.
            response_info: connect.request_response_info.then(|| format!("response/{}", session.0).into()),
            ..ConnectAck::default()
        };
        self.accept(id, ack);
        self.pump(session, now);
        Ok(())
    }

    /// The client's session, without a connection, and whether it was there.
    fn session_of(&mut self, client: &ByteString, clean: bool, now: Millis) -> Result<(SessionId, bool), Fault> {
        if let Some(old) = self.clients.get(client).and_then(|session| self.sessions[session].conn) {
            self.counts.takeovers += 1;
            self.close(old, Some(DisconnectReasonCode::SessionTakenOver), Closing::TakenOver, now);
        }
        if clean && let Some(session) = self.clients.get(client) {
            self.end_session(*session, now);
        }
        match self.clients.get(client) {
            Some(session) => Ok((*session, true)),
            None => Ok((self.begin_session(client)?, false)),
        }
    }

    /// Puts a session on its connection; the keep-alive that the client has to use if it isn't its own.
    fn attach(&mut self, id: ConnId, session: SessionId, connect: &Connect, now: Millis) -> Option<u16> {
        let conn = self.conns.get_mut(&id).expect("only a live connection has packets");
        let at = self.sessions.get_mut(&session).expect("found or begun");
        at.conn = Some(id);
        at.expiry = connect.session_expiry_interval_secs;
        at.expires = None;
        at.will = None;
        let asked = connect.receive_max.map_or(usize::MAX, |max| usize::from(max.get()));
        self.counts.dropped += at.outgoing.resume(asked.min(self.limits.inflight), conn.packet_max);

        let most = self.limits.keep_alive.map(NonZeroU16::get).filter(|_| conn.mqtt5);
        let bound = most.filter(|most| connect.keep_alive == 0 || connect.keep_alive > *most);
        // [MQTT-3.2.2-22]
        let keep_alive = bound.unwrap_or(connect.keep_alive);
        // [MQTT-3.1.2-22]
        conn.patience = (keep_alive > 0).then(|| Millis::from(keep_alive) * 1500);
        conn.session = Some(session);
        conn.will = connect.last_will.clone().map(will);
        self.timers.set(Waiting::Conn(id), conn.patience.map(|patience| now + patience));
        self.timers.set(Waiting::Session(session), None);
        bound
    }

    /// Accepts a CONNECT, and tells what this broker allows.
    fn accept(&mut self, conn: ConnId, ack: ConnectAck) {
        self.counts.connacks += 1;
        let mut ack = ConnectAck {
            receive_max: self.limits.receive,
            topic_alias_max: TOPIC_ALIASES,
            max_packet_size: u32::try_from(self.limits.packet_bytes).ok(),
            ..ack
        };
        let most = self.conns.get(&conn).map_or(usize::MAX, |conn| conn.packet_max);
        if connack_bytes(&ack) > most {
            ack.response_info = None;
        }
        self.send(conn, Packet::ConnectAck(Box::new(ack)));
    }

    /// Refuses a CONNECT and closes [MQTT-3.1.4-6, MQTT-3.2.2-7].
    pub(super) fn refuse(&mut self, conn: ConnId, reason_code: ConnectAckReason, fault: Fault, now: Millis) {
        self.counts.connacks += 1;
        let reason_string = self.conns.get(&conn).and_then(|conn| conn.reason(fault.reason()));
        let ack = ConnectAck { reason_code, reason_string, ..ConnectAck::default() };
        self.send(conn, Packet::ConnectAck(Box::new(ack)));
        self.close(conn, None, Closing::Fault(fault), now);
    }

    /// A client id for a client that has none [MQTT-3.1.3-6].
    fn fresh_client(&mut self) -> ByteString {
        loop {
            self.last_name += 1;
            let name = ByteString::from(format!("auto-{}", self.last_name));
            if !self.clients.contains_key(&name) {
                return name;
            }
        }
    }

    fn begin_session(&mut self, client: &ByteString) -> Result<SessionId, Fault> {
        if self.sessions.len() >= self.limits.sessions {
            return Err(Fault::NoRoom);
        }
        // A copy of its own: a slice would keep the whole CONNECT for as long as the session.
        let client = ByteString::from(&**client);
        self.last_session += 1;
        let id = SessionId(self.last_session);
        self.clients.insert(client.clone(), id);
        self.sessions.insert(id, Session::new(client));
        Ok(id)
    }

    pub(super) fn disconnect(
        &mut self,
        id: ConnId,
        session: SessionId,
        disconnect: &Disconnect,
        now: Millis,
    ) -> Result<(), Fault> {
        let at = self.sessions.get_mut(&session).expect("a connected session exists");
        if let Some(expiry) = disconnect.session_expiry_interval_secs {
            if at.expiry == 0 && expiry != 0 {
                return Err(Fault::ExpiryFromZero);
            }
            at.expiry = expiry;
        }
        if disconnect.reason_code == DisconnectReasonCode::NormalDisconnection
            && let Some(conn) = self.conns.get_mut(&id)
        {
            conn.will = None;
        }
        self.close(id, None, Closing::Left, now);
        Ok(())
    }

    /// The connection has ended, for whatever reason: what is left of its will is due now or later.
    pub(super) fn leave(&mut self, id: ConnId, now: Millis) {
        let Some(conn) = self.conns.remove(&id) else { return };
        self.timers.set(Waiting::Conn(id), None);
        let Some(session) = conn.session else { return };
        let at = self.sessions.get_mut(&session).expect("a connected session exists");
        at.leave(now);
        self.counts.dropped += at.outgoing.suspend();
        at.will = conn.will.map(|will| (now + will.delay, will));
        self.session_due(session, now);
    }

    /// Publishes the will, and ends the session, whichever of them is due.
    pub(super) fn session_due(&mut self, id: SessionId, now: Millis) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.conn.is_none()) else { return };
        if session.expires.is_some_and(|at| at <= now) {
            return self.end_session(id, now);
        }
        if let Some((_, will)) = session.will.take_if(|(at, _)| *at <= now) {
            self.publish_will(will.publish, id, now);
        }
        let due = self.sessions.get(&id).and_then(Session::due);
        self.timers.set(Waiting::Session(id), due);
    }

    /// Forgets a session; its will doesn't wait any longer (3.1.3.2.2).
    pub(super) fn end_session(&mut self, id: SessionId, now: Millis) {
        self.timers.set(Waiting::Session(id), None);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        self.clients.remove(&session.client);
        for filter in &session.filters {
            if let Some(filter) = Filter::parse(filter) {
                self.subscriptions.remove(id, filter);
            }
        }
        if let Some((_, will)) = session.will.take() {
            self.publish_will(will.publish, id, now);
        }
        self.sessions.remove(&id);
    }
}

fn check(connect: &Connect) -> Result<(), Fault> {
    if connect.auth_method.is_some() {
        return Err(Fault::Authentication);
    }
    if connect.client_id.contains('\0') {
        return Err(Fault::ClientId);
    }
    if let Some(will) = &connect.last_will {
        if !topic::is_name(&will.topic) || will.response_topic.as_ref().is_some_and(|topic| !topic::is_name(topic)) {
            return Err(Fault::TopicName);
        }
        // 3.1.3.2.3
        if will.is_utf8_payload == Some(true) && std::str::from_utf8(&will.message).is_err() {
            return Err(Fault::PayloadFormat);
        }
    }
    if connect.max_packet_size.is_some_and(|max| max.get() < PACKET_FLOOR) {
        return Err(Fault::PacketMaximum);
    }
    Ok(())
}

fn will(will: LastWill) -> Will {
    let properties = PublishProperties {
        correlation_data: will.correlation_data,
        message_expiry_interval: will.message_expiry_interval,
        content_type: will.content_type,
        user_properties: will.user_properties,
        is_utf8_payload: will.is_utf8_payload == Some(true),
        response_topic: will.response_topic,
        ..PublishProperties::default()
    };
    let publish = Publish {
        dup: false,
        retain: will.retain,
        qos: will.qos,
        topic: will.topic,
        packet_id: None,
        payload: will.message,
        properties: Some(properties),
    };
    Will { delay: Millis::from(will.will_delay_interval_sec.unwrap_or(0)) * 1000, publish: Box::new(publish) }
}
