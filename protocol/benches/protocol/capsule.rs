//! The codec, with a DATA capsule of a small message and with the largest. Decoding hands a payload on where it lies, so its
//! length makes no difference there.

use std::hint::black_box;

use baton_protocol::{
    capsule::{DATA_HEAD, Decoder, encode_data_head},
    limits::DATA_PAYLOAD,
};
use bytes::{BufMut, BytesMut};
use criterion::Criterion;

/// A position far into a session, so that numbers have the width that most have.
const OFFSET: u64 = 1 << 24;

pub(crate) fn measure(criterion: &mut Criterion) {
    for bytes in [64, DATA_PAYLOAD] {
        let payload = vec![b'x'; bytes];
        let mut group = criterion.benchmark_group(format!("capsule of {bytes} B"));
        let mut wire = BytesMut::with_capacity(DATA_HEAD + bytes);
        group.bench_function("encode", |bencher| bencher.iter(|| encode(black_box(&payload), &mut wire)));
        group.bench_function("decode", |bencher| bencher.iter(|| decode(black_box(&wire))));
    }
}

fn encode(payload: &[u8], wire: &mut BytesMut) {
    wire.clear();
    encode_data_head(wire, black_box(OFFSET), black_box(OFFSET), payload.len());
    wire.put_slice(payload);
}

fn decode(mut wire: &[u8]) {
    let mut decoder = Decoder::default();
    while let Some(piece) = decoder.next(&mut wire).expect("it was encoded as it has to be") {
        black_box(piece);
    }
}
