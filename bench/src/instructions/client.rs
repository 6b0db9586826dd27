//! A client who publishes to its own topic, and waits for each message before the next.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use baton_drill::mqtt::{
    Qos,
    encode::{self, Connect},
};
use bytes::{BufMut, BytesMut};

/// Bytes of a message's payload.
pub(super) const PAYLOAD: usize = 64;
/// Time for one answer of processes that run fifty times slower than they would.
const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "counted";
/// CONNACK, accepted, no session present (MQTT 3.1.1, 3.2).
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
/// SUBACK of packet 1, QoS 0 (MQTT 3.1.1, 3.9).
const SUBACK: [u8; 5] = [0x90, 3, 0, 1, 0];

#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    /// What comes back is the same, byte for byte: QoS 0 has no id.
    publish: BytesMut,
}

impl Client {
    pub(super) fn connect(edge: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&edge, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut publish = BytesMut::new();
        encode::publish(TOPIC, Qos::AtMostOnce, 0, PAYLOAD, |out| out.put_bytes(b'x', PAYLOAD), &mut publish);
        let mut client = Self { stream, publish };
        let mut packet = BytesMut::new();
        let connect = Connect { client_id: TOPIC, username: None, keep_alive: 0, clean_session: true, will: None };
        encode::connect(&connect, &mut packet);
        client.ask(&packet, &CONNACK)?;
        packet.clear();
        encode::subscribe(1, &[(TOPIC.to_owned(), Qos::AtMostOnce)], &mut packet);
        client.ask(&packet, &SUBACK)?;
        Ok(client)
    }

    /// So many messages, one after another.
    pub(super) fn exchange(&mut self, messages: u32) -> io::Result<()> {
        let publish = self.publish.clone();
        (0..messages).try_for_each(|_| self.ask(&publish, &publish))
    }

    fn ask(&mut self, packet: &[u8], expected: &[u8]) -> io::Result<()> {
        self.stream.write_all(packet)?;
        let mut answer = vec![0; expected.len()];
        self.stream.read_exact(&mut answer)?;
        if answer == expected { Ok(()) } else { Err(io::Error::other(format!("the tier answered {answer:02x?}"))) }
    }
}
