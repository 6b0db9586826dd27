//! What use leaves behind in the processes. `baton bench resources` does more of it.

use baton_drill::wear::{self, CLIENTS, Wear, play};

use crate::support::BATON;

const CONNECTS: u32 = 5_000;
const MOVES: u32 = 30;
const RESTARTS: u32 = 10;
/// Bytes that a connect, or a session's move, may leave in a process whose allocator is still finding its size: less than
/// a session needs.
const KEPT: u64 = 1_024;

#[test]
fn nothing_is_left_of_those_who_came_and_of_origins_that_went() {
    let wear = Wear { binary: BATON.into(), connects: CONNECTS, moves: MOVES, restarts: RESTARTS };
    let report = play(&wear, |step| println!("{step}")).unwrap_or_else(|error| panic!("{error}"));
    println!("{report}");
    assert!(report.suffered.is_empty(), "{:?}", report.suffered);
    assert!(report.left().is_empty(), "{report}\n{:?}", report.left());
    assert!(report.moved.0 + report.moved.1 >= f64::from(CLIENTS * (MOVES + RESTARTS)), "{report}");
    let per_connect = report.grown(wear::CONNECTS) / u64::from(CONNECTS / 2);
    let per_move = report.grown(wear::MOVES) / u64::from(MOVES / 2 * CLIENTS);
    assert!(per_connect < KEPT && per_move < KEPT, "{per_connect} and {per_move} bytes: {report}");
}
