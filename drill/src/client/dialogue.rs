//! What a client says and what it makes of the answers: packets in, packets out, no socket.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use bytes::BytesMut;
use tokio::time::Instant;

use super::{Board, End, Gate, Options, Pace, Publishing, State};
use crate::{
    mqtt::{Frame, Packet, Publish, Qos, encode},
    stamp::{Stamp, Stream},
};

/// The id of the one SUBSCRIBE; publishes take the others.
const SUBSCRIBE_ID: u16 = 1;

/// A handshake of QoS 1 or 2 under way.
struct Flight {
    stream: Stream,
    /// QoS 2: the PUBREC came, the PUBREL went.
    released: bool,
}

/// What one client says: CONNECT, its subscriptions, its messages, its share of each handshake. The caller carries
/// bytes, and knows the time.
pub struct Dialogue {
    options: Options,
    board: Rc<Board>,
    state: State,
    flights: BTreeMap<u16, Flight>,
    last_id: u16,
    /// Packet ids of QoS 2 that were received and not released: at most one per id.
    unreleased: BTreeSet<u16>,
    /// Names of the round's topics.
    names: Vec<String>,
    published: u64,
    gate: Option<Rc<Gate>>,
    pong_owed: bool,
}

impl Dialogue {
    /// Begins with CONNECT. What the board's clients share is entered in its ledger.
    pub fn begin(options: Options, board: Rc<Board>, out: &mut BytesMut) -> Self {
        let connect = encode::Connect {
            client_id: &options.client_id,
            username: options.username.as_deref(),
            keep_alive: options.keep_alive,
            clean_session: options.clean_session,
            will: options.will.as_ref(),
        };
        encode::connect(&connect, out);
        let publishing = options.publishing.as_ref();
        let names =
            publishing.map_or_else(Vec::new, |p| p.round.iter().map(|(topic, _)| board.topic(*topic)).collect());
        let closed = publishing.is_some_and(|p| matches!(p.pace, Pace::Closed { .. }));
        let gate = closed.then(|| board.gate(options.number));
        Self {
            options,
            board,
            state: State::Connecting,
            flights: BTreeMap::new(),
            last_id: SUBSCRIBE_ID,
            unreleased: BTreeSet::new(),
            names,
            published: 0,
            gate,
            pong_owed: false,
        }
    }

    /// Where the client stands.
    pub fn state(&self) -> State {
        self.state
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// What a client with [`Pace::Closed`] waits for.
    pub(super) fn gate(&self) -> Option<Rc<Gate>> {
        self.gate.clone()
    }

    /// Bytes came: handles every whole packet among them. How many bytes those took up.
    ///
    /// # Errors
    /// How the client's connection is over: it was refused, or what came isn't MQTT.
    pub fn take(&mut self, bytes: &[u8], now: Instant, out: &mut BytesMut) -> Result<usize, End> {
        let mut used = 0;
        while let Some((frame, length)) = Frame::take(&bytes[used..]).map_err(End::Malformed)? {
            self.handle(Packet::parse(frame).map_err(End::Malformed)?, now, out)?;
            used += length;
        }
        Ok(used)
    }

    /// A packet came.
    fn handle(&mut self, packet: Packet<'_>, now: Instant, out: &mut BytesMut) -> Result<(), End> {
        match (packet, self.state) {
            (Packet::ConnAck { code: 0, .. }, State::Connecting) => self.connected(now, out),
            (Packet::ConnAck { code, .. }, State::Connecting) => return Err(End::Refused(code)),
            (Packet::SubAck { id: SUBSCRIBE_ID, codes }, State::Subscribing) => {
                let Options { subscriptions, subscribed_at, .. } = &self.options;
                if codes.len() != subscriptions.len() || codes.iter().any(|code| *code != subscribed_at.level()) {
                    return Err(End::NotGranted);
                }
                self.state = State::Ready;
            }
            (Packet::Publish(publish), State::Subscribing | State::Ready) => self.publish_came(publish, now, out),
            (Packet::PubAck(id), _) => self.finish(id, Qos::AtLeastOnce, false),
            (Packet::PubRec(id), _) => {
                match self.flights.get_mut(&id) {
                    Some(flight) if flight.stream.qos == Qos::ExactlyOnce && !flight.released => flight.released = true,
                    _ => self.stray("PUBREC", id),
                }
                encode::pubrel(id, out);
            }
            (Packet::PubComp(id), _) => self.finish(id, Qos::ExactlyOnce, true),
            (Packet::PubRel(id), _) => {
                if !self.unreleased.remove(&id) {
                    self.stray("PUBREL", id);
                }
                encode::pubcomp(id, out);
            }
            (Packet::PingResp, _) if self.pong_owed => self.pong_owed = false,
            (packet, state) => self.board.with_ledger(|ledger| {
                let number = self.options.number;
                ledger.stray(|| format!("client {number} got {packet:?} while {state:?}"));
            }),
        }
        Ok(())
    }

    fn connected(&mut self, now: Instant, out: &mut BytesMut) {
        self.board.with_ledger(|ledger| ledger.connected(self.board.micros(now)));
        if self.options.subscriptions.is_empty() {
            self.state = State::Ready;
            return;
        }
        let Options { subscriptions, subscribed_at, .. } = &self.options;
        let filters = subscriptions.iter().map(|topic| (self.board.topic(*topic), *subscribed_at));
        encode::subscribe(SUBSCRIBE_ID, &filters.collect::<Vec<_>>(), out);
        self.state = State::Subscribing;
    }

    /// Every arrival is entered, a repeated packet id of QoS 2 too: over one connection nobody may send it again.
    fn publish_came(&mut self, publish: Publish<'_>, now: Instant, out: &mut BytesMut) {
        self.board.received(self.options.number, publish.topic, publish.payload, now);
        match publish.qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => encode::puback(publish.id, out),
            Qos::ExactlyOnce => {
                self.unreleased.insert(publish.id);
                encode::pubrec(publish.id, out);
            }
        }
    }

