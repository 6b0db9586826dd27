//! What somebody who tests a client has the broker do.

use baton_protocol::limits::Millis;
use rmqtt_codec::v5::{ConnectAck, ConnectAckReason, DisconnectReasonCode, Packet};

use super::{Broker, Closing, ConnId, SessionId};

impl Broker {
    /// Refuses a CONNECT, whatever it says.
    pub fn turn_away(&mut self, conn: ConnId, reason_code: ConnectAckReason, now: Millis) {
        if self.conns.contains_key(&conn) {
            self.counts.connects += 1;
            self.counts.connacks += 1;
            self.send(conn, Packet::ConnectAck(Box::new(ConnectAck { reason_code, ..ConnectAck::default() })));
            self.close(conn, None, Closing::Commanded, now);
        }
    }

    /// Sends a client away.
    pub fn send_away(&mut self, conn: ConnId, reason: DisconnectReasonCode, now: Millis) {
        if self.conns.contains_key(&conn) {
            self.close(conn, Some(reason), Closing::Commanded, now);
        }
    }

    /// Loses the MQTT sessions of these clients, as a broker that had them in memory only and began again: no will is
    /// published. Those who are connected are closed without a word. How many sessions those were.
    pub fn forget_sessions(&mut self, of: impl Fn(&str) -> bool, now: Millis) -> usize {
        let lost: Vec<SessionId> =
            self.clients.iter().filter(|(client, _)| of(client)).map(|(_, session)| *session).collect();
        for id in &lost {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            session.will = None;
            if let Some(conn) = session.conn {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.will = None;
                }
                self.close(conn, None, Closing::Commanded, now);
            }
            // One that doesn't outlive its connection has ended with it.
            self.end_session(*id, now);
        }
        lost.len()
    }

    /// Loses the retained messages; how many those were.
    pub fn forget_retained(&mut self) -> usize {
        std::mem::take(&mut self.retained).count()
    }
}
