//! The newest lines, in memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Line;

/// Lines that are kept for whoever asks, the newest: a test asks long before.
pub const KEPT: usize = 10_000;
/// Bytes of memory that they take, about: six times what so many ordinary ones do. A packet may have 4 MiB of
/// properties, and its line many times that.
pub const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// The newest lines, for whoever has a clone.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Newest>>);

#[derive(Debug, Default)]
struct Newest {
    /// Each with its bytes.
    lines: VecDeque<(Line, usize)>,
    bytes: usize,
}

impl Kept {
    /// The lines, the oldest first.
    pub fn lines(&self) -> Vec<Line> {
        self.newest().lines.iter().map(|(line, _)| line.clone()).collect()
    }

    /// The oldest go, where there are too many.
    pub(super) fn push(&self, line: Line) {
        let bytes = line.held();
        let mut newest = self.newest();
        newest.lines.push_back((line, bytes));
        newest.bytes += bytes;
        while newest.lines.len() > KEPT || newest.bytes > KEPT_BYTES {
            newest.bytes -= newest.lines.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rmqtt_codec::{
        types::{Publish, QoS},
        v5::Packet,
    };

    use super::*;
    use crate::transcript::{Direction, Entry, Recorder, What};

    /// Keeps so many, each numbered by its time; the numbers of those that are left.
    fn left(many: u64, peer: &str) -> Vec<u64> {
        let kept = Kept::default();
        for ms in 0..many {
            kept.push(Line { ms, conn: None, client: String::new(), what: What::Open { peer: peer.to_owned() } });
        }
        let newest = kept.newest();
        assert!(newest.bytes <= KEPT_BYTES);
        assert_eq!(newest.bytes, newest.lines.iter().map(|(line, _)| line.held()).sum::<usize>());
        drop(newest);
        kept.lines().iter().map(|line| line.ms).collect()
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many() {
        let most = KEPT as u64;
        assert_eq!(left(most, "p"), (0..most).collect::<Vec<_>>());
        assert_eq!(left(most + 3, "p"), (3..most + 3).collect::<Vec<_>>());
    }

    /// A large message leaves but its beginning.
    #[test]
    fn what_a_line_holds_counts_and_not_what_was_sent() {
        let publish = Publish {
            dup: false,
            retain: false,
            qos: QoS::AtMostOnce,
            topic: "t".into(),
            packet_id: None,
            payload: vec![0; KEPT_BYTES].into(),
            properties: None,
        };
        let (recorder, kept) = Recorder::default().kept();
        let what = Direction::In.of(None, 0, Packet::Publish(Box::new(publish)));
        recorder.note(Entry { at: 0, conn: None, client: "".into(), what });
        assert_eq!(kept.lines().len(), 1);
    }

    #[test]
    fn the_oldest_go_where_they_are_too_large() {
        let quarter = "p".repeat(KEPT_BYTES / 4);
        assert_eq!(left(9, &quarter), [6, 7, 8], "the lines themselves count too");
        assert!(left(1, &"p".repeat(KEPT_BYTES)).is_empty(), "not even the newest");
    }
}
