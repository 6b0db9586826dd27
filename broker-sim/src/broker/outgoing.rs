//! What one MQTT session has for its client: messages in flight, and messages that wait for their turn.

use std::{
    collections::VecDeque,
    num::{NonZeroU16, NonZeroU32},
};

use baton_protocol::limits::Millis;
use bytestring::ByteString;
use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{Packet, PublishAck2, PublishAck2Reason},
};

use super::{
    limits::{INFLIGHT_BYTES, Limits, RETAINED_PAGE, RETAINED_PAGE_BYTES},
    message::Message,
    queue::Queue,
    retained::Wanted,
    size::publish_bytes,
    subscriptions::Subscription,
};

/// The outgoing half of an MQTT session's state (4.1).
///
/// ```text
///   wanted ──► page ──take──► QoS 0: sent and forgotten
///             queue ──take──► QoS 1: Published ──PUBACK──► done
///                             QoS 2: Published ──PUBREC──► Released ──PUBCOMP──► done
/// ```
/// When the client comes back, everything in flight is sent again in its order [MQTT-4.4.0-1], as far as the window
/// of the new connection allows, before anything that waits. What was retained when a subscription was made comes after
/// what waited then and before what is published from then on, so that no topic's message comes after a newer one.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgoing {
    /// Messages that may be in flight.
    window: usize,
    /// Bytes of a packet that the client takes.
    packet_max: usize,
    last_id: u16,
    flight: VecDeque<Flight>,
    flight_bytes: usize,
    /// How many of `flight`, from the front, were sent on the present connection.
    sent: usize,
    /// What is still to come of the retained messages, and the next of them.
    pub(super) wanted: Wanted,
    page: Queue,
    queue: Queue,
    /// How many of `queue`, from the front, come before the page.
    before: usize,
}

#[derive(Clone, Debug)]
struct Flight {
    id: NonZeroU16,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Sent first at this time.
    Published(Box<Publish>, Millis),
    Released,
}

impl Stage {
    /// Bytes of the packet that is kept.
    fn bytes(&self) -> usize {
        match self {
            Self::Published(publish, _) => publish_bytes(publish),
            Self::Released => 0,
        }
    }
}

impl Outgoing {
    /// A connection begins: `window` messages may be in flight, and none of those that are is on it yet. Messages
    /// that the client doesn't take any more are over; how many.
    pub(super) fn resume(&mut self, window: usize, packet_max: usize) -> u64 {
        self.window = window;
        self.packet_max = packet_max;
        self.sent = 0;
        let before = self.flight.len();
        self.flight.retain(|flight| flight.stage.bytes() <= packet_max);
        self.flight_bytes = self.flight.iter().map(|flight| flight.stage.bytes()).sum();
        (before - self.flight.len()) as u64
    }

    /// The connection is gone: what waits at QoS 0 is for a client that is there, and dropped; how many.
    pub(super) fn suspend(&mut self) -> u64 {
        self.before -= self.queue.at_most_once_of_first(self.before);
        self.wanted.drop_at_most_once();
        (self.page.drop_at_most_once() + self.queue.drop_at_most_once()) as u64
    }

    /// Whether a message that arrives now would overtake none of its kind that waits, and none that was retained.
    pub(super) fn is_free(&self, qos: QoS) -> bool {
        let alone = self.wanted.is_empty() && self.page.is_empty();
        alone
            && match qos {
                QoS::AtMostOnce => self.queue.at_most_once() == 0,
                _ => self.sent == self.flight.len() && self.has_window() && self.queue.is_empty(),
            }
    }

    /// Whether one message more may be in flight.
    fn has_window(&self) -> bool {
        self.flight.len() < self.window && self.flight_bytes < INFLIGHT_BYTES
    }

    /// Lets a message wait; whether there is room.
    pub(super) fn push(&mut self, message: Message, limits: &Limits) -> bool {
        let room =
            self.queue.len() < limits.queued_messages && self.queue.bytes() + message.bytes() <= limits.queued_bytes;
        if room {
            self.queue.push(message);
        }
        room
    }

    /// A subscription wants retained messages: those that were retained up to message number `until`.
    pub(super) fn want(&mut self, filter: ByteString, subscription: Subscription, until: u64) {
        self.before = self.queue.len();
        self.wanted.ask(filter, subscription, until);
    }

    /// Whether the next page of retained messages may be filled further.
    pub(super) fn has_page(&self) -> bool {
        self.page.len() < RETAINED_PAGE && self.page.bytes() < RETAINED_PAGE_BYTES
    }

    /// Lets a retained message wait.
    pub(super) fn push_retained(&mut self, message: Message) {
        self.page.push(message);
    }

