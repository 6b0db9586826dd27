//! The parser against two codecs by other people, on legal packets and on damaged ones.

use baton_protocol::connect::{ConnectError, Level, Parsed, parse};
use baton_protocol::limits;
use proptest::prelude::*;

use crate::draw::{damage, damaged, model};
use crate::oracle::{LIES, Model, Oracle, differs};

#[test]
fn every_lie_is_still_told() {
    for lie in LIES {
        let bytes = (lie.example)();
        let parsed = parse(&bytes, limits::CONNECT_BYTES);
        let (ours, level) = match &parsed {
            Ok(Parsed::Connect(connect)) => (Ok(Model::of(connect)), connect.level),
            Err(error @ ConnectError::Malformed { level: Some(level), .. }) => (Err(*error), *level),
            Err(error) => (Err(*error), Level::V311),
            Ok(Parsed::Incomplete { .. }) => panic!("{}: incomplete", lie.what),
        };
        let theirs = lie.oracle.read(level, &bytes);
        assert_ne!(theirs.is_some(), ours.is_ok(), "{:?} no longer {}", lie.oracle, lie.what);
        assert!((lie.explains)(&bytes, ours.as_ref().map_err(|error| *error)), "{:?}: {}", lie.oracle, lie.what);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn oracles_agree_on_legal_packets(model in model()) {
        let bytes = model.encode();
        for oracle in Oracle::BOTH {
            prop_assert_eq!(differs(oracle, &bytes, model.level), None, "{:02x?}", bytes);
        }
    }

    #[test]
    fn oracles_agree_on_damaged_packets(model in model(), damage in damage(), mend in prop::bool::weighted(0.9)) {
        let bytes = damaged(&model.encode(), &damage, mend);
        for oracle in Oracle::BOTH {
            prop_assert_eq!(differs(oracle, &bytes, model.level), None, "{:02x?}", bytes);
        }
    }
}
