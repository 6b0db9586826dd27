//! Who sent what, who got it, and whether that was right. Pure: times come in as microseconds.
//!
//! Over clean connections that nobody replaces, messages of every quality of service must arrive exactly once and in
//! order per [`Stream`], at each receiver. Memory is bounded per stream and receiver: the next number expected and at
//! most [`GAPS`] ranges that were passed over.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hdrhistogram::Histogram;

use crate::{
    mqtt::Qos,
    stamp::{Stamp, Stream},
};

mod arrivals;
mod timeline;
mod verdict;
mod window;

pub use arrivals::GAPS;
use arrivals::{Arrival, Arrivals};
use timeline::Course;
pub use timeline::{TICK, Timeline};
pub use verdict::{Tally, Verdict};
use window::{Open, histogram};
pub use window::{Spread, Window};

/// Microseconds without a message after which a receiver's wait is a gap: many times the pace of any load that asks.
const GAP: u64 = 500_000;
/// Gaps that are remembered: a thousand clients with a fault a second for an hour have fewer that last so long.
const GAPS_KEPT: usize = 1 << 20;

/// A connection that was lost, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// How, in a word or two.
    pub how: &'static str,
    /// When, in microseconds.
    pub at: u64,
}

/// A time in which a receiver got nothing, half a second or longer, and then something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Who waited.
    pub receiver: u32,
    /// The last message before, in microseconds.
    pub from: u64,
    /// The first one after, in microseconds.
    pub to: u64,
}

/// What one publisher did on one stream.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    sent: u64,
    acknowledged: u64,
}

/// The account of one load.
#[derive(Debug)]
pub struct Ledger {
    receivers: BTreeMap<u32, BTreeSet<u32>>,
    sent: HashMap<Stream, Sent>,
    arrivals: HashMap<(u32, Stream), Arrivals>,
    strays: u64,
    first_fault: Option<String>,
    ended: BTreeMap<u32, Dropped>,
    gaps: Vec<Gap>,
    gaps_kept: usize,
    gaps_beyond: u64,
    latency: Histogram<u64>,
    window: Open,
    course: Course,
    totals: Totals,
}

/// Plain sums, for a look while the load runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages published.
    pub sent: u64,
    /// Messages of QoS 1 and 2 whose handshake is finished.
    pub acknowledged: u64,
    /// Messages received, duplicates included.
    pub received: u64,
    /// Connections lost or refused: more than clients were dropped, where clients connect again.
    pub dropped: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            receivers: BTreeMap::new(),
            sent: HashMap::new(),
            arrivals: HashMap::new(),
            strays: 0,
            first_fault: None,
            ended: BTreeMap::new(),
            gaps: Vec::new(),
            gaps_kept: GAPS_KEPT,
            gaps_beyond: 0,
            latency: histogram(),
            window: Open::default(),
            course: Course::default(),
            totals: Totals::default(),
        }
    }
}

impl Ledger {
    /// Client `receiver` shall get everything that is published to `topic` from now on. Say so before the first
    /// message: what was sent before counts as lost.
    pub fn expect(&mut self, receiver: u32, topic: u32) {
        self.receivers.entry(topic).or_default().insert(receiver);
    }

    /// A message of this stream is being sent; returns its sequence number.
    pub fn sent(&mut self, stream: Stream) -> u64 {
        let entry = self.sent.entry(stream).or_default();
        entry.sent += 1;
        self.totals.sent += 1;
        entry.sent - 1
    }

    /// A handshake (PUBACK, or PUBREC to PUBCOMP) of this stream is finished.
    pub fn acknowledged(&mut self, stream: Stream) {
        self.sent.entry(stream).or_default().acknowledged += 1;
        self.totals.acknowledged += 1;
    }

