//! Bytes to packets and back. The broker speaks MQTT 5; a client of 3.1 or 3.1.1 is translated here.
//!
//! Packets are read by this module, which is strict, and written by `rmqtt-codec`, whose packet types both use.

mod aliases;
mod connect;
mod decode;
mod frame;
mod properties;
mod reader;
mod v3;

use baton_protocol::connect::Level;
use bytes::BytesMut;
use rmqtt_codec::{error::EncodeError, v3 as codec3, v5 as codec5, v5::Packet};
use tokio_util::codec::Encoder;

use self::aliases::Aliases;
use crate::broker::Fault;

/// The first byte of a CONNECT packet (2.1.2).
const CONNECT: u8 = 0x10;

/// One connection's codec: which MQTT it speaks is known from the CONNECT on.
#[derive(Debug)]
pub struct Codec {
    level: Option<Level>,
    old: codec3::Codec,
    new: codec5::Codec,
    /// Towards the client.
    aliases: Aliases,
}

impl Default for Codec {
    fn default() -> Self {
        // The shell has checked the packet's size, so that the codecs needn't.
        Self { level: None, old: codec3::Codec::new(0), new: codec5::Codec::new(0, 0), aliases: Aliases::default() }
    }
}

impl Codec {
    /// Which MQTT the client speaks, once its CONNECT has said so.
    pub fn level(&self) -> Option<Level> {
        self.level
    }

    /// The length of the first packet in `bytes`; none if it isn't whole yet. At most `max` bytes. A connection that
    /// doesn't begin with a CONNECT is found out at its first byte.
    pub fn frame(&self, bytes: &[u8], max: usize) -> Result<Option<usize>, Fault> {
        match (self.level, bytes.first()) {
            (None, Some(first)) if *first != CONNECT => Err(Fault::FirstNotConnect),
            _ => frame::frame(bytes, max),
        }
    }

