//! A message's way through a session: read by the edge's half, written by the anchor's, acknowledged.

use std::{hint::black_box, sync::Arc};

use baton_protocol::{
    capsule::Decoder,
    id::{Epoch, NodeName, SessionKey, UserId},
    limits::{DATA_PAYLOAD, Millis},
    session::{AnchorSession, EdgeSession, Half, Terms},
};
use bytes::BytesMut;
use criterion::Criterion;

const NOW: Millis = 0;
const MESSAGE: [u8; 64] = [b'x'; 64];

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut pair = Pair::live();
    let name = format!("session/{} B and their acknowledgement", MESSAGE.len());
    criterion.bench_function(&name, |bencher| bencher.iter(|| pair.message()));
}

/// Both halves, and a tunnel that carries whole capsules at once.
struct Pair {
    edge: EdgeSession,
    anchor: AnchorSession,
    epoch: Epoch,
    wire: BytesMut,
}

impl Pair {
    fn live() -> Self {
        let mut edge = EdgeSession::new(UserId::new("device"), Arc::new(Terms::edge()), NOW);
        let (epoch, open) =
            edge.begin_open(SessionKey::from_bytes([7; 32]), None, NOW).expect("a session begins by opening");
        let anchor = AnchorSession::open(&open, None, Arc::new(Terms::anchor()));
        let home = NodeName::new("home").expect("a legal name");
        edge.handle_accepted(epoch, &anchor.accepted(&home), NOW);
        Self { edge, anchor, epoch, wire: BytesMut::new() }
    }

    fn message(&mut self) {
        let Self { edge, anchor, epoch, wire } = self;
        edge.handle_read(black_box(&MESSAGE));
        carry(edge, anchor, *epoch, wire);
        let written = black_box(anchor.unwritten().0).len();
        anchor.handle_written(written, NOW);
        carry(anchor, edge, *epoch, wire);
        assert_eq!((written, edge.pipe().held()), (MESSAGE.len(), 0), "it went through, and isn't kept any longer");
    }
}

/// All that `from` has for `to`; an acknowledgement is due.
fn carry(from: &mut impl Half, to: &mut impl Half, epoch: Epoch, wire: &mut BytesMut) {
    wire.clear();
    while from.poll_frame(DATA_PAYLOAD, true, NOW, wire) {}
    let (mut decoder, mut bytes) = (Decoder::default(), &wire[..]);
    while let Some(piece) = decoder.next(&mut bytes).expect("a half sends whole capsules") {
        to.handle_piece(epoch, piece, NOW);
    }
    while to.poll_output().is_some() {}
}