    /// `receiver` got `payload` on `topic` at `now` microseconds; `None` is a topic that isn't one of this load's.
    /// Returns the stamp of a message that is right: sent, expected there, whole, and not there before.
    pub fn received(&mut self, receiver: u32, topic: Option<u32>, payload: &[u8], now: u64) -> Option<Stamp> {
        self.totals.received += 1;
        self.hear(receiver, now);
        let Some(stamp) = Stamp::read(payload) else {
            self.stray(|| format!("client {receiver} got {} bytes that nobody published", payload.len()));
            return None;
        };
        let Stamp { stream, sequence, sent } = stamp;
        let known = self.sent.get(&stream).is_some_and(|s| sequence < s.sent);
        let expected = topic == Some(stream.topic)
            && self.receivers.get(&stream.topic).is_some_and(|receivers| receivers.contains(&receiver));
        if !known || !expected {
            self.stray(|| format!("client {receiver} got {stamp:?}, which was not for it or never sent"));
            return None;
        }
        let latency = now.saturating_sub(sent);
        self.latency.saturating_record(latency);
        self.window.took(latency);
        match self.arrivals.entry((receiver, stream)).or_default().take(sequence) {
            Arrival::Next => Some(stamp),
            Arrival::AfterGap(from) => {
                self.fault(|| format!("client {receiver} got {stream:?} number {sequence} where {from} was next"));
                Some(stamp)
            }
            Arrival::Late => Some(stamp),
            Arrival::Again => {
                self.fault(|| format!("client {receiver} got {stream:?} number {sequence} again"));
                None
            }
        }
    }

    /// Something came that no rule of MQTT allows here, such as an acknowledgement of nothing.
    pub fn stray(&mut self, what: impl FnOnce() -> String) {
        self.strays += 1;
        self.fault(what);
    }

    fn hear(&mut self, receiver: u32, now: u64) {
        self.course.deliveries.count(now);
        let (from, waited) = self.window.hear(receiver, now);
        if waited < GAP {
            return;
        }
        if self.gaps.len() < self.gaps_kept {
            self.gaps.push(Gap { receiver, from, to: now });
        } else {
            self.gaps_beyond += 1;
        }
    }

    /// A message goes out, so many microseconds after it was due.
    pub fn was_late(&mut self, lateness: u64) {
        self.window.was_late(lateness);
    }

    /// A client got the CONNACK that it wants, at `now`.
    pub fn connected(&mut self, now: u64) {
        self.course.connects.count(now);
    }

    /// A client is connected and subscribed, after so many microseconds.
    pub fn joined(&mut self, took: u64) {
        self.window.joined(took);
    }

    /// Client `client` lost its connection at `now` in the way that `how` names.
    pub fn dropped(&mut self, client: u32, how: &'static str, now: u64) {
        self.totals.dropped += 1;
        self.window.lost(client);
        self.ended.insert(client, Dropped { how, at: now });
        self.fault(|| format!("client {client} was dropped: {how}"));
    }

    fn fault(&mut self, what: impl FnOnce() -> String) {
        self.first_fault.get_or_insert_with(what);
    }

    /// Clients that lost their connection at least once, and how the last time.
    pub fn ended(&self) -> &BTreeMap<u32, Dropped> {
        &self.ended
    }

    /// The gaps so far, in the order in which they ended, up to a million.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How many gaps there were beyond those.
    pub fn gaps_beyond(&self) -> u64 {
        self.gaps_beyond
    }

    /// Sums so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether every message between clients that are still there has been acknowledged and has arrived.
    pub fn settled(&self) -> bool {
        self.tallies(true).iter().all(|t| t.lost == 0 && t.unacknowledged == 0)
    }

    /// What has happened since the last call.
    pub fn take_window(&mut self, now: u64) -> Window {
        self.window.take(now)
    }

    /// What has happened from the beginning until `now`, tick by tick.
    pub fn timeline(&self, now: u64) -> Timeline {
        self.course.until(now)
    }

    /// The judgement of `clients` clients as things stand: call it when the load is over.
    pub fn verdict(&self, clients: u32) -> Verdict {
        self.judge(clients, false)
    }

