//! A broker that comes back, and all of its clients at once.

use std::time::Instant;

use baton_drill::{
    load::{Load, Plan, Shape, Tempo},
    tier::{Broker, Layout, Role, Tier},
};

use crate::support::{BATON, PATIENCE, carried, closed, moved, sessions, start, tier, until};

/// Clients of both homes, of whom four in five are of the one that goes: some 1,500.
const CLIENTS: u32 = 1_900;
/// Opens a second that a home takes, and how many it takes at once after a pause.
const OPENS: f64 = 200.0;
const BURST: f64 = 20.0;
/// Opens after which the herd is in full course.
const SOME: f64 = 300.0;

/// Two homes, each with a broker of its own. The herd takes several times as long as an edge looks for a home: who
/// waits for one that is busy isn't told that there is none.
fn homes() -> Tier {
    let layout = Layout { edges: 2, origins: 2, homes: 2, brokers: 2, ..Layout::new(BATON) }
        .set(Role::BrokerSim, "limits.home_opens_per_second", &OPENS.to_string())
        .set(Role::Edge, "limits.open_wait", "2s");
    let mut tier = tier(layout).expect("nothing need be installed");
    let heavy = format!("{{ address = \"{}\", weight = 4 }}", tier.address("home-1").expect("it has one"));
    for origin in tier.names(Role::Origin) {
        tier.set(&origin, "origin.homes.home-1", &heavy).expect("there is one");
    }
    tier.start_all().expect("the tier starts");
    tier
}

fn of_broker(tier: &Tier, broker: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    tier.metrics(broker).expect("it answers").total(name, labels)
}

fn attached(tier: &Tier, broker: &str) -> f64 {
    of_broker(tier, broker, "baton_sessions", &[("state", "attached")])
}

/// Opens that a home has taken so far, looked at between two moments.
struct Look {
    before: Instant,
    opens: f64,
    after: Instant,
}

impl Look {
    #[expect(clippy::disallowed_methods, reason = "real processes keep real time")]
    fn take(tier: &Tier) -> Self {
        let before = Instant::now();
        let opens = of_broker(tier, "broker-1", "baton_attaches_total", &[("kind", "open"), ("outcome", "accepted")]);
        Self { before, opens, after: Instant::now() }
    }
}

/// Over any span there were no more opens than its rate and one burst allow.
fn assert_paced(looks: &[Look]) {
    for (nth, from) in looks.iter().enumerate() {
        for to in &looks[nth..] {
            let span = to.after.duration_since(from.before).as_secs_f64();
            let most = OPENS * span + BURST + 1.0;
            assert!(to.opens - from.opens <= most, "{} opens in {span} s", to.opens - from.opens);
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "real processes keep real time")]
fn all_come_back_at_the_pace_of_their_home_and_resumes_dont_wait_for_them() {
    let mut tier = homes();
    let plan = Plan {
        shape: Shape::Selves,
        tempo: Tempo::Rate(CLIENTS / 4),
        sources: 2,
        patience: PATIENCE,
        returning: Some(std::time::Duration::from_millis(100)),
        ..Plan::new("herd", &tier.edges(), CLIENTS)
    };
    let load = Load::start(plan).expect("a thread");
    load.ready(PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    load.publish();
    load.received(u64::from(CLIENTS), PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    let (herd, others) = (attached(&tier, "broker-1"), attached(&tier, "broker-2"));
    assert!(herd > 1_300.0 && others > 100.0 && herd + others == f64::from(CLIENTS), "{herd} and {others}");

    tier.kill("broker-1").expect("it ran");
    until("the herd has lost its home", || sessions(&tier, "detached") == herd);
    tier.restart("broker-1").expect("it comes back");
    let began = Instant::now();
    let mut looks = Vec::new();
    until("the herd is on its way", || {
        looks.push(Look::take(&tier));
        closed(&tier, "gone") == herd && looks.last().is_some_and(|look| look.opens >= SOME)
    });

    let resumed = |tier: &Tier| of_broker(tier, "broker-2", "baton_attaches_total", &[("kind", "resume")]);
    let (before, moves) = (resumed(&tier), moved(&tier, "broken") + carried(&tier, "origin-1"));
    tier.kill("origin-1").expect("it ran");
    let killed = Instant::now();
    until("those who had a tunnel have one again", || {
        looks.push(Look::take(&tier));
        moved(&tier, "broken") >= moves && sessions(&tier, "detached") == 0.0
    });
    let gap = killed.elapsed();
    let waiting = sessions(&tier, "opening");
    assert!(waiting > 0.0, "the herd was back before, {gap:?} after the kill");
    assert!(resumed(&tier) > before, "the kill hit nobody of the other home");

    until("all are back", || {
        looks.push(Look::take(&tier));
        load.progress().counts.ready == CLIENTS
    });
    let took = began.elapsed();
    assert!(took.as_secs_f64() >= (herd - BURST) / OPENS, "{herd} were back in {took:?}");
    assert!(gap * 4 < took, "resumes took {gap:?} of the herd's {took:?}");
    assert_paced(&looks);
    // Once each, when their home was gone: nobody was refused, or closed while waiting.
    assert_eq!(load.progress().totals.dropped as f64, herd, "{:?}", load.first_fault());
    assert_eq!((closed(&tier, "gone"), closed(&tier, "unavailable")), (herd, 0.0));
    assert_eq!((attached(&tier, "broker-1"), attached(&tier, "broker-2")), (herd, others));
    let report = load.finish(PATIENCE);
    assert!(report.survivors.is_clean(), "{}", report.survivors);
}

/// A home that couldn't take all of its sessions back in a quarter of their grace time says so when it starts, once.
#[test]
fn a_grace_that_is_short_for_so_many_sessions_is_told() {
    // 20,000 resumes a second: 1,000 sessions need 50 ms.
    for (grace, told) in [("199ms", 1), ("200ms", 0)] {
        let layout = Layout { broker: Broker::Sim, ..Layout::new(BATON) }
            .set(Role::BrokerSim, "limits.sessions", "1000")
            .set(Role::BrokerSim, "anchor.grace", grace);
        let tier = start(layout).expect("nothing need be installed");
        assert_eq!(tier.log_count("broker-1", "grace.short").expect("it has a log"), told, "{grace}");
    }
}
