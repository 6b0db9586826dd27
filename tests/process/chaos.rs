//! Faults of every class, several at a time. `baton bench chaos` plays the same for as long as one likes.

use std::time::Duration;

use baton_drill::chaos::{Plan, fault::Class, play};

use crate::support::BATON;

/// One for which each class comes about twice.
const SEED: u64 = 1;
const FAULTS: usize = 34;
const EVERY: Duration = Duration::from_millis(700);

#[test]
fn who_is_to_hold_holds_whatever_goes_wrong() {
    let plan = Plan { binary: BATON.into(), seed: SEED, faults: FAULTS, every: EVERY };
    let report = play(&plan, |line| println!("{line}")).unwrap_or_else(|error| panic!("{error}"));
    println!("{report}");
    assert!(report.violations.is_empty(), "{report}");
    // Where tunnels are isn't a matter of the seed: an origin that was started a moment ago may carry none.
    let of_origins = |class: &Class| {
        matches!(class, Class::OriginDrained | Class::OriginKilled | Class::TwoOriginsKilled | Class::OriginStopped)
    };
    let hits = |class: &Class| report.tallies[class].hits;
    for class in Class::ALL.iter().filter(|class| !of_origins(class)) {
        assert!(hits(class) > 0, "{class:?} hit nothing: {report}");
    }
    assert!(Class::ALL.iter().filter(|class| of_origins(class)).map(hits).sum::<u32>() >= 3, "{report}");
    assert!(report.explained > 0 && report.messages > 1_000, "{report}");
}
