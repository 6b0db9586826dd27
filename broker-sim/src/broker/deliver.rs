//! Messages to a client, and its acknowledgements of them.

use std::{collections::VecDeque, num::NonZeroU16};

use baton_protocol::limits::Millis;
use rmqtt_codec::{
    types::QoS,
    v5::{Packet, PublishAck, PublishAck2Reason, PublishAckReason},
};

use super::{Broker, ConnId, Counts, Output, SessionId, message::Message, session::Conn, size::wire_bytes};

impl Broker {
    /// Gives one session one message: at once if its client is there and can take it, else into its queue; at QoS 0
    /// what can't be sent at once is dropped, unless others of QoS 0 wait that it must not overtake.
    pub(super) fn deliver(&mut self, id: SessionId, message: Message, now: Millis) {
        let session = self.sessions.get_mut(&id).expect("subscriptions go with their session");
        let conn = session.conn.and_then(|conn| self.conns.get_mut(&conn).map(|at| (conn, at)));
        let takes = conn.filter(|(_, conn)| conn.unsent < self.limits.unsent_bytes);
        let qos = message.publish.qos;
        let free = session.outgoing.is_free(qos);
        // At QoS 0 a message is for a client that is there.
        if qos == QoS::AtMostOnce && session.conn.is_none() {
            self.counts.dropped += 1;
            return;
        }
        match takes {
            Some((conn, at)) if free => match session.outgoing.launch(message, now) {
                Some(packet) => give(&mut self.outputs, &mut self.counts, conn, at, packet),
                None => self.counts.dropped += 1,
            },
            _ if free && qos == QoS::AtMostOnce => self.counts.dropped += 1,
            _ if session.outgoing.push(message, &self.limits) => {}
            _ => self.counts.dropped += 1,
        }
    }

    /// Sends what waits in the session, as far as its connection and its window take it.
    pub(super) fn pump(&mut self, id: SessionId, now: Millis) {
        loop {
            self.send_waiting(id, now);
            if !self.turn_page(id, now) {
                return;
            }
        }
    }

    fn send_waiting(&mut self, id: SessionId, now: Millis) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(conn) = session.conn else { return };
        let Some(at) = self.conns.get_mut(&conn) else { return };
        while at.unsent < self.limits.unsent_bytes {
            let Some(packet) = session.outgoing.next(now, &mut self.counts.dropped) else { return };
            give(&mut self.outputs, &mut self.counts, conn, at, packet);
        }
    }

    /// PUBACK.
    pub(super) fn acknowledged(&mut self, session: SessionId, packet_id: NonZeroU16, now: Millis) {
        let at = self.sessions.get_mut(&session).expect("a connected session exists");
        if at.outgoing.acknowledged(packet_id) {
            self.pump(session, now);
        }
    }

    /// PUBREC.
    pub(super) fn received(&mut self, conn: ConnId, session: SessionId, ack: &PublishAck, now: Millis) {
        let refused = !matches!(ack.reason_code, PublishAckReason::Success | PublishAckReason::NoMatchingSubscribers);
        let at = self.sessions.get_mut(&session).expect("a connected session exists");
        match at.outgoing.received(ack.packet_id, refused) {
            Some(mut release) => {
                if let Packet::PublishRelease(ack) = &mut release
                    && ack.reason_code == PublishAck2Reason::PacketIdNotFound
                {
                    let at = self.conns.get(&conn);
                    ack.reason_string = at.and_then(|at| at.reason("no message of QoS 2 has this packet id"));
                }
                self.send(conn, release);
            }
            None => self.pump(session, now),
        }
    }

    /// PUBCOMP.
    pub(super) fn completed(&mut self, session: SessionId, packet_id: NonZeroU16, now: Millis) {
        let at = self.sessions.get_mut(&session).expect("a connected session exists");
        if at.outgoing.completed(packet_id) {
            self.pump(session, now);
        }
    }
}

/// Hands a packet of a session's outgoing state to the shell.
fn give(outputs: &mut VecDeque<Output>, counts: &mut Counts, conn: ConnId, at: &mut Conn, packet: Packet) {
    if let Packet::Publish(publish) = &packet {
        counts.delivered[usize::from(publish.qos.value())] += 1;
    }
    let bytes = wire_bytes(&packet);
    at.unsent += bytes;
    outputs.push_back(Output::Send { conn, packet, bytes });
}
