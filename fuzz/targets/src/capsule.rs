//! Capsules from any bytes, cut anywhere.

use baton_protocol::{
    capsule::{CapsuleError, Close, Decoder, Piece, Solicit, encode_data_head},
    limits,
};
use bytes::{BufMut, BytesMut};

use crate::cuts::cuts;

/// What a capsule says, its payload whole however it arrived.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Data { offset: u64, ack: u64, payload: Vec<u8> },
    Close(Close),
    Solicit(Solicit),
}

/// What the pieces say, up to the first error.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Said>, Result<bool, CapsuleError>) {
    let (mut decoder, mut said) = (Decoder::default(), Vec::new());
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(found)) => add(&mut said, found),
                Ok(None) => break,
                Err(error) => return (said, Err(error)),
            }
        }
        assert!(piece.is_empty(), "the decoder left bytes behind");
    }
    (said, Ok(decoder.mid_capsule()))
}

/// A part that goes on where the one before it ended is one with it.
fn add(said: &mut Vec<Said>, piece: Piece<'_>) {
    match (piece, said.last_mut()) {
        (Piece::Data { offset, ack, payload }, Some(Said::Data { offset: at, ack: before, payload: whole }))
            if ack == *before && offset == *at + whole.len() as u64 && !whole.is_empty() && !payload.is_empty() =>
        {
            whole.extend_from_slice(payload);
        }
        (Piece::Data { offset, ack, payload }, _) => said.push(Said::Data { offset, ack, payload: payload.to_vec() }),
        (Piece::Close(close), _) => said.push(Said::Close(close)),
        (Piece::Solicit(solicit), _) => said.push(Said::Solicit(solicit)),
    }
}

fn write(said: &[Said]) -> BytesMut {
    let mut wire = BytesMut::new();
    for said in said {
        match said {
            Said::Data { offset, ack, payload } if payload.is_empty() => encode_data_head(&mut wire, *offset, *ack, 0),
            Said::Data { offset, ack, payload } => {
                for (offset, part) in
                    (*offset..).step_by(limits::DATA_PAYLOAD).zip(payload.chunks(limits::DATA_PAYLOAD))
                {
                    encode_data_head(&mut wire, offset, *ack, part.len());
                    wire.put_slice(part);
                }
            }
            Said::Close(close) => close.encode(&mut wire),
            Said::Solicit(solicit) => solicit.encode(&mut wire),
        }
    }
    wire
}

/// The first byte says how the others are cut. Cut or whole they say the same, and what they say is read again as it
/// was when it is written. How much the decoder holds it checks by itself.
pub fn capsule(data: &[u8]) -> bool {
    let Some((seed, wire)) = data.split_first() else { return false };
    let (said, end) = read(std::iter::once(wire));
    let (cut, cut_end) = read(cuts(*seed, wire));
    assert_eq!((&cut, cut_end), (&said, end), "cut, and whole");
    let again = write(&said);
    assert_eq!(read(cuts(seed.wrapping_add(1), &again)), (said, Ok(false)), "written, and read again");
    !again.is_empty()
}
