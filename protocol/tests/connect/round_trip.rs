//! Properties that hold for any packet, legal or damaged.

use baton_protocol::connect::{Parsed, parse};
use baton_protocol::limits;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::draw::{damage, damaged, model};
use crate::oracle::Model;

const LIMIT: usize = limits::CONNECT_BYTES;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_was_written_is_read(model in model(), behind in vec(any::<u8>(), 0..20)) {
        let mut bytes = model.encode();
        let total = bytes.len();
        bytes.extend(behind);
        let Ok(Parsed::Connect(connect)) = parse(&bytes, LIMIT) else { panic!("{:?}", parse(&bytes, LIMIT)) };
        prop_assert_eq!(connect.total, total);
        prop_assert_eq!(Model::of(&connect), model);
    }

    /// A reader that fetches what it is told to need gets there, in a handful of steps.
    #[test]
    fn need_leads_to_the_whole(model in model()) {
        let bytes = model.encode();
        let (mut have, mut steps) = (0, 0);
        while let Ok(Parsed::Incomplete { need }) = parse(&bytes[..have], LIMIT) {
            prop_assert!(have < need && need <= bytes.len());
            have = need;
            steps += 1;
        }
        prop_assert_eq!(have, bytes.len());
        prop_assert!(steps <= 5, "{} steps", steps);
    }

    /// What is refused early would have been refused late, and what is taken was never refused.
    #[test]
    fn verdicts_are_final(model in model(), damage in damage(), mend in any::<bool>()) {
        let bytes = damaged(&model.encode(), &damage, mend);
        let whole = parse(&bytes, LIMIT);
        for length in 0..bytes.len() {
            match (parse(&bytes[..length], LIMIT), whole) {
                (Ok(Parsed::Incomplete { need }), _) => prop_assert!(need > length),
                (Ok(Parsed::Connect(early)), Ok(Parsed::Connect(late))) => prop_assert_eq!(early, late),
                (Err(early), Err(late)) => prop_assert_eq!(early, late),
                (early, late) => prop_assert!(false, "{early:?} of {length} bytes, then {late:?}"),
            }
        }
    }

    #[test]
    fn no_bytes_bring_it_down(bytes in vec(any::<u8>(), 0..300), limit in 0..300_usize) {
        match parse(&bytes, limit) {
            Ok(Parsed::Connect(connect)) => prop_assert!(connect.total <= bytes.len().min(limit)),
            Ok(Parsed::Incomplete { need }) => prop_assert!(need > bytes.len()),
            Err(_) => {}
        }
    }
}
