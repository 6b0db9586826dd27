//! A client by hand: bytes out, bytes in.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::PATIENCE;

/// A connection on which a test says what it likes.
pub(crate) struct Wire(TcpStream);

impl Wire {
    /// Connects.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::unless_reset(address).expect("it isn't reset at once")
    }

    /// Connects; none if the other side resets faster than this one gets to know that it has accepted.
    pub(crate) fn unless_reset(address: SocketAddr) -> Option<Self> {
        let stream = match TcpStream::connect_timeout(&address, PATIENCE) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
            stream => stream.expect("somebody listens"),
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a legal time");
        stream.set_write_timeout(Some(PATIENCE)).expect("a legal time");
        stream.set_nodelay(true).expect("it's TCP");
        Some(Self(stream))
    }

    /// Connects, and says this.
    pub(crate) fn saying(address: SocketAddr, bytes: &[u8]) -> Self {
        let mut wire = Self::to(address);
        wire.say(bytes);
        wire
    }

    /// Sends; a peer that has closed already is no failure of the test.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        match self.0.write_all(bytes) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                panic!("{error}")
            }
            _ => {}
        }
    }

    /// The next bytes.
    pub(crate) fn hears<const LENGTH: usize>(&mut self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        self.0.read_exact(&mut bytes).expect("an answer");
        bytes
    }

    /// All that comes until the other side closes or resets.
    pub(crate) fn last_words(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("it isn't closed: {error}"),
            _ => bytes,
        }
    }

    /// Where it is itself.
    pub(crate) fn local(&self) -> SocketAddr {
        self.0.local_addr().expect("it's connected")
    }

    /// The socket, for whoever wants to do with it what it doesn't.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.0
    }

    /// Goes: the other side sees the end of the stream, or a reset.
    pub(crate) fn goes(self, reset: bool) {
        let linger = reset.then_some(std::time::Duration::ZERO);
        socket2::SockRef::from(&self.0).set_linger(linger).expect("it's TCP");
    }
}

/// A CONNECT of this protocol level (3: MQTT 3.1, 4: 3.1.1, 5: 5), with a clean session and a minute of keep alive.
pub(crate) fn connect(level: u8, client_id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    string(if level == 3 { "MQIsdp" } else { "MQTT" }, &mut body);
    body.extend([level, 0x02, 0, 60]);
    if level == 5 {
        body.push(0);
    }
    string(client_id, &mut body);
    packet(0x10, &body)
}

/// A packet with this first byte.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let low = u8::try_from(left % 128).expect("below 128");
        left /= 128;
        packet.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// A string as MQTT writes it.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    out.extend(u16::try_from(text.len()).expect("short enough for MQTT").to_be_bytes());
    out.extend(text.as_bytes());
}