    fn finish(&mut self, id: u16, qos: Qos, released: bool) {
        match self.flights.get(&id) {
            Some(flight) if flight.stream.qos == qos && flight.released == released => {
                let stream = flight.stream;
                self.flights.remove(&id);
                self.board.with_ledger(|ledger| ledger.acknowledged(stream));
                self.board.changed.notify_waiters();
            }
            _ => self.stray("acknowledgement", id),
        }
    }

    fn stray(&self, what: &str, id: u16) {
        let number = self.options.number;
        self.board.with_ledger(|ledger| ledger.stray(|| format!("client {number} got a {what} of unknown id {id}")));
    }

    /// PINGREQ is due.
    pub(super) fn ping(&mut self, checked: bool, out: &mut BytesMut) -> Result<(), End> {
        if self.pong_owed && checked {
            return Err(End::NoPong);
        }
        self.pong_owed = true;
        encode::pingreq(out);
        Ok(())
    }

    /// Whether the next message of the round may go now, as far as handshakes and receipts are concerned.
    pub fn may_publish(&self) -> bool {
        let Some(publishing) = self.options.publishing.as_ref().filter(|_| self.state == State::Ready) else {
            return false;
        };
        let open = match (publishing.pace, &self.gate) {
            (Pace::Closed { window, receivers }, Some(gate)) => {
                self.published < gate.receipts.get() / u64::from(receivers.max(1)) + u64::from(window)
            }
            _ => true,
        };
        let (_, _, qos) = self.next(publishing);
        open && (qos == Qos::AtMostOnce || self.flights.len() < publishing.in_flight)
    }

