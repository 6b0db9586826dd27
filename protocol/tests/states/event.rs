//! What may happen to a half, by name, and what it then wants done, as text.

use std::sync::Arc;

use baton_protocol::{
    attach::{Refused, Word},
    capsule::{Close, CloseKind, Decoder, Piece, Solicit},
    id::{Epoch, NodeName},
    session::{Half, HowEnded, Loss, Output, SharedTerms, Terms},
};
use bytes::{Bytes, BytesMut};

/// When everything happens that isn't a deadline.
pub(crate) const NOW: u64 = 1_000;

pub(crate) fn terms() -> SharedTerms {
    Arc::new(Terms { window: 64, send_cap: 96, detached_cap: 24, ..Terms::edge() })
}

pub(crate) fn home() -> NodeName {
    NodeName::new("home-1").expect("a legal name")
}

pub(crate) fn transient() -> Refused {
    Refused::of(Word::Unreachable)
}

pub(crate) fn by_home(word: Word, epoch: u64) -> Refused {
    Refused { epoch: Some(Epoch(epoch)), ..Refused::by(&home(), word) }
}

/// A byte of the peer's, the first.
pub(crate) const BYTE: Piece<'static> = Piece::Data { offset: 0, ack: 0, payload: b"x" };

pub(crate) fn close(kind: CloseKind, offset: u64) -> Piece<'static> {
    Piece::Close(Close { kind, offset, ack: 0, reason: Bytes::new() })
}

fn data(offset: u64, payload: &[u8]) -> Piece<'_> {
    Piece::Data { offset, ack: 0, payload }
}

/// Events that both halves have in common and that come one after the other, up to the last, with which the row ends.
pub(crate) const SEQUENCES: [&str; 27] = [
    "a byte arrives, and again",
    "a byte arrives, is taken",
    "a byte arrives, every deadline",
    "a byte arrives, FIN at its place",
    "FIN arrives, and again",
    "FIN arrives, is carried out",
    "FIN arrives, is carried out, every deadline",
    "FIN arrives, is carried out, all is acknowledged, every deadline",
    "FIN arrives, a byte behind it",
    "FIN arrives, another FIN",
    "FIN arrives, socket can't be written",
    "socket can't be written, FIN arrives",
    "socket can't be written, a byte arrives",
    "socket can't be written, socket ended",
    "socket ended, socket can't be written",
    "socket ended, socket broke",
    "socket ended, frames go out, socket broke",
    "socket ended, frames go out, socket broke, frames go out, all is acknowledged",
    "socket broke, frames go out, all is acknowledged",
    "socket ended, frames go out, all is acknowledged, every deadline",
    "socket ended, frames go out, all is acknowledged, FIN arrives, is carried out",
    "FIN arrives, is carried out, socket ended, frames go out, all is acknowledged",
    "bytes are read",
    "bytes are read, frames go out, tunnel lost",
    "more than the window arrives",
    "SOLICIT arrives",
    "nobody can have answered yet",
];

