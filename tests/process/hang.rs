//! Processes that stop, keep every connection open, and go on later: what a power failure or a full disk looks like.

use baton_drill::tier::Broker;

use crate::support::{PATIENCE, Play, RATE, carried, drain, edges_total, layout, moved, sessions, until};

before_both_brokers!(an_origin_for_ten_seconds a_home);

fn an_origin_for_ten_seconds(broker: Broker) {
    let Some(mut play) = Play::begin(layout(broker, 2)) else { return };
    let moves = carried(&play.tier, "origin-1");
    play.tier.stop("origin-1").expect("it runs");
    let ten_seconds = 10 * u64::from(RATE);
    play.load.received(ten_seconds, PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    play.recovers("broken", moves);
    // What it still holds of the old tunnels means nothing any more; and it is an origin like any other again.
    play.tier.cont("origin-1").expect("it is there");
    until("both edges are back at it", || play.tier.log_count("origin-1", "edge=").unwrap_or(0) == 2 + 2);
    assert!(drain(&mut play.tier, "origin-2") > 0.0);
    assert_eq!(moved(&play.tier, "broken"), moves);
    play.goes_on();
    play.ends_unnoticed();
}

/// Its sessions are held without a tunnel, and everybody else's go on.
fn a_home(broker: Broker) {
    let Some(play) = Play::begin(layout(broker, 2)) else { return };
    let home = if broker == Broker::Sim { "broker-1" } else { "home-1" };
    play.tier.stop(home).expect("it runs");
    let refused = |tier| edges_total(tier, "baton_attaches_total", &[("kind", "resume"), ("outcome", "unreachable")]);
    until("resumes are refused", || refused(&play.tier) > 0.0);
    let held = sessions(&play.tier, "detached");
    assert!(held > 0.0);
    play.tier.cont(home).expect("it is there");
    play.recovers("broken", held);
    play.ends_unnoticed();
}
