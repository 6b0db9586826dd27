//! A session half from any bytes that are said to be a snapshot.

use std::sync::Arc;

use baton_protocol::{
    attach::{Accepted, Resume},
    capsule::{Decoder, Piece},
    id::{Epoch, NodeName},
    session::{AnchorSession, EdgeSession, Half, SharedTerms, Terms, edge::MoveReason},
};
use bytes::BytesMut;

const NOW: u64 = 5_000;

fn home() -> NodeName {
    NodeName::new("home-1").expect("a legal name")
}

/// What holds for any half that was restored: it has no tunnel, and its numbers don't contradict each other.
fn holds(half: &impl Half) {
    let (out, inc) = (half.pipe().outgoing(), half.pipe().incoming());
    assert!(!half.closed() && half.tunnel().is_none());
    assert!(out.una() <= out.smax() && out.smax() <= out.end() + 2, "{out:?}");
    assert_eq!(out.held() as u64, out.end() - out.una().min(out.end()), "{out:?}");
    assert_eq!((inc.rcv(), inc.staged()), (inc.exp(), 0), "{inc:?}");
}

/// It goes on: it sends again what wasn't acknowledged, takes what follows, and ends of age when nobody comes.
fn goes_on(half: &mut impl Half) {
    let (una, end) = (half.pipe().outgoing().una(), half.pipe().outgoing().end());
    let (mut wire, mut decoder, mut next) = (BytesMut::new(), Decoder::default(), una);
    while half.poll_frame(usize::MAX, true, NOW, &mut wire) {}
    let mut rest = &wire[..];
    while let Some(piece) = decoder.next(&mut rest).expect("a half sends well-formed capsules") {
        if let Piece::Data { offset, payload, .. } = piece {
            assert!(payload.is_empty() || offset == next, "bytes from {offset}, not {next}");
            next += payload.len() as u64;
        }
    }
    assert!(next <= end.max(una));
    if let Some(tunnel) = half.tunnel() {
        let (offset, ack) = (half.pipe().incoming().exp(), half.pipe().outgoing().smax());
        half.handle_piece(tunnel, Piece::Data { offset, ack, payload: b"x" }, NOW);
        half.handle_written(half.unwritten().0.len(), NOW);
    }
    half.handle_eof(NOW);
    while let Some(due) = half.poll_timeout() {
        half.handle_timeout(due, 0);
        assert!(half.poll_timeout().is_none_or(|next| next > due), "a deadline that stays behind");
        while half.poll_output().is_some() {}
    }
    assert!(!half.closed() || half.pipe().held() == 0);
}

fn edge(bytes: &[u8], terms: SharedTerms) -> bool {
    let Ok(mut edge) = EdgeSession::restore(bytes, terms.clone(), NOW) else { return false };
    holds(&edge);
    assert!(edge.attempt().is_none() && edge.wants_attach());
    let again = EdgeSession::restore(&edge.snapshot(NOW), terms, NOW).expect("restores what was saved");
    assert_eq!(again, edge);
    if let Some(Resume { epoch, home, .. }) = edge.begin_resume(MoveReason::Lost, NOW) {
        let recv = edge.pipe().outgoing().una();
        edge.handle_accepted(epoch, &Accepted { home, recv, window: 1_000, grace: 60_000 }, NOW);
    }
    goes_on(&mut edge);
    true
}

fn anchor(bytes: &[u8], terms: SharedTerms) -> bool {
    let Ok(mut anchor) = AnchorSession::restore(bytes, terms.clone(), NOW) else { return false };
    holds(&anchor);
    let again = AnchorSession::restore(&anchor.snapshot(NOW), terms, NOW).expect("restores what was saved");
    assert_eq!(again, anchor);
    // Nobody knows the key of a session that was made up: another's is refused, whatever it says.
    let key = baton_protocol::id::SessionKey::from_bytes([7; 32]);
    let resume = Resume {
        home: home(),
        key,
        epoch: Epoch(anchor.epoch().0.saturating_add(1)),
        recv: anchor.pipe().outgoing().una(),
    };
    let edge = anchor.edge().cloned();
    let before = anchor.clone();
    if anchor.handle_resume(&resume, edge.as_ref(), &home(), NOW).is_err() {
        assert_eq!(anchor, before);
    }
    goes_on(&mut anchor);
    true
}

/// The first byte says whether it's an edge's or an anchor's, and on what terms it is restored.
pub fn snapshot(data: &[u8]) -> bool {
    let Some((which, bytes)) = data.split_first() else { return false };
    let small = |terms: Terms| Terms { window: 64, send_cap: 96, detached_cap: 24, data_payload: 16, ..terms };
    match which % 4 {
        0 => edge(bytes, Arc::new(Terms::edge())),
        1 => edge(bytes, Arc::new(small(Terms::edge()))),
        2 => anchor(bytes, Arc::new(Terms::anchor())),
        _ => anchor(bytes, Arc::new(small(Terms::anchor()))),
    }
}
