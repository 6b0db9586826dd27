//! The pieces that test packets are put together from.

/// A length in as few bytes as can be.
pub(crate) fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value % 128).expect("less than 128");
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Bytes behind their length.
pub(crate) fn field(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let length = u16::try_from(content.len()).expect("a field of at most 65,535 bytes");
    [&length.to_be_bytes()[..], content].concat()
}

/// A packet of this first byte.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &varint(body.len()), body].concat()
}

/// Properties behind their length.
pub(crate) fn properties(content: &[u8]) -> Vec<u8> {
    [&varint(content.len())[..], content].concat()
}

/// A CONNECT of 3.1 with a keep alive of 60 s.
pub(crate) fn v31(flags: u8, payload: &[&[u8]]) -> Vec<u8> {
    packet(0x10, &[&field("MQIsdp")[..], &[3, flags, 0, 60], &payload.concat()].concat())
}

/// A CONNECT of 3.1.1 with a keep alive of 60 s.
pub(crate) fn v311(flags: u8, payload: &[&[u8]]) -> Vec<u8> {
    packet(0x10, &[&field("MQTT")[..], &[4, flags, 0, 60], &payload.concat()].concat())
}

/// A CONNECT of MQTT 5 with a keep alive of 60 s.
pub(crate) fn v5(flags: u8, connect_properties: &[u8], payload: &[&[u8]]) -> Vec<u8> {
    let head = [&field("MQTT")[..], &[5, flags, 0, 60], &properties(connect_properties)].concat();
    packet(0x10, &[head, payload.concat()].concat())
}