    /// Reads one packet from exactly its bytes, as `frame` found them. What is kept of it doesn't keep `bytes`.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Packet, Fault> {
        let (first, mut reader) = decode::split(bytes)?;
        match self.level {
            Some(level) if first != CONNECT => decode::packet(first, reader, level),
            None if first != CONNECT => Err(Fault::FirstNotConnect),
            known => {
                let level = connect::level(&mut reader)?;
                // A refusal has the form of the client's MQTT already.
                self.level.get_or_insert(level);
                let connect = connect::connect(reader, level)?;
                if known.is_none() {
                    self.aliases = Aliases::of(&connect);
                }
                Ok(Packet::Connect(Box::new(connect)))
            }
        }
    }

    /// Shortens a message by a topic alias, as far as the client has them. What is shortened has to be encoded: the
    /// packets after it count on that.
    pub fn shorten(&mut self, packet: &mut Packet) {
        if let Packet::Publish(publish) = packet {
            self.aliases.apply(publish);
        }
    }

    /// Appends a packet's bytes to `to`; nothing where the client's MQTT has no such packet.
    pub fn encode(&mut self, packet: Packet, to: &mut BytesMut) -> Result<(), EncodeError> {
        let encoded = self.write(packet, to);
        if encoded.is_err() {
            // It may have been the one that was to tell an alias: none is used from now on.
            self.aliases = Aliases::default();
        }
        encoded
    }

    fn write(&mut self, packet: Packet, to: &mut BytesMut) -> Result<(), EncodeError> {
        match self.level {
            Some(Level::V5) => self.new.encode(packet, to),
            // Before the level is known only a CONNACK that refuses an unknown one: 3.1.1's form is what every client
            // can read.
            _ => v3::to_client(packet, self.level).map_or(Ok(()), |packet| self.old.encode(packet, to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rmqtt_codec::{
        types::QoS,
        v5::{ConnectAck, ConnectAckReason, Disconnect, DisconnectReasonCode, SubscribeAck, SubscribeAckReason},
    };

    use super::*;

    const CONNECT_311: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x0a\0\x01c";
    const CONNECT_31: &[u8] = b"\x10\x0f\0\x06MQIsdp\x03\x00\0\x0a\0\x01c";
    const CONNECT_5: &[u8] = b"\x10\x0e\0\x04MQTT\x05\x02\0\x0a\0\0\x01c";

    fn encode(codec: &mut Codec, packet: Packet) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        codec.encode(packet, &mut bytes).unwrap();
        bytes.to_vec()
    }

    fn refusal(reason_code: ConnectAckReason) -> Packet {
        Packet::ConnectAck(Box::new(ConnectAck { reason_code, ..ConnectAck::default() }))
    }

    #[test]
    fn a_clean_session_of_311_is_a_clean_start_without_expiry() {
        for (bytes, clean_start, expiry) in [(CONNECT_311, true, 0), (CONNECT_31, false, u32::MAX)] {
            let Packet::Connect(connect) = Codec::default().decode(bytes).unwrap() else { panic!() };
            assert_eq!((connect.clean_start, connect.session_expiry_interval_secs), (clean_start, expiry));
            assert_eq!((&*connect.client_id, connect.keep_alive), ("c", 10));
        }
    }

    #[test]
    fn bad_connects_are_told_apart() {
        let cases: &[(&[u8], Fault)] = &[
            (b"\x10\x0d\0\x04MQTT\x06\x02\0\x0a\0\x01c", Fault::UnknownLevel),
            (b"\x10\x0d\0\x04MQTX\x04\x02\0\x0a\0\x01c", Fault::Malformed),
            (b"\x10\x0c\0\x04MQTT\x04\x00\0\x0a\0\0", Fault::ClientId),
            (b"\x10\x0d\0\x04MQTT\x04\x03\0\x0a\0\x01c", Fault::Malformed),
            (b"\x10\x00", Fault::Malformed),
            (b"\xc0\x00", Fault::FirstNotConnect),
            (b"GET / HTTP/1.1", Fault::FirstNotConnect),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Codec::default().decode(bytes).unwrap_err(), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn refusals_have_the_form_of_the_clients_mqtt() {
        let mut unknown = Codec::default();
        assert_eq!(encode(&mut unknown, refusal(ConnectAckReason::UnsupportedProtocolVersion)), [0x20, 2, 0, 1]);
        for (reason, code) in [
            (ConnectAckReason::ClientIdentifierNotValid, 2),
            (ConnectAckReason::ServerBusy, 3),
            (ConnectAckReason::BadUserNameOrPassword, 4),
            (ConnectAckReason::NotAuthorized, 5),
        ] {
            let mut old = Codec::default();
            old.decode(CONNECT_311).unwrap();
            assert_eq!(encode(&mut old, refusal(reason)), [0x20, 2, 0, code]);
        }
        let mut new = Codec::default();
        new.decode(CONNECT_5).unwrap();
        assert_eq!(encode(&mut new, refusal(ConnectAckReason::ServerBusy)), [0x20, 3, 0, 0x89, 0]);
    }

    #[test]
    fn what_311_lacks_is_left_out() {
        let mut old = Codec::default();
        old.decode(CONNECT_311).unwrap();
        let taken = Packet::Disconnect(Disconnect::new(DisconnectReasonCode::SessionTakenOver));
        assert_eq!(encode(&mut old, taken.clone()), [] as [u8; 0]);
        let ack = SubscribeAck {
            packet_id: 5.try_into().unwrap(),
            properties: Vec::new(),
            reason_string: None,
            status: vec![SubscribeAckReason::GrantedQos1, SubscribeAckReason::TopicFilterInvalid],
        };
        assert_eq!(encode(&mut old, Packet::SubscribeAck(ack)), [0x90, 4, 0, 5, 1, 0x80]);
        let mut new = Codec::default();
        new.decode(CONNECT_5).unwrap();
        // The long form: some clients lose `E0 01 8E`.
        assert_eq!(encode(&mut new, taken), [0xe0, 2, 0x8e, 0]);
    }

    #[test]
    fn what_31_lacks_is_left_out() {
        let welcome = || Packet::ConnectAck(Box::new(ConnectAck { session_present: true, ..ConnectAck::default() }));
        let refused = || {
            Packet::SubscribeAck(SubscribeAck {
                packet_id: 5.try_into().unwrap(),
                properties: Vec::new(),
                reason_string: None,
                status: vec![SubscribeAckReason::QuotaExceeded, SubscribeAckReason::GrantedQos2],
            })
        };
        for (connect, present, refusal) in [(CONNECT_31, 0, 0), (CONNECT_311, 1, 0x80)] {
            let mut old = Codec::default();
            old.decode(connect).unwrap();
            assert_eq!(encode(&mut old, welcome()), [0x20, 2, present, 0]);
            assert_eq!(encode(&mut old, refused()), [0x90, 4, 0, 5, refusal, 2]);
        }
    }

    #[test]
    fn a_subscribe_of_311_asks_for_nothing_else() {
        let mut old = Codec::default();
        old.decode(CONNECT_311).unwrap();
        let Packet::Subscribe(subscribe) = old.decode(b"\x82\x06\0\x07\0\x01a\x02").unwrap() else { panic!() };
        let (filter, options) = &subscribe.topic_filters[0];
        assert_eq!((&**filter, options.qos, options.no_local), ("a", QoS::ExactlyOnce, false));
    }
}
