//! A home that has lost a session refuses to resume it: the connect_refuse of the paper.

use baton_drill::{
    load::Plan,
    tier::{Broker, Layout},
};

use crate::support::{PATIENCE, Play, carried, closed, connects, edges_total, layout, plan, start, until};

/// The client whose session is lost.
const LOST: u32 = 7;

/// How a home is made to lose a user's sessions.
enum Asked {
    ForOnce,
    ByRule,
}

impl Asked {
    fn ask(&self, play: &Play, user: &str) {
        let tier = &play.tier;
        let answer = match self {
            Self::ForOnce => tier.request("broker-1", "POST", &format!("/refuse-resume?user={user}")),
            Self::ByRule => tier.fault("broker-1", &format!("refuse resume client {user}")),
        };
        let answer = answer.expect("it answers");
        let expected = match self {
            Self::ForOnce => "1".to_owned(),
            Self::ByRule => format!("1  hit 0 of 0  refuse resume client {user}"),
        };
        assert_eq!((answer.status, answer.body.trim()), (200, &*expected));
    }
}

/// One of all clients is lost: it is closed, and nobody else.
fn one_is_lost(asked: &Asked, cause: &str, fault: impl FnOnce(&mut Play)) {
    let one_edge = Layout { edges: 1, ..layout(Broker::Sim, 2) };
    let Some(tier) = start(one_edge) else { return };
    let plan = plan(&tier, "load");
    let clients = plan.clients;
    // Its will is to be published, and would be a stray.
    let plan = Plan { wills: false, ..plan };
    let user = plan.client_id(LOST);
    let mut play = Play::begin_with(tier, plan);
    asked.ask(&play, &user);
    play.goes_on();
    fault(&mut play);
    until("the lost one is closed", || closed(&play.tier, cause) == 1.0);
    play.load.received(4 * u64::from(clients), PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    assert_eq!(edges_total(&play.tier, "baton_client_closes_total", &[]), 1.0);
    assert_eq!(play.tier.log_count("edge-1", &format!("user={user} ")).expect("it has a log"), 1);
    assert_eq!(connects(&play.tier), f64::from(clients));
    let report = play.load.finish(PATIENCE);
    assert_eq!(report.ended.iter().map(|(client, _)| *client).collect::<Vec<_>>(), [LOST]);
    assert!(report.survivors.is_clean(), "{}", report.survivors);
}

fn origins_die(play: &mut Play) {
    for origin in ["origin-1", "origin-2"] {
        assert!(carried(&play.tier, origin) > 0.0);
        play.tier.kill(origin).expect("it ran");
        play.tier.restart(origin).expect("it comes back");
    }
}

#[test]
fn when_its_origin_dies() {
    one_is_lost(&Asked::ForOnce, "gone", origins_die);
}

#[test]
fn by_a_rule_when_its_origin_dies() {
    one_is_lost(&Asked::ByRule, "gone", origins_die);
}

/// A home that is slow to answer resumes, and some never, loses nobody.
#[test]
fn resumes_that_are_late_or_never_answered() {
    let Some(tier) = start(Layout { edges: 1, ..layout(Broker::Sim, 2) }) else { return };
    let plan = plan(&tier, "load");
    let clients = plan.clients;
    let mut play = Play::begin_with(tier, plan);
    let rules = "ignore resume first 2\ndelay 500ms resume every 2";
    assert_eq!(play.tier.fault("broker-1", rules).expect("it answers").status, 200);
    play.goes_on();
    origins_die(&mut play);
    play.load.received(4 * u64::from(clients), PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    let answer = play.tier.request("broker-1", "GET", "/faults").expect("it answers");
    assert!(answer.body.contains("hit 2 of "), "{}", answer.body);
    assert!(!answer.body.contains("hit 0 of "), "{}", answer.body);
    let report = play.load.finish(PATIENCE);
    assert!(report.ended.is_empty(), "{:?}", report.ended);
    assert!(report.survivors.is_clean(), "{}", report.survivors);
}

/// The home lets go of the session as it refuses it, and says so through the tunnel that is still there.
#[test]
fn when_its_origin_drains() {
    one_is_lost(&Asked::ForOnce, "aborted", |play| {
        for origin in ["origin-1", "origin-2"] {
            assert!(carried(&play.tier, origin) > 0.0);
            play.tier.terminate(origin).expect("it runs");
            assert!(play.tier.exit(origin, PATIENCE).expect("it ends").success());
            play.tier.restart(origin).expect("it comes back");
        }
    });
}