    /// The next packet to send: of what is in flight, else of what waits. `dropped` counts those that can't be sent.
    pub(super) fn next(&mut self, now: Millis, dropped: &mut u64) -> Option<Packet> {
        if self.sent < self.flight.len() {
            return self.resend(now);
        }
        loop {
            let has_window = self.has_window();
            let paging = self.before == 0 && !(self.page.is_empty() && self.wanted.is_empty());
            let line = if paging { &mut self.page } else { &mut self.queue };
            if line.first()? != QoS::AtMostOnce && !has_window {
                return None;
            }
            let message = line.pop()?;
            self.before = self.before.saturating_sub(usize::from(!paging));
            match self.launch(message, now) {
                Some(packet) => return Some(packet),
                None => *dropped += 1,
            }
        }
    }

    /// A message that was sent once is sent again however old it is [MQTT-4.3.3-7].
    fn resend(&mut self, now: Millis) -> Option<Packet> {
        if self.sent >= self.window {
            return None;
        }
        let flight = &self.flight[self.sent];
        self.sent += 1;
        Some(match &flight.stage {
            Stage::Published(publish, at) => {
                let mut publish = Box::new(Publish { dup: true, ..(**publish).clone() });
                shorten(&mut publish, now.saturating_sub(*at));
                Packet::Publish(publish)
            }
            Stage::Released => release(flight.id, PublishAck2Reason::Success),
        })
    }

    /// The packet for a message that nothing has to wait for; above QoS 0 it is in flight from now on. None if the
    /// message is too old, or too large for the client: such a one counts as delivered [MQTT-3.1.2-25].
    pub(super) fn launch(&mut self, message: Message, now: Millis) -> Option<Packet> {
        let mut publish = message.into_publish(now)?;
        let above = publish.qos != QoS::AtMostOnce;
        publish.packet_id = above.then(|| self.fresh_id());
        let bytes = publish_bytes(&publish);
        if bytes > self.packet_max {
            return None;
        }
        if let Some(id) = publish.packet_id {
            self.flight_bytes += bytes;
            self.flight.push_back(Flight { id, stage: Stage::Published(publish.clone(), now) });
            self.sent += 1;
        }
        Some(Packet::Publish(publish))
    }

    fn fresh_id(&mut self) -> NonZeroU16 {
        loop {
            // Ends: the window is smaller than the 65,535 ids.
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if let Some(id) = NonZeroU16::new(self.last_id)
                && !self.flight.iter().any(|flight| flight.id == id)
            {
                return id;
            }
        }
    }

    /// PUBACK: whether it ended the flight of a message of QoS 1.
    pub(super) fn acknowledged(&mut self, id: NonZeroU16) -> bool {
        self.end(id, |stage| matches!(stage, Stage::Published(publish, _) if publish.qos == QoS::AtLeastOnce))
    }

    /// PUBREC: the PUBREL to answer with, unless the client refused the message.
    pub(super) fn received(&mut self, id: NonZeroU16, refused: bool) -> Option<Packet> {
        let exactly_once = |stage: &Stage| match stage {
            Stage::Published(publish, _) => publish.qos == QoS::ExactlyOnce,
            Stage::Released => true,
        };
        if refused {
            self.end(id, exactly_once);
            return None;
        }
        let known = self.flight.iter_mut().find(|flight| flight.id == id && exactly_once(&flight.stage));
        Some(match known {
            Some(flight) => {
                self.flight_bytes -= flight.stage.bytes();
                flight.stage = Stage::Released;
                release(id, PublishAck2Reason::Success)
            }
            None => release(id, PublishAck2Reason::PacketIdNotFound),
        })
    }

    /// PUBCOMP: whether it ended the flight of a message of QoS 2.
    pub(super) fn completed(&mut self, id: NonZeroU16) -> bool {
        self.end(id, |stage| matches!(stage, Stage::Released))
    }

    fn end(&mut self, id: NonZeroU16, fits: impl Fn(&Stage) -> bool) -> bool {
        let Some(at) = self.flight.iter().position(|flight| flight.id == id && fits(&flight.stage)) else {
            return false;
        };
        let ended = self.flight.remove(at).expect("found above");
        self.flight_bytes -= ended.stage.bytes();
        if at < self.sent {
            self.sent -= 1;
        }
        true
    }

    /// Messages that the client hasn't acknowledged or not even been sent.
    pub(super) fn len(&self) -> usize {
        self.flight.len() + self.page.len() + self.queue.len()
    }
}

