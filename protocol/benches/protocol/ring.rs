//! The home of a user, which an origin looks up for each session that is opened.

use std::hint::black_box;

use baton_protocol::{
    id::{NodeName, UserId},
    ring::{Ring, VNODES},
};
use criterion::Criterion;

/// Users who are asked for in turn: one alone would find its way through the points predicted.
const USERS: u32 = 1_000;

pub(crate) fn measure(criterion: &mut Criterion) {
    let users: Vec<_> = (0..USERS).map(|nth| UserId::new(&format!("device-{nth}"))).collect();
    let mut group = criterion.benchmark_group("ring");
    for homes in [3, 100] {
        let ring = ring(homes);
        let mut users = users.iter().cycle();
        group.bench_function(format!("home of a user, of {homes}"), |bencher| {
            bencher.iter(|| black_box(ring.home(users.next().expect("a cycle doesn't end"))));
        });
    }
}

fn ring(homes: u32) -> Ring {
    let name = |nth| NodeName::new(&format!("home-{nth}")).expect("a legal name");
    let members: Vec<_> = (1..=homes).map(|nth| (name(nth), 1)).collect();
    Ring::new(&members, VNODES, 0).expect("a legal ring")
}
