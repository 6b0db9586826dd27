//! A record of every packet both ways, and of what faults did: one JSON object a line.
//!
//! | Module | Holds |
//! |---|---|
//! | `line` | a line as a value |
//! | `fields` | what a packet says |
//! | `weight` | how much a packet holds in memory |
//! | `writer` | the file, on a thread of its own behind a bounded queue |
//! | `show` | lines as people read them |

mod fields;
mod line;
mod show;
mod weight;
mod writer;

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use baton_protocol::{connect::Level, limits::Millis};
use bytestring::ByteString;
use rmqtt_codec::v5::Packet;

pub(crate) use self::line::{Noted, Why};
pub use self::{
    line::{Direction, Head, Line, Seen, What},
    show::{Filter, ShowError, show},
};
use self::{weight::weight, writer::Writer};
use crate::broker::ConnId;

/// Bytes of a payload that are kept: enough to tell messages apart.
pub const PAYLOAD_BYTES: usize = 256;
/// Lines that are kept in memory for whoever asks, the newest: a test asks long before.
pub const KEPT: usize = 10_000;
/// Bytes of them, about: long topics and filters would be much by themselves.
pub const KEPT_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that an entry or a line takes besides what is as long as its sender likes, about.
const LINE_BYTES: usize = 512;

/// The newest lines, for whoever has a clone.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Newest>>);

#[derive(Debug, Default)]
struct Newest {
    /// Each with its weight.
    lines: VecDeque<(usize, Line)>,
    bytes: usize,
}

impl Kept {
    /// They, the oldest first.
    pub fn lines(&self) -> Vec<Line> {
        self.lock().lines.iter().map(|(_, line)| line.clone()).collect()
    }

    fn keep(&self, weight: usize, line: Line) {
        let mut newest = self.lock();
        newest.bytes += weight;
        newest.lines.push_back((weight, line));
        while newest.lines.len() > KEPT || newest.bytes > KEPT_BYTES {
            let Some((weight, _)) = newest.lines.pop_front() else { return };
            newest.bytes -= weight;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where lines go: to a file, to memory, or to both.
#[derive(Debug, Default)]
pub struct Recorder {
    file: Option<Writer>,
    kept: Option<Kept>,
}

/// What is to be noted, as cheaply as the worker can say it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: Millis,
    pub(crate) conn: Option<ConnId>,
    pub(crate) client: ByteString,
    pub(crate) what: Noted,
}

impl Entry {
    fn line(&self) -> Line {
        Line {
            ms: self.at,
            conn: self.conn.map(ConnId::number),
            client: self.client.to_string(),
            what: self.what.shown(),
        }
    }

    /// About what it holds in memory until it is written.
    fn bytes(&self) -> usize {
        LINE_BYTES + self.client.len() + self.what.packet().map_or(0, weight)
    }
}

impl Recorder {
    /// One that writes this file anew.
    ///
    /// # Errors
    /// The file can't be written; the message names it.
    pub fn to_file(mut self, path: &Path) -> io::Result<Self> {
        self.file = Some(Writer::create(path)?);
        Ok(self)
    }

    /// One that keeps the newest lines, and where they are.
    pub fn kept(mut self) -> (Self, Kept) {
        let kept = Kept::default();
        self.kept = Some(kept.clone());
        (self, kept)
    }

    /// Whether it goes anywhere.
    pub(crate) fn is_on(&self) -> bool {
        self.file.is_some() || self.kept.is_some()
    }

    pub(crate) fn note(&self, entry: Entry) {
        if let Some(kept) = &self.kept {
            kept.keep(entry.bytes(), entry.line());
        }
        if let Some(file) = &self.file {
            file.note(entry);
        }
    }

    /// Writes what waits, and ends.
    pub(crate) fn finish(&self) {
        if let Some(file) = &self.file {
            file.finish();
        }
    }
}

impl Direction {
    /// A packet that went this way.
    pub(crate) fn of(self, level: Option<Level>, bytes: usize, packet: Packet) -> Noted {
        Noted::Packet(self, level, bytes, packet)
    }
}

#[cfg(test)]
mod tests {
    use rmqtt_codec::{
        types::{Publish, QoS},
        v5::{Connect, LastWill, Subscribe, SubscriptionOptions},
    };

    use super::*;

    const LONG: usize = 60_000;

    fn noted(at: Millis, packet: Packet) -> Entry {
        let what = Direction::In.of(Some(Level::V5), 0, packet);
        Entry { at, conn: None, client: ByteString::new(), what }
    }

    fn publish(topic: String, payload: usize) -> Packet {
        Packet::Publish(Box::new(Publish {
            dup: false,
            retain: false,
            qos: QoS::AtMostOnce,
            topic: topic.into(),
            packet_id: None,
            payload: vec![0; payload].into(),
            properties: None,
        }))
    }

    #[test]
    fn whatever_is_long_counts() {
        let long = || ByteString::from("x".repeat(LONG));
        let will = LastWill {
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "w".into(),
            message: vec![0; LONG].into(),
            will_delay_interval_sec: None,
            correlation_data: None,
            message_expiry_interval: None,
            content_type: None,
            user_properties: Vec::new(),
            is_utf8_payload: None,
            response_topic: None,
        };
        let packets = [
            publish("t".into(), LONG),
            publish("t".repeat(LONG), 0),
            Packet::Connect(Box::new(Connect { client_id: long(), ..Connect::default() })),
            Packet::Connect(Box::new(Connect { last_will: Some(will), ..Connect::default() })),
            Packet::Connect(Box::new(Connect { user_properties: vec![("k".into(), long())], ..Connect::default() })),
            Packet::Subscribe(Subscribe {
                packet_id: 1.try_into().unwrap(),
                id: None,
                user_properties: Vec::new(),
                topic_filters: vec![("f".into(), SubscriptionOptions::default()); 2_000],
            }),
        ];
        for packet in packets {
            let entry = noted(0, packet);
            assert!(
                (LONG..2 * LONG + LINE_BYTES).contains(&entry.bytes()),
                "{} {:?}",
                entry.bytes(),
                entry.line().what
            );
        }
    }

    #[test]
    fn the_newest_lines_are_kept_as_far_as_there_is_room() {
        let (recorder, kept) = Recorder::default().kept();
        let many = u64::try_from(KEPT).unwrap() + 5;
        (0..many).for_each(|at| recorder.note(noted(at, Packet::PingRequest)));
        let lines = kept.lines();
        assert_eq!((lines.len(), lines[0].ms, lines[KEPT - 1].ms), (KEPT, 5, many - 1));

        let most = KEPT_BYTES / LONG;
        (0..2 * most).for_each(|_| recorder.note(noted(many, publish("t".repeat(LONG), 0))));
        let lines = kept.lines();
        assert!((most / 2..=most).contains(&lines.len()), "{}", lines.len());
        assert!(lines.iter().all(|line| line.ms == many), "the others have gone");
    }
}