/// Takes the time that a message has waited from its lifetime [MQTT-3.3.2-6]; a second of it is always left.
fn shorten(publish: &mut Publish, waited: Millis) {
    let Some(properties) = &mut publish.properties else { return };
    if let Some(expiry) = &mut properties.message_expiry_interval {
        let waited = u32::try_from(waited / 1000).unwrap_or(u32::MAX);
        *expiry = NonZeroU32::new(expiry.get().saturating_sub(waited)).unwrap_or(NonZeroU32::MIN);
    }
}

fn release(packet_id: NonZeroU16, reason_code: PublishAck2Reason) -> Packet {
    Packet::PublishRelease(PublishAck2 { packet_id, reason_code, ..PublishAck2::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(qos: QoS, n: u8) -> Message {
        let publish = Publish {
            dup: false,
            retain: false,
            qos,
            topic: "t".into(),
            packet_id: None,
            payload: vec![n].into(),
            properties: None,
        };
        Message::new(Box::new(publish), 0)
    }

    fn ids(outgoing: &mut Outgoing) -> Vec<(u16, bool)> {
        std::iter::from_fn(|| outgoing.next(0, &mut 0))
            .map(|packet| match packet {
                Packet::Publish(publish) => (publish.packet_id.map_or(0, NonZeroU16::get), publish.dup),
                Packet::PublishRelease(ack) => (ack.packet_id.get(), false),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn id(n: u16) -> NonZeroU16 {
        NonZeroU16::new(n).unwrap()
    }

    #[test]
    fn the_window_holds_back_and_acks_let_go() {
        let mut outgoing = Outgoing::default();
        outgoing.resume(2, 100);
        for n in 0..4 {
            assert!(outgoing.push(message(QoS::AtLeastOnce, n), &Limits::default()));
        }
        assert_eq!(ids(&mut outgoing), [(1, false), (2, false)]);
        assert!(outgoing.acknowledged(id(2)) && !outgoing.acknowledged(id(2)));
        assert_eq!(ids(&mut outgoing), [(3, false)]);
        assert_eq!(outgoing.len(), 3);
    }

    #[test]
    fn a_smaller_window_after_a_resume_holds_back_what_is_in_flight() {
        let mut outgoing = Outgoing::default();
        outgoing.resume(3, 100);
        for n in 0..3 {
            assert!(outgoing.push(message(QoS::ExactlyOnce, n), &Limits::default()));
        }
        assert_eq!(ids(&mut outgoing).len(), 3);
        outgoing.received(id(1), false);
        outgoing.resume(2, 100);
        assert!(!outgoing.is_free(QoS::AtLeastOnce));
        assert_eq!(ids(&mut outgoing), [(1, false), (2, true)]);
        assert!(outgoing.completed(id(1)));
        assert_eq!(ids(&mut outgoing), [(3, true)]);
        assert!(outgoing.received(id(2), true).is_none(), "a refused message is over");
        assert_eq!(outgoing.len(), 1);
    }

    #[test]
    fn a_message_over_the_clients_maximum_counts_as_delivered() {
        let mut outgoing = Outgoing::default();
        outgoing.resume(3, 9);
        for qos in [QoS::AtLeastOnce, QoS::AtMostOnce] {
            assert!(outgoing.push(message(qos, 0), &Limits::default()));
        }
        let mut dropped = 0;
        assert!(outgoing.next(0, &mut dropped).is_some(), "9 bytes fit");
        assert!(outgoing.next(0, &mut dropped).is_some());
        assert_eq!(outgoing.resume(3, 8), 1);
        assert_eq!((dropped, outgoing.len()), (0, 0));
    }

    #[test]
    fn what_waits_at_qos_0_is_for_a_client_that_is_there() {
        let mut outgoing = Outgoing::default();
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            assert!(outgoing.push(message(qos, 0), &Limits::default()));
        }
        assert!(!outgoing.is_free(QoS::AtMostOnce));
        assert_eq!(outgoing.suspend(), 1);
        assert!(outgoing.is_free(QoS::AtMostOnce));
        assert_eq!(outgoing.len(), 1);
    }

    #[test]
    fn ids_wrap_past_zero_and_past_those_in_use() {
        let mut outgoing = Outgoing { last_id: u16::MAX - 1, ..Outgoing::default() };
        outgoing.resume(10, 100);
        for n in 0..2 {
            assert!(outgoing.push(message(QoS::AtLeastOnce, n), &Limits::default()));
        }
        assert_eq!(ids(&mut outgoing), [(u16::MAX, false), (1, false)]);
        outgoing.last_id = u16::MAX - 1;
        assert!(outgoing.push(message(QoS::AtLeastOnce, 9), &Limits::default()));
        assert_eq!(ids(&mut outgoing), [(2, false)]);
    }
}
