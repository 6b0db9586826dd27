//! What the parts of the protocol cost that run for every message, or every session: `cargo bench -p baton-protocol`.

mod capsule;
mod ring;
mod session;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    capsule::measure(&mut criterion);
    session::measure(&mut criterion);
    ring::measure(&mut criterion);
    criterion.final_summary();
}
