//! Every target, briefly: its seeds, its corpus, and mutations of both.

use std::{fs, path::Path};

use baton_fuzz_targets::seeds;

/// Mutations tried of each target, by default: a few seconds for all of them.
const MUTATIONS: usize = 2_000;

/// A generator that a failing run repeats.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("48 bits") % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        let edges = [0, 1, 0x7f, 0x80, 0xff];
        let any = u8::try_from(self.below(256)).expect("below 256");
        if self.below(2) == 0 { edges[self.below(edges.len())] } else { any }
    }

    /// `bytes`, changed in a place or a few: other bytes, some less, some twice, or the end of another input.
    fn mutated(&mut self, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(8)).min(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] = self.byte(),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 => bytes.insert(at, self.byte()),
                3 => drop(bytes.drain(at..end)),
                4 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                _ => drop(bytes.splice(at.., other[self.below(other.len())..].iter().copied())),
            }
        }
        bytes
    }
}

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.expect("a directory can be read").path());
    let mut found: Vec<_> =
        fs::read_dir(corpus).expect("every target has a corpus").map(|entry| read(entry).expect("a file")).collect();
    assert!(!found.is_empty(), "an empty corpus");
    found.sort();
    found
}

fn try_out(target: &str, run: fn(&[u8]) -> bool) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty() && seeds.iter().any(|seed| run(seed)), "no seed gets past the first check");
    let mut inputs = inputs(target);
    let past = inputs.iter().filter(|input| run(input)).count();
    assert!(past > 0, "no file of the corpus gets past the first check");
    inputs.extend_from_slice(&seeds);
    let mut chance = Chance(0x5eed);
    let past = (0..MUTATIONS).filter(|_| {
        let (one, other) = (chance.below(inputs.len()), chance.below(inputs.len()));
        // Half of them come from a seed: much of a corpus is about what is refused.
        let one = if chance.below(2) == 0 { &seeds[one % seeds.len()] } else { &inputs[one] };
        run(&chance.mutated(one.clone(), &inputs[other]))
    });
    let past = past.count();
    assert!(past * 20 > MUTATIONS, "only {past} of {MUTATIONS} mutations get past the first check");
}

macro_rules! targets {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            try_out(stringify!($target), baton_fuzz_targets::$target);
        }
    )*};
}

targets!(connect capsule attach snapshot configuration mqtt broker faults session_pair);
