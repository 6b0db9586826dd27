//! Where the rules meet the broker and its connections, and where what happens is recorded.

use baton_anchor::Resuming;
use baton_protocol::{id::UserId, limits::Millis};
use rmqtt_codec::v5::Packet;

use super::{
    BrokerHandle,
    outbox::{Item, Outbox},
};
use crate::{
    broker::{Broker, ConnId},
    faults::{BrokerAct, ConnAct, Effect, Pattern, Refused, ResumeAct, Rule, Status, Verdict},
    transcript::{Entry, Noted, Why},
};

impl BrokerHandle {
    /// Puts rules in force; the number of the first.
    ///
    /// # Errors
    /// There would be too many.
    pub(crate) fn add_faults(&self, rules: Vec<Rule>) -> Result<u64, Refused> {
        let there: Vec<_> =
            self.0.outboxes.borrow().iter().map(|(conn, outbox)| (*conn, outbox.client(), outbox.begun)).collect();
        let added = self.0.engine.borrow_mut().add(rules, there, self.0.clock.now());
        self.look_again();
        added
    }

    /// Takes a rule out of force, or all; how many those were.
    pub(crate) fn remove_faults(&self, number: Option<u64>) -> usize {
        let removed = self.0.engine.borrow_mut().remove(number);
        self.look_again();
        removed
    }

    /// The rules in force.
    pub(crate) fn faults(&self) -> Vec<Status> {
        self.0.engine.borrow().status()
    }

    /// Until a rule has ended the broker.
    pub(crate) async fn crashed(&self) {
        while !self.has_crashed() {
            self.0.crash.notified().await;
        }
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.0.crashed.get()
    }

    fn look_again(&self) {
        self.0.faulty.set(true);
        self.drive(|_, _| ());
        self.0.faulty.set(!self.0.engine.borrow().is_idle());
    }

    /// Late faults are due.
    pub(super) fn time_has_passed(&self) {
        if self.0.faulty.get() {
            self.0.engine.borrow_mut().handle_timeout(self.0.clock.now());
            self.look_again();
        }
    }

    /// A client sent a packet.
    pub(super) fn receive(&self, conn: ConnId, packet: Packet) {
        if !self.0.faulty.get() {
            return self.drive(|broker, now| broker.handle(conn, packet, now));
        }
        let verdict = self.0.engine.borrow_mut().received(conn, &packet);
        self.drive(|broker, now| {
            self.do_wrong(broker, now);
            if self.has_crashed() {
                return;
            }
            match verdict {
                Verdict::Pass => broker.handle(conn, packet, now),
                Verdict::Ignore => {}
                Verdict::Refuse(reason) => broker.turn_away(conn, reason, now),
            }
        });
    }

    /// Does what the rules have come to.
    pub(super) fn do_wrong(&self, broker: &mut Broker, now: Millis) {
        loop {
            let Some(effect) = self.0.engine.borrow_mut().poll_effect() else { return };
            let outbox = |conn: &ConnId| self.0.outboxes.borrow().get(conn).cloned();
            match effect {
                Effect::Send(conn, packet, bytes) => {
                    outbox(&conn).into_iter().for_each(|outbox| outbox.push(packet.clone(), bytes));
                }
                Effect::Unsent(conn, bytes) => broker.handle_sent(conn, bytes, now),
                Effect::InOrder(conn, ConnAct::Disconnect(reason))
                | Effect::AtOnce(conn, ConnAct::Disconnect(reason)) => {
                    broker.send_away(conn, reason, now);
                }
                Effect::InOrder(conn, act) => {
                    outbox(&conn).into_iter().for_each(|outbox| outbox.push_act(Item::Connection(act)));
                }
                Effect::AtOnce(conn, act) => {
                    outbox(&conn).into_iter().for_each(|outbox| outbox.act(act));
                    // It acts on nothing that came before it knew.
                    if act == ConnAct::Cut {
                        broker.closed(conn, now);
                    }
                }
                Effect::BrokerInOrder(conn, act, clients) => {
                    outbox(&conn).into_iter().for_each(|outbox| outbox.push_act(Item::Broker(act, clients.clone())));
                }
                Effect::Broker(act, clients) => self.do_to_broker(broker, act, clients.as_ref(), now),
                Effect::Did { conn, rule, what, packet } => {
                    if self.records() {
                        let (client, level) =
                            conn.as_ref().and_then(outbox).map(|outbox| outbox.who()).unwrap_or_default();
                        let what = Noted::Fault(rule, what, packet.map(|packet| (level, packet)));
                        self.0.recorder.note(Entry { at: now, conn, client, what });
                    }
                }
            }
        }
    }

    /// Does to the broker what waited for its turn.
    pub(super) fn strike(&self, act: BrokerAct, clients: Option<&Pattern>) {
        self.drive(|broker, now| self.do_to_broker(broker, act, clients, now));
    }

    fn do_to_broker(&self, broker: &mut Broker, act: BrokerAct, clients: Option<&Pattern>, now: Millis) {
        if matches!(act, BrokerAct::ForgetSessions | BrokerAct::ForgetEverything) {
            broker.forget_sessions(|client| clients.is_none_or(|clients| clients.matches(client)), now);
        }
        if matches!(act, BrokerAct::ForgetRetained | BrokerAct::ForgetEverything) {
            broker.forget_retained();
        }
        if act == BrokerAct::Crash {
            self.0.crashed.set(true);
            self.0.crash.notify_one();
        }
    }

    /// What becomes of the resume of a session of this user.
    pub(crate) fn resuming(&self, user: &UserId) -> Resuming {
        if !self.0.faulty.get() {
            return Resuming::Take;
        }
        let act = self.0.engine.borrow_mut().resume(user.as_str());
        self.drive(|_, _| ());
        match act {
            None => Resuming::Take,
            Some(ResumeAct::Refuse) => Resuming::Lose,
            Some(ResumeAct::Delay(time)) => Resuming::Late(time),
            Some(ResumeAct::Ignore) => Resuming::Never,
        }
    }

    /// Whether what happens is recorded.
    pub(super) fn records(&self) -> bool {
        self.0.recorder.is_on()
    }

    pub(super) fn record(&self, conn: ConnId, outbox: &Outbox, what: Noted) {
        self.0.recorder.note(Entry { at: self.0.clock.now(), conn: Some(conn), client: outbox.client(), what });
    }

    /// A connection has begun.
    pub(super) fn note_open(&self, conn: ConnId, outbox: &Outbox, peer: &str) {
        if self.records() {
            self.record(conn, outbox, Noted::Open(peer.to_owned()));
        }
        if self.0.faulty.get() {
            self.0.engine.borrow_mut().opened(conn, self.0.clock.now());
            self.drive(|_, _| ());
        }
    }

    pub(super) fn note_close(&self, conn: ConnId, outbox: &Outbox, why: Why) {
        if self.records() {
            self.record(conn, outbox, Noted::Close(why));
        }
    }

    /// Writes what is recorded and still waits.
    pub(crate) fn finish_transcript(&self) {
        self.0.recorder.finish();
    }
}
