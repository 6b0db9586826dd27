//! Which packets and connections the rules hit.
//!
//! The shell tells it what comes in and what is to go out, and asks it by [`Engine::poll_effect`] what is to be done.
//! Rules are looked at in their order: the first that hits a packet decides over it, and those below don't see it.
//! What happens to connections and to the broker has no such order: every rule has its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use baton_protocol::limits::Millis;
use bytestring::ByteString;
use rmqtt_codec::v5::{ConnectAckReason, Packet};

use super::{
    RULES,
    armed::{Armed, Status},
    pattern::Pattern,
    rule::{Action, BrokerAct, ConnAct, ResumeAct, Rule, When},
};
use crate::{broker::ConnId, kind::Kind};

/// Packets of one connection that are held back at a time, by all rules: further ones go as they come, so that a rule
/// can't fill the memory.
pub const DELAYED: usize = 1000;
/// Milliseconds that a packet waits for the one that is to go before it. If none comes it goes alone: the last packet of
/// a conversation would never come otherwise.
pub const HELD_FOR: Millis = 1000;

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a packet, which counts for these bytes.
    Send(ConnId, Packet, usize),
    /// A packet of these bytes isn't sent, and is as good as written for the broker.
    Unsent(ConnId, usize),
    /// Do this to a connection, once what was sent before is written: rules about what the broker sends.
    InOrder(ConnId, ConnAct),
    /// Do this to a connection at once.
    AtOnce(ConnId, ConnAct),
    /// Do this to the broker; of sessions, to those of these clients.
    Broker(BrokerAct, Option<Pattern>),
    /// Do this to the broker, once what was sent to this connection before is written.
    BrokerInOrder(ConnId, BrokerAct, Option<Pattern>),
    /// A rule has hit: for the transcript.
    Did {
        /// What it hit; none for what happens to the broker.
        conn: Option<ConnId>,
        /// Its number.
        rule: u64,
        /// The rule.
        what: String,
        /// The packet that it hit.
        packet: Option<Packet>,
    },
}

/// What becomes of a packet that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The broker gets it.
    Pass,
    /// The broker doesn't.
    Ignore,
    /// It's a CONNECT, and is refused.
    Refuse(ConnectAckReason),
}

/// The rules can't be taken: there would be more than [`RULES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// What is known of a connection.
#[derive(Debug, Default)]
struct Tracked {
    client: ByteString,
    /// Whether the client has said CONNECT.
    introduced: bool,
    /// By rule, for those that count each connection by itself.
    counts: BTreeMap<u64, u64>,
    /// Waits for the next packet to go before it, or for its time.
    held: Option<(Packet, usize, DueAt)>,
    /// Packets held back.
    delayed: usize,
    /// What waits for a time on it: gone with it, so that who comes and goes leaves nothing behind.
    due: BTreeSet<DueAt>,
}

/// By time, and then in the order in which they were set.
type DueAt = (Millis, u64);

/// What waits for a time.
#[derive(Debug)]
enum Due {
    Delayed(ConnId, Packet, usize),
    Held(ConnId),
    Connection(ConnId, u64),
    Broker(u64),
}

/// The rules in force.
#[derive(Debug)]
pub struct Engine {
    seed: u64,
    rules: Vec<Armed>,
    conns: BTreeMap<ConnId, Tracked>,
    due: BTreeMap<DueAt, Due>,
    effects: VecDeque<Effect>,
    last_rule: u64,
    last_due: u64,
}

