//! CONNECT, DISCONNECT, client takeover, and the ends of connections and MQTT sessions.

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
    topic::{self, Filter},
};

impl Broker {
    pub(super) fn connect(&mut self, id: ConnId, connect: Connect, now: Millis) -> Result<(), Fault> {
        self.counts.connects += 1;
        check(&connect)?;
        let assigned = connect.client_id.is_empty().then(|| self.fresh_client());
        let client = assigned.clone().unwrap_or(connect.client_id);

        if let Some(old) = self.clients.get(&client).and_then(|session| self.sessions[session].conn) {
            self.counts.takeovers += 1;
            self.close(old, Some(DisconnectReasonCode::SessionTakenOver), Closing::TakenOver, now);
        }
        if connect.clean_start
            && let Some(session) = self.clients.get(&client)
        {
            self.end_session(*session, now);
        }
        let found = self.clients.get(&client).copied();
        let session = match found {
            Some(session) => session,
            None => self.begin_session(client)?,
        };

        let at = self.sessions.get_mut(&session).expect("found or begun above");
        at.conn = Some(id);
        at.expiry = connect.session_expiry_interval_secs;
        at.expires = None;
        at.will = None;
        let asked = connect.receive_max.map_or(usize::MAX, |max| usize::from(max.get()));
        let packet_max = connect.max_packet_size.map_or(usize::MAX, |max| max.get() as usize);
        self.counts.dropped += at.outgoing.resume(asked.min(self.limits.inflight), packet_max);

        let patience = (connect.keep_alive > 0).then(|| Millis::from(connect.keep_alive) * 1500);
        let conn = self.conns.get_mut(&id).expect("only a live connection has packets");
        conn.session = Some(session);
        conn.patience = patience;
        conn.packet_max = packet_max;
        conn.will = connect.last_will.map(will);
        self.timers.set(Waiting::Conn(id), patience.map(|patience| now + patience));
        self.timers.set(Waiting::Session(session), None);

        self.acknowledge(id, found.is_some(), assigned);
        self.pump(session, now);
        Ok(())
    }

    fn acknowledge(&mut self, conn: ConnId, session_present: bool, assigned_client_id: Option<ByteString>) {
        self.counts.connacks += 1;
        let ack = ConnectAck {
            session_present,
            assigned_client_id,
            topic_alias_max: TOPIC_ALIASES,
            max_packet_size: u32::try_from(self.limits.packet_bytes).ok(),
            ..ConnectAck::default()
        };
        self.send(conn, Packet::ConnectAck(Box::new(ack)));
    }

    /// Refuses a CONNECT and closes [MQTT-3.1.4-5, MQTT-3.2.2-7].
    pub(super) fn refuse(&mut self, conn: ConnId, reason_code: ConnectAckReason, fault: Fault, now: Millis) {
        self.counts.connacks += 1;
        self.send(conn, Packet::ConnectAck(Box::new(ConnectAck { reason_code, ..ConnectAck::default() })));
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

    fn begin_session(&mut self, client: ByteString) -> Result<SessionId, Fault> {
        if self.sessions.len() >= self.limits.sessions {
            return Err(Fault::NoRoom);
        }
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
            self.publish_own(will.publish, id, now);
        }
        let due = self.sessions.get(&id).and_then(Session::due);
        self.timers.set(Waiting::Session(id), due);
    }

    /// Forgets a session; its will doesn't wait any longer (3.1.3.2.2).
    pub(super) fn end_session(&mut self, id: SessionId, now: Millis) {
        self.timers.set(Waiting::Session(id), None);
        let Some(session) = self.sessions.remove(&id) else { return };
        self.clients.remove(&session.client);
        for filter in &session.filters {
            if let Some(filter) = Filter::parse(filter) {
                self.subscriptions.remove(id, filter);
            }
        }
        if let Some((_, will)) = session.will {
            self.publish_own(will.publish, id, now);
        }
    }
}

fn check(connect: &Connect) -> Result<(), Fault> {
    if connect.auth_method.is_some() {
        return Err(Fault::Authentication);
    }
    if connect.client_id.contains('\0') {
        return Err(Fault::ClientId);
    }
    if connect.last_will.as_ref().is_some_and(|will| !topic::is_name(&will.topic)) {
        return Err(Fault::TopicName);
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
