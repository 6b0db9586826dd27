//! A peer that lies: the answer that the protocol prescribes, bounded memory, and never a panic.

use baton_protocol::{
    attach::{Accepted, Open, Resume, Word},
    capsule::{Close, CloseKind, Piece},
    error::CloseCause,
    id::{Epoch, NodeName, SessionKey, UserId},
    limits,
    session::{AnchorSession, EdgeSession, Half, HowEnded, Output, edge::Attached, edge::MoveReason},
};
use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};

use crate::world::{Side, terms};

const NOW: u64 = 1_000;
const FIRST: Epoch = Epoch::FIRST;

fn home() -> NodeName {
    NodeName::new("home-1").expect("a legal name")
}

fn accepted(recv: u64) -> Accepted {
    Accepted { home: home(), recv, window: 64, grace: 60_000 }
}

/// A live edge half that has sent four bytes.
fn edge() -> EdgeSession {
    let mut edge = EdgeSession::new(UserId::new("alice"), terms(Side::Edge), NOW);
    edge.begin_open(SessionKey::from_bytes([1; 32]), None, NOW).expect("a new session opens");
    edge.handle_accepted(FIRST, &accepted(0), NOW);
    edge.handle_read(b"abcd");
    edge.poll_frame(100, true, NOW, &mut BytesMut::new());
    edge
}

/// An attached anchor half that has sent four bytes to an edge that claims a window of `window`.
fn anchor(window: u64) -> AnchorSession {
    let open = Open { user: UserId::new("alice"), key: SessionKey::from_bytes([1; 32]), window, client: None };
    let mut anchor = AnchorSession::open(&open, None, terms(Side::Anchor));
    anchor.handle_read(b"abcd");
    anchor.poll_frame(100, true, NOW, &mut BytesMut::new());
    anchor
}

fn data(offset: u64, ack: u64, payload: &[u8]) -> Piece<'_> {
    Piece::Data { offset, ack, payload }
}

fn mark(kind: CloseKind, offset: u64) -> Piece<'static> {
    Piece::Close(Close { kind, offset, ack: 0, reason: Bytes::new() })
}

