//! The whole tier in one thread and in virtual time: every role's own code, over a network that can do to it whatever a
//! network does, one seed a run.
mod bytes;
mod clients;
mod fault;
mod guests;
mod journal;
mod judge;
mod net;
mod process;
mod run;
mod tier;
mod totals;

#[test]
fn seeds() {
    let seeds = std::env::var("SEEDS").unwrap_or_else(|_| "1".into());
    let (from, to) = seeds.split_once('-').unwrap_or((&seeds, &seeds));
    for seed in from.parse::<u64>().unwrap()..=to.parse::<u64>().unwrap() {
        let outcome = run::run(seed, std::env::var("JOURNAL").is_ok());
        print!("{outcome}");
        if !outcome.violations.is_empty() {
            outcome.journal.lines.iter().for_each(|line| println!("{line}"));
            panic!("seed {seed}");
        }
    }
}