    /// The judgement of those streams only whose publisher and receiver both kept their connection: what is to be
    /// clean when a fault was meant to cost some clients their connection. `survivors` is how many did.
    pub fn verdict_of_survivors(&self, survivors: u32) -> Verdict {
        self.judge(survivors, true)
    }

    fn judge(&self, clients: u32, survivors: bool) -> Verdict {
        let mut drops = BTreeMap::new();
        if !survivors {
            self.ended.values().for_each(|dropped| *drops.entry(dropped.how).or_default() += 1);
        }
        let first_fault = (!survivors).then(|| self.first_fault.clone()).flatten();
        Verdict {
            clients,
            drops,
            tallies: self.tallies(survivors),
            strays: self.strays,
            latency: Spread::of(&self.latency),
            first_fault,
        }
    }

    fn tallies(&self, survivors: bool) -> [Tally; 3] {
        let counts = |client: &u32| !survivors || !self.ended.contains_key(client);
        let mut tallies = [Tally::default(); 3];
        for (stream, sent) in self.sent.iter().filter(|(stream, _)| counts(&stream.publisher)) {
            let tally = &mut tallies[usize::from(stream.qos.level())];
            tally.sent += sent.sent;
            if stream.qos != Qos::AtMostOnce {
                tally.unacknowledged += sent.sent.saturating_sub(sent.acknowledged);
            }
            for receiver in self.receivers.get(&stream.topic).into_iter().flatten().filter(|r| counts(r)) {
                let none = Arrivals::default();
                let arrivals = self.arrivals.get(&(*receiver, *stream)).unwrap_or(&none);
                tally.received += arrivals.distinct;
                tally.lost += sent.sent - arrivals.distinct;
                tally.duplicated += arrivals.again;
                tally.reordered += arrivals.late;
            }
        }
        tallies
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    const STREAM: Stream = Stream { publisher: 0, topic: 5, qos: Qos::AtLeastOnce };

    fn payload(stream: Stream, sequence: u64) -> BytesMut {
        let mut payload = BytesMut::new();
        Stamp { stream, sequence, sent: 1_000 }.write(40, &mut payload);
        payload
    }

    /// Ten messages of one stream to client 1; those numbered in `arrivals` come, in that order.
    fn after(arrivals: &[u64]) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.expect(1, STREAM.topic);
        for sequence in 0..10 {
            assert_eq!(ledger.sent(STREAM), sequence);
            ledger.acknowledged(STREAM);
        }
        for sequence in arrivals {
            ledger.received(1, Some(STREAM.topic), &payload(STREAM, *sequence), 3_000);
        }
        ledger
    }

    fn faults(ledger: &Ledger) -> (u64, u64, u64) {
        let tally = ledger.verdict(2).tallies[1];
        (tally.lost, tally.duplicated, tally.reordered)
    }

