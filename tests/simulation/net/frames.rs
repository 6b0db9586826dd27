//! What passes a trunk, as far as the heads of its HTTP/2 frames tell (RFC 9113, 4.1).

/// What a dialing end says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's head.
const HEAD: usize = 9;
/// Types of frames, and the flag of the last DATA of a stream.
const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// How many there were of those that somebody asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frames {
    /// DATA.
    pub(crate) data: u64,
    /// DATA of nothing that isn't a stream's last.
    pub(crate) empty: u64,
    /// RST_STREAM.
    pub(crate) resets: u64,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What is there of the preface or of the next head.
    begun: Vec<u8>,
    /// Bytes of a payload still to come.
    left: usize,
}

impl Reader {
    /// Reads what a dialing end says first; whether it is an HTTP/2 preface, once that is known.
    pub(super) fn preface(&mut self, bytes: &mut &[u8]) -> Option<bool> {
        self.fill(bytes, PREFACE.len());
        if !PREFACE.starts_with(&self.begun) {
            return Some(false);
        }
        let whole = self.begun.len() == PREFACE.len();
        whole.then(|| self.begun.clear()).map(|()| true)
    }

    /// Reads on, and counts.
    pub(super) fn read(&mut self, mut bytes: &[u8], frames: &mut Frames) {
        while !bytes.is_empty() {
            let payload = self.left.min(bytes.len());
            (self.left, bytes) = (self.left - payload, &bytes[payload..]);
            self.fill(&mut bytes, HEAD);
            if let [high, middle, low, kind, flags, ..] = self.begun[..]
                && self.begun.len() == HEAD
            {
                self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
                frames.data += u64::from(kind == DATA);
                frames.empty += u64::from(kind == DATA && self.left == 0 && flags & END_STREAM == 0);
                frames.resets += u64::from(kind == RST_STREAM);
                self.begun.clear();
            }
        }
    }

    fn fill(&mut self, bytes: &mut &[u8], length: usize) {
        let (next, rest) = bytes.split_at(bytes.len().min(length - self.begun.len()));
        self.begun.extend_from_slice(next);
        *bytes = rest;
    }
}

#[test]
fn heads_are_found_however_the_bytes_are_cut() {
    let frame = |kind, flags, payload: &[u8]| {
        let length = u8::try_from(payload.len()).expect("short");
        [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], payload].concat()
    };
    let said = [
        PREFACE,
        &frame(4, 0, &[0; 6]),
        &frame(DATA, 0, b"abc"),
        &frame(DATA, 0, &[]),
        &frame(DATA, END_STREAM, &[]),
        &frame(RST_STREAM, 0, &[0, 0, 0, 8]),
    ]
    .concat();
    for cut in 1..=said.len() {
        let (mut reader, mut frames, mut trunk) = (Reader::default(), Frames::default(), None);
        for mut piece in said.chunks(cut) {
            trunk = trunk.or_else(|| reader.preface(&mut piece));
            assert_ne!(trunk, Some(false));
            if trunk.is_some() {
                reader.read(piece, &mut frames);
            }
        }
        assert_eq!(frames, Frames { data: 3, empty: 1, resets: 1 }, "in pieces of {cut}");
    }
    assert_eq!(Reader::default().preface(&mut &b"\x10\x0dMQTT"[..]), Some(false));
}
