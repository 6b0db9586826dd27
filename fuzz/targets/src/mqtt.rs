//! broker-sim's codec on any bytes, cut anywhere, and the broker behind it.

use baton_broker_sim::{broker::Fault, codec::Codec};
use baton_protocol::connect::Level;
use bytes::BytesMut;
use rmqtt_codec::v5::Packet;

use crate::{
    broker::desk::{Desk, Q0},
    cuts::cuts,
};

/// Bytes of a packet.
const PACKET: usize = 1024;

/// What a connection's bytes are, up to the first fault. Each packet is shown to `see` with the codec that read it.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, see: fn(&mut Codec, &Packet)) -> (Vec<Packet>, Option<Fault>) {
    let (mut codec, mut held, mut packets) = (Codec::default(), Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let read = match codec.frame(&held, PACKET) {
                Ok(None) => break,
                Ok(Some(length)) => codec.decode(&held.drain(..length).collect::<Vec<_>>()),
                Err(fault) => Err(fault),
            };
            match read {
                Ok(packet) => {
                    see(&mut codec, &packet);
                    packets.push(packet);
                }
                Err(fault) => return (packets, Some(fault)),
            }
        }
        assert!(held.len() < PACKET, "{} bytes are held", held.len());
    }
    (packets, None)
}

/// A packet that was read is written, where this MQTT has it for a server, and read again as it was. A second CONNECT may
/// be of another MQTT, in which it can't be written here.
fn again(codec: &mut Codec, packet: &Packet) {
    if let Packet::Connect(connect) = packet
        && connect.receive_max.is_some() != (codec.level() == Some(Level::V5))
    {
        return;
    }
    let mut wire = BytesMut::new();
    codec.encode(packet.clone(), &mut wire).expect("what was read can be written");
    if !wire.is_empty() {
        assert_eq!(codec.frame(&wire, usize::MAX), Ok(Some(wire.len())), "{packet:?} {wire:02x?}");
        assert_eq!(codec.decode(&wire).as_ref(), Ok(packet), "{wire:02x?}");
    }
}

/// The first byte says how the others are cut. Cut or whole they are the same packets, and then the same fault; a
/// broker that gets them goes on serving a bystander.
pub fn mqtt(data: &[u8]) -> bool {
    let Some((seed, bytes)) = data.split_first() else { return false };
    let (packets, fault) = read(std::iter::once(bytes), again);
    assert_eq!(read(cuts(*seed, bytes), |_, _| {}), (packets.clone(), fault), "cut, and whole");

    let mut desk = Desk::new();
    let bystander = desk.listener("bystander", &["quiet"], Q0);
    let conn = desk.open();
    let found = !packets.is_empty();
    for packet in packets {
        desk.send(conn, packet);
    }
    if let Some(fault) = fault {
        desk.fault(conn, fault);
        assert!(desk.closed(conn).is_some(), "{fault} closes");
    }
    desk.got(bystander);
    desk.publish(bystander, "quiet", "still here", Q0);
    assert_eq!(desk.heard(bystander), ["quiet still here 0"]);
    found
}
