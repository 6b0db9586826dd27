//! Processes that die.

use baton_drill::tier::{Broker, Role};

use crate::support::{Play, carried, layout, moved, until};

before_both_brokers!(an_origin_under_load two_origins_at_once an_origin_that_drains);

fn an_origin_under_load(broker: Broker) {
    let Some(mut play) = Play::begin(layout(broker, 2)) else { return };
    let mut moves = 0.0;
    for origin in ["origin-1", "origin-2"] {
        moves += carried(&play.tier, origin);
        play.tier.kill(origin).expect("it ran");
        play.recovers("broken", moves);
        assert_eq!(moved(&play.tier, "broken"), moves, "each of its sessions moves once");
        play.tier.restart(origin).expect("it comes back");
    }
    play.ends_unnoticed();
}

fn two_origins_at_once(broker: Broker) {
    let Some(mut play) = Play::begin(layout(broker, 3)) else { return };
    let moves = carried(&play.tier, "origin-1") + carried(&play.tier, "origin-2");
    play.tier.kill("origin-1").expect("it ran");
    play.tier.kill("origin-2").expect("it ran");
    play.recovers("broken", moves);
    play.ends_unnoticed();
}

fn an_origin_that_drains(broker: Broker) {
    let layout = layout(broker, 2).set(Role::Origin, "drain.spread", "20s");
    let Some(mut play) = Play::begin(layout) else { return };
    let moves = carried(&play.tier, "origin-1");
    play.tier.terminate("origin-1").expect("it runs");
    until("some have moved", || moved(&play.tier, "planned") > 0.0);
    play.tier.kill("origin-1").expect("it is still there");
    until("the others have moved", || moved(&play.tier, "planned") + moved(&play.tier, "broken") >= moves);
    assert!(moved(&play.tier, "broken") > 0.0, "none was left to be killed");
    play.goes_on();
    play.ends_unnoticed();
}
