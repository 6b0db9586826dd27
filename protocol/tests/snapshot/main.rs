//! What survives a restart: the bytes that the first version wrote decode for ever, later fields are skipped, and
//! nothing that is no snapshot does harm.

use std::sync::Arc;

use baton_protocol::{
    attach::{Accepted, Open, Resume},
    capsule::{Close, CloseKind, Piece},
    id::{Epoch, NodeName, SessionKey, UserId},
    session::{AnchorSession, EdgeSession, Half, SharedTerms, Terms, edge::MoveReason},
};
use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};

/// Two snapshots, an edge half's and an anchor half's, each behind its length as a byte.
const GOLDEN: &[u8] = include_bytes!("../golden/snapshot-v1.bin");
const NOW: u64 = 5_000;

fn terms() -> SharedTerms {
    Arc::new(Terms::edge())
}

fn home() -> NodeName {
    NodeName::new("home-1").expect("a legal name")
}

/// An edge half that has sent six bytes, of which two are acknowledged, has taken three and the broker's FIN, and is
/// about to attach for the third time.
fn edge() -> EdgeSession {
    let mut edge = EdgeSession::new(UserId::new("alice"), terms(), NOW);
    let (epoch, _) = edge.begin_open(SessionKey::from_bytes([7; 32]), None, NOW).expect("a new session opens");
    edge.handle_accepted(epoch, &Accepted { home: home(), recv: 0, window: 1_000, grace: 40_000 }, NOW);
    edge.handle_read(b"abcdef");
    edge.poll_frame(100, true, NOW, &mut BytesMut::new());
    edge.handle_piece(epoch, Piece::Data { offset: 0, ack: 2, payload: b"xyz" }, NOW);
    edge.handle_written(3, NOW);
    edge.handle_piece(
        epoch,
        Piece::Close(Close { kind: CloseKind::Fin, offset: 3, ack: 2, reason: Bytes::new() }),
        NOW,
    );
    edge.handle_shut_down(NOW);
    edge.begin_resume(MoveReason::Solicited, NOW).expect("live");
    edge
}

/// An anchor half whose broker can't be written any more, and has ended.
fn anchor() -> AnchorSession {
    let key = SessionKey::from_bytes([7; 32]);
    let open = Open { user: UserId::new("alice"), key, window: 2_000, client: None };
    let mut anchor = AnchorSession::open(&open, NodeName::new("edge-1"), terms());
    anchor.handle_read(b"xyz");
    anchor.poll_frame(100, true, NOW, &mut BytesMut::new());
    anchor.handle_piece(Epoch(1), Piece::Data { offset: 0, ack: 1, payload: b"abcdef" }, NOW);
    anchor.handle_write_error(NOW);
    anchor.handle_eof(NOW);
    anchor
}

fn golden() -> (&'static [u8], &'static [u8]) {
    let (edge, rest) = GOLDEN[1..].split_at(GOLDEN[0].into());
    (edge, &rest[1..][..rest[0].into()])
}

#[test]
fn what_is_written_is_the_first_versions() {
    let (edge, anchor) = (edge().snapshot(NOW), anchor().snapshot(NOW));
    let mut written = Vec::new();
    for snapshot in [&edge, &anchor] {
        written.push(u8::try_from(snapshot.len()).expect("small snapshots"));
        written.extend(snapshot);
    }
    let text: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(written == GOLDEN, "fields are only added, behind the others, with a line in CHANGELOG.md: {text}");
}

#[test]
fn what_the_first_version_wrote_is_restored() {
    let (edge, anchor) = golden();
    let mut edge = EdgeSession::restore(edge, terms(), NOW).expect("decodes for ever");
    assert_eq!((edge.state(), edge.epoch(), edge.home()), ("detached", Epoch(2), Some(&home())));
    let (out, inc) = (edge.pipe().outgoing(), edge.pipe().incoming());
    assert_eq!((out.una(), out.smax(), out.end(), out.held()), (2, 6, 6, 4));
    assert_eq!((inc.rcv(), inc.exp(), inc.staged()), (4, 4, 0));
    assert_eq!(edge.poll_timeout(), Some(NOW + 40_000 + 5_000));

    let mut anchor = AnchorSession::restore(anchor, terms(), NOW).expect("decodes for ever");
    assert_eq!((anchor.state(), anchor.epoch(), anchor.sid()), ("detached", Epoch(1), edge.key().sid()));
    assert_eq!(anchor.edge().map(NodeName::as_str), Some("edge-1"));
    assert!(anchor.pipe().write_dead() && anchor.pipe().read_ended());
    let (out, inc) = (anchor.pipe().outgoing(), anchor.pipe().incoming());
    assert_eq!((out.una(), out.smax(), out.end(), inc.rcv()), (1, 3, 3, 6));

    // And the two go on with each other: the edge has more than the anchor had heard of.
    let resume = edge.begin_resume(MoveReason::Lost, NOW).expect("detached");
    assert_eq!(resume, Resume { home: home(), key: edge.key().clone(), epoch: Epoch(3), recv: 4 });
    let name = NodeName::new("edge-1");
    assert!(anchor.handle_resume(&Resume { recv: 3, ..resume }, name.as_ref(), &home(), NOW).is_ok());
    assert_eq!(anchor.pipe().outgoing().una(), 3);
}

