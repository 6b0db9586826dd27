//! The simulation is worth something if it finds what is wrong: faults planted in the halves, in a build that has them.

/// Seeds within which each must be found.
#[cfg(mutants)]
const SEEDS: u64 = 40;

#[cfg(not(mutants))]
mod here {
    use std::process::Command;

    /// Builds this very test with the faults in it, and runs it there.
    #[test]
    #[ignore = "it builds the whole tier once more: for that CI has no time"]
    fn planted_faults_are_found() {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " --cfg mutants";
        let run = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["test", "--locked", "--test", "simulation", "--target-dir", "target/mutants", "--"])
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

    use super::SEEDS;
    use crate::run::{Outcome, run};

    /// Faults that show in a whole tier within some seeds. The others take a rarer order of events, or a handover: the model
    /// check finds them.
    const SHOWN: [Mutant; 3] = [Mutant::FreeOnSend, Mutant::AckOnReceipt, Mutant::FencedTunnelLeftOpen];

    fn found(planted: Mutant) -> Option<Outcome> {
        PLANTED.store(planted as u8, Ordering::Relaxed);
        (1..=SEEDS).map(|seed| run(seed, false)).find(|outcome| !outcome.violations.is_empty())
    }

    #[test]
    fn each_is_found() {
        let sound = found(Mutant::Sound);
        assert!(sound.is_none(), "without a planted fault: {:?}", sound.map(|outcome| outcome.violations));
        for planted in SHOWN {
            let found = found(planted).unwrap_or_else(|| panic!("{planted:?} isn't found within {SEEDS} seeds"));
            println!("planted {planted:?}: found by seed {}: {}", found.seed, found.violations[0]);
        }
    }
}
