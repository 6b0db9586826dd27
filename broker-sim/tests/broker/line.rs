//! A client by its bytes, as the shell would hand them on.

use baton_broker_sim::{broker::ConnId, codec::Codec};
use bytes::BytesMut;

use crate::desk::Desk;

/// Clean sessions of client "c", of each version.
pub(crate) const CONNECT_31: &[u8] = b"\x10\x0f\0\x06MQIsdp\x03\x02\0\x0a\0\x01c";
pub(crate) const CONNECT_311: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x0a\0\x01c";
pub(crate) const CONNECT_5: &[u8] = b"\x10\x0e\0\x04MQTT\x05\x02\0\x0a\0\0\x01c";
/// A session of "c" that is kept, in 3.1.1.
pub(crate) const LASTING_311: &[u8] = b"\x10\x0d\0\x04MQTT\x04\0\0\x0a\0\x01c";

/// A broker, and one connection to it.
pub(crate) struct Line {
    pub(crate) desk: Desk,
    pub(crate) conn: ConnId,
    codec: Codec,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self::to(Desk::new())
    }

    pub(crate) fn to(mut desk: Desk) -> Self {
        let conn = desk.open();
        Self { desk, conn, codec: Codec::default() }
    }

    pub(crate) fn connected(connect: &[u8]) -> Self {
        let mut line = Self::new();
        let said = line.say(connect);
        assert_eq!((said[0], said[3]), (0x20, 0), "connected");
        line
    }

    /// The connection breaks, and another one takes its place.
    pub(crate) fn again(self) -> Self {
        Self::to(self.broken())
    }

    /// The connection breaks.
    pub(crate) fn broken(mut self) -> Desk {
        self.desk.cut(self.conn);
        self.desk
    }

    /// Sends one packet's bytes; what comes back.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Vec<u8> {
        let read = match self.codec.frame(bytes, 1024) {
            Ok(Some(length)) => self.codec.decode(&bytes[..length]),
            Ok(None) => panic!("{bytes:x?} is no whole packet"),
            Err(fault) => Err(fault),
        };
        match read {
            Ok(packet) => self.desk.send(self.conn, packet),
            Err(fault) => self.desk.fault(self.conn, fault),
        }
        self.hear()
    }

    /// What has come.
    pub(crate) fn hear(&mut self) -> Vec<u8> {
        let mut said = BytesMut::new();
        for packet in self.desk.got(self.conn) {
            self.codec.encode(packet, &mut said).unwrap();
        }
        said.to_vec()
    }
}

/// A packet of at most 127 bytes behind its Remaining Length.
pub(crate) fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
    assert!(rest.len() < 0x80);
    [&[first, u8::try_from(rest.len()).unwrap()], rest].concat()
}
