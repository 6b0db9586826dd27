//! The check is worth something if it finds what is wrong: each planted fault, in a build that has them.

#[cfg(not(mutants))]
mod here {
    use std::process::Command;

    /// Flags and paths are cargo's own to say.
    #[expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "a test that runs a build")]
    /// Builds this very test with the faults in it, and runs it there.
    #[test]
    fn every_planted_fault_is_found() {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " --cfg mutants";
        let run = Command::new(env!("CARGO"))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .args(["test", "-p", "baton-protocol", "--test", "model", "--target-dir", "target/mutants", "--"])
            .args(["--exact", "mutants::there::each_is_found", "--nocapture"])
            .env("RUSTFLAGS", flags)
            .output()
            .expect("cargo runs this test, so it can be run");
        let said = String::from_utf8_lossy(&run.stdout);
        said.lines().filter(|line| line.starts_with("planted")).for_each(|line| println!("{line}"));
        assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
        assert!(said.contains("1 passed"), "the run with planted faults found no test: {said}");
    }
}

#[cfg(mutants)]
mod there {
    use std::sync::atomic::Ordering;

    use baton_protocol::mutant::{Mutant, PLANTED};
    use stateright::HasDiscoveries;

    use crate::{
        homes::{ONCE, TwoHomes},
        pair::{Pair, Variant},
        report::explore,
        runs::FAULTS,
        state::Budget,
    };

    /// Small worlds in which each fault can show itself.
    fn world(planted: Mutant) -> Pair {
        let one_attempt = Budget { attempts: 1, ..Budget::default() };
        match planted {
            Mutant::ThawKeepsTunnel => Pair::new(2, 1, one_attempt, Variant::Thaw),
            Mutant::ThawKeepsEpoch => Pair::new(1, 1, one_attempt, Variant::Thaw),
            _ => Pair::new(1, 1, FAULTS, Variant::Plain),
        }
    }

    #[test]
    fn each_is_found() {
        for planted in Mutant::ALL {
            PLANTED.store(planted as u8, Ordering::Relaxed);
            let name = format!("planted {planted:?}");
            let violations = match planted {
                Mutant::BytesBeforeAccepted => {
                    let until = HasDiscoveries::AllOf([ONCE].into());
                    let small = TwoHomes { attempts: 3, kills: 1, timeouts: 1 };
                    let found = explore(&name, small, until, |state| state.wrong());
                    assert!(found.iter().any(|(what, _)| *what == ONCE), "{found:?}");
                    found
                }
                _ => explore(&name, world(planted), HasDiscoveries::AnyFailures, |state| state.wrong),
            };
            assert_eq!(violations.is_empty(), planted == Mutant::Sound, "{planted:?}: {violations:?}");
        }
    }
}
