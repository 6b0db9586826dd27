//! What may happen to a half, by name, and what it then wants done, as text.

use std::sync::Arc;

use baton_protocol::{
    attach::{Refused, Word},
    capsule::{Close, CloseKind, Decoder, Piece},
    id::{Epoch, NodeName},
    session::{Half, HowEnded, Loss, Output, SharedTerms, Terms},
};
use bytes::Bytes;

/// When everything happens that isn't a deadline.
pub(crate) const NOW: u64 = 1_000;

pub(crate) fn terms() -> SharedTerms {
    Arc::new(Terms { window: 64, ..Terms::edge() })
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
            half.poll_frame(100, true, NOW, &mut bytes::BytesMut::new());
            half.handle_timeout(half.poll_timeout().unwrap_or(NOW), 0);
        }
        "socket ended" => half.handle_eof(NOW),
        "socket broke" => half.handle_read_error(NOW),
        "socket can't be written" => half.handle_write_error(NOW),
        "gives up" => half.abort(baton_protocol::error::CloseCause::Overload, NOW),
        _ => unreachable!("no such event: {event}"),
    }
}

fn last(bytes: &[u8]) -> String {
    let (mut decoder, mut rest) = (Decoder::default(), bytes);
    match decoder.next(&mut rest).expect("a half sends well-formed capsules") {
        Some(Piece::Close(close)) => format!("{:?}", close.kind),
        _ => "ack".into(),
    }
}

/// Everything that the half wants done, as text.
pub(crate) fn outputs<H: Half>(half: &mut H) -> String {
    let mut said = Vec::new();
    while let Some(output) = half.poll_output() {
        said.push(match output {
            Output::EndTunnel(epoch, HowEnded::Last(bytes)) => format!("{epoch}:{}", last(&bytes)),
            Output::EndTunnel(epoch, how) => format!("{epoch}:{how:?}"),
            Output::Close { cause, reset } => format!("close {cause}{}", if reset { " RST" } else { "" }),
        });
    }
    if said.is_empty() { "-".into() } else { said.join(", ") }
}

/// Compares what happened, a line for each state and event, with the table; shows the whole where it differs.
pub(crate) fn compare(found: &[String], table: &str) {
    let expected: Vec<&str> = table.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let differs = found.iter().map(String::as_str).zip(&expected).find(|(found, expected)| found != *expected);
    assert!(differs.is_none() && found.len() == expected.len(), "{differs:#?}, of:\n{}", found.join("\n"));
}