    #[test]
    fn exactly_once_in_order_is_clean() {
        let ledger = after(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(ledger.settled());
        let verdict = ledger.verdict(2);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!((verdict.tallies[1].sent, verdict.tallies[1].received), (10, 10));
        assert!(verdict.latency.p50 >= 2_000 && verdict.latency.p50 < 2_010, "{verdict}");
    }

    #[test]
    fn the_timeline_has_all_from_the_beginning_whatever_was_asked_meanwhile() {
        let mut ledger = after(&[0, 1, 2]);
        ledger.connected(TICK);
        let _ = ledger.take_window(2 * TICK);
        ledger.received(1, Some(STREAM.topic), &payload(STREAM, 3), 2 * TICK);
        let timeline = Timeline { deliveries: vec![3, 0, 1, 0], connects: vec![0, 1, 0, 0] };
        assert_eq!(ledger.timeline(4 * TICK), timeline);
    }

    #[test]
    fn each_fault_has_its_name() {
        assert_eq!(faults(&after(&[0, 1, 2, 3, 4, 5, 6, 7, 8])), (1, 0, 0));
        assert_eq!(faults(&after(&[0, 2, 3, 4, 5, 6, 7, 8, 9])), (1, 0, 0));
        assert_eq!(faults(&after(&[0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9])), (0, 1, 0));
        assert_eq!(faults(&after(&[0, 2, 1, 3, 4, 5, 6, 7, 8, 9])), (0, 0, 1));
        assert_eq!(faults(&after(&[1, 0, 3, 3, 2, 2])), (6, 2, 2));
        assert!(!after(&[0, 2, 3]).settled());
        let verdict = after(&[0, 1, 1]).verdict(2);
        assert!(verdict.first_fault.is_some_and(|fault| fault.contains("number 1 again")));
    }

    #[test]
    fn a_message_to_the_wrong_client_or_of_nobody_is_a_stray() {
        let mut ledger = after(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let topic = Some(STREAM.topic);
        assert!(ledger.received(2, topic, &payload(STREAM, 0), 0).is_none());
        assert!(ledger.received(1, topic, &payload(STREAM, 10), 0).is_none());
        assert!(ledger.received(1, Some(6), &payload(Stream { topic: 6, ..STREAM }, 0), 0).is_none());
        assert!(ledger.received(1, Some(6), &payload(STREAM, 0), 0).is_none());
        assert!(ledger.received(1, None, &payload(STREAM, 0), 0).is_none());
        assert!(ledger.received(1, topic, b"short", 0).is_none());
        let verdict = ledger.verdict(2);
        assert_eq!((verdict.strays, verdict.is_clean()), (6, false));
    }

    #[test]
    fn missing_acknowledgements_and_drops_are_not_clean() {
        let mut ledger = Ledger::default();
        ledger.sent(STREAM);
        assert!(!ledger.settled());
        assert_eq!(ledger.verdict(1).tallies[1].unacknowledged, 1);
        assert!(!ledger.verdict(1).is_clean());
        ledger.acknowledged(STREAM);
        assert!(ledger.settled() && ledger.verdict(1).is_clean());
        ledger.dropped(3, "reset", 0);
        assert!(!ledger.verdict(1).is_clean());
        assert_eq!(ledger.verdict(1).drops.get("reset"), Some(&1));
    }

    #[test]
    fn a_long_wait_for_a_message_is_a_gap_unless_the_connection_was_lost_meanwhile() {
        let mut ledger = after(&[0]);
        let mut hears = |sequence, now| ledger.received(1, Some(STREAM.topic), &payload(STREAM, sequence), now);
        hears(1, 3_000 + GAP - 1);
        hears(2, 3_000 + 3 * GAP);
        assert_eq!(ledger.gaps(), [Gap { receiver: 1, from: 3_000 + GAP - 1, to: 3_000 + 3 * GAP }]);
        ledger.dropped(1, "reset", 3_000 + 4 * GAP);
        ledger.received(1, Some(STREAM.topic), &payload(STREAM, 3), 3_000 + 9 * GAP);
        assert_eq!(ledger.gaps().len(), 1);
    }

    #[test]
    fn gaps_that_are_not_kept_are_counted() {
        let mut ledger = Ledger { gaps_kept: 2, ..Ledger::default() };
        (0..6).for_each(|nth| ledger.hear(1, nth * GAP));
        assert_eq!((ledger.gaps().len(), ledger.gaps_beyond()), (2, 3));
    }

    #[test]
    fn survivors_are_judged_without_those_who_were_dropped() {
        let mut ledger = after(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        ledger.expect(2, STREAM.topic);
        assert_eq!(ledger.verdict(3).tallies[1].lost, 10);
        ledger.dropped(2, "closed", 0);
        assert!(ledger.settled());
        assert!(ledger.verdict_of_survivors(2).is_clean());
        assert!(!ledger.verdict(3).is_clean());
    }
}