/// What both halves have in common: a name, and what it does.
pub(crate) fn common<H: Half>(half: &mut H, event: &str, tunnel: Epoch, attempt: Option<Epoch>) {
    let deadline = half.poll_timeout().unwrap_or(NOW);
    match event {
        "a byte arrives" => half.handle_piece(tunnel, BYTE, NOW),
        "a byte arrives elsewhere" => half.handle_piece(Epoch(77), BYTE, NOW),
        "a gap" => half.handle_piece(tunnel, Piece::Data { offset: 5, ack: 0, payload: b"x" }, NOW),
        "a lie" => half.handle_piece(tunnel, Piece::Data { offset: 0, ack: 99, payload: b"x" }, NOW),
        "FIN arrives" => half.handle_piece(tunnel, close(CloseKind::Fin, 0), NOW),
        "RESET arrives" => half.handle_piece(tunnel, close(CloseKind::Reset, 0), NOW),
        "ABORT arrives" => half.handle_piece(tunnel, close(CloseKind::Abort, 0), NOW),
        "garbage" => half.handle_garbage(tunnel, NOW),
        "tunnel ended" => half.handle_lost(tunnel, Loss::EndStream, NOW),
        "tunnel lost" => half.handle_lost(tunnel, Loss::Connection, NOW),
        "attempt lost" => half.handle_lost(attempt.unwrap_or(Epoch(77)), Loss::Connection, NOW),
        "deadline" => half.handle_timeout(deadline, 0),
        "every deadline" => {
            while let Some(at) = half.poll_timeout() {
                half.handle_timeout(at, 0);
            }
        }
        "nobody answers" => {
            half.handle_read(b"x");
            half.poll_frame(100, true, NOW, &mut BytesMut::new());
            half.handle_timeout(half.poll_timeout().unwrap_or(NOW), 0);
        }
        "nobody can have answered yet" => {
            half.handle_read(b"x");
            half.poll_frame(100, true, NOW, &mut BytesMut::new());
            let due = half.poll_timeout().unwrap_or(NOW);
            half.handle_timeout(due, due);
        }
        "and again" if half.pipe().incoming().exp() == 0 => {}
        "and again" if half.shutdown_due() => half.handle_piece(tunnel, close(CloseKind::Fin, 0), NOW),
        "and again" => half.handle_piece(tunnel, BYTE, NOW),
        "FIN at its place" => half.handle_piece(tunnel, close(CloseKind::Fin, 0), NOW),
        "another FIN" => half.handle_piece(tunnel, close(CloseKind::Fin, 1), NOW),
        "a byte behind it" => half.handle_piece(tunnel, data(1, b"x"), NOW),
        "more than the window arrives" => half.handle_piece(tunnel, data(0, &[0; 65]), NOW),
        "SOLICIT arrives" => {
            half.handle_piece(tunnel, Piece::Solicit(Solicit { spread: 1, deadline: 2, reason: 0 }), NOW);
        }
        "all is acknowledged" => {
            let ack = half.pipe().outgoing().smax();
            half.handle_piece(tunnel, Piece::Data { offset: 0, ack, payload: b"" }, NOW);
        }
        "is taken" => half.handle_written(half.unwritten().0.len(), NOW),
        "is carried out" if half.shutdown_due() => half.handle_shut_down(NOW),
        "is carried out" => {}
        "bytes are read" if half.read_room() > 0 => half.handle_read(b"abc"),
        "bytes are read" => {}
        "frames go out" => while half.poll_frame(100, true, NOW, &mut BytesMut::new()) {},
        "socket ended" => half.handle_eof(NOW),
        "socket broke" => half.handle_read_error(NOW),
        "socket can't be written" => half.handle_write_error(NOW),
        "gives up" => half.abort(baton_protocol::error::CloseCause::Overload, NOW),
        _ => unreachable!("no such event: {event}"),
    }
}

/// The capsules in `bytes`, as text.
fn capsules(mut bytes: &[u8]) -> Vec<String> {
    let (mut decoder, mut said) = (Decoder::default(), Vec::new());
    while let Some(piece) = decoder.next(&mut bytes).expect("a half sends well-formed capsules") {
        said.push(match piece {
            Piece::Close(close) => format!("{:?}", close.kind),
            Piece::Data { payload: b"", ack, .. } => format!("ack {ack}"),
            Piece::Data { offset, payload, .. } => format!("{} bytes at {offset}", payload.len()),
            Piece::Solicit(_) => "Solicit".into(),
        });
    }
    said
}

/// Everything that the half wants done, and what it then sends and would read, as text.
pub(crate) fn outputs<H: Half>(half: &mut H) -> String {
    let mut said = Vec::new();
    while let Some(output) = half.poll_output() {
        said.push(match output {
            Output::EndTunnel(epoch, HowEnded::Last(bytes)) => format!("{epoch}:{}", capsules(&bytes).join(" ")),
            Output::EndTunnel(epoch, how) => format!("{epoch}:{how:?}"),
            Output::Close { cause, reset } => format!("close {cause}{}", if reset { " RST" } else { "" }),
        });
    }
    let mut wire = BytesMut::new();
    while let announced @ 1.. = half.frame_len(true) {
        let before = wire.len();
        assert!(half.poll_frame(announced, true, NOW, &mut wire) && wire.len() - before <= announced);
    }
    said.extend(capsules(&wire).into_iter().map(|capsule| format!("sends {capsule}")));
    said.push(format!("reads {}", half.read_room()));
    said.join(", ")
}

/// Compares what happened, a line for each state and event, with the table; shows the whole where it differs.
pub(crate) fn compare(found: &[String], table: &str) {
    let expected: Vec<&str> = table.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let differs = found.iter().map(String::as_str).zip(&expected).find(|(found, expected)| found != *expected);
    assert!(differs.is_none() && found.len() == expected.len(), "{differs:#?}, of:\n{}", found.join("\n"));
}
