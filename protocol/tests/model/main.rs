//! The session halves that ship, under a model checker: every interleaving of a small world, not a sample.

mod homes;
mod mutants;
mod pair;
mod properties;
mod report;
mod runs;
mod state;
mod tunnel;
