//! What each published message says about itself, so that a receiver can judge it.

use bytes::{BufMut, BytesMut};

use crate::mqtt::Qos;

/// Messages that must arrive in the order in which they were sent: one publisher, one topic, one quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream {
    /// The publishing client's number.
    pub publisher: u32,
    /// The topic's number.
    pub topic: u32,
    /// Quality of service, as published.
    pub qos: Qos,
}

/// The head of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Whose message it is.
    pub stream: Stream,
    /// Its place in the stream, from 0 on.
    pub sequence: u64,
    /// When it was due to be sent: microseconds on the ledger's clock.
    pub sent: u64,
}

impl Stamp {
    /// Bytes of a stamp, the least that a payload can have.
    pub const BYTES: usize = 4 + 4 + 1 + 8 + 8;

    /// Appends a payload of `length` bytes (at least [`Self::BYTES`]): the stamp and a filling that depends on it.
    pub fn write(&self, length: usize, out: &mut BytesMut) {
        out.put_u32(self.stream.publisher);
        out.put_u32(self.stream.topic);
        out.put_u8(self.stream.qos.level());
        out.put_u64(self.sequence);
        out.put_u64(self.sent);
        out.put_bytes(self.filling(), length.saturating_sub(Self::BYTES));
    }

    /// Reads a payload; `None` if it isn't one that [`Self::write`] wrote.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first_chunk::<4>()?;
        let (topic, rest) = rest.split_first_chunk::<4>()?;
        let ([qos], rest) = rest.split_first_chunk::<1>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (sent, filling) = rest.split_first_chunk::<8>()?;
        let stamp = Self {
            stream: Stream {
                publisher: u32::from_be_bytes(*publisher),
                topic: u32::from_be_bytes(*topic),
                qos: Qos::from_level(*qos)?,
            },
            sequence: u64::from_be_bytes(*sequence),
            sent: u64::from_be_bytes(*sent),
        };
        filling.iter().all(|byte| *byte == stamp.filling()).then_some(stamp)
    }

    fn filling(&self) -> u8 {
        let [low, ..] = self.sequence.to_le_bytes();
        low ^ self.stream.qos.level()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_never_reads_as_the_same_message() {
        let stream = Stream { publisher: 1, topic: 2, qos: Qos::ExactlyOnce };
        let stamp = Stamp { stream, sequence: 300, sent: 4 };
        let mut payload = BytesMut::new();
        stamp.write(64, &mut payload);
        assert_eq!(payload.len(), 64);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        for at in 0..payload.len() {
            let mut broken = payload.clone();
            broken[at] ^= 1;
            assert_ne!(Stamp::read(&broken), Some(stamp), "{at}");
        }
        assert_eq!(Stamp::read(&payload[..Stamp::BYTES - 1]), None);
    }
}
