//! Packets that a client sends. Each function appends one packet to `out`.

use bytes::{BufMut, BytesMut};

use super::{Qos, kind};

/// The largest remaining length that four bytes can express (MQTT 3.1.1, 2.2.3).
const REMAINING_MAX: usize = 268_435_455;

/// A message that the broker publishes if the client vanishes (MQTT 3.1.1, 3.1.2.5).
#[derive(Clone, Debug)]
pub struct Will {
    /// Where it is published.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its quality of service.
    pub qos: Qos,
}

/// What a CONNECT says (MQTT 3.1.1, 3.1).
#[derive(Clone, Debug)]
pub struct Connect<'a> {
    /// Client identifier.
    pub client_id: &'a str,
    /// User name, without a password.
    pub username: Option<&'a str>,
    /// Seconds; 0 is none.
    pub keep_alive: u16,
    /// Whether earlier state of this client id is dropped.
    pub clean_session: bool,
    /// The client's will.
    pub will: Option<&'a Will>,
}

/// CONNECT, level 4.
///
/// # Panics
/// If a string is longer than 65,535 bytes: the caller wrote it.
pub fn connect(connect: &Connect<'_>, out: &mut BytesMut) {
    let mut body = BytesMut::with_capacity(64);
    string(b"MQTT", &mut body);
    let will = connect.will.map_or(0, |w| 0x04 | w.qos.level() << 3);
    let username = if connect.username.is_some() { 0x80 } else { 0 };
    body.put_u8(4);
    body.put_u8(username | will | u8::from(connect.clean_session) << 1);
    body.put_u16(connect.keep_alive);
    string(connect.client_id.as_bytes(), &mut body);
    if let Some(will) = connect.will {
        string(will.topic.as_bytes(), &mut body);
        string(&will.payload, &mut body);
    }
    if let Some(username) = connect.username {
        string(username.as_bytes(), &mut body);
    }
    header(kind::CONNECT << 4, body.len(), out);
    out.put_slice(&body);
}

/// PUBLISH. `id` is ignored at QoS 0. The payload is what `payload` appends, `length` bytes of it: built in place.
///
/// # Panics
/// If the topic is longer than 65,535 bytes, or `payload` appended another number of bytes.
pub fn publish(topic: &str, qos: Qos, id: u16, length: usize, payload: impl FnOnce(&mut BytesMut), out: &mut BytesMut) {
    let id_bytes = if qos == Qos::AtMostOnce { 0 } else { 2 };
    header(kind::PUBLISH << 4 | qos.level() << 1, 2 + topic.len() + id_bytes + length, out);
    string(topic.as_bytes(), out);
    if qos != Qos::AtMostOnce {
        out.put_u16(id);
    }
    let start = out.len();
    payload(out);
    assert_eq!(out.len() - start, length, "the remaining length is on its way already");
}

/// SUBSCRIBE to each filter (MQTT 3.1.1, 3.8).
///
/// # Panics
/// If a filter is longer than 65,535 bytes.
pub fn subscribe(id: u16, filters: &[(String, Qos)], out: &mut BytesMut) {
    let length = 2 + filters.iter().map(|(filter, _)| 3 + filter.len()).sum::<usize>();
    header(kind::SUBSCRIBE << 4 | 2, length, out);
    out.put_u16(id);
    for (filter, qos) in filters {
        string(filter.as_bytes(), out);
        out.put_u8(qos.level());
    }
}

/// PUBACK.
pub fn puback(id: u16, out: &mut BytesMut) {
    acknowledgement(kind::PUBACK << 4, id, out);
}

/// PUBREC.
pub fn pubrec(id: u16, out: &mut BytesMut) {
    acknowledgement(kind::PUBREC << 4, id, out);
}

/// PUBREL.
pub fn pubrel(id: u16, out: &mut BytesMut) {
    acknowledgement(kind::PUBREL << 4 | 2, id, out);
}

/// PUBCOMP.
pub fn pubcomp(id: u16, out: &mut BytesMut) {
    acknowledgement(kind::PUBCOMP << 4, id, out);
}

/// PINGREQ.
pub fn pingreq(out: &mut BytesMut) {
    header(kind::PINGREQ << 4, 0, out);
}

/// DISCONNECT: the will is dropped.
pub fn disconnect(out: &mut BytesMut) {
    header(kind::DISCONNECT << 4, 0, out);
}

fn acknowledgement(first: u8, id: u16, out: &mut BytesMut) {
    header(first, 2, out);
    out.put_u16(id);
}

fn string(bytes: &[u8], out: &mut BytesMut) {
    out.put_u16(u16::try_from(bytes.len()).expect("strings of a drill are short"));
    out.put_slice(bytes);
}

fn header(first: u8, mut remaining: usize, out: &mut BytesMut) {
    assert!(remaining <= REMAINING_MAX, "packets of a drill are far below MQTT's limit");
    out.put_u8(first);
    loop {
        let [low, ..] = remaining.to_le_bytes();
        remaining >>= 7;
        if remaining == 0 {
            return out.put_u8(low & 0x7f);
        }
        out.put_u8(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(encode: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
        let mut out = BytesMut::new();
        encode(&mut out);
        out.to_vec()
    }

    #[test]
    fn connect_with_everything() {
        let will = Will { topic: "w".into(), payload: b"gone".to_vec(), qos: Qos::AtLeastOnce };
        let packet =
            Connect { client_id: "c", username: Some("u"), keep_alive: 60, clean_session: true, will: Some(&will) };
        assert_eq!(
            bytes(|out| connect(&packet, out)),
            b"\x10\x19\x00\x04MQTT\x04\x8e\x00\x3c\x00\x01c\x00\x01w\x00\x04gone\x00\x01u"
        );
    }

    #[test]
    fn publish_has_an_id_above_qos_0_only() {
        let put = |out: &mut BytesMut| out.put_slice(b"hi");
        assert_eq!(bytes(|out| publish("a/b", Qos::AtMostOnce, 7, 2, put, out)), b"\x30\x07\x00\x03a/bhi");
        assert_eq!(bytes(|out| publish("a/b", Qos::ExactlyOnce, 7, 2, put, out)), b"\x34\x09\x00\x03a/b\x00\x07hi");
    }

    #[test]
    fn short_packets() {
        assert_eq!(bytes(|out| subscribe(1, &[("#".into(), Qos::ExactlyOnce)], out)), b"\x82\x06\x00\x01\x00\x01#\x02");
        assert_eq!(bytes(|out| puback(1, out)), b"\x40\x02\x00\x01");
        assert_eq!(bytes(|out| pubrec(1, out)), b"\x50\x02\x00\x01");
        assert_eq!(bytes(|out| pubrel(1, out)), b"\x62\x02\x00\x01");
        assert_eq!(bytes(|out| pubcomp(258, out)), b"\x70\x02\x01\x02");
        assert_eq!(bytes(pingreq), b"\xc0\x00");
        assert_eq!(bytes(disconnect), b"\xe0\x00");
    }

    #[test]
    fn a_long_packet_has_a_long_length() {
        let fill = |out: &mut BytesMut| out.put_bytes(0, 16_381);
        assert_eq!(bytes(|out| publish("t", Qos::AtMostOnce, 0, 16_381, fill, out))[..4], *b"\x30\x80\x80\x01");
    }
}