    fn next<'a>(&'a self, publishing: &Publishing) -> (u32, &'a str, Qos) {
        let length = publishing.round.len();
        let at = usize::try_from(self.published).unwrap_or(0) % length;
        let (topic, qos) = publishing.round[at];
        (topic, &self.names[at], qos)
    }

    /// Publishes the next message of the round, which was due at `due`, now.
    pub fn publish(&mut self, due: Instant, now: Instant, out: &mut BytesMut) {
        let Some(publishing) = &self.options.publishing else { return };
        let (topic, name, qos) = self.next(publishing);
        let stream = Stream { publisher: self.options.number, topic, qos };
        let id = if qos == Qos::AtMostOnce { 0 } else { self.free_id() };
        let sent = self.board.micros(due);
        let sequence = self.board.with_ledger(|ledger| {
            ledger.was_late(self.board.micros(now).saturating_sub(sent));
            ledger.sent(stream)
        });
        let stamp = Stamp { stream, sequence, sent };
        let length = publishing.payload;
        encode::publish(name, qos, id, length, |out| stamp.write(length, out), out);
        if id != 0 {
            self.flights.insert(id, Flight { stream, released: false });
            self.last_id = id;
        }
        self.published += 1;
        self.board.changed.notify_waiters();
    }

    /// The next id that no handshake uses; `in_flight` leaves most of them free.
    fn free_id(&self) -> u16 {
        let mut id = self.last_id;
        loop {
            id = id.checked_add(1).unwrap_or(SUBSCRIBE_ID + 1);
            if !self.flights.contains_key(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    fn begin(options: Options) -> (Dialogue, Rc<Board>, BytesMut) {
        let board = Board::new("t");
        let mut out = BytesMut::new();
        let dialogue = Dialogue::begin(options, Rc::clone(&board), &mut out);
        out.clear();
        (dialogue, board, out)
    }

    fn options(publishing: Option<Publishing>) -> Options {
        Options { publishing, ..Options::new(0, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), "c") }
    }

    fn publisher(mix: &[Qos], in_flight: usize) -> (Dialogue, Rc<Board>, BytesMut) {
        let pace = Pace::Closed { window: 2, receivers: 1 };
        let (mut dialogue, board, mut out) =
            begin(options(Some(Publishing { in_flight, ..Publishing::new(0, mix, pace) })));
        let connack = Packet::ConnAck { session_present: false, code: 0 };
        dialogue.handle(connack, Instant::now(), &mut out).unwrap();
        assert_eq!(dialogue.state(), State::Ready);
        (dialogue, board, out)
    }

    #[test]
    fn qos_2_is_acknowledged_by_pubcomp_only() {
        let (mut dialogue, board, mut out) = publisher(&[Qos::ExactlyOnce], 1);
        dialogue.publish(Instant::now(), Instant::now(), &mut out);
        assert!(!dialogue.may_publish());
        out.clear();
        dialogue.handle(Packet::PubRec(2), Instant::now(), &mut out).unwrap();
        assert_eq!(out[..], *b"\x62\x02\x00\x02");
        assert!(!board.with_ledger(|ledger| ledger.settled()));
        dialogue.handle(Packet::PubComp(2), Instant::now(), &mut out).unwrap();
        assert!(board.with_ledger(|ledger| ledger.settled()));
        assert!(dialogue.may_publish());
    }

    #[test]
    fn acknowledgements_of_nothing_are_strays() {
        let (mut dialogue, board, mut out) = publisher(&[Qos::AtLeastOnce, Qos::ExactlyOnce], 9);
        dialogue.publish(Instant::now(), Instant::now(), &mut out);
        dialogue.publish(Instant::now(), Instant::now(), &mut out);
        let wrong = [
            Packet::PubAck(3),
            Packet::PubRec(2),
            Packet::PubComp(3),
            Packet::PubAck(9),
            Packet::PubRel(9),
            Packet::PingResp,
        ];
        for packet in wrong {
            dialogue.handle(packet, Instant::now(), &mut out).unwrap();
        }
        assert_eq!(board.with_ledger(|ledger| ledger.verdict(1).strays), 6);
        assert_eq!(board.with_ledger(|ledger| ledger.totals().acknowledged), 0);
    }

    #[test]
    fn a_closed_loop_waits_for_receipts_not_for_acknowledgements() {
        let (mut dialogue, board, mut out) = publisher(&[Qos::AtMostOnce], 1);
        dialogue.publish(Instant::now(), Instant::now(), &mut out);
        assert!(dialogue.may_publish());
        dialogue.publish(Instant::now(), Instant::now(), &mut out);
        assert!(!dialogue.may_publish());
        board.gate(0).receipts.set(1);
        assert!(dialogue.may_publish());
    }

    #[test]
    fn packet_ids_wrap_around_those_in_use() {
        let (mut dialogue, _board, mut out) = publisher(&[Qos::AtLeastOnce], 9);
        dialogue.publish(Instant::now(), Instant::now(), &mut out);
        assert!(dialogue.flights.contains_key(&2));
        dialogue.last_id = u16::MAX;
        dialogue.publish(Instant::now(), Instant::now(), &mut out);
        assert!(dialogue.flights.contains_key(&3));
    }

    #[test]
    fn refusals_and_silence_end_the_client() {
        let now = Instant::now();
        let (mut dialogue, board, mut out) = begin(options(None));
        let refusal = Packet::ConnAck { session_present: false, code: 3 };
        assert_eq!(dialogue.handle(refusal, now, &mut out), Err(End::Refused(3)));
        assert_eq!(board.with_ledger(|ledger| ledger.timeline(u64::MAX).connects.iter().sum::<u32>()), 0);
        let (mut dialogue, board, mut out) = begin(Options { subscriptions: vec![4, 5], ..options(None) });
        dialogue.handle(Packet::ConnAck { session_present: false, code: 0 }, now, &mut out).unwrap();
        assert_eq!(out[..], *b"\x82\x0e\x00\x01\x00\x03t/4\x02\x00\x03t/5\x02");
        assert_eq!(board.with_ledger(|ledger| ledger.timeline(u64::MAX).connects.iter().sum::<u32>()), 1);
        let partial = Packet::SubAck { id: 1, codes: &[2, 0x80] };
        assert_eq!(dialogue.handle(partial, now, &mut out), Err(End::NotGranted));
        assert_eq!(dialogue.ping(true, &mut out), Ok(()));
        assert_eq!(dialogue.ping(false, &mut out), Ok(()));
        assert_eq!(dialogue.ping(true, &mut out), Err(End::NoPong));
    }

    #[test]
    fn qos_2_in_is_released_once() {
        let (mut dialogue, board, mut out) = publisher(&[Qos::ExactlyOnce], 1);
        let now = Instant::now();
        board.with_ledger(|ledger| ledger.expect(0, 0));
        dialogue.publish(now, now, &mut out);
        let payload = out.split_off(out.len() - 64);
        out.clear();
        let publish =
            Publish { dup: false, qos: Qos::ExactlyOnce, retain: false, topic: "t/0", id: 7, payload: &payload };
        dialogue.handle(Packet::Publish(publish), now, &mut out).unwrap();
        dialogue.handle(Packet::PubRel(7), now, &mut out).unwrap();
        assert_eq!(out[..], *b"\x50\x02\x00\x07\x70\x02\x00\x07");
        assert_eq!(board.with_ledger(|ledger| ledger.verdict(1).tallies[2].received), 1);
        dialogue.handle(Packet::PubRel(7), now, &mut out).unwrap();
        assert_eq!(board.with_ledger(|ledger| ledger.verdict(1).strays), 1);
    }
}
