//! Origins that leave in order: no session ends, every move is make-before-break.

use baton_drill::{
    load::Plan,
    tier::{Broker, Role},
};

use crate::support::{Play, drain, is_known, layout, moved, plan, start, until};

before_both_brokers!(one_under_load one_after_another_in_a_loop);

fn one_under_load(broker: Broker) {
    let Some(mut play) = Play::begin(layout(broker, 2)) else { return };
    assert!(drain(&mut play.tier, "origin-1") > 0.0);
    play.goes_on();
    play.ends_unnoticed();
}

fn one_after_another_in_a_loop(broker: Broker) {
    let Some(mut play) = Play::begin(layout(broker, 3)) else { return };
    for _ in 0..2 {
        for origin in play.tier.names(Role::Origin) {
            assert!(drain(&mut play.tier, &origin) > 0.0, "{origin} carried nothing");
            play.tier.restart(&origin).expect("it comes back");
        }
    }
    play.goes_on();
    assert_eq!(moved(&play.tier, "broken"), 0.0);
    play.ends_unnoticed();
}

/// A move has no time to spare, and all of them at once: spread 0.
#[test]
fn all_at_once() {
    let layout = layout(Broker::Sim, 2).set(Role::Origin, "drain.spread", "0s");
    let Some(mut play) = Play::begin(layout) else { return };
    assert!(drain(&mut play.tier, "origin-1") > 0.0);
    play.goes_on();
    play.ends_unnoticed();
}

/// An edge with nothing there knows that the origin went by itself: it is none the worse for it.
#[test]
fn an_edge_without_sessions_is_told_too() {
    let Some(tier) = start(layout(Broker::Sim, 2)) else { return };
    let plan = Plan { addresses: tier.edges()[..1].to_vec(), ..plan(&tier, "load") };
    let mut play = Play::begin_with(tier, plan);
    until("both edges know it", || is_known(&play.tier, "origin-1"));
    assert!(drain(&mut play.tier, "origin-1") > 0.0);
    for edge in play.tier.names(Role::Edge) {
        let closed = |how| play.tier.log_count(&edge, &format!("announced={how}")).expect("it has a log");
        until("it has seen the end", || closed(true) + closed(false) > 0);
        assert_eq!((closed(true), closed(false)), (1, 0), "{edge}");
    }
    play.ends_unnoticed();
}

/// The ring says who opens where. Where a session is, it stays.
#[test]
fn another_ring_moves_no_session_to_another_home() {
    let Some(mut play) = Play::begin(layout(Broker::Sim, 2)) else { return };
    let digest = |play: &Play| {
        let text = play.tier.request("origin-1", "GET", "/metrics").expect("it answers").body;
        text.lines().find(|line| line.starts_with("baton_ring_digest_info")).map(str::to_owned)
    };
    let before = digest(&play);
    for origin in ["origin-1", "origin-2"] {
        play.tier.set(origin, "origin.ring.seed", "1").expect("there is one");
        assert!(drain(&mut play.tier, origin) > 0.0);
        play.tier.restart(origin).expect("it comes back");
    }
    assert_ne!(digest(&play), before);
    play.goes_on();
    play.ends_unnoticed();
}
