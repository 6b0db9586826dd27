//! A tunnel as two queues of messages, which are what the halves' real frames decode to.

use baton_protocol::{
    attach::Word,
    capsule::{Close, CloseKind, Decoder, Piece},
    id::Epoch,
};

/// What travels. Numbers are as small as the world: a model's state is hashed millions of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    /// A resume with the epoch of its tunnel.
    Attach { recv: u8 },
    /// 200.
    Accepted { recv: u8 },
    /// Anything else; with the anchor's name where an anchor says it.
    Refused { word: Word, by_home: bool, epoch: Epoch },
    /// DATA of one byte, or of none.
    Data { offset: u8, ack: u8, byte: Option<u8> },
    /// CLOSE.
    Close { kind: CloseKind, offset: u8, ack: u8 },
    /// END_STREAM.
    End,
    /// RST_STREAM.
    Reset,
}

fn small(number: u64) -> u8 {
    u8::try_from(number).expect("positions of a model are small")
}

impl Message {
    /// The messages in an encoded frame.
    pub(crate) fn decode(mut bytes: &[u8]) -> Vec<Self> {
        let (mut decoder, mut found) = (Decoder::default(), Vec::new());
        while let Some(piece) = decoder.next(&mut bytes).expect("a half sends well-formed capsules") {
            found.push(match piece {
                Piece::Data { offset, ack, payload } => {
                    assert!(payload.len() <= 1, "the model's terms allow one byte a capsule");
                    Self::Data { offset: small(offset), ack: small(ack), byte: payload.first().copied() }
                }
                Piece::Close(Close { kind, offset, ack, .. }) => {
                    Self::Close { kind, offset: small(offset), ack: small(ack) }
                }
                Piece::Solicit(_) => unreachable!("no tunnel carries a solicitation"),
            });
        }
        assert!(!decoder.mid_capsule());
        found
    }
}

/// A tunnel, or an attempt at one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tunnel {
    pub(crate) epoch: Epoch,
    pub(crate) up: Vec<Message>,
    pub(crate) down: Vec<Message>,
    /// No message passes any more; each end notices for itself.
    pub(crate) dead: bool,
    /// The edge has ended its direction.
    pub(crate) edge_left: bool,
    /// The anchor has ended its direction.
    pub(crate) anchor_left: bool,
    /// The process that had it at the edge is gone: what comes down is lost.
    pub(crate) deaf: bool,
}

impl Tunnel {
    pub(crate) fn new(epoch: Epoch) -> Self {
        let (up, down) = (Vec::new(), Vec::new());
        Self { epoch, up, down, dead: false, edge_left: false, anchor_left: false, deaf: false }
    }

    /// The edge says something, unless it has ended its direction.
    pub(crate) fn push_up(&mut self, message: Message) {
        if !self.dead && !self.edge_left {
            self.up.push(message);
            self.edge_left = matches!(message, Message::End | Message::Reset);
        }
    }

    /// The anchor says something, unless it has ended its direction.
    pub(crate) fn push_down(&mut self, message: Message) {
        if !self.dead && !self.anchor_left {
            if !self.deaf {
                self.down.push(message);
            }
            self.anchor_left = matches!(message, Message::End | Message::Reset);
        }
    }

    pub(crate) fn kill(&mut self) {
        self.dead = true;
        self.up.clear();
        self.down.clear();
    }
}
