//! The `baton` binary: one file per verb.
fn main() {}