/// A map of CBOR holds fields by number: one more, with a number that nobody knows.
#[test]
fn a_later_versions_fields_are_skipped() {
    let (golden, _) = golden();
    let (begun, mut later) = (golden[0], golden.to_vec());
    let (fields, head) = match begun {
        0xa0..=0xb7 => (begun - 0xa0, 1),
        0xb8 => (golden[1], 2),
        _ => (0, 0),
    };
    if head == 0 {
        assert_eq!((begun, later.pop()), (0xbf, Some(0xff)), "a map of unknown length");
        later.extend([0x19, 0x03, 0xe7, 0x63, b'n', b'e', b'w', 0xff]);
    } else {
        later.splice(..head, [0xb8, fields + 1]);
        later.extend([0x19, 0x03, 0xe7, 0x63, b'n', b'e', b'w']);
    }
    let restored = EdgeSession::restore(&later, terms(), NOW).expect("what isn't known is skipped");
    assert_eq!(restored, EdgeSession::restore(golden, terms(), NOW).expect("decodes for ever"));
}

/// A successor whose own window is smaller keeps to what its predecessor allowed.
#[test]
fn a_granted_window_outlives_the_process_that_granted_it() {
    let mut edge = EdgeSession::new(UserId::new("alice"), terms(), NOW);
    let (epoch, _) = edge.begin_open(SessionKey::from_bytes([7; 32]), None, NOW).expect("a new session opens");
    let accepted = Accepted { home: home(), recv: 0, window: 1_000, grace: 40_000 };
    edge.handle_accepted(epoch, &accepted, NOW);
    let small = Arc::new(Terms { window: 10, ..Terms::edge() });
    let mut edge = EdgeSession::restore(&edge.snapshot(NOW), small, NOW).expect("restores what was saved");
    let resume = edge.begin_resume(MoveReason::Lost, NOW).expect("detached");
    edge.handle_accepted(resume.epoch, &accepted, NOW);
    edge.handle_piece(resume.epoch, Piece::Data { offset: 0, ack: 0, payload: &[1; 50] }, NOW);
    assert_eq!((edge.state(), edge.pipe().incoming().staged()), ("live", 50));
}

fn use_it(mut half: impl Half) {
    let tunnel = half.tunnel().unwrap_or(Epoch(1));
    half.handle_piece(tunnel, Piece::Data { offset: 0, ack: 0, payload: b"x" }, NOW);
    half.handle_eof(NOW);
    half.handle_timeout(u64::MAX, 0);
    while half.poll_output().is_some() {}
}

proptest! {
    #[test]
    fn garbage_does_no_harm(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(EdgeSession::restore(&bytes, terms(), NOW).is_err() || bytes.len() > 40);
        prop_assert!(AnchorSession::restore(&bytes, terms(), NOW).is_err() || bytes.len() > 20);
    }

    /// One damaged byte: refused, or a session that can be used.
    #[test]
    fn a_damaged_snapshot_does_no_harm(at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        for (i, snapshot) in [golden().0, golden().1].into_iter().enumerate() {
            let mut damaged = snapshot.to_vec();
            let at = at.index(damaged.len());
            damaged[at] = byte;
            damaged.truncate(if cut { at } else { damaged.len() });
            if i == 0 {
                EdgeSession::restore(&damaged, terms(), NOW).into_iter().for_each(use_it);
            } else {
                AnchorSession::restore(&damaged, terms(), NOW).into_iter().for_each(use_it);
            }
        }
    }
}