impl Engine {
    /// No rules. With the same seed and the same inputs the effects are the same.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rules: Vec::new(),
            conns: BTreeMap::new(),
            due: BTreeMap::new(),
            effects: VecDeque::new(),
            last_rule: 0,
            last_due: 0,
        }
    }

    /// Whether there is nothing to do, now or later: nothing need be told.
    pub fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.due.is_empty() && self.conns.values().all(|conn| conn.held.is_none())
    }

    /// The rules and what they have done.
    pub fn status(&self) -> Vec<Status> {
        self.rules.iter().map(|armed| armed.status.clone()).collect()
    }

    /// Puts rules in force, below those that are; all or none. `there` are the connections that there are, each with its
    /// client id and its begin. Returns the number of the first.
    ///
    /// # Errors
    /// There would be too many.
    pub fn add(
        &mut self,
        rules: Vec<Rule>,
        there: impl IntoIterator<Item = (ConnId, ByteString, Millis)>,
        now: Millis,
    ) -> Result<u64, Refused> {
        if self.rules.len() + rules.len() > RULES {
            return Err(Refused);
        }
        let there: Vec<_> = there.into_iter().collect();
        for (conn, client, _) in &there {
            let tracked = self.conns.entry(*conn).or_default();
            (tracked.client, tracked.introduced) = (client.clone(), !client.is_empty());
        }
        let first = self.last_rule + 1;
        for rule in rules {
            self.last_rule += 1;
            let number = self.last_rule;
            self.rules.push(Armed::new(number, rule, self.seed));
            self.begin(number, &there, now);
        }
        Ok(first)
    }

    /// What a new rule does now, and when it is due.
    fn begin(&mut self, number: u64, there: &[(ConnId, ByteString, Millis)], now: Millis) {
        let Some(at) = self.at(number) else { return };
        match self.rules[at].status.rule.action {
            Action::Connection(_, When::Now) => there.iter().for_each(|(conn, ..)| self.fire(at, *conn, false)),
            Action::Connection(_, When::Time(time)) => {
                for (conn, _, begun) in there.iter().filter(|(.., begun)| begun + time >= now) {
                    self.later_on(*conn, begun + time, Due::Connection(*conn, number));
                }
            }
            Action::Broker(_, When::Now) => self.fire_broker(at),
            Action::Broker(_, When::Time(time)) => {
                self.later(now + time, Due::Broker(number));
            }
            _ => {}
        }
    }

    /// Takes a rule out of force, or all of them; how many those were. What they hold back goes in its time.
    pub fn remove(&mut self, number: Option<u64>) -> usize {
        let before = self.rules.len();
        self.rules.retain(|armed| number.is_some_and(|number| armed.status.number != number));
        before - self.rules.len()
    }

    /// A connection begins.
    pub fn opened(&mut self, conn: ConnId, now: Millis) {
        self.conns.insert(conn, Tracked::default());
        for at in 0..self.rules.len() {
            let Action::Connection(_, when) = self.rules[at].status.rule.action else { continue };
            match when {
                When::Open => self.fire(at, conn, false),
                When::Time(time) => {
                    self.later_on(conn, now + time, Due::Connection(conn, self.rules[at].status.number));
                }
                _ => {}
            }
        }
    }

    /// A connection is over. What is held back for it goes nowhere.
    pub fn closed(&mut self, conn: ConnId) {
        let due = self.conns.remove(&conn).map(|tracked| tracked.due);
        for at in due.into_iter().flatten() {
            self.due.remove(&at);
        }
    }

    /// The client sent a packet.
    pub fn received(&mut self, conn: ConnId, packet: &Packet) -> Verdict {
        // What a second one says doesn't count.
        if let Packet::Connect(connect) = packet
            && !std::mem::replace(&mut self.tracked(conn).introduced, true)
        {
            self.tracked(conn).client = connect.client_id.clone();
        }
        self.fire_all(conn, packet, false);
        for at in 0..self.rules.len() {
            let verdict = match &self.rules[at].status.rule.action {
                Action::Ignore(packets) if packets.include(packet) => Verdict::Ignore,
                Action::Refuse(reason) if Kind::of(packet) == Kind::Connect => Verdict::Refuse(*reason),
                _ => continue,
            };
            if self.hits(at, conn, Some(packet)) {
                return verdict;
            }
        }
        Verdict::Pass
    }

    /// The broker has a packet for a client, which counts for these bytes.
    pub fn sending(&mut self, conn: ConnId, mut packet: Packet, bytes: usize, now: Millis) {
        if let Packet::ConnectAck(ack) = &packet
            && let Some(client) = &ack.assigned_client_id
        {
            self.tracked(conn).client = client.clone();
        }
        match self.fate(conn, &mut packet) {
            Fate::Pass => self.send(conn, packet, bytes),
            Fate::Drop => self.effects.push_back(Effect::Unsent(conn, bytes)),
            Fate::Duplicate => {
                self.send(conn, packet.clone(), bytes);
                self.send(conn, packet, 0);
            }
            Fate::Delay(time) => {
                self.tracked(conn).delayed += 1;
                self.later_on(conn, now + time, Due::Delayed(conn, packet, bytes));
            }
            Fate::Hold => {
                let at = self.later_on(conn, now + HELD_FOR, Due::Held(conn));
                let tracked = self.tracked(conn);
                tracked.delayed += 1;
                tracked.held = Some((packet, bytes, at));
            }
        }
    }

    /// What the first rule that hits a packet says of it.
    fn fate(&mut self, conn: ConnId, packet: &mut Packet) -> Fate {
        let tracked = self.tracked(conn);
        let (room, holding) = (tracked.delayed < DELAYED, tracked.held.is_some());
        for at in 0..self.rules.len() {
            let fate = match &self.rules[at].status.rule.action {
                Action::Drop(packets) if packets.include(packet) => Fate::Drop,
                Action::Duplicate(packets) if packets.include(packet) => Fate::Duplicate,
                Action::Delay(time, packets) if room && packets.include(packet) => Fate::Delay(*time),
                // The one that another waits for has to go.
                Action::Reorder(packets) if room && !holding && packets.include(packet) => Fate::Hold,
                Action::SessionPresent(present) => {
                    let present = *present;
                    if is_welcome(packet) && self.hits(at, conn, Some(packet)) {
                        claim(packet, present);
                    }
                    continue;
                }
                _ => continue,
            };
            if self.hits(at, conn, Some(packet)) {
                return fate;
            }
        }
        Fate::Pass
    }

    /// A packet goes, with what happens after it, and with the one that waited for it.
    fn send(&mut self, conn: ConnId, packet: Packet, bytes: usize) {
        self.effects.push_back(Effect::Send(conn, packet.clone(), bytes));
        self.fire_all(conn, &packet, true);
        self.release_held(conn);
    }

    fn release_held(&mut self, conn: ConnId) {
        let Some(tracked) = self.conns.get_mut(&conn) else { return };
        if let Some((packet, bytes, at)) = tracked.held.take() {
            tracked.delayed -= 1;
            tracked.due.remove(&at);
            self.due.remove(&at);
            self.send(conn, packet, bytes);
        }
    }

    /// What becomes of the resume of a session of this user.
    pub fn resume(&mut self, user: &str) -> Option<ResumeAct> {
        for armed in &mut self.rules {
            let Action::Resume(act) = armed.status.rule.action else { continue };
            if armed.hits(user, None) {
                let did = armed.did(None, None);
                self.effects.push_back(did);
                return Some(act);
            }
        }
        None
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Millis) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let (at, due) = entry.remove_entry();
            match due {
                Due::Delayed(conn, packet, bytes) => {
                    let tracked = self.tracked(conn);
                    tracked.due.remove(&at);
                    tracked.delayed -= 1;
                    self.send(conn, packet, bytes);
                }
                Due::Held(conn) => self.release_held(conn),
                Due::Connection(conn, number) => {
                    self.tracked(conn).due.remove(&at);
                    self.at(number).into_iter().for_each(|at| self.fire(at, conn, false));
                }
                Due::Broker(number) => self.at(number).into_iter().for_each(|at| self.fire_broker(at)),
            }
        }
    }

    /// What is to be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn tracked(&mut self, conn: ConnId) -> &mut Tracked {
        self.conns.entry(conn).or_default()
    }

    /// Where the rule of this number stands, if it is in force.
    fn at(&self, number: u64) -> Option<usize> {
        self.rules.binary_search_by_key(&number, |armed| armed.status.number).ok()
    }

    fn later(&mut self, at: Millis, due: Due) -> DueAt {
        self.last_due += 1;
        let at = (at, self.last_due);
        self.due.insert(at, due);
        at
    }

    /// The same for what is over with a connection.
    fn later_on(&mut self, conn: ConnId, at: Millis, due: Due) -> DueAt {
        let at = self.later(at, due);
        self.tracked(conn).due.insert(at);
        at
    }

    /// Whether a rule hits what has just happened on a connection; the transcript is told.
    fn hits(&mut self, at: usize, conn: ConnId, packet: Option<&Packet>) -> bool {
        let (armed, tracked) = (&mut self.rules[at], self.conns.entry(conn).or_default());
        let Status { number, ref rule, .. } = armed.status;
        let count = rule.per_connection.then(|| tracked.counts.entry(number).or_default());
        let hit = armed.hits(&tracked.client, count);
        if hit {
            self.effects.push_back(armed.did(Some(conn), packet.cloned()));
        }
        hit
    }

    /// What happens to connections and to the broker on a packet of the client's, or after one of the broker's.
    fn fire_all(&mut self, conn: ConnId, packet: &Packet, sent: bool) {
        for at in 0..self.rules.len() {
            let meant = match self.rules[at].status.rule.when() {
                Some(When::On(packets)) => !sent && packets.include(packet),
                Some(When::After(packets)) => sent && packets.include(packet),
                _ => false,
            };
            if meant {
                self.fire(at, conn, sent);
            }
        }
    }

    /// What has come about on a connection: does the rule hit it?
    fn fire(&mut self, at: usize, conn: ConnId, in_order: bool) {
        if !self.hits(at, conn, None) {
            return;
        }
        let rule = &self.rules[at].status.rule;
        let effect = match rule.action {
            Action::Connection(act, _) if in_order => Effect::InOrder(conn, act),
            Action::Connection(act, _) => Effect::AtOnce(conn, act),
            Action::Broker(act, _) if in_order => Effect::BrokerInOrder(conn, act, rule.client.clone()),
            Action::Broker(act, _) => Effect::Broker(act, rule.client.clone()),
            _ => return,
        };
        self.effects.push_back(effect);
    }

    /// What happens to the broker by itself. The clients of such a rule are those whose sessions it is about.
    fn fire_broker(&mut self, at: usize) {
        let armed = &mut self.rules[at];
        let Action::Broker(act, _) = armed.status.rule.action else { return };
        let clients = armed.status.rule.client.take();
        let hit = armed.hits("", None);
        armed.status.rule.client.clone_from(&clients);
        if hit {
            self.effects.extend([armed.did(None, None), Effect::Broker(act, clients)]);
        }
    }
}

/// What becomes of a packet that the broker sends.
enum Fate {
    Pass,
    Drop,
    Duplicate,
    Delay(Millis),
    Hold,
}

fn is_welcome(packet: &Packet) -> bool {
    matches!(packet, Packet::ConnectAck(ack) if ack.reason_code == ConnectAckReason::Success)
}

fn claim(packet: &mut Packet, present: bool) {
    if let Packet::ConnectAck(ack) = packet {
        ack.session_present = present;
    }
}

#[cfg(test)]
mod tests;