/// Both halves get the pieces; both must close for `cause`, having said ABORT.
#[track_caller]
fn aborts(pieces: &[Piece<'_>], cause: CloseCause) {
    fn told(mut half: impl Half, pieces: &[Piece<'_>], expected: CloseCause) {
        pieces.iter().for_each(|piece| half.handle_piece(FIRST, piece.clone(), NOW));
        let outputs: Vec<Output> = std::iter::from_fn(|| half.poll_output()).collect();
        let [Output::EndTunnel(FIRST, HowEnded::Last(last)), Output::Close { cause, reset: true }] = &outputs[..]
        else {
            panic!("{outputs:?}");
        };
        assert_eq!(*cause, expected);
        let abort = baton_protocol::capsule::Decoder::default().next(&mut &last[..]).expect("well-formed");
        assert!(matches!(abort, Some(Piece::Close(Close { kind: CloseKind::Abort, .. }))), "{abort:?}");
        assert_eq!(half.pipe().held(), 0);
    }
    told(edge(), pieces, cause);
    told(anchor(64), pieces, cause);
}

#[test]
fn lies_that_end_the_session() {
    aborts(&[data(0, 5, b"")], CloseCause::Protocol);
    aborts(&[data(0, u64::MAX >> 2, b"x")], CloseCause::Protocol);
    aborts(&[data(0, 0, &[0; 65])], CloseCause::Flow);
    aborts(&[data(0, 0, &[0; 60]), data(60, 0, &[0; 5])], CloseCause::Flow);
    aborts(&[mark(CloseKind::Fin, 0), data(1, 0, b"x")], CloseCause::Protocol);
    aborts(&[data(0, 0, b"xy"), mark(CloseKind::Fin, 1)], CloseCause::Protocol);
    aborts(&[data(0, 0, b"xy"), mark(CloseKind::Fin, 2), mark(CloseKind::Fin, 3)], CloseCause::Protocol);
}

/// What was skipped may be a middlebox's fault: another tunnel is tried once.
#[test]
fn a_gap_breaks_the_tunnel_and_two_soon_after_each_other_the_session() {
    for (wait, closes) in [(limits::STRIKE_SPAN, true), (limits::STRIKE_SPAN + 1, false)] {
        let mut edge = edge();
        edge.handle_piece(FIRST, data(1, 0, b"x"), NOW);
        assert_eq!(edge.poll_output(), Some(Output::EndTunnel(FIRST, HowEnded::Reset)));
        assert_eq!((edge.state(), edge.poll_output()), ("detached", None));
        let resume = edge.begin_resume(MoveReason::Lost, NOW).expect("detached");
        assert!(matches!(edge.handle_accepted(resume.epoch, &accepted(0), NOW), Attached::Moved(_)));
        edge.handle_piece(resume.epoch, mark(CloseKind::Fin, u64::MAX >> 2), NOW + wait);
        assert_eq!(edge.closed(), closes, "after {wait} ms");
    }
}

#[test]
fn a_200_that_contradicts_the_edge_ends_the_session_at_both_ends() {
    let lies: [(&str, Accepted); 3] = [
        ("never sent", accepted(5)),
        ("acknowledged before", accepted(1)),
        ("another home", Accepted { home: NodeName::new("home-2").expect("a legal name"), ..accepted(4) }),
    ];
    for (name, lie) in lies {
        let mut edge = edge();
        edge.handle_piece(FIRST, data(0, 2, b""), NOW);
        let resume = edge.begin_resume(MoveReason::Solicited, NOW).expect("live");
        assert_eq!(edge.handle_accepted(resume.epoch, &lie, NOW), Attached::Contradicted, "{name}");
        let outputs: Vec<Output> = std::iter::from_fn(|| edge.poll_output()).collect();
        assert!(
            matches!(
                &outputs[..],
                [
                    Output::EndTunnel(FIRST, HowEnded::Reset),
                    Output::EndTunnel(Epoch(2), HowEnded::Last(_)),
                    Output::Close { cause: CloseCause::Protocol, reset: true }
                ]
            ),
            "{name}: {outputs:?}"
        );
    }
}

#[test]
fn a_resume_that_lies_changes_nothing() {
    let good = Resume { home: home(), key: SessionKey::from_bytes([1; 32]), epoch: Epoch(2), recv: 4 };
    let lies = [
        (Word::Malformed, Resume { recv: 5, ..good.clone() }),
        (Word::Malformed, Resume { recv: u64::MAX, ..good.clone() }),
        (Word::Malformed, Resume { epoch: Epoch::CEILING, ..good.clone() }),
        (Word::Stale, Resume { epoch: FIRST, ..good.clone() }),
        (Word::Stale, Resume { epoch: Epoch(0), ..good.clone() }),
        (Word::Gone, Resume { key: SessionKey::from_bytes([2; 32]), ..good.clone() }),
    ];
    let mut anchor = anchor(64);
    for (word, lie) in lies {
        let before = anchor.clone();
        let refused = anchor.handle_resume(&lie, None, &home(), NOW).expect_err("a lie");
        assert_eq!((refused.word, refused.home), (Some(word), Some(home())));
        assert_eq!(anchor, before);
    }
    let stranger = NodeName::new("edge-9");
    assert!(anchor.handle_resume(&good, stranger.as_ref(), &home(), NOW).is_err(), "another edge's session");
    assert!(anchor.handle_resume(&good, None, &home(), NOW).is_ok());
}

/// A window is what the peer may be sent, not what is held for it.
#[test]
fn no_window_makes_a_half_hold_more_than_its_own_cap() {
    for window in [0, 1, 1 << 40, u64::MAX] {
        let mut anchor = anchor(window);
        for _ in 0..100 {
            let room = anchor.read_room();
            anchor.handle_read(&vec![0; room]);
        }
        assert!(anchor.pipe().held() <= 96, "{} bytes for a window of {window}", anchor.pipe().held());
        while anchor.poll_frame(100, true, NOW, &mut BytesMut::new()) {}
        assert!(anchor.pipe().outgoing().smax() <= window.max(4));
    }
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0u64..8, 2 => 55u64..70, 1 => Just(u64::MAX >> 2), 1 => any::<u64>()]
}

#[derive(Clone, Debug)]
enum Lie {
    Data(u64, u64, usize),
    Close(CloseKind, u64, u64),
    Attach(u64, u64),
    Refuse(u64),
    Write,
    End,
}

fn lie() -> impl Strategy<Value = Lie> {
    let kind = prop_oneof![4 => Just(CloseKind::Fin), 2 => Just(CloseKind::Reset), 1 => Just(CloseKind::Abort)];
    prop_oneof![
        8 => (number(), number(), 0usize..80).prop_map(|(offset, ack, n)| Lie::Data(offset, ack, n)),
        2 => (kind, number(), number()).prop_map(|(kind, offset, ack)| Lie::Close(kind, offset, ack)),
        2 => (number(), number()).prop_map(|(recv, window)| Lie::Attach(recv, window)),
        1 => number().prop_map(Lie::Refuse),
        3 => Just(Lie::Write),
        1 => Just(Lie::End),
    ]
}

/// What any loop does between two things that its peer says.
fn used(half: &mut impl Half) {
    while half.poll_output().is_some() {}
    while half.poll_frame(100, true, NOW, &mut BytesMut::new()) {}
    let room = half.read_room();
    if room > 0 {
        half.handle_read(&vec![0; room]);
    }
    assert!(half.pipe().held() <= 96 + 64, "{} bytes held", half.pipe().held());
    if half.shutdown_due() {
        half.handle_shut_down(NOW);
    }
}

fn common(half: &mut impl Half, lie: &Lie, tunnel: Epoch) {
    match *lie {
        Lie::Data(offset, ack, n) => half.handle_piece(tunnel, data(offset, ack, &vec![1; n]), NOW),
        Lie::Close(kind, offset, ack) => {
            half.handle_piece(tunnel, Piece::Close(Close { kind, offset, ack, reason: Bytes::new() }), NOW);
        }
        Lie::Write => half.handle_written(half.unwritten().0.len(), NOW),
        _ => half.handle_eof(NOW),
    }
    used(half);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edge_bears_any_lie(lies in vec(lie(), 1..60)) {
        let mut edge = edge();
        for lie in lies {
            let tunnel = edge.tunnel().unwrap_or(FIRST);
            match lie {
                Lie::Attach(recv, window) => {
                    let epoch = edge.begin_resume(MoveReason::Solicited, NOW).map_or(FIRST, |resume| resume.epoch);
                    edge.handle_accepted(epoch, &Accepted { window, ..accepted(recv) }, NOW);
                    used(&mut edge);
                }
                Lie::Refuse(epoch) => {
                    let asked = edge.begin_resume(MoveReason::Lost, NOW).map_or(FIRST, |resume| resume.epoch);
                    let stale = baton_protocol::attach::Refused::by(&home(), Word::Stale);
                    edge.handle_refused(asked, &baton_protocol::attach::Refused { epoch: Some(Epoch(epoch)), ..stale }, NOW);
                    used(&mut edge);
                }
                _ => common(&mut edge, &lie, tunnel),
            }
            // The highest that is believed, and this half's own attempts since.
            prop_assert!(edge.epoch().0 < Epoch::CEILING.0 + 60);
        }
    }

    #[test]
    fn an_anchor_bears_any_lie(lies in vec(lie(), 1..60), window in number()) {
        let mut anchor = anchor(window);
        for lie in lies {
            let tunnel = anchor.epoch();
            match lie {
                Lie::Attach(recv, step) => {
                    let key = SessionKey::from_bytes([1; 32]);
                    let epoch = Epoch(anchor.epoch().0.saturating_add(step));
                    let _ = anchor.handle_resume(&Resume { home: home(), key, epoch, recv }, None, &home(), NOW);
                    used(&mut anchor);
                }
                Lie::Refuse(_) => anchor.handle_lost(tunnel, baton_protocol::session::Loss::Reset, NOW),
                _ => common(&mut anchor, &lie, tunnel),
            }
            prop_assert!(anchor.epoch() < Epoch::CEILING);
        }
    }
}
