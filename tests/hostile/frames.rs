//! HTTP/2 by hand: frames that no library would write.

use std::iter;

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113, section 6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags: the same bit means END_STREAM, and ACK of SETTINGS and PING.
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;

/// Settings (RFC 9113, section 6.5.2).
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// Bytes in the making: frames one after another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames(pub(crate) Vec<u8>);

impl Frames {
    /// Any frame.
    pub(crate) fn frame(mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        let [_, length @ ..] = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
        self.0.extend(length);
        self.0.extend([kind, flags]);
        self.0.extend(stream.to_be_bytes());
        self.0.extend(payload);
        self
    }

    /// The same many times; it is told how often it has been before.
    pub(crate) fn times(self, times: u32, mut more: impl FnMut(Self, u32) -> Self) -> Self {
        (0..times).fold(self, &mut more)
    }

    /// HEADERS with a whole block.
    pub(crate) fn headers(self, stream: u32, block: &[u8]) -> Self {
        self.frame(kind::HEADERS, END_HEADERS, stream, block)
    }

    pub(crate) fn data(self, stream: u32, payload: &[u8]) -> Self {
        self.frame(kind::DATA, 0, stream, payload)
    }

    /// RST_STREAM with CANCEL.
    pub(crate) fn reset(self, stream: u32) -> Self {
        self.frame(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes())
    }

    pub(crate) fn window_update(self, stream: u32, by: u32) -> Self {
        self.frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
    }

    pub(crate) fn setting(self, name: u16, value: u32) -> Self {
        let payload: Vec<_> = name.to_be_bytes().into_iter().chain(value.to_be_bytes()).collect();
        self.frame(kind::SETTINGS, 0, 0, &payload)
    }
}

/// The number of the `nth` stream that a client opens.
pub(crate) fn stream(nth: u32) -> u32 {
    2 * nth + 1
}

/// A number with a prefix of so many bits (RFC 7541, section 5.1), `pattern` above it.
fn integer(pattern: u8, bits: u32, number: usize, block: &mut Vec<u8>) {
    let most = (1 << bits) - 1;
    let byte = |number: usize| u8::try_from(number).expect("a byte's worth");
    if number < most {
        return block.push(pattern | byte(number));
    }
    block.push(pattern | byte(most));
    let mut left = number - most;
    while left >= 128 {
        block.push(0x80 | byte(left % 128));
        left /= 128;
    }
    block.push(byte(left));
}

fn text(text: &str, block: &mut Vec<u8>) {
    integer(0, 7, text.len(), block);
    block.extend(text.as_bytes());
}

/// A header that stays out of HPACK's table.
pub(crate) fn literal(name: &str, value: &str, block: &mut Vec<u8>) {
    block.push(0);
    text(name, block);
    text(value, block);
}

/// A header that goes into HPACK's table.
pub(crate) fn indexed(name: &str, value: &str, block: &mut Vec<u8>) {
    block.push(0x40);
    text(name, block);
    text(value, block);
}

/// A header out of HPACK's table.
pub(crate) fn reference(index: usize, block: &mut Vec<u8>) {
    integer(0x80, 7, index, block);
}

/// A block with these headers.
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    headers.iter().for_each(|(name, value)| literal(name, value, &mut block));
    block
}

/// What every extended CONNECT of ours begins with.
pub(crate) fn connect_block(protocol: &str, path: &str) -> Vec<u8> {
    let pseudo = [(":method", "CONNECT"), (":scheme", "http"), (":authority", "tier"), (":path", path)];
    let pseudo: Vec<_> = pseudo.into_iter().chain(iter::once((":protocol", protocol))).collect();
    block(&pseudo)
}

/// The control stream of an edge of this name.
pub(crate) fn control(edge: &str) -> Vec<u8> {
    let mut block = connect_block("dcr-control", "/dcr/1/control");
    literal("dcr-edge", &format!("\"{edge}\""), &mut block);
    block
}

/// An open as an edge sends it, with a key of its own for each `number`.
pub(crate) fn open(number: u32) -> Vec<u8> {
    let mut block = connect_block("dcr", "/dcr/1/open");
    literal("capsule-protocol", "?1", &mut block);
    literal("dcr-user", ":YXR0YWNrZXI=:", &mut block);
    // 43 digits and a pad are 32 bytes; the last digit's low bits are none of them, so it stays what it is.
    literal("dcr-key", &format!(":{number:042}A=:"), &mut block);
    literal("dcr-window", "262144", &mut block);
    block
}
