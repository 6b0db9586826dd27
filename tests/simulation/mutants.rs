//! The simulation is worth something if it finds what is wrong: faults planted in the halves, in a build that has them.

/// Seeds within which each must be found.
#[cfg(mutants)]
const SEEDS: u64 = 200;

#[cfg(not(mutants))]
mod here {
    use std::process::Command;

    /// Builds this very test with the faults in it, and runs it there.
    #[test]
    fn planted_faults_are_found() {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " --cfg mutants";
        let run = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["test", "--test", "simulation", "--target-dir", "target/mutants", "--"])
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
    use crate::run::run;

    /// Faults that a whole tier without a handover can show.
    const SHOWN: [Mutant; 5] = [
        Mutant::AckCheckedAgainstNxt,
        Mutant::NoFencing,
        Mutant::FreeOnSend,
        Mutant::AckOnReceipt,
        Mutant::ResumeAtRequestOffset,
    ];

    #[test]
    fn each_is_found() {
        for planted in SHOWN {
            PLANTED.store(planted as u8, Ordering::Relaxed);
            let found = (1..=SEEDS).map(|seed| run(seed, false)).find(|outcome| !outcome.violations.is_empty());
            let found = found.unwrap_or_else(|| panic!("{planted:?} isn't found within {SEEDS} seeds"));
            println!("planted {planted:?}: found by seed {}: {}", found.seed, found.violations[0]);
        }
    }
}
