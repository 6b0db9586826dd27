//! The whole tier in one thread and in virtual time: every role's own code, over a network that does to it whatever a
//! network can, one seed a run.
//!
//! ```text
//!  SEEDS=1-10000 cargo test --release --test simulation seeds -- --nocapture      many
//!  SEEDS=7 JOURNAL=1 cargo test --test simulation seeds -- --nocapture            one, with everything that was said
//! ```
//! | Module | Holds |
//! |---|---|
//! | `net` | hosts, links, connections |
//! | `process` | a role's worker: stopped and continued, killed |
//! | `tier` | which processes there are, and how each is started |
//! | `bytes`, `guests` | clients: byte for byte before recorders, message for message before broker-sim |
//! | `fault` | what can go wrong, and how often |
//! | `director` | draws faults by chance, applies and mends them |
//! | `judge`, `journal` | what is wrong, what was said |
//! | `run`, `sum` | a run, many runs |
//! | `mutants` | whether planted faults are found |
//! | `herd` | 100,000 sessions that need a tunnel at once |
//!
//! # Invariants
//! Those of the protocol's section on invariants, by number, and how a run notices that one doesn't hold. (The model check, in
//! `protocol/tests/model`, sees every state of a smaller world.)
//!
//! | Nr | Noticed by |
//! |---|---|
//! | 1 | every byte received is compared at once with the one sent (`bytes::hears`); all of them once a side has ended in order |
//! | 2, 3, 4 | 1, as far as it shows; every state: model check, `protocol/tests/pair` |
//! | 5, 7 | 1, since what a fenced tunnel still brought would be there twice; a fenced tunnel left open shows in the gauges at the end |
//! | 6 | `journal`: the epochs that an anchor accepts for a session rise |
//! | 8 | a client that is closed must have been told to leave, or its edge, anchor or broker have been taken away |
//! | 9 | the same: no refusal ends a session that runs |
//! | 10 | a recorder that gets a CONNECT twice, or one of a client that was told that no server is available |
//! | 11 | `protocol/tests/pair/lies.rs`, `tests/hostile` |
//! | 12, 13, 14 | not built: handover between processes |
//! | 15 | once MQTT clients are quiet, edges hold nothing for them within 2 s (`run`), and in the end nobody does; one that is idle while others work isn't looked at |
//! | 16 | slow readers are among the faults; how others fare meanwhile: `tests/process/slow.rs` |
//! | 17 | every session has a tunnel within 45 s after the last fault |
//! | 18 | a drain while all else is well moves everything in order and leaves nothing (`CalmDrain`) |
//! | 19 | `herd` |
//! | 20 | origins come back with another ring (`RingChange`), and no session is lost by it |
//! | 21 | `run`: no trunk ends as garbage, which is what ENHANCE_YOUR_CALM would be; the heads of all frames on trunks (`net::frames`): no DATA of nothing but a stream's last, no RST_STREAM in a `CalmDrain` |
//! | 22 | broker-sim's wills are no more than clients that didn't leave in order (`guests`) |
//! | 23 | `protocol`: a key has no text form but dots |
//! | 24 | not built: a second version |
//! | 25 | `protocol/tests/pair`, `fuzz` |

mod bytes;
mod clients;
mod director;
mod fault;
mod guests;
mod herd;
mod journal;
mod judge;
mod mutants;
mod net;
mod process;
mod run;
mod sum;
mod tier;
mod totals;

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use sum::Sum;

/// Seeds that are played where nobody asks for others.
const SEEDS: &str = "1-120";
/// Runs from which on everything that can happen must have happened.
const ENOUGH: u64 = 100;

#[test]
fn seeds() {
    let given = std::env::var("SEEDS").unwrap_or_else(|_| SEEDS.into());
    let (first, last) = given.split_once('-').unwrap_or((&given, &given));
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("SEEDS=7 or SEEDS=1-100, not {given:?}"));
    let (first, last) = (number(first), number(last));
    let all = std::env::var_os("JOURNAL").is_some();

    let sum = play(first, last, all);
    print!("{sum}");
    assert!(sum.violations().is_empty(), "{}", sum.violations().join("\n"));
    if last - first + 1 >= ENOUGH {
        for fault in fault::WEIGHTS.into_iter().map(|(fault, _)| fault).chain(fault::BESIDES) {
            assert!(sum.hit(fault) > 0, "{fault:?} hit nothing in all runs");
        }
        assert!(sum.work().iter().all(|count| *count >= ENOUGH), "next to nothing happened: {:?}", sum.work());
    }
}

/// Plays seeds on all cores.
fn play(first: u64, last: u64, all: bool) -> Sum {
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Sum::default()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last {
                        return;
                    }
                    let outcome = run::run(seed, all);
                    if !outcome.violations.is_empty() {
                        eprintln!("seed {seed}: {}", outcome.violations.join("\n    "));
                    }
                    sum.lock().expect("nobody panics with it").add(outcome);
                }
            });
        }
    });
    sum.into_inner().expect("nobody panicked with it")
}

#[test]
fn the_same_seed_is_the_same_run() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 1..=6 {
        let (one, again) = (run::run(seed, false), run::run(seed, false));
        assert_eq!(one.journal.hash, again.journal.hash, "seed {seed}");
        hashes.insert(one.journal.hash);
    }
    assert_eq!(hashes.len(), 6, "another seed is another run");
}
